//! What was written on Nodes a moment ago: a look that begins before the watch has brought it must not write it again (pure).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::condition::{Condition, Say, TYPE};
use crate::cache::NodeView;

/// The watch brings a write within milliseconds. What it has not brought by now somebody else has undone.
const BROUGHT: Duration = Duration::from_secs(5);

/// Conditions that were written, by the names of Nodes.
#[derive(Debug, Default)]
pub struct Recent(HashMap<Arc<str>, Written>);

#[derive(Debug)]
struct Written {
    uid: Box<str>,
    /// What the Node said before.
    before: Option<Condition>,
    /// What was written.
    after: Option<Condition>,
    at: Instant,
}

impl Recent {
    /// The condition of a Node, and for how long it is only known from having been written.
    pub fn condition(&mut self, node: &NodeView, now: Instant) -> (Option<Condition>, Option<Duration>) {
        let Some(written) = self.0.get(&node.name) else {
            return (node.condition.clone(), None);
        };
        let left = (written.at + BROUGHT).saturating_duration_since(now);
        if written.uid == node.uid && written.before == node.condition && !left.is_zero() {
            return (written.after.clone(), Some(left));
        }
        self.0.remove(&node.name);
        (node.condition.clone(), None)
    }

    /// That this was written.
    pub fn note(&mut self, node: &NodeView, say: &Say, now: Instant) {
        let after = match say {
            Say::Nothing => return,
            Say::Remove { .. } => None,
            Say::Set {
                reason,
                message,
                since,
            } => Some(Condition {
                kind: TYPE.to_owned(),
                status: reason.status().to_owned(),
                reason: reason.as_str().to_owned(),
                message: message.clone(),
                last_transition_time: Some(*since),
            }),
        };
        // Where it was written twice the watch owes the first one, too.
        let before = self
            .0
            .remove(&node.name)
            .filter(|written| written.uid == node.uid);
        let written = Written {
            uid: node.uid.clone(),
            before: before.map_or_else(|| node.condition.clone(), |written| written.before),
            after,
            at: now,
        };
        self.0.insert(Arc::clone(&node.name), written);
    }

    /// Forgets a Node that is gone.
    pub fn forget(&mut self, name: &str) {
        self.0.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;
    use serde_json::json;

    use super::super::condition::Reason;
    use super::*;
    use crate::cache::View as _;

    fn node(uid: &str, reason: Option<&str>) -> NodeView {
        let conditions = reason.map(|reason| {
            json!([{
                "type": TYPE, "status": "True", "reason": reason, "message": "m",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }])
        });
        let node = json!({
            "metadata": {"name": "edge1", "uid": uid}, "status": {"conditions": conditions.unwrap_or_else(|| json!([]))},
        });
        NodeView::of(serde_json::from_value(node).unwrap())
    }

    #[test]
    fn what_was_written_holds_until_the_watch_brings_something() {
        let (start, mut recent) = (Instant::now(), Recent::default());
        let after = |seconds| start + Duration::from_secs(seconds);
        let say = Say::Set {
            reason: Reason::ForEver,
            message: "m".to_owned(),
            since: Timestamp::UNIX_EPOCH,
        };
        let (plain, told) = (node("1", None), node("1", Some("ForEver")));
        assert_eq!(recent.condition(&plain, start), (None, None));
        recent.note(&plain, &say, start);
        let (held, left) = recent.condition(&plain, after(1));
        assert_eq!(
            (held, left),
            (told.condition.clone(), Some(Duration::from_secs(4)))
        );
        // It was brought: what is there from now on is what holds, also where that is what was there before.
        assert_eq!(recent.condition(&told, after(2)), (told.condition.clone(), None));
        assert_eq!(recent.condition(&plain, after(2)), (None, None));
        // It was not.
        recent.note(&plain, &say, start);
        assert_eq!(recent.condition(&plain, after(5)), (None, None));
        // Another Node of the same name.
        recent.note(&plain, &say, start);
        assert_eq!(recent.condition(&node("2", None), after(1)), (None, None));
        recent.note(&told, &Say::Remove { vouched: false }, start);
        assert_eq!(recent.condition(&told, after(1)).0, None);
    }
}
