//! Who probes whom, and how many must agree (pure).
//!
//! Each member has its voters: those whose names give the highest hash together with its own (rendezvous hashing). So
//! everybody finds the same ones without being told, each member probes about as many as probe it however large the pool
//! is, and a member that comes or goes changes few of them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many others probe a member.
pub const VOTERS: usize = 5;

/// What a yurthub sees of silent members, written on its own Node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Votes {
    /// Grows while there is anything to say, once a minute: a yurthub that has stopped is told from one that sees no
    /// change.
    pub beat: u64,
    /// By the names of Nodes.
    pub of: BTreeMap<String, Vote>,
}

/// What a yurthub sees of a silent member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The silence that this is about: [`Silent::since`](super::Silent::since).
    pub since: String,
    /// What it sees.
    pub sees: Seen,
}

/// What a voter sees of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Seen {
    /// It has answered, and proved who it is.
    Alive,
    /// It has answered this voter before, and does not any more.
    Dead,
}

/// The voters of the member `of`, of all `members`.
pub fn voters<'a>(members: impl Iterator<Item = &'a str>, of: &str) -> Vec<&'a str> {
    let others = members.filter(|member| *member != of);
    let mut ranked: Vec<_> = others.map(|member| (Reverse(hash(of, member)), member)).collect();
    if ranked.len() > VOTERS {
        ranked.select_nth_unstable(VOTERS);
        ranked.truncate(VOTERS);
    }
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, member)| member).collect()
}

/// How many of so many voters must say the same: more than half, and never one alone. `None`: these are too few.
pub fn quorum(voters: usize) -> Option<usize> {
    (voters >= 2).then_some(voters / 2 + 1)
}

/// A hash of two names that is the same in all versions of all programs: FNV-1a, mixed at the end (`MurmurHash3`'s
/// finalizer), because names mostly differ in their last letters only.
pub(super) fn hash(of: &str, member: &str) -> u64 {
    let bytes = of.bytes().chain([0]).chain(member.bytes());
    let sum = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let sum = (sum ^ (sum >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let sum = (sum ^ (sum >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    sum ^ (sum >> 33)
}

#[cfg(test)]
mod tests {

    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("edge-{number}")).collect()
    }

    fn voters_of(names: &[String], of: &str) -> Vec<String> {
        let voters = voters(names.iter().map(String::as_str), of);
        voters.into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn nobody_votes_on_itself_and_small_pools_vote_whole() {
        assert!(voters_of(&names(1), "edge-0").is_empty());
        let mut both = voters_of(&names(3), "edge-1");
        both.sort();
        assert_eq!(both, ["edge-0", "edge-2"]);
        assert_eq!(voters_of(&names(20), "edge-1").len(), VOTERS);
    }

    #[test]
    fn work_is_even_in_a_large_pool() {
        let names = names(1000);
        let mut work: BTreeMap<String, usize> = BTreeMap::new();
        for of in &names {
            for voter in voters_of(&names, of) {
                *work.entry(voter).or_default() += 1;
            }
        }
        let most = work.values().max().unwrap();
        assert!((VOTERS + 1..=4 * VOTERS).contains(most), "{most}");
        assert!(work.len() > 950, "{}", work.len());
    }

    #[test]
    fn one_that_goes_changes_the_voters_of_few() {
        let all = names(100);
        let without: Vec<_> = all.iter().filter(|name| *name != "edge-50").cloned().collect();
        let changed = without
            .iter()
            .filter(|of| voters_of(&all, of) != voters_of(&without, of))
            .count();
        assert!((1..=20).contains(&changed), "{changed}");
    }

    #[test]
    fn one_alone_never_decides() {
        let found: Vec<_> = (0..=5).map(quorum).collect();
        assert_eq!(found, [None, None, Some(2), Some(2), Some(3), Some(3)]);
    }

    #[test]
    fn all_versions_hash_alike() {
        assert_eq!(hash("edge-1", "edge-2"), 0xa1ca_bef4_4b66_82ae);
    }
}
