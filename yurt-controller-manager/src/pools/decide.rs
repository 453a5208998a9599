//! What a pool's ConfigMaps say, and what becomes of the pods of its nodes (pure).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use yurt_common::pool::votes::voters;
use yurt_common::pool::{Members, Silence};

use super::ballot::{Ballot, Cast};
use super::roster::Heard;
use super::rulings::Entry;
use super::state::{self, MAX_BYTES, Said};
use super::verdict::{Now, Remembered, rule};
use crate::cache::{NodeView, Readiness};

/// What is asked of the pods of a node.
#[derive(Debug, Clone, Default)]
pub struct PodsOf {
    /// UIDs of those that are not ready by themselves.
    pub unready: Vec<Box<str>>,
    /// Whether there are some that were marked because their node is silent.
    pub marked: bool,
}

/// All that a decision rests on.
pub struct Look<'a> {
    /// The pool.
    pub pool: &'a str,
    /// Its nodes, by name.
    pub nodes: &'a [NodeView],
    /// What was heard of a voter.
    pub heard: &'a dyn Fn(&str) -> Option<Heard>,
    /// The pods of a node.
    pub pods: &'a dyn Fn(&str) -> PodsOf,
    /// What is remembered of silences.
    pub before: &'a HashMap<Arc<str>, Remembered>,
    /// When it is.
    pub now: Now,
}

/// What was decided.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    /// What the first ConfigMap says.
    pub members: Members,
    /// What the second one says.
    pub silence: Silence,
    /// What is held of silent nodes.
    pub entries: Vec<(Arc<str>, Entry)>,
    /// What is remembered of silences.
    pub remember: HashMap<Arc<str>, Remembered>,
    /// After how long it is otherwise by itself.
    pub again: Option<Duration>,
    /// Of how many nodes not all can be told, because it does not fit.
    pub left_out: usize,
}

/// Decides.
pub fn decide(look: &Look<'_>) -> Picture {
    let (members, no_members) = state::members(look.pool, look.nodes, MAX_BYTES);
    let by_name: HashMap<&str, &NodeView> = look.nodes.iter().map(|node| (&*node.name, node)).collect();
    let mut picture = Picture::default();
    let mut said = Vec::new();
    for node in look.nodes {
        let before = look.before.get(&node.name);
        let (ballot, fresh_for) = match node.readiness {
            Readiness::Silent(since) => ballot(look, &members, &by_name, node, &since.to_string()),
            Readiness::Ready | Readiness::NotReady if before.is_none() => continue,
            Readiness::Ready | Readiness::NotReady => (Ballot::default(), None),
        };
        let pods = (look.pods)(&node.name);
        let Some(ruling) = rule(node, &ballot, pods.marked, before, look.now) else {
            continue;
        };
        let times = [picture.again, ruling.again, fresh_for];
        picture.again = times.into_iter().flatten().min();
        picture.remember.insert(Arc::clone(&node.name), ruling.remember);
        said.push(Said {
            node: Arc::clone(&node.name),
            since: ruling.remember.since.to_string(),
            endpoints: ruling.remember.endpoints,
            unready: pods.unready,
        });
        let entry = Entry {
            pool: look.pool.into(),
            since: ruling.remember.since,
            verdict: ruling.remember.verdict,
            word: ruling.word,
        };
        picture.entries.push((Arc::clone(&node.name), entry));
    }
    let (silence, not_whole) = state::silence(look.pool, said, MAX_BYTES);
    Picture {
        members,
        silence,
        left_out: no_members + not_whole,
        ..picture
    }
}

/// What the voters of a node say, and after how long the first of these votes is too old.
fn ballot(
    look: &Look<'_>,
    members: &Members,
    by_name: &HashMap<&str, &NodeView>,
    node: &NodeView,
    since: &str,
) -> (Ballot, Option<Duration>) {
    // Who takes no part is not probed.
    if !members.members.contains_key(&*node.name) {
        return (Ballot::default(), None);
    }
    let mut fresh_for = None;
    let voters = voters(members.members.keys().map(String::as_str), &node.name);
    let casts = voters
        .into_iter()
        .filter_map(|name| by_name.get(name))
        .map(|voter| {
            let vote = voter.votes.as_ref().and_then(|votes| votes.of.get(&*node.name));
            let heard = (look.heard)(&voter.name);
            let left = heard.and_then(|heard| heard.left(look.now.own));
            let beat = heard.filter(|_| left.is_some()).map(|heard| heard.changed);
            let cast = Cast::of(voter.readiness == Readiness::Ready, vote, since, beat);
            if matches!(cast, Cast::Alive | Cast::Dead { .. }) {
                fresh_for = [fresh_for, left].into_iter().flatten().min();
            }
            (Arc::clone(&voter.name), cast)
        });
    let mut casts: Vec<_> = casts.collect();
    casts.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    (Ballot(casts), fresh_for)
}
