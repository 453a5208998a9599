//! Tables of verdicts.

use serde_json::{Value, json};

use super::super::ballot::Cast;
use super::*;
use crate::cache::View as _;

const SINCE: &str = "2026-01-01T00:00:00Z";

fn node(ready: &str, annotations: &Value, tainted: bool) -> NodeView {
    let taint = json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": SINCE}]);
    let node = json!({
        "metadata": {"name": "edge1", "annotations": annotations},
        "spec": {"taints": if tainted { taint } else { json!([]) }},
        "status": {"conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": SINCE}]},
    });
    NodeView::of(serde_json::from_value(node).unwrap())
}

fn ballot(casts: &str) -> Ballot {
    let cast = |letter| match letter {
        'a' => Cast::Alive,
        'd' => Cast::Dead { fresh: true },
        'o' => Cast::Dead { fresh: false },
        'n' => Cast::Nothing,
        _ => Cast::Unheard,
    };
    let named = casts.chars().enumerate();
    Ballot(
        named
            .map(|(number, letter)| (format!("v{number}").into(), cast(letter)))
            .collect(),
    )
}

/// So many seconds after the node has fallen silent.
fn at(start: Instant, seconds: u64) -> Now {
    let since: Timestamp = SINCE.parse().unwrap();
    let wall = since.as_second() + i64::try_from(seconds).unwrap();
    Now {
        own: start + Duration::from_secs(seconds),
        wall: Timestamp::from_second(wall).unwrap(),
    }
}

fn word(word: &Word) -> &'static str {
    match word {
        Word::Nothing => "own",
        Word::Hold(..) => "hold",
        Word::Wait => "wait",
        Word::Leave => "leave",
        Word::Dead(_) => "evict",
    }
}

#[test]
fn what_is_held_of_a_silent_node_at_first_sight() {
    use Shown::{AsInCloud, Kept};
    use Verdict::{Alive, Autonomous, Awaited, Cut, Dead, Undecided};
    let start = Instant::now();
    let (no, ever, hour) = (
        json!({}),
        json!({"node.beta.openyurt.io/autonomy": "true"}),
        json!({"node.openyurt.io/autonomy-duration": "1h"}),
    );
    let unclear = json!({"node.openyurt.io/autonomy-duration": "soon"});
    for (wish, casts, seconds, verdict, endpoints, pods) in [
        (&no, "", 1, Undecided, AsInCloud, "own"),
        (&no, "a", 1, Undecided, AsInCloud, "own"),
        (&no, "aa", 1, Alive, Kept, "hold"),
        (&no, "dd", 1, Dead, AsInCloud, "evict"),
        // This replica has begun to listen a moment ago.
        (&no, "oo", 1, Awaited, Kept, "wait"),
        (&no, "oo", 1000, Undecided, AsInCloud, "own"),
        (&no, "nn", 1, Awaited, Kept, "wait"),
        (&no, "an", 1, Awaited, Kept, "wait"),
        (&no, "dn", 1, Awaited, Kept, "wait"),
        (&no, "nn", 1000, Undecided, AsInCloud, "own"),
        // The pool is cut; or the apiserver was down for a minute, and all nodes are unknown.
        (&no, "--", 1, Cut, Kept, "hold"),
        (&no, "-----", 100_000, Cut, Kept, "hold"),
        (&no, "a-", 1000, Cut, Kept, "hold"),
        (&no, "d-", 1000, Undecided, AsInCloud, "own"),
        (&ever, "", 1, Autonomous, Kept, "own"),
        (&ever, "aa", 1, Autonomous, Kept, "own"),
        (&ever, "nn", 100_000, Autonomous, Kept, "own"),
        // Its pods stay; its endpoints lead nowhere.
        (&ever, "dd", 1, Autonomous, AsInCloud, "own"),
        (&ever, "oo", 1, Autonomous, AsInCloud, "own"),
        (&ever, "do-", 1, Autonomous, AsInCloud, "own"),
        (&ever, "dn", 1, Autonomous, Kept, "own"),
        (&hour, "dd", 3599, Autonomous, AsInCloud, "own"),
        (&hour, "nn", 3599, Autonomous, Kept, "own"),
        // Its pods are evicted, as was asked for; those that are left are where peers see them.
        (&hour, "aa", 3601, Alive, Kept, "own"),
        (&hour, "dd", 3601, Dead, AsInCloud, "own"),
        (&unclear, "dd", 1, Dead, AsInCloud, "own"),
        (&unclear, "aa", 1, Alive, Kept, "own"),
    ] {
        let node = node("Unknown", wish, true);
        let found = rule(&node, &ballot(casts), true, None, at(start, seconds)).unwrap();
        let row = format!("{wish} {casts} {seconds}");
        assert_eq!(
            (found.remember.verdict, found.remember.endpoints),
            (verdict, endpoints),
            "{row}"
        );
        assert_eq!(word(&found.word), pods, "{row}");
    }
}

#[test]
fn what_was_held_goes_on_for_a_while_when_peers_fall_silent() {
    use Verdict::{Alive, Awaited, Cut, Dead, Undecided};
    let start = Instant::now();
    for course in [
        // New: they are waited for, for a while.
        &[
            (0, "nn", Awaited),
            (19, "nn", Awaited),
            (20, "nn", Undecided),
            (21, "nn", Undecided),
        ][..],
        &[(0, "nn", Awaited), (3, "an", Awaited), (4, "aa", Alive)],
        &[(0, "nn", Awaited), (4, "dd", Dead), (5, "dn", Undecided)],
        // Marked one after the other.
        &[
            (0, "nn", Awaited),
            (5, "n-", Cut),
            (10, "--", Cut),
            (9000, "--", Cut),
        ],
        // A voter comes into another one's place.
        &[
            (0, "aaa", Alive),
            (900, "ann", Awaited),
            (919, "ann", Awaited),
            (920, "ann", Undecided),
        ],
        &[
            (0, "aaa", Alive),
            (900, "ann", Awaited),
            (905, "aan", Alive),
            (930, "ann", Awaited),
        ],
        // The pool is back but for this node.
        &[(0, "--", Cut), (5000, "nn", Awaited), (5005, "dd", Dead)],
        &[
            (0, "--", Cut),
            (5000, "nn", Awaited),
            (5021, "nn", Undecided),
            (5030, "aa", Alive),
        ],
    ] {
        let mut before = None;
        for (seconds, casts, expected) in course {
            let node = node("Unknown", &json!({}), true);
            let found = rule(&node, &ballot(casts), true, before.as_ref(), at(start, *seconds)).unwrap();
            assert_eq!(found.remember.verdict, *expected, "{course:?} at {seconds}");
            assert_eq!(
                found.again.is_some(),
                *expected == Awaited,
                "{course:?} at {seconds}"
            );
            before = Some(found.remember);
        }
    }
}

#[test]
fn a_node_that_is_back_stays_until_its_pods_are_ready_again() {
    let start = Instant::now();
    let silent = node("Unknown", &json!({}), true);
    let rule_at = |node: &NodeView, casts: &str, marked, before: Option<&Remembered>, seconds| {
        rule(node, &ballot(casts), marked, before, at(start, seconds))
    };
    let alive = rule_at(&silent, "aa", true, None, 0).unwrap().remember;
    let dead = rule_at(&silent, "dd", true, None, 0).unwrap().remember;
    let (tainted, back) = (node("True", &json!({}), true), node("True", &json!({}), false));
    for (node, marked, before, stays) in [
        (&back, true, &alive, Some("own")),
        (&back, false, &alive, None),
        (&tainted, false, &alive, Some("leave")),
        (&back, true, &dead, None),
        (&tainted, true, &dead, Some("leave")),
    ] {
        let found = rule_at(node, "aa", marked, Some(before), 100);
        assert_eq!(found.as_ref().map(|found| word(&found.word)), stays);
        if let Some(found) = found {
            assert_eq!(
                (found.remember.verdict, found.remember.endpoints),
                (Verdict::Returned, before.endpoints)
            );
            let later = |seconds| rule_at(node, "aa", marked, Some(&found.remember), seconds);
            assert!(
                later(219).is_some() && later(220).is_none(),
                "two minutes at most"
            );
        }
    }
    assert_eq!(rule_at(&back, "aa", true, None, 0), None, "it was never silent");
    // Silent once more, before it was over: another silence.
    let again = rule_at(&back, "aa", true, Some(&alive), 100).unwrap().remember;
    let found = rule_at(&silent, "nn", true, Some(&again), 101).unwrap();
    assert_eq!(found.remember.verdict, Verdict::Awaited);
}
