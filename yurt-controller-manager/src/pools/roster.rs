//! Which nodes are in which pool, and which of them speak still: kept up as Nodes change, by every replica, so that one
//! that begins to lead has heard what those before it have heard.
//!
//! A voter shows that it goes on by a number that grows (the *beat*). It counts as fresh while that was seen to change
//! within [`FRESH`], by this replica's own clock: clocks of nodes are not looked at.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::NodeView;

/// Three beats: one may be late, another one lost.
pub const FRESH: Duration = Duration::from_mins(3);

/// A beat, and when it was seen first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// When this beat was seen first.
    pub at: Instant,
    /// Whether it was seen to change: its voter has said something since this replica listens.
    pub changed: bool,
    beat: Option<u64>,
}

impl Heard {
    /// For how long it is fresh still; `None`: it is not.
    pub fn left(self, now: Instant) -> Option<Duration> {
        self.beat?;
        FRESH
            .checked_sub(now.saturating_duration_since(self.at))
            .filter(|left| !left.is_zero())
    }
}

/// The pools.
#[derive(Default)]
pub struct Roster {
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    nodes: HashMap<Arc<str>, (Option<Arc<str>>, Heard)>,
    pools: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
}

impl Roster {
    /// Takes note of a Node that has changed; `view`: what it is now, none where it is gone; `first`: it is one of those
    /// that were there before this replica began to listen. Returns the pools to which it makes a difference.
    pub fn note(&self, name: &Arc<str>, view: Option<&NodeView>, now: Instant, first: bool) -> Vec<Arc<str>> {
        let mut content = self.content();
        let known = content.nodes.remove(name);
        let (before, heard) = known.map_or((None, None), |(pool, heard)| (pool, Some(heard)));
        let pool = view.and_then(|view| view.pool.clone());
        if before != pool
            && let Some(before) = &before
            && let Some(nodes) = content.pools.get_mut(before)
        {
            nodes.remove(name);
            if nodes.is_empty() {
                content.pools.remove(before);
            }
        }
        if let Some(pool) = &pool {
            let nodes = content.pools.entry(Arc::clone(pool)).or_default();
            nodes.insert(Arc::clone(name));
        }
        if let Some(view) = view {
            let beat = view.votes.as_ref().map(|votes| votes.beat);
            let heard = match heard {
                Some(heard) if heard.beat == beat => heard,
                Some(_) => Heard {
                    at: now,
                    changed: true,
                    beat,
                },
                None => Heard {
                    at: now,
                    changed: !first,
                    beat,
                },
            };
            content.nodes.insert(Arc::clone(name), (pool.clone(), heard));
        }
        let others = before.into_iter().filter(|before| pool.as_ref() != Some(before));
        others.chain(pool.clone()).collect()
    }

    /// The pools that have a node.
    pub fn pools(&self) -> Vec<Arc<str>> {
        self.content().pools.keys().cloned().collect()
    }

    /// The nodes of a pool, by name.
    pub fn nodes(&self, pool: &str) -> Vec<Arc<str>> {
        let content = self.content();
        content.pools.get(pool).into_iter().flatten().cloned().collect()
    }

    /// How many nodes a pool has.
    pub fn size(&self, pool: &str) -> usize {
        self.content().pools.get(pool).map_or(0, BTreeSet::len)
    }

    /// What was heard of a node as a voter.
    pub fn heard(&self, node: &str) -> Option<Heard> {
        self.content().nodes.get(node).map(|(_, heard)| *heard)
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cache::View as _;

    fn view(pool: Option<&str>, beat: Option<u64>) -> NodeView {
        let labels = pool.map(|pool| json!({"apps.openyurt.io/nodepool": pool}));
        let votes =
            beat.map(|beat| json!({"yurthub.openyurt.io/peer-votes": format!("{{\"beat\":{beat}}}")}));
        let node = json!({"metadata": {
            "name": "a", "labels": labels.unwrap_or_else(|| json!({})), "annotations": votes.unwrap_or_else(|| json!({})),
        }});
        NodeView::of(serde_json::from_value(node).unwrap())
    }

    #[test]
    fn a_node_that_changes_its_pool_makes_a_difference_to_both() {
        let (roster, a, now) = (Roster::default(), Arc::from("a"), Instant::now());
        let note = |view: Option<NodeView>| {
            let mut pools = roster.note(&a, view.as_ref(), now, false);
            pools.sort();
            pools.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(note(Some(view(None, None))).is_empty());
        assert_eq!(note(Some(view(Some("x"), None))), ["x"]);
        assert_eq!(note(Some(view(Some("x"), Some(1)))), ["x"]);
        assert_eq!(note(Some(view(Some("y"), None))), ["x", "y"]);
        assert_eq!((roster.size("x"), roster.nodes("y").len()), (0, 1));
        assert_eq!(note(None), ["y"]);
        assert!(roster.pools().is_empty() && roster.heard("a").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_voter_that_stops_is_told_from_one_that_goes_on() {
        let (roster, a) = (Roster::default(), Arc::from("a"));
        let note = |beat, first| {
            roster.note(&a, Some(&view(Some("x"), beat)), Instant::now(), first);
            let heard = roster.heard("a").unwrap();
            (heard.left(Instant::now()).is_some(), heard.changed)
        };
        assert_eq!(note(Some(1), true), (true, false), "who knows how old that is");
        tokio::time::advance(FRESH.saturating_sub(Duration::from_secs(1))).await;
        assert_eq!(note(Some(1), false), (true, false));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(note(Some(1), false), (false, false), "it has stopped");
        assert_eq!(note(Some(2), false), (true, true));
        assert_eq!(note(None, false), (false, true), "it has nothing to say");
        assert_eq!(note(Some(3), false), (true, true));
    }
}
