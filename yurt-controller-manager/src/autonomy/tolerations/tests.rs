//! The table of what tolerations become, and what holds for all of them.

use proptest::prelude::*;

use super::super::go_duration::NoDuration;
use super::super::wish::{AUTONOMY, DURATION};
use super::*;

const NOT_READY: &str = TAINTS[0].0;
const UNREACHABLE: &str = TAINTS[1].0;
const SILENT: [Option<u64>; 2] = [None, Some(100)];
const WELL: [Option<u64>; 2] = [None, None];

fn toleration(key: &str, seconds: Option<i64>) -> Toleration {
    Toleration {
        key: Some(key.into()),
        operator: Some("Exists".into()),
        effect: Some(NO_EXECUTE.into()),
        toleration_seconds: seconds,
        ..Toleration::default()
    }
}

fn both(seconds: Option<i64>) -> Vec<Toleration> {
    vec![toleration(NOT_READY, seconds), toleration(UNREACHABLE, seconds)]
}

fn held(original: &str, set_for: &str) -> Held {
    Held {
        originals: [Some(original.into()), Some(original.into())],
        set_for: Some(set_for.into()),
    }
}

fn for_ever() -> Wish {
    Wish::Stay(Span::ForEver, AUTONOMY)
}

fn seconds(seconds: u64) -> Wish {
    Wish::Stay(Span::Seconds(seconds), DURATION)
}

fn outfit(tolerations: Vec<Toleration>, held: Held) -> Outfit {
    Outfit { tolerations, held }
}

#[test]
fn a_pod_of_an_autonomous_node_stays() {
    let usual = both(Some(300));
    let none = Held::default();
    for (wish, expected, set_for) in [
        (for_ever(), None, "for-ever"),
        (seconds(7200), Some(7200), "7200"),
        // Never sooner than without us.
        (seconds(60), Some(300), "60"),
    ] {
        let expected = outfit(both(expected), held("300", set_for));
        assert_eq!(
            decide(&usual, &none, &wish, WELL),
            Change::Set(expected.clone()),
            "{wish:?}"
        );
        let again = decide(&expected.tolerations, &expected.held, &wish, WELL);
        assert_eq!(again, Change::Nothing, "{wish:?}");
    }
}

#[test]
fn what_was_tolerated_before_comes_back() {
    for wish in [for_ever(), seconds(7200), seconds(60)] {
        let Change::Set(worn) = decide(&both(Some(300)), &Held::default(), &wish, WELL) else {
            panic!("{wish:?}");
        };
        let back = decide(&worn.tolerations, &worn.held, &Wish::Nothing, WELL);
        let expected = outfit(both(Some(300)), Held::default());
        assert_eq!(back, Change::Set(expected), "{wish:?}");
    }
}

#[test]
fn an_ordinary_node_and_an_unclear_wish_change_nothing() {
    let unclear = Wish::Unclear {
        text: "soon".to_owned(),
        why: NoDuration::Number,
    };
    assert_eq!(
        decide(&both(Some(300)), &Held::default(), &Wish::Nothing, SILENT),
        Change::Nothing
    );
    assert_eq!(
        decide(&both(None), &held("300", "for-ever"), &unclear, SILENT),
        Change::Nothing
    );
}

#[test]
fn an_eviction_that_is_under_way_is_called_off() {
    let change = decide(&both(Some(300)), &Held::default(), &for_ever(), SILENT);
    assert_eq!(change, Change::Set(outfit(both(None), held("300", "for-ever"))));
}

#[test]
fn seconds_that_run_already_are_stopped_before_they_are_changed() {
    let endless = outfit(both(None), held("300", "for-ever"));
    // 100 of 7200 seconds are over.
    let then = outfit(
        vec![
            toleration(NOT_READY, Some(7200)),
            toleration(UNREACHABLE, Some(7100)),
        ],
        held("300", "7200"),
    );
    let change = decide(&both(Some(300)), &Held::default(), &seconds(7200), SILENT);
    assert_eq!(
        change,
        Change::Restart {
            first: endless.clone(),
            then: then.clone()
        }
    );
    // Whoever was interrupted between the two goes on.
    let change = decide(&endless.tolerations, &endless.held, &seconds(7200), SILENT);
    assert_eq!(change, Change::Set(then.clone()));
    // What counts down is left alone, and is set right when the node is back.
    let later = [None, Some(5000)];
    assert_eq!(
        decide(&then.tolerations, &then.held, &seconds(7200), later),
        Change::Nothing
    );
    assert_eq!(
        decide(&then.tolerations, &then.held, &seconds(7200), WELL),
        Change::Set(outfit(both(Some(7200)), held("300", "7200")))
    );
}

#[test]
fn autonomy_that_is_taken_away_while_the_node_is_silent_lets_the_eviction_begin() {
    let change = decide(&both(None), &held("300", "for-ever"), &Wish::Nothing, SILENT);
    assert_eq!(change, Change::Set(outfit(both(Some(300)), Held::default())));
    let change = decide(&both(Some(86400)), &held("300", "86400"), &Wish::Nothing, SILENT);
    let Change::Restart { first, then } = change else {
        panic!("{change:?}");
    };
    assert_eq!(first, outfit(both(None), held("300", "for-ever")));
    assert_eq!(then, outfit(both(Some(300)), Held::default()));
    // Interrupted between the two.
    assert_eq!(
        decide(&first.tolerations, &first.held, &Wish::Nothing, SILENT),
        Change::Set(then)
    );
}

#[test]
fn a_duration_that_is_over_when_it_is_asked_for_lets_the_pod_what_it_had() {
    let over = [None, Some(9000)];
    let change = decide(&both(None), &held("300", "for-ever"), &seconds(7200), over);
    let Change::Set(worn) = change else {
        panic!("{change:?}");
    };
    assert_eq!(worn.tolerations[1].toleration_seconds, Some(300));
}

#[test]
fn tolerations_of_a_pods_own_are_understood() {
    let everything = Toleration {
        operator: Some("Exists".into()),
        ..Toleration::default()
    };
    let none = Held::default();
    assert_eq!(
        decide(std::slice::from_ref(&everything), &none, &for_ever(), SILENT),
        Change::Nothing,
        "it is never evicted"
    );
    // None of its own: it would be evicted at once.
    let change = decide(&[], &none, &for_ever(), WELL);
    let worn = outfit(
        vec![toleration(UNREACHABLE, None), toleration(NOT_READY, None)],
        held("0", "for-ever"),
    );
    assert_eq!(change, Change::Set(worn.clone()));
    let back = decide(&worn.tolerations, &worn.held, &Wish::Nothing, WELL);
    let expected = vec![toleration(UNREACHABLE, Some(0)), toleration(NOT_READY, Some(0))];
    assert_eq!(back, Change::Set(outfit(expected, none.clone())));
    // One for all taints, which other taints need as it is.
    let broad = Toleration {
        operator: Some("Exists".into()),
        effect: Some(NO_EXECUTE.into()),
        toleration_seconds: Some(20),
        ..Toleration::default()
    };
    let change = decide(std::slice::from_ref(&broad), &none, &for_ever(), WELL);
    let Change::Set(worn) = change else {
        panic!("{change:?}");
    };
    assert_eq!(worn.tolerations[2], broad);
    assert_eq!(worn.held, held("20", "for-ever"));
    // One that decides about one taint only.
    let half = [toleration(NOT_READY, None), toleration(UNREACHABLE, Some(30))];
    let change = decide(&half, &none, &for_ever(), WELL);
    let Change::Set(worn) = change else {
        panic!("{change:?}");
    };
    assert_eq!(worn.tolerations, both(None));
    assert_eq!(worn.held.originals, [None, Some("30".into())]);
}

#[test]
fn what_openyurt_has_written_is_kept() {
    let openyurt = Held {
        originals: [Some("300s".into()), Some("whatever".into())],
        set_for: None,
    };
    let change = decide(&both(None), &openyurt, &Wish::Nothing, WELL);
    assert_eq!(change, Change::Set(outfit(both(Some(300)), Held::default())));
}

fn any_toleration() -> impl Strategy<Value = Toleration> {
    let key = prop_oneof![
        Just(None),
        Just(Some(NOT_READY)),
        Just(Some(UNREACHABLE)),
        Just(Some("other"))
    ];
    let operator = prop_oneof![
        Just(None),
        Just(Some("Exists")),
        Just(Some("Equal")),
        Just(Some("Lt"))
    ];
    let effect = prop_oneof![Just(None), Just(Some(NO_EXECUTE)), Just(Some("NoSchedule"))];
    let value = prop_oneof![3 => Just(None), 1 => Just(Some("x"))];
    (key, operator, effect, value, proptest::option::of(-5_i64..1000)).prop_map(
        |(key, operator, effect, value, seconds)| Toleration {
            key: key.map(Into::into),
            operator: operator.map(Into::into),
            effect: effect.map(Into::into),
            value: value.map(Into::into),
            // Only what evicts may have seconds.
            toleration_seconds: seconds.filter(|_| effect == Some(NO_EXECUTE)),
            rest: serde_json::Map::new(),
        },
    )
}

/// How long a pod stays that begins to be evicted now; none: for ever.
fn stays(tolerations: &[Toleration], key: &str) -> Option<i64> {
    match deciding(tolerations, key) {
        Deciding::Nobody => Some(0),
        Deciding::ForEver => None,
        Deciding::This(_, seconds) | Deciding::Broader(seconds) => Some(seconds),
    }
}

fn at_least(one: Option<i64>, other: Option<i64>) -> bool {
    one.is_none_or(|one| other.is_some_and(|other| one >= other))
}

proptest! {
    #[test]
    fn no_pod_is_evicted_sooner_and_every_pod_is_as_before_afterwards(
        tolerations in prop::collection::vec(any_toleration(), 0..5),
        wanted in proptest::option::of(1_u64..2000),
    ) {
        let wish = wanted.map_or_else(for_ever, seconds);
        let worn = match decide(&tolerations, &Held::default(), &wish, WELL) {
            Change::Nothing => outfit(tolerations.clone(), Held::default()),
            Change::Set(worn) => worn,
            Change::Restart { .. } => return Err(TestCaseError::fail("nothing is under way")),
        };
        for (key, _) in TAINTS {
            prop_assert!(at_least(stays(&worn.tolerations, key), stays(&tolerations, key)));
            let asked = wanted.map(|wanted| wanted as i64);
            prop_assert!(at_least(stays(&worn.tolerations, key), asked));
        }
        // Kubernetes allows other seconds and more tolerations, nothing else.
        for old in &tolerations {
            let same = |new: &&Toleration| Toleration { toleration_seconds: None, ..(*new).clone() }
                == Toleration { toleration_seconds: None, ..old.clone() };
            prop_assert!(worn.tolerations.iter().any(|new| same(&new)));
        }
        prop_assert_eq!(decide(&worn.tolerations, &worn.held, &wish, WELL), Change::Nothing);
        let back = match decide(&worn.tolerations, &worn.held, &Wish::Nothing, WELL) {
            Change::Nothing => worn.clone(),
            Change::Set(back) => back,
            Change::Restart { .. } => return Err(TestCaseError::fail("nothing is under way")),
        };
        prop_assert!(!back.held.is_any());
        for (key, _) in TAINTS {
            prop_assert_eq!(stays(&back.tolerations, key), stays(&tolerations, key));
        }
    }

    #[test]
    fn whatever_is_written_on_a_pod_it_settles(
        tolerations in prop::collection::vec(any_toleration(), 0..5),
        originals in prop::array::uniform2(proptest::option::of("[0-9a-z]{0,8}")),
        set_for in proptest::option::of("for-ever|[0-9]{1,4}|x"),
        wish in prop_oneof![Just(Wish::Nothing), Just(for_ever()), (1_u64..2000).prop_map(seconds)],
        tainted in prop::array::uniform2(proptest::option::of(0_u64..3000)),
    ) {
        let mut worn = outfit(tolerations, Held {
            originals: originals.map(|text| text.map(Into::into)),
            set_for: set_for.map(Into::into),
        });
        for _ in 0..3 {
            match decide(&worn.tolerations, &worn.held, &wish, tainted) {
                Change::Nothing => return Ok(()),
                Change::Set(next) | Change::Restart { then: next, .. } => worn = next,
            }
        }
        prop_assert!(false, "it never ends: {worn:?}");
    }
}
