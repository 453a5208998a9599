//! What is held of silent nodes, where other controllers find it: `pools` puts it there, `autonomy` and the failover act on
//! it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;

use super::verdict::Verdict;
use crate::cache::NodeView;

/// Who says that a node lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vouch {
    /// Its peers.
    Alive,
    /// That its whole pool has fallen silent.
    Cut,
}

/// What becomes of the pods of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// What the node's own wish says.
    Nothing,
    /// They stay; why, in a sentence.
    Hold(Vouch, Arc<str>),
    /// There will be a word in a moment: those stay that would be evicted before.
    Wait,
    /// There is no word yet: they are left as they are.
    Leave,
    /// They are evicted at once; who saw what, in words.
    Dead(Arc<str>),
}

/// What is held of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its pool.
    pub pool: Arc<str>,
    /// Which silence it is about.
    pub since: Timestamp,
    /// The verdict.
    pub verdict: Verdict,
    /// What follows for its pods.
    pub word: Word,
}

/// What is held of all silent nodes.
#[derive(Default)]
pub struct Rulings {
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    /// Whether somebody rules.
    runs: bool,
    nodes: HashMap<Arc<str>, Entry>,
    pools: HashMap<Arc<str>, Vec<Arc<str>>>,
}

impl Rulings {
    /// Begins anew: nothing is held of anybody; `runs`: somebody will see to that.
    pub fn begin(&self, runs: bool) {
        *self.content() = Content {
            runs,
            ..Content::default()
        };
    }

    /// Puts down what is held of the nodes of a pool. Returns those of whose pods something else follows than before.
    pub fn set(&self, pool: &Arc<str>, entries: Vec<(Arc<str>, Entry)>) -> Vec<Arc<str>> {
        let mut content = self.content();
        let mut before = HashMap::new();
        for node in content.pools.remove(pool).unwrap_or_default() {
            // It may be in another pool by now, which has ruled on it.
            if content.nodes.get(&node).is_some_and(|entry| entry.pool == *pool)
                && let Some(entry) = content.nodes.remove(&node)
            {
                before.insert(node, entry.word);
            }
        }
        let mut changed = Vec::new();
        for (node, entry) in entries {
            if before.remove(&node).as_ref() != Some(&entry.word) {
                changed.push(Arc::clone(&node));
            }
            let nodes = content.pools.entry(Arc::clone(pool)).or_default();
            nodes.push(Arc::clone(&node));
            content.nodes.insert(node, entry);
        }
        changed.extend(before.into_keys());
        changed
    }

    /// What is held of a node.
    pub fn of(&self, node: &str) -> Option<Entry> {
        self.content().nodes.get(node).cloned()
    }

    /// What becomes of the pods of a node. Where somebody rules who has not ruled on it yet, they are left.
    pub fn word(&self, node: &NodeView) -> Word {
        let content = self.content();
        match content.nodes.get(&node.name) {
            Some(entry) => entry.word.clone(),
            None if content.runs && node.is_unheard() && node.pool.is_some() => Word::Leave,
            None => Word::Nothing,
        }
    }

    /// How many nodes each verdict is on.
    pub fn counts(&self) -> BTreeMap<Verdict, usize> {
        let mut counts: BTreeMap<_, _> = Verdict::ALL.into_iter().map(|verdict| (verdict, 0)).collect();
        for entry in self.content().nodes.values() {
            *counts.entry(entry.verdict).or_default() += 1;
        }
        counts
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pool: &str, word: Word) -> Entry {
        Entry {
            pool: pool.into(),
            since: Timestamp::UNIX_EPOCH,
            verdict: Verdict::Undecided,
            word,
        }
    }

    #[test]
    fn it_says_of_whom_something_else_follows() {
        let rulings = Rulings::default();
        let set = |pool: &str, words: &[(&str, Word)]| {
            let entries = words.iter();
            let entries = entries.map(|(node, word)| (Arc::from(*node), entry(pool, word.clone())));
            let mut changed = rulings.set(&pool.into(), entries.collect());
            changed.sort();
            changed.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(set("x", &[("a", Word::Wait), ("b", Word::Nothing)]), ["a", "b"]);
        assert_eq!(set("x", &[("a", Word::Wait), ("b", Word::Leave)]), ["b"]);
        assert_eq!(
            set("y", &[("a", Word::Nothing)]),
            ["a"],
            "it has changed its pool"
        );
        assert_eq!(set("x", &[]), ["b"]);
        assert_eq!(rulings.of("a").unwrap().pool, "y".into());
        assert_eq!(rulings.counts()[&Verdict::Undecided], 1);
    }
}
