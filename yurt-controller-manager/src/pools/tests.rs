//! Whole pools, from Nodes to ConfigMaps.

use serde_json::json;

use super::decide::{Look, Picture, PodsOf, decide};
use super::*;
use crate::cache::View as _;

const SINCE: &str = "2026-01-01T00:00:00Z";

fn node(name: &str, ready: &str, takes_part: bool) -> NodeView {
    let annotations = if takes_part {
        json!({"yurthub.openyurt.io/peer": "10.0.0.1:10269"})
    } else {
        json!({})
    };
    let node = json!({
        "metadata": {"name": name, "annotations": annotations, "labels": {"apps.openyurt.io/nodepool": "shop"}},
        "status": {"conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": SINCE}]},
    });
    NodeView::of(serde_json::from_value(node).unwrap())
}

fn look(nodes: &[NodeView], before: &HashMap<Arc<str>, Remembered>, own: Instant) -> Picture {
    decide(&Look {
        pool: "shop",
        nodes,
        heard: &|_| None,
        pods: &|node| PodsOf {
            unready: vec![format!("{node}-pod").into()],
            marked: true,
        },
        before,
        now: Now {
            own,
            wall: SINCE.parse().unwrap(),
        },
    })
}

#[test]
fn who_takes_no_part_is_told_of_but_not_voted_on() {
    let nodes = [
        node("a", "Unknown", true),
        node("b", "Unknown", true),
        node("c", "Unknown", true),
        node("d", "Unknown", false),
        node("e", "True", false),
    ];
    let picture = look(&nodes, &HashMap::new(), Instant::now());
    assert_eq!(
        picture.members.members.keys().collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
    let verdicts: Vec<_> = picture
        .entries
        .iter()
        .map(|(node, entry)| (&**node, entry.verdict))
        .collect();
    // All of the pool is silent, as when the apiserver was away for a minute.
    let expected = [
        ("a", Verdict::Cut),
        ("b", Verdict::Cut),
        ("c", Verdict::Cut),
        ("d", Verdict::Undecided),
    ];
    assert_eq!(verdicts, expected);
    assert_eq!(picture.silence.silent["a"].unready, ["a-pod"]);
    assert_eq!(picture.silence.silent["a"].since, SINCE);
    assert!(picture.silence.silent["d"].unready.is_empty());
}

#[test]
fn what_a_leader_has_written_is_what_the_next_one_knows() {
    let now = Instant::now();
    let silent = [
        node("a", "Unknown", true),
        node("b", "Unknown", true),
        node("c", "Unknown", true),
    ];
    let first = look(&silent, &HashMap::new(), now);
    let before = known(&serde_json::to_string(&first.silence).unwrap());
    assert_eq!(look(&silent, &before, now).silence, first.silence);
    // One has come back while nobody led.
    let back = [
        node("a", "True", true),
        node("b", "Unknown", true),
        node("c", "Unknown", true),
    ];
    let second = look(&back, &before, now);
    assert_eq!(second.silence.silent["a"], first.silence.silent["a"]);
    assert!(second.again.is_some_and(|again| again <= Duration::from_mins(2)));
    assert!(known("{").is_empty(), "what somebody else has written there");
}

#[test]
fn what_a_thousand_nodes_read_is_written_less_often() {
    for (bytes, readers, expected) in [
        (500, 3, Duration::ZERO),
        (20_000, 200, Duration::from_millis(160)),
        (100_000, 1000, Duration::from_secs(4)),
        (700_000, 5000, LONGEST_PAUSE),
    ] {
        assert_eq!(pause(bytes, readers), expected, "{bytes} {readers}");
    }
}
