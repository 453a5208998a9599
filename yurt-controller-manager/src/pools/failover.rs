//! Evicts the pods of a node that its peers see dead, without waiting for the end of what they tolerate.
//!
//! As the eviction by taints does it (`addConditionAndDeletePod` in Kubernetes' `pkg/controller/tainteviction`): pods are
//! told that they are disrupted, so that a Job's `podFailurePolicy` does not take it for a failure of its own, and are
//! deleted, gracefully; their controllers make them anew elsewhere. Pods that nobody would evict stay: those of DaemonSets,
//! static ones, and those that tolerate silence for ever by themselves.
//! Invariant: before each pod it is looked whether its node is held dead still.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::events::{Event, EventType, Recorder};
use serde_json::{Value, json};
use tracing::{debug, info};

use super::rulings::{Entry, Rulings, Word};
use crate::MANAGER;
use crate::autonomy::tolerations::of_silence;
use crate::cache::{NodeView, PodView, Shelf};
use crate::controller::Reconcile;
use crate::failure::{self, Failure};
use crate::metrics::ControllerMetrics;
use crate::pace::Pace;
use crate::queue::Key;

/// Why a pod is disrupted, as its condition `DisruptionTarget` has it.
const DISRUPTED: &str = "DeletionByNodeFailover";

/// What evicts.
pub struct Failover {
    /// Nodes.
    pub nodes: Arc<Shelf<NodeView>>,
    /// Pods.
    pub pods: Arc<Shelf<PodView>>,
    /// What is held of silent nodes.
    pub rulings: Arc<Rulings>,
    /// To the apiserver.
    pub client: Client,
    /// Tells of it.
    pub recorder: Recorder,
    /// How fast it may.
    pub pace: Pace,
    /// Counts it.
    pub metrics: ControllerMetrics,
}

impl Reconcile for Failover {
    async fn reconcile(&self, name: &Key) -> Result<Option<Duration>, Failure> {
        let Some(node) = self.nodes.of_node(name).pop() else {
            return Ok(None);
        };
        let Some((entry, words)) = self.held_dead(&node.name) else {
            return Ok(None);
        };
        let victims = self.pods.select(&node.name, victim);
        if victims.is_empty() {
            return Ok(None);
        }
        info!(
            node = &*node.name,
            pods = victims.len(),
            votes = &*words,
            "failing over"
        );
        let note = format!(
            "silent since {}, {words}: its {} pods are evicted",
            entry.since,
            victims.len()
        );
        self.tell(EventType::Warning, note, &node.reference()).await;
        let mut failed = None;
        for pod in victims {
            self.pace.wait().await?;
            let still = self.held_dead(&node.name);
            if still.is_none_or(|(still, _)| still.since != entry.since) {
                info!(
                    node = &*node.name,
                    "not held dead any more; the rest of its pods stay"
                );
                break;
            }
            // One pod that cannot be deleted must not keep the others from it.
            failed = self.evict(&pod, &entry).await.err().or(failed);
        }
        failed.map_or(Ok(None), Err)
    }
}

impl Failover {
    /// What is held of a node, where that is that it is dead, and where it is in that silence still.
    fn held_dead(&self, name: &str) -> Option<(Entry, Arc<str>)> {
        let entry = self.rulings.of(name)?;
        let Word::Dead(words) = &entry.word else {
            return None;
        };
        let node = self.nodes.of_node(name).pop()?;
        let same = node.readiness.silent_since() == Some(entry.since);
        same.then(|| (entry.clone(), Arc::clone(words)))
    }

    async fn evict(&self, pod: &Victim, entry: &Entry) -> Result<(), Failure> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(pod.uid.to_string()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace);
        if !self.disrupt(&pods, pod, entry).await? {
            return Ok(());
        }
        self.pace.wait().await?;
        match pods.delete(&pod.name, &params).await {
            Ok(_) => {}
            Err(error) => match failure::of(error) {
                // It is gone, or another one has its name by now.
                None | Some(Failure::Conflict) => return Ok(()),
                Some(failure) => return Err(failure),
            },
        }
        self.metrics.count_write("eviction");
        debug!(namespace = &*pod.namespace, pod = &*pod.name, "evicted");
        let note = format!(
            "evicted, as the peers of its node see it dead since {}",
            entry.since
        );
        self.tell(EventType::Normal, note, &pod_reference(pod)).await;
        Ok(())
    }

    /// Says on a pod why it goes. Returns whether it is there still. Where another one has its name by now that is a conflict,
    /// and the node is looked at again.
    async fn disrupt(&self, pods: &Api<Pod>, pod: &Victim, entry: &Entry) -> Result<bool, Failure> {
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Strategic(disruption(pod, entry, Timestamp::now()));
        match pods.patch_status(&pod.name, &params, &patch).await {
            Ok(_) => {
                self.metrics.count_write("disruption");
                Ok(true)
            }
            Err(error) => failure::of(error).map_or(Ok(false), Err),
        }
    }

    async fn tell(&self, type_: EventType, note: String, reference: &ObjectReference) {
        let event = Event {
            type_,
            reason: "FailingOver".to_owned(),
            note: Some(note),
            action: "Evict".to_owned(),
            secondary: None,
        };
        // An event that is lost is no reason to do the work again.
        if let Err(error) = self.recorder.publish(&event, reference).await {
            debug!(%error, "no event");
        }
    }
}

/// A pod that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Victim {
    namespace: Box<str>,
    name: Box<str>,
    uid: Box<str>,
}

/// Whether a pod goes with its node (pure).
fn victim(pod: &PodView) -> Option<Victim> {
    let (tolerations, held) = pod.evictable.as_ref()?;
    of_silence(tolerations, held)?;
    Some(Victim {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        uid: pod.uid.clone(),
    })
}

/// The status of a pod that goes: one condition, of the pod with this UID (pure).
fn disruption(pod: &Victim, entry: &Entry, now: Timestamp) -> Value {
    json!({
        "metadata": {"uid": pod.uid},
        "status": {"conditions": [{
            "type": "DisruptionTarget", "status": "True", "reason": DISRUPTED,
            "message": format!("{MANAGER}: deleted, as the peers of its node see it dead since {}", entry.since),
            "lastTransitionTime": now,
        }]},
    })
}

fn pod_reference(pod: &Victim) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        namespace: Some(pod.namespace.to_string()),
        name: Some(pod.name.to_string()),
        uid: Some(pod.uid.to_string()),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cache::View as _;

    fn pod(metadata: &Value, seconds: &Value) -> PodView {
        let mut pod = json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"nodeName": "edge1", "tolerations": [{
                "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": seconds,
            }]},
            "status": {"phase": "Running"},
        });
        let fields = metadata.as_object().unwrap().clone();
        pod["metadata"].as_object_mut().unwrap().extend(fields);
        PodView::of(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn what_a_pod_is_told_is_one_condition_of_this_very_pod() {
        let victim = victim(&pod(&json!({}), &json!(300))).unwrap();
        let entry = Entry {
            pool: "shop".into(),
            since: Timestamp::UNIX_EPOCH,
            verdict: super::super::verdict::Verdict::Dead,
            word: Word::Dead("w".into()),
        };
        let told = disruption(&victim, &entry, Timestamp::UNIX_EPOCH);
        assert_eq!(told["metadata"], json!({"uid": "u"}));
        let conditions = told["status"]["conditions"].as_array().unwrap();
        assert_eq!(conditions.len(), 1);
        assert_eq!(conditions[0]["type"], "DisruptionTarget");
        assert_eq!(conditions[0]["status"], "True");
        assert_eq!(conditions[0]["lastTransitionTime"], "1970-01-01T00:00:00Z");
    }

    #[test]
    fn pods_go_that_would_be_evicted_one_day() {
        let by = |kind: &str| json!({"ownerReferences": [{"kind": kind, "controller": true, "apiVersion": "apps/v1", "name": "x", "uid": "x"}]});
        let held = json!({"annotations": {
            "apps.openyurt.io/original-unreachable-toleration-duration": "10", "yurt.openyurt.io/tolerates-for": "for-ever",
        }});
        let held_by_another_taint = json!({"annotations": {
            "apps.openyurt.io/original-not-ready-toleration-duration": "10", "yurt.openyurt.io/tolerates-for": "for-ever",
        }});
        for (metadata, seconds, goes, why) in [
            (json!({}), json!(300), true, "a bare pod"),
            (by("ReplicaSet"), json!(300), true, "it is made anew"),
            (json!({}), json!(86_400), true, "there is an end to it"),
            (json!({}), Value::Null, false, "for ever by itself"),
            (held, Value::Null, true, "for ever by us"),
            (held_by_another_taint, Value::Null, false, "for ever by itself"),
            (by("DaemonSet"), json!(300), false, "it belongs to the node"),
            (
                json!({"annotations": {"kubernetes.io/config.mirror": "x"}}),
                json!(300),
                false,
                "static",
            ),
            (
                json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
                json!(300),
                false,
                "it goes already",
            ),
        ] {
            assert_eq!(victim(&pod(&metadata, &seconds)).is_some(), goes, "{why}");
        }
    }
}
