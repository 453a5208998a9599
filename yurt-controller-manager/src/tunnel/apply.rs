//! Writes what was decided: the condition of a Node, and an event.

use k8s_openapi::api::core::v1::Node;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder};
use serde_json::json;
use tracing::{debug, info};

use super::condition::{Reason, Say, TYPE};
use crate::cache::NodeView;
use crate::failure::{self, Failure};
use crate::metrics::ControllerMetrics;
use crate::pace::Pace;

/// The field manager: what one applies is all that it has, and the other conditions are another one's.
const OWNER: &str = "yurt-controller-manager-tunnel";

/// What writes.
pub struct Writer {
    /// To the apiserver.
    pub client: Client,
    /// Tells of it.
    pub recorder: Recorder,
    /// How fast it may.
    pub pace: Pace,
    /// Counts it.
    pub metrics: ControllerMetrics,
}

impl Writer {
    /// Writes the condition of a Node, and an event.
    pub async fn say(&self, node: &NodeView, say: &Say) -> Result<(), Failure> {
        let conditions = match say {
            Say::Nothing => return Ok(()),
            Say::Remove => json!([]),
            Say::Set { reason, since } => json!([{
                "type": TYPE,
                "status": reason.status(),
                "reason": reason.as_str(),
                "message": reason.message(),
                "lastTransitionTime": since,
            }]),
        };
        self.pace.wait().await?;
        let patch = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": *node.name},
            "status": {"conditions": conditions},
        });
        let nodes: Api<Node> = Api::all(self.client.clone());
        let params = PatchParams::apply(OWNER).force();
        match nodes
            .patch_status(&node.name, &params, &Patch::Apply(&patch))
            .await
        {
            Ok(_) => self.metrics.count_write("condition"),
            Err(error) => return failure::of(error).map_or(Ok(()), Err),
        }
        if let Say::Set { reason, .. } = say {
            self.tell(node, *reason).await;
        }
        Ok(())
    }

    async fn tell(&self, node: &NodeView, reason: Reason) {
        info!(node = &*node.name, reason = reason.as_str(), "tunnel to a node");
        let event = Event {
            type_: match reason {
                Reason::AgentConnected => EventType::Normal,
                Reason::AgentNotConnected | Reason::NoAgent => EventType::Warning,
            },
            reason: format!("Tunnel{}", reason.as_str()),
            note: Some(reason.message().to_owned()),
            action: TYPE.to_owned(),
            secondary: None,
        };
        // An event that is lost is no reason to do the work again.
        if let Err(error) = self.recorder.publish(&event, &node.reference()).await {
            debug!(%error, "no event");
        }
    }
}
