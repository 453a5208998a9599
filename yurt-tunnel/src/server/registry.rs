//! Which node is held by which sessions (pure). The newest is dialled; older ones end when their streams have.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// Nodes that are gone, of which is known since when.
const REMEMBERED: usize = 20_000;

/// Sessions by node. `S` is a session.
#[derive(Debug)]
pub struct Registry<S> {
    nodes: HashMap<String, Vec<(u64, S)>>,
    last_seen: HashMap<String, Instant>,
    gone: BTreeSet<(Instant, String)>,
}

impl<S> Default for Registry<S> {
    fn default() -> Self {
        Self {
            nodes: HashMap::new(),
            last_seen: HashMap::new(),
            gone: BTreeSet::new(),
        }
    }
}

impl<S: Clone> Registry<S> {
    /// A session of a node has begun. Returns older ones, and whether the node is new here.
    pub fn add(&mut self, node: &str, id: u64, session: S) -> (Vec<S>, bool) {
        let sessions = self.nodes.entry(node.to_owned()).or_default();
        let older = sessions.iter().map(|(_, session)| session.clone()).collect();
        let new = sessions.is_empty();
        sessions.push((id, session));
        if let Some(since) = self.last_seen.remove(node) {
            self.gone.remove(&(since, node.to_owned()));
        }
        (older, new)
    }

    /// A session has ended. Returns whether the node is gone.
    pub fn remove(&mut self, node: &str, id: u64, now: Instant) -> bool {
        let Some(sessions) = self.nodes.get_mut(node) else {
            return false;
        };
        sessions.retain(|(other, _)| *other != id);
        if !sessions.is_empty() {
            return false;
        }
        self.nodes.remove(node);
        self.last_seen.insert(node.to_owned(), now);
        self.gone.insert((now, node.to_owned()));
        if self.gone.len() > REMEMBERED
            && let Some((_, node)) = self.gone.pop_first()
        {
            self.last_seen.remove(&node);
        }
        true
    }

    /// Sessions of a node, the newest first.
    pub fn of(&self, node: &str) -> Vec<S> {
        let sessions = self.nodes.get(node).into_iter().flatten().rev();
        sessions.map(|(_, session)| session.clone()).collect()
    }

    /// All nodes.
    pub fn nodes(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How long ago a node that is not here was.
    pub fn last_seen(&self, node: &str, now: Instant) -> Option<Duration> {
        self.last_seen
            .get(node)
            .map(|then| now.saturating_duration_since(*then))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_session_is_dialled_and_older_ones_are_told() {
        let (mut registry, now) = (Registry::default(), Instant::now());
        assert_eq!(registry.add("edge1", 1, 'a'), (vec![], true));
        assert_eq!(registry.add("edge1", 2, 'b'), (vec!['a'], false));
        assert_eq!(registry.of("edge1"), ['b', 'a']);
        assert!(!registry.remove("edge1", 2, now));
        assert_eq!(registry.of("edge1"), ['a']);
        assert!(registry.remove("edge1", 1, now));
        assert!(!registry.remove("edge1", 1, now));
        let later = now + Duration::from_secs(5);
        assert_eq!(registry.last_seen("edge1", later), Some(Duration::from_secs(5)));
        registry.add("edge1", 3, 'c');
        assert_eq!(registry.last_seen("edge1", later), None);
    }

    #[test]
    fn what_is_remembered_of_nodes_that_are_gone_is_bounded() {
        let (mut registry, now) = (Registry::default(), Instant::now());
        for number in 0..REMEMBERED as u64 + 10 {
            let node = format!("n{number}");
            registry.add(&node, number, ());
            registry.remove(&node, number, now + Duration::from_millis(number));
        }
        assert_eq!(registry.last_seen.len(), REMEMBERED);
        assert_eq!(registry.gone.len(), REMEMBERED);
        assert_eq!(registry.last_seen("n0", now), None);
        assert!(registry.last_seen("n100", now).is_some());
    }
}
