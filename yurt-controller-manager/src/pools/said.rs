//! What a Node says of its pool: which one it is in, where it answers peers, what it sees of them (pure).
//!
//! A node writes its own annotations, so these are bytes from outside: whatever is not understood is as if it were not
//! said, entry by entry, and what is too large is not read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::Deserialize;
pub use yurt_common::pool::votes::Votes;
use yurt_common::pool::{LABEL, PEER, VOTES};

/// Bytes of votes that are read.
const MAX_BYTES: usize = 32 << 10;
/// Votes of one voter that are read: far more than fall to it in a pool of thousands.
const MAX_VOTES: usize = 128;

/// The pool that it is in.
pub fn pool(labels: &BTreeMap<String, String>) -> Option<Arc<str>> {
    let name = labels.get(LABEL).filter(|name| !name.is_empty());
    name.map(|name| name.as_str().into())
}

/// Where its yurthub answers peers.
pub fn peer(annotations: &BTreeMap<String, String>) -> Option<SocketAddr> {
    annotations.get(PEER)?.parse().ok()
}

/// What its yurthub sees.
pub fn votes(annotations: &BTreeMap<String, String>) -> Option<Votes> {
    #[derive(Deserialize)]
    struct Lenient {
        beat: u64,
        #[serde(default)]
        of: BTreeMap<String, serde_json::Value>,
    }
    let text = annotations.get(VOTES).filter(|text| text.len() <= MAX_BYTES)?;
    let read: Lenient = serde_json::from_str(text).ok()?;
    let of = read.of.into_iter();
    let understood = of.filter_map(|(name, vote)| Some((name, serde_json::from_value(vote).ok()?)));
    Some(Votes {
        beat: read.beat,
        of: understood.take(MAX_VOTES).collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use yurt_common::pool::votes::{Seen, Vote};

    use super::*;

    fn with(name: &str, text: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(name.to_owned(), text.to_owned())])
    }

    #[test]
    fn what_is_not_understood_was_not_said() {
        assert_eq!(pool(&with(LABEL, "")), None);
        assert_eq!(pool(&with(LABEL, "shop")).as_deref(), Some("shop"));
        assert_eq!(peer(&with(PEER, "edge1:10269")), None);
        assert!(peer(&with(PEER, "[fd00::1]:10269")).is_some());
        for text in [
            "",
            "7",
            "[]",
            r#"{"beat":-1}"#,
            "{\"beat\":1",
            &"[".repeat(20_000),
        ] {
            assert_eq!(votes(&with(VOTES, text)), None, "{text}");
        }
        let vote = |since: &str, sees| Vote {
            since: since.to_owned(),
            sees,
        };
        let text = json!({"beat": 3, "new": true, "of": {
            "a": {"since": "s", "sees": "dead", "rtt": 3}, "b": {"since": "s", "sees": "asleep"}, "c": 1,
        }});
        let read = votes(&with(VOTES, &text.to_string())).unwrap();
        assert_eq!(read.beat, 3);
        assert_eq!(read.of, BTreeMap::from([("a".to_owned(), vote("s", Seen::Dead))]));
        let many: BTreeMap<_, _> = (0..200)
            .map(|number| (format!("edge-{number}"), vote("s", Seen::Alive)))
            .collect();
        let text = serde_json::to_string(&Votes { beat: 1, of: many }).unwrap();
        assert_eq!(votes(&with(VOTES, &text)).unwrap().of.len(), MAX_VOTES);
        assert_eq!(votes(&with(VOTES, &(text + &" ".repeat(MAX_BYTES)))), None);
    }
}
