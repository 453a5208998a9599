//! Writes what controllers say of a Node: a condition, by server-side apply, and an event.

use k8s_openapi::api::core::v1::Node;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::events::{Event, Recorder};
use serde_json::{Value, json};
use tracing::debug;

use crate::cache::NodeView;
use crate::failure::{self, Failure};
use crate::metrics::ControllerMetrics;
use crate::pace::Pace;

/// What writes.
pub struct NodeWriter {
    /// To the apiserver.
    pub client: Client,
    /// Tells of it.
    pub recorder: Recorder,
    /// How fast it may.
    pub pace: Pace,
    /// Counts it.
    pub metrics: ControllerMetrics,
}

impl NodeWriter {
    /// Applies what `owner` has to say in conditions of a Node, which is all that it ever said there; none: it says nothing
    /// any more. Returns whether there is such a Node.
    ///
    /// # Errors
    /// When the apiserver refuses it, or the leader was told to stop.
    pub async fn apply(
        &self,
        node: &NodeView,
        owner: &str,
        condition: Option<Value>,
    ) -> Result<bool, Failure> {
        self.pace.wait().await?;
        let conditions: Vec<_> = condition.into_iter().collect();
        let patch = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": *node.name},
            "status": {"conditions": conditions},
        });
        let nodes: Api<Node> = Api::all(self.client.clone());
        let params = PatchParams::apply(owner).force();
        match nodes
            .patch_status(&node.name, &params, &Patch::Apply(&patch))
            .await
        {
            Ok(_) => {
                self.metrics.count_write("condition");
                Ok(true)
            }
            Err(error) => failure::of(error).map_or(Ok(false), Err),
        }
    }

    /// Tells of a Node. An event that is lost is no reason to do the work again.
    pub async fn tell(&self, node: &NodeView, event: &Event) {
        if let Err(error) = self.recorder.publish(event, &node.reference()).await {
            debug!(%error, "no event");
        }
    }
}
