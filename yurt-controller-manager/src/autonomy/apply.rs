//! Writes what was decided: tolerations of pods, the condition of a Node, events.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::events::{Event, EventType};
use serde_json::json;
use tracing::{debug, info};

use super::condition::{Reason, Say, TYPE};
use super::tolerations::{Outfit, SET_FOR, TAINTS};
use crate::MANAGER;
use crate::cache::{NodeView, PodView};
use crate::failure::{self, Failure};
use crate::node_writer::NodeWriter;

/// By then who evicts has seen a change of a pod.
const SEEN_AFTER: Duration = Duration::from_secs(2);

/// What writes, to Nodes and to their pods.
pub struct Writer(pub NodeWriter);

impl Writer {
    /// Gives a pod its tolerations, if it is at `version` still. Returns its new version; none where it is gone.
    pub async fn dress(
        &self,
        pod: &PodView,
        outfit: &Outfit,
        version: &str,
    ) -> Result<Option<String>, Failure> {
        self.0.pace.wait().await?;
        let originals = TAINTS.iter().zip(&outfit.held.originals);
        let mut annotations: serde_json::Map<_, _> = originals
            .map(|((_, name), original)| ((*name).to_owned(), json!(original)))
            .collect();
        annotations.insert(SET_FOR.to_owned(), json!(outfit.held.set_for));
        let patch = json!({
            "metadata": {"uid": pod.uid, "resourceVersion": version, "annotations": annotations},
            "spec": {"tolerations": outfit.tolerations},
        });
        let pods: Api<Pod> = Api::namespaced(self.0.client.clone(), &pod.namespace);
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match pods
            .patch_metadata(&pod.name, &params, &Patch::Merge(&patch))
            .await
        {
            Ok(written) => {
                self.0.metrics.count_write("tolerations");
                debug!(namespace = &*pod.namespace, pod = &*pod.name, node = &*pod.node, set_for = ?outfit.held.set_for, "tolerations set");
                Ok(written.metadata.resource_version)
            }
            Err(error) => failure::of(error).map_or(Ok(None), Err),
        }
    }

    /// Stops evictions that are under way, and lets them begin anew with other seconds. Pods are left alone that have
    /// changed meanwhile: they are looked at again.
    pub async fn restart(&self, pods: &[(PodView, Outfit, Outfit)]) -> Result<(), Failure> {
        let (mut stopped, mut failed) = (Vec::new(), None);
        for (pod, first, then) in pods {
            match self.dress(pod, first, &pod.version).await {
                Ok(Some(version)) => stopped.push((pod, then, version)),
                Ok(None) => {}
                Err(failure) => failed = Some(failure),
            }
        }
        if !stopped.is_empty() {
            tokio::time::sleep(SEEN_AFTER).await;
        }
        for (pod, then, version) in stopped {
            failed = self.dress(pod, then, &version).await.err().or(failed);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Writes the condition of a Node, and an event about it. Returns whether it was written.
    pub async fn say(&self, node: &NodeView, say: &Say) -> Result<bool, Failure> {
        let condition = match say {
            Say::Nothing => return Ok(false),
            Say::Remove { .. } => None,
            Say::Set {
                reason,
                message,
                since,
            } => Some(json!({
                "type": TYPE,
                "status": reason.status(),
                "reason": reason.as_str(),
                "message": message,
                "lastTransitionTime": since,
            })),
        };
        let written = self.0.apply(node, MANAGER, condition).await?;
        if written {
            self.tell(node, say).await;
        }
        Ok(written)
    }

    async fn tell(&self, node: &NodeView, say: &Say) {
        let (type_, reason, note) = match say {
            Say::Nothing => return,
            Say::Remove { vouched: true } => (
                EventType::Normal,
                "VouchingEnded",
                "nobody vouches for this node any more; its pods tolerate again what they did".to_owned(),
            ),
            Say::Remove { vouched: false } => (
                EventType::Normal,
                "AutonomyEnded",
                "this node asks for no autonomy any more; its pods tolerate again what they did".to_owned(),
            ),
            Say::Set { reason, message, .. } => {
                let kind = match reason {
                    Reason::InvalidDuration | Reason::DurationOver => EventType::Warning,
                    Reason::ForEver | Reason::ForDuration | Reason::PeersSeeItAlive | Reason::PoolIsCut => {
                        EventType::Normal
                    }
                };
                (kind, reason.as_str(), message.clone())
            }
        };
        info!(node = &*node.name, reason, note, "node autonomy");
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note),
            action: TYPE.to_owned(),
            secondary: None,
        };
        self.0.tell(node, &event).await;
    }
}
