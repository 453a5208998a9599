//! Which other nodes endpoints name. Filled where objects are judged; bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Names that are kept; more are not looked at.
const NAMES: usize = 1024;
/// Nodes that are followed.
pub(super) const FOLLOWED: usize = 256;
/// Longest name of a node (`ValidateNodeName` in `k8s.io/kubernetes/pkg/apis/core/validation`).
const LONGEST: usize = 253;

/// See the module.
#[derive(Default)]
pub struct Names {
    known: Mutex<Known>,
    news: Notify,
}

/// By name, how many other nodes the smallest object names that names this one.
type Smallest = BTreeMap<String, usize>;

#[derive(Default)]
struct Known {
    all: Smallest,
    /// Those that were named since all objects began to be judged anew.
    again: Option<Smallest>,
}

impl Names {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object names these nodes.
    pub(in crate::reality) fn note(&self, nodes: &BTreeSet<String>) {
        let Known { all, again } = &mut *self.lock();
        if note(all, nodes) {
            self.news.notify_one();
        }
        if let Some(again) = again {
            note(again, nodes);
        }
    }

    /// All objects begin to be judged anew. Who does not get to the end begins again; until then nothing is forgotten.
    pub(super) fn begin(&self) {
        self.lock().again = Some(Smallest::new());
    }

    /// All objects have been judged: nodes that none named are forgotten.
    pub(super) fn finish(&self) {
        let mut known = self.lock();
        if let Some(again) = known.again.take() {
            known.all = again;
        }
    }

    /// The nodes to follow, the most important first: one of few that a Service has is missed more than one of many.
    pub(super) fn followed(&self) -> Vec<String> {
        let known = self.lock();
        let mut names: Vec<_> = known.all.iter().map(|(name, size)| (*size, name)).collect();
        names.sort_unstable();
        names.truncate(FOLLOWED);
        names.into_iter().map(|(_, name)| name.clone()).collect()
    }

    /// Resolves when there is a new one.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }
}

/// Returns whether there is a new one among `nodes`.
fn note(smallest: &mut Smallest, nodes: &BTreeSet<String>) -> bool {
    let before = smallest.len();
    for name in nodes {
        if let Some(known) = smallest.get_mut(name) {
            *known = nodes.len().min(*known);
        } else if smallest.len() < NAMES && is_name(name) {
            smallest.insert(name.clone(), nodes.len());
        }
    }
    smallest.len() != before
}

/// Whether this can be the name of a node, and stand in a path as it is.
fn is_name(name: &str) -> bool {
    let may = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || b"-.".contains(&letter);
    (1..=LONGEST).contains(&name.len()) && name.bytes().all(may) && !name.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(objects: &[&[&str]]) -> Names {
        let names = Names::default();
        for nodes in objects {
            names.note(&nodes.iter().map(|name| (*name).to_owned()).collect());
        }
        names
    }

    #[test]
    fn nodes_of_small_services_come_first() {
        let names = noted(&[&["a", "b", "c"], &["c", "d"], &["b"], &[]]);
        assert_eq!(names.followed(), ["b", "c", "d", "a"]);
    }

    #[test]
    fn a_node_that_no_object_names_any_more_is_forgotten_once_all_were_looked_at() {
        let names = noted(&[&["a"], &["b", "c"]]);
        names.begin(); // and not finished
        names.begin();
        names.note(&BTreeSet::from(["b".to_owned()]));
        assert_eq!(names.followed(), ["a", "b", "c"]);
        names.finish();
        assert_eq!(names.followed(), ["b"]);
        names.finish();
        assert_eq!(names.followed(), ["b"]);
    }

    #[test]
    fn what_cannot_be_a_node_is_left_out() {
        let names = noted(&[&["", "..", "a/b", "A", "edge-1.site", "a%2F"]]);
        assert_eq!(names.followed(), ["edge-1.site"]);
    }

    #[test]
    fn names_are_bounded_and_so_are_those_that_are_followed() {
        let names = Names::default();
        for number in 0..2 * NAMES {
            names.note(&BTreeSet::from([format!("edge{number:05}")]));
        }
        assert_eq!(names.lock().all.len(), NAMES);
        assert_eq!(names.followed().len(), FOLLOWED);
    }
}
