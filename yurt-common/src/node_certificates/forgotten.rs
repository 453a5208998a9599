//! Which nodes are forgotten: what the ConfigMap [`FORGOTTEN`](super::FORGOTTEN) says (pure).
//!
//! A key is the name of a Node, its value `2026-01-01T00:00:00Z`, since when it is forgotten, or
//! `2026-01-01T00:00:00Z remembered 2026-01-02T00:00:00Z`. A node that is remembered gets certificates again; those from
//! before stay refused, because whoever took them has them still.
//!
//! Invariant: what cannot be read refuses.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Between both times of a node that is remembered. The admission policy in the chart looks for it, too.
const REMEMBERED: &str = " remembered ";
/// How many nodes may be forgotten at a time: far below what fits into a ConfigMap.
pub const MOST: usize = 2000;
/// A node that was remembered leaves the list after so long: no certificate from before is valid then.
const KEPT: Duration = Duration::from_hours(9 * 24);

/// How one node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is forgotten; `None` where nobody can read since when.
    Out(Option<SystemTime>),
    /// It is remembered again, since then. Certificates from before are refused.
    Back(SystemTime),
}

/// All nodes that are, or were, forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forgotten {
    nodes: BTreeMap<String, Standing>,
}

impl Forgotten {
    /// Of the `data` of the ConfigMap.
    pub fn of(data: &BTreeMap<String, String>) -> Self {
        let nodes = data.iter().map(|(node, text)| (node.clone(), read(text)));
        Self {
            nodes: nodes.collect(),
        }
    }

    /// How a node stands; none where it was never forgotten.
    pub fn standing(&self, node: &str) -> Option<Standing> {
        self.nodes.get(node).copied()
    }

    /// Whether a node is forgotten now.
    pub fn is_out(&self, node: &str) -> bool {
        matches!(self.standing(node), Some(Standing::Out(_)))
    }

    /// Whether a certificate of `node` that begins at `not_before` is refused.
    pub fn refuses(&self, node: &str, not_before: SystemTime) -> bool {
        match self.standing(node) {
            None => false,
            Some(Standing::Out(_)) => true,
            Some(Standing::Back(since)) => not_before <= since,
        }
    }
}

fn read(text: &str) -> Standing {
    let time = |text: &str| humantime::parse_rfc3339(text.trim()).ok();
    match text.split_once(REMEMBERED) {
        None => Standing::Out(time(text)),
        Some((forgotten, remembered)) => match (time(forgotten), time(remembered)) {
            // Both were written by clocks of people's machines.
            (Some(forgotten), Some(remembered)) => Standing::Back(forgotten.max(remembered)),
            _ => Standing::Out(None),
        },
    }
}

fn seconds(time: SystemTime) -> impl std::fmt::Display {
    humantime::format_rfc3339_seconds(time)
}

/// The value of a node that is forgotten now.
pub fn forgotten(now: SystemTime) -> String {
    seconds(now).to_string()
}

/// The value of a node that is remembered now; `None` where it is not forgotten.
pub fn remembered(value: &str, now: SystemTime) -> Option<String> {
    match read(value) {
        Standing::Out(since) => {
            let since = since.unwrap_or(now);
            Some(format!("{}{REMEMBERED}{}", seconds(since), seconds(now)))
        }
        Standing::Back(_) => None,
    }
}

/// Nodes that need not stand in the list any more.
pub fn outdated(data: &BTreeMap<String, String>, now: SystemTime) -> Vec<String> {
    let over = |text: &str| match read(text) {
        Standing::Out(_) => false,
        Standing::Back(since) => now.duration_since(since).is_ok_and(|past| past >= KEPT),
    };
    let nodes = data.iter().filter(|(_, text)| over(text));
    nodes.map(|(node, _)| node.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: &str = "2026-01-01T12:00:00Z";

    fn at(hours: u64) -> SystemTime {
        humantime::parse_rfc3339("2026-01-01T00:00:00Z").unwrap() + Duration::from_hours(hours)
    }

    fn list(text: &str) -> (BTreeMap<String, String>, Forgotten) {
        let data = BTreeMap::from([("edge1".to_owned(), text.to_owned())]);
        let forgotten = Forgotten::of(&data);
        (data, forgotten)
    }

    #[test]
    fn what_is_written_is_read() {
        let value = forgotten(at(12));
        assert_eq!(value, NOON);
        let value = remembered(&value, at(24)).unwrap();
        assert_eq!(value, "2026-01-01T12:00:00Z remembered 2026-01-02T00:00:00Z");
        assert_eq!(remembered(&value, at(25)), None, "it is remembered already");
        assert_eq!(read(&value), Standing::Back(at(24)));
    }

    #[test]
    fn certificates_are_refused_by_their_beginning() {
        let (_, out) = list(NOON);
        let (_, back) = list("2026-01-01T12:00:00Z remembered 2026-01-02T00:00:00Z");
        for (hours, refused_when_back) in [(0, true), (13, true), (24, true), (25, false)] {
            assert!(out.refuses("edge1", at(hours)), "{hours}");
            assert_eq!(back.refuses("edge1", at(hours)), refused_when_back, "{hours}");
            assert!(!out.refuses("edge2", at(hours)), "another node");
        }
        assert!(out.is_out("edge1") && !back.is_out("edge1"));
    }

    #[test]
    fn what_cannot_be_read_refuses() {
        for text in [
            "",
            "yes",
            "2026-01-01",
            " remembered ",
            "x remembered 2026-01-02T00:00:00Z",
        ] {
            let (_, forgotten) = list(text);
            assert!(forgotten.is_out("edge1"), "{text}");
            assert!(forgotten.refuses("edge1", at(1000)), "{text}");
            let value = remembered(text, at(24)).unwrap();
            assert!(!list(&value).1.is_out("edge1"), "{value}");
        }
    }

    #[test]
    fn only_nodes_that_are_back_leave_the_list() {
        assert!(outdated(&list(NOON).0, at(100_000)).is_empty());
        let (data, _) = list("2026-01-01T12:00:00Z remembered 2026-01-02T00:00:00Z");
        assert!(outdated(&data, at(24 + 9 * 24 - 1)).is_empty());
        assert_eq!(outdated(&data, at(24 + 9 * 24)), ["edge1"]);
        assert!(outdated(&data, at(0)).is_empty(), "a clock that was set back");
    }
}
