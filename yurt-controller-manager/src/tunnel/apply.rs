//! Writes what was decided: the condition of a Node, and an event.

use kube::runtime::events::{Event, EventType};
use serde_json::json;
use tracing::info;

use super::condition::{Reason, Say, TYPE};
use crate::cache::NodeView;
use crate::failure::Failure;
use crate::node_writer::NodeWriter;

/// The field manager: what one applies is all that it has, and the other conditions are another one's.
const OWNER: &str = "yurt-controller-manager-tunnel";

/// Writes the condition of a Node, and an event.
pub(super) async fn say(writer: &NodeWriter, node: &NodeView, say: &Say) -> Result<(), Failure> {
    let (condition, told) = match say {
        Say::Nothing => return Ok(()),
        Say::Remove => (None, None),
        Say::Set { reason, since } => {
            let condition = json!({
                "type": TYPE,
                "status": reason.status(),
                "reason": reason.as_str(),
                "message": reason.message(),
                "lastTransitionTime": since,
            });
            (Some(condition), Some(*reason))
        }
    };
    if writer.apply(node, OWNER, condition).await?
        && let Some(reason) = told
    {
        tell(writer, node, reason).await;
    }
    Ok(())
}

async fn tell(writer: &NodeWriter, node: &NodeView, reason: Reason) {
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
    writer.tell(node, &event).await;
}
