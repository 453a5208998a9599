//! Looks at the nodes that a command is about: from the cloud, and by a pod on each.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use futures_util::stream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};

use crate::args::Selection;
use crate::cluster::{Cluster, HubConfig, list};
use crate::plan::{Seen, Sight};
use crate::progress::Progress;
use crate::selection::{NodeView, Wanted, select};
use crate::servant::{self, Silent};

/// Pods that look at nodes at a time.
const AT_A_TIME: usize = 10;

/// The nodes that are selected.
pub async fn selected(cluster: &Cluster, selection: &Selection) -> Result<Vec<NodeView>> {
    let wanted = match &selection.selector {
        Some(selector) => {
            let nodes: Api<Node> = Api::all(cluster.client.clone());
            let found = list(&nodes, &ListParams::default().labels(selector), "nodes").await;
            let found = found.with_context(|| format!("select nodes by `{selector}`"))?;
            Wanted::Found(found.into_iter().filter_map(|node| node.metadata.name).collect())
        }
        None if selection.edge_nodes.is_empty() => Wanted::Labelled,
        None => Wanted::Names(selection.edge_nodes.clone()),
    };
    let nodes: Vec<_> = cluster.nodes().await?.iter().map(NodeView::of).collect();
    Ok(select(&nodes, &wanted)?)
}

/// Looks at each of them. Those that are not Ready, or of the control plane, are left alone.
pub async fn of(
    cluster: &Cluster,
    config: &HubConfig,
    nodes: Vec<NodeView>,
    progress: Progress,
) -> Result<Vec<Seen>> {
    if config.image.is_empty() {
        bail!(
            "no image is known: give --image, or set key `image` of ConfigMap {}/yurt-hub-cfg",
            cluster.namespace
        );
    }
    let seen = stream::iter(nodes)
        .map(|view| look(cluster, config, view, progress))
        .buffered(AT_A_TIME);
    seen.try_collect().await
}

async fn look(cluster: &Cluster, config: &HubConfig, view: NodeView, progress: Progress) -> Result<Seen> {
    let sight = match &view.ready {
        Err(why) => Sight::Unreachable(why.clone()),
        Ok(()) if view.control_plane => Sight::Unseen("it is a node of the control plane".to_owned()),
        Ok(()) => {
            progress.node(&view.name, "looking at it");
            match servant::facts(cluster, config, &view.name).await {
                Ok(facts) => Sight::Seen(Box::new(facts)),
                Err(error) => failed(&error, &ready_now(cluster, &view.name).await),
            }
        }
    };
    let now_ms = now_ms();
    let pods = cluster.pods(Some(&view.name)).await?;
    Ok(Seen {
        view,
        sight,
        pods,
        now_ms,
    })
}

/// Whether the cloud has a node Ready at this moment, or why not.
pub async fn ready_now(cluster: &Cluster, node: &str) -> Result<(), String> {
    match cluster.node(node).await {
        Ok(Some(found)) => NodeView::of(&found).ready,
        Ok(None) => Err("it is no node of this cluster any more".to_owned()),
        // The cloud itself is in trouble; that says nothing of the node.
        Err(_) => Ok(()),
    }
}

/// What a look that failed says of the node (pure). One that was cut off a moment ago is Ready still when the look begins;
/// it is pending then, and stops nobody.
fn failed(error: &anyhow::Error, ready: &Result<(), String>) -> Sight {
    match (error.downcast_ref::<Silent>(), ready) {
        (Some(silent), _) => Sight::Unreachable(silent.0.clone()),
        (None, Err(why)) => Sight::Unreachable(why.clone()),
        (None, Ok(())) => Sight::Unseen(format!("{error:#}")),
    }
}

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_node_that_went_away_is_pending_and_one_that_cannot_start_a_pod_is_wrong() {
        let (up, down) = (Ok(()), Err("NotReady".to_owned()));
        let silent = || anyhow::Error::from(Silent("no answer".to_owned()));
        let image = || anyhow!("the image cannot be pulled");
        assert!(matches!(failed(&silent(), &up), Sight::Unreachable(why) if why == "no answer"));
        assert!(matches!(failed(&silent(), &down), Sight::Unreachable(_)));
        assert!(matches!(failed(&image(), &down), Sight::Unreachable(why) if why == "NotReady"));
        assert!(matches!(failed(&image(), &up), Sight::Unseen(why) if why.contains("pulled")));
    }
}
