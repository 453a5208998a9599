//! Restarting pods one at a time: each is deleted, and the next one only when its controller's new one is Ready.
//!
//! A pod that was not Ready before need not be Ready again. A kubelet that was restarted calls every pod Ready until it has
//! probed it (`UpdatePodStatus` in `pkg/kubelet/prober`), so who was not is asked for before that.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Preconditions};

use crate::cluster::{Cluster, is_conflict, is_missing, list};
use crate::plan::PodName;
use crate::progress::Progress;

const POLL_INTERVAL: Duration = Duration::from_millis(300);
const LIMIT: Duration = Duration::from_mins(3);
/// A controller that is there makes a new pod sooner.
const ORPHANED: Duration = Duration::from_secs(15);

/// Pods of a node that are not Ready, by their UIDs.
#[derive(Debug, Clone, Default)]
pub struct Unready(BTreeSet<String>);

impl Unready {
    /// Those that are not Ready on `node` now.
    pub async fn on(cluster: &Cluster, node: &str) -> Result<Self> {
        let pods = cluster.pods(Some(node)).await?;
        let unready = pods.into_iter().filter(|pod| !is_ready(pod));
        Ok(Self(unready.filter_map(|pod| pod.metadata.uid).collect()))
    }

    fn has(&self, pod: &Pod) -> bool {
        pod.metadata.uid.as_ref().is_some_and(|uid| self.0.contains(uid))
    }
}

/// Restarts `pods`, that are on `node`. The first that is not replaced in time ends it; as many pods of its controller have
/// to be Ready as are now, but for those that were `unready` before.
pub async fn restart(
    cluster: &Cluster,
    node: &str,
    pods: &[PodName],
    unready: &Unready,
    progress: Progress,
) -> Result<()> {
    for pod in pods {
        progress.node(node, &format!("restarting {pod}"));
        restart_one(cluster, pod, unready).await?;
    }
    Ok(())
}

async fn restart_one(cluster: &Cluster, name: &PodName, unready: &Unready) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &name.namespace);
    let old = match pods.get(&name.name).await {
        Err(error) if is_missing(&error) => return Ok(()),
        pod => pod.with_context(|| format!("read pod {name}"))?,
    };
    let Some(owner) = controller(&old) else {
        return Ok(());
    };
    let before = of_controller(&pods, &owner).await?;
    let before = before
        .iter()
        .filter(|pod| is_ready(pod) && !unready.has(pod))
        .count();
    let by_uid = DeleteParams {
        preconditions: Some(Preconditions {
            uid: old.metadata.uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    cluster.may_change().await?;
    match pods.delete(&name.name, &by_uid).await {
        // Somebody else was faster, and another one of its name may be there.
        Err(error) if is_missing(&error) || is_conflict(&error) => return Ok(()),
        deleted => drop(deleted.with_context(|| format!("delete pod {name}"))?),
    }
    let start = Instant::now();
    loop {
        let now = of_controller(&pods, &owner).await.unwrap_or_default();
        let ready = now.iter().filter(|pod| is_ready(pod)).count();
        let is_gone = now.iter().all(|pod| pod.metadata.uid != old.metadata.uid);
        if is_gone && ready >= before {
            return Ok(());
        }
        // Its controller was deleted: nobody will take its place.
        if now.is_empty() && start.elapsed() >= ORPHANED {
            return Ok(());
        }
        if start.elapsed() >= LIMIT {
            bail!(
                "pod {name} was deleted and nothing took its place within {} s; see `kubectl -n {} get pods`",
                LIMIT.as_secs(),
                name.namespace
            );
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Whose a pod is, and where its successor comes.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    uid: String,
    /// Of a DaemonSet: the same node. What becomes of its pods on other nodes, which may be reverted beside this one, says
    /// nothing of it.
    node: Option<String>,
}

fn controller(pod: &Pod) -> Option<Owner> {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    let node = || pod.spec.as_ref()?.node_name.clone();
    Some(Owner {
        uid: owner.uid.clone(),
        node: (owner.kind == "DaemonSet").then(node).flatten(),
    })
}

/// The pods of a controller, of a DaemonSet those on one node.
async fn of_controller(pods: &Api<Pod>, owner: &Owner) -> Result<Vec<Pod>> {
    let mut found = list(pods, &ListParams::default(), "pods").await?;
    found.retain(|pod| controller(pod).as_ref() == Some(owner));
    Ok(found)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions
            .into_iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_of_a_daemon_set_are_told_apart_by_their_nodes() {
        let owner = |kind: &str, node: &str| {
            let pod = json!({
                "metadata": {"ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": kind, "name": "x", "uid": "u", "controller": true},
                ]},
                "spec": {"containers": [], "nodeName": node},
            });
            controller(&serde_json::from_value(pod).unwrap())
        };
        assert_ne!(owner("DaemonSet", "a"), owner("DaemonSet", "b"));
        assert_eq!(owner("DaemonSet", "a"), owner("DaemonSet", "a"));
        // Its successor may come to any node.
        assert_eq!(owner("ReplicaSet", "a"), owner("ReplicaSet", "b"));
    }
}
