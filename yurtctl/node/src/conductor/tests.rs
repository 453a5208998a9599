//! Whatever interrupts a transaction, and wherever: the node ends as it shall be or as it was.
//!
//! The steps are the real ones on a [`Model`] of a node. The process ends at every change of a file and at every call of a
//! program, one after the other; then systemd starts it again, or the node boots, with what is on disk.

mod stage;

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::disk::trial;
use crate::host::Host;
use crate::journal;
use crate::model::Model;
use crate::service;
use crate::transaction::Goal;
use stage::{
    CONVERT, End, REVERT, Scenario, UPDATE, assert_another_goes_well, assert_ended, events, live, live_on,
    outcome_of, propose_and_start, scenarios,
};

/// Runs `scenario` once for each point and each kind of interruption there.
fn at_every_point(scenario: &Scenario) -> usize {
    let ends = scenario.ends();
    for end in [End::Kill, End::PowerCut] {
        for point in 0.. {
            let node = scenario.node();
            let transaction = scenario.transaction(&node);
            propose_and_start(&node, &transaction);
            let came_to_its_end = live(&node, Some(point), end);
            live_on(&node);
            assert_ended(&node, &transaction, &ends);
            if let Some(outcome) = outcome_of(&node, &transaction) {
                // One interruption alone does not turn it back.
                assert_eq!(outcome, scenario.outcome, "at point {point} of {scenario:?}");
            } else {
                // The power was cut before it was accepted.
                assert_eq!(end, End::PowerCut, "at point {point} of {scenario:?}");
                assert_another_goes_well(scenario, &node, &ends);
            }
            if came_to_its_end {
                break;
            }
        }
    }
    trial::passed()
}

#[test]
fn killed_or_without_power_anywhere_it_ends_as_it_would_have() {
    for scenario in scenarios() {
        let last = at_every_point(&scenario);
        assert!(last > 10, "{last} points in {scenario:?}");
    }
}

#[test]
fn who_brings_it_may_die_anywhere() {
    for scenario in [CONVERT, UPDATE, REVERT] {
        let ends = scenario.ends();
        for end in [End::Kill, End::PowerCut] {
            for point in 0.. {
                let node = scenario.node();
                let transaction = scenario.transaction(&node);
                let brought = trial::until(Some(point), || propose_and_start(&node, &transaction));
                if end == End::PowerCut {
                    node.reboot();
                }
                live_on(&node);
                let is_done = assert_ended(&node, &transaction, &ends);
                assert_eq!(is_done, brought.is_some() && end == End::Kill);
                if !is_done {
                    assert_another_goes_well(&scenario, &node, &ends);
                }
                if brought.is_some() {
                    break;
                }
            }
        }
    }
}

/// A service that is killed again and again turns back, and fills no disk with its journal.
#[test]
fn killed_at_the_same_point_of_every_life_it_turns_back() {
    for scenario in scenarios() {
        let ends = scenario.ends();
        for point in 0..60 {
            let node = scenario.node();
            let transaction = scenario.transaction(&node);
            propose_and_start(&node, &transaction);
            for _ in 0..40 {
                if live(&node, Some(point), End::Kill) {
                    break;
                }
            }
            live_on(&node);
            assert_ended(&node, &transaction, &ends);
            let told = events(&node);
            let taken = told.iter().filter(|event| **event == Event::Taken).count();
            assert!(taken <= 6 + 2, "taken {taken} times");
        }
    }
}

#[test]
fn a_full_disk_turns_it_back_and_hinders_no_way_back() {
    for scenario in scenarios() {
        let ends = scenario.ends();
        let mut turned = 0;
        for (point, many) in (0..).flat_map(|point| [(point, 1), (point, 4), (point, usize::MAX)]) {
            let node = scenario.node();
            let transaction = scenario.transaction(&node);
            propose_and_start(&node, &transaction);
            trial::full_at(point..many.saturating_add(point));
            live(&node, None, End::Kill);
            let came_past = trial::passed() < point;
            if many == usize::MAX {
                trial::full_at(0..usize::MAX);
            }
            live_on(&node);
            trial::full_at(0..0);
            let is_done = assert_ended(&node, &transaction, &ends);
            if scenario.goal == Goal::Reverted && point > 1 {
                assert!(is_done, "a full disk hinders a revert at {point}");
            }
            turned += usize::from(!is_done);
            if many == usize::MAX {
                if !is_done {
                    let goes_well = Scenario {
                        broken: None,
                        ..scenario
                    };
                    assert_another_goes_well(&goes_well, &node, &ends);
                }
                if came_past {
                    break;
                }
            }
        }
        assert!(turned > 0);
    }
}

/// What was turned back without a word in the journal is not taken for done by the next life.
#[test]
fn killed_on_the_way_back_from_a_full_disk_it_goes_on_back() {
    for scenario in [CONVERT, UPDATE] {
        let ends = scenario.ends();
        for start in (0..100).step_by(7) {
            for point in (start + 1..start + 60).step_by(5) {
                let node = scenario.node();
                let transaction = scenario.transaction(&node);
                propose_and_start(&node, &transaction);
                trial::full_at(start..usize::MAX);
                live(&node, Some(point), End::Kill);
                trial::full_at(0..0);
                live_on(&node);
                assert_ended(&node, &transaction, &ends);
            }
        }
    }
}

/// A step of which the disk took no word is not begun: a next life that can only go back would not know of it.
#[test]
fn what_could_not_be_written_down_is_not_begun() {
    let ends = CONVERT.ends();
    for unwritten in 0..80 {
        for point in unwritten + 2..unwritten + 7 {
            let node = CONVERT.node();
            let transaction = CONVERT.transaction(&node);
            propose_and_start(&node, &transaction);
            trial::full_at(unwritten..unwritten + 1);
            live(&node, Some(point), End::Kill);
            trial::full_at(0..usize::MAX);
            live_on(&node);
            trial::full_at(0..0);
            assert_ended(&node, &transaction, &ends);
        }
    }
}

#[test]
fn what_takes_too_long_is_taken_back() {
    for scenario in [CONVERT, UPDATE] {
        let ends = scenario.ends();
        let mut turned = 0;
        let node = scenario.node();
        let first = node.calls.borrow().len();
        for number in 0..20 {
            let node = scenario.node();
            let transaction = scenario.transaction(&node);
            propose_and_start(&node, &transaction);
            node.slow.set(Some((first + number, Duration::from_mins(5))));
            live_on(&node);
            if !assert_ended(&node, &transaction, &ends) {
                turned += 1;
                let reason = Reason::Deadline;
                let failed = Reason::Failed(Step::Verify);
                let told = events(&node);
                assert!(
                    told.contains(&Event::TurnedBack { reason })
                        || told.contains(&Event::TurnedBack { reason: failed }),
                    "{told:#?}"
                );
            }
        }
        assert!(turned > 2, "{turned}");
    }
}

/// Any call fails, once or from there on.
#[test]
fn what_is_broken_turns_it_back_and_what_cannot_be_taken_back_is_told_and_kept() {
    let mut incomplete = 0;
    for scenario in [CONVERT, UPDATE, REVERT] {
        let ends = scenario.ends();
        let plain = Model::new(scenario.is_k3s).snapshot();
        for (number, many) in (0..30).flat_map(|number| [(number, 1), (number, 2), (number, 40)]) {
            let node = scenario.node();
            let transaction = scenario.transaction(&node);
            propose_and_start(&node, &transaction);
            node.broken.set((node.calls.borrow().len() + number, many));
            live_on(&node);
            let Some(Outcome::Incomplete(steps)) = outcome_of(&node, &transaction) else {
                assert_ended(&node, &transaction, &ends);
                continue;
            };
            incomplete += 1;
            assert!(steps.iter().all(|step| step != Step::Switch), "{steps}");
            let store = node.store();
            assert_eq!(store.under_way().unwrap(), None);
            assert_eq!(store.incomplete().unwrap().as_ref(), Some(&transaction));
            // What facts tell: it is ours, and like no spec.
            let installed = store.installed(&node).unwrap().unwrap();
            assert_eq!(installed.digest, "");
            let records = journal::read(&store.journal()).unwrap();
            let complaint = service::complaint(&records).unwrap();
            assert!(complaint.contains("could not be taken back"), "{complaint}");
            assert_eq!(store.spec().unwrap().is_some(), scenario.before.is_some());

            // Repaired, it can be reverted.
            node.repair();
            let spec = store.known_spec().unwrap().unwrap();
            let revert = Transaction {
                spec,
                ..node.transaction(Goal::Reverted, 1)
            };
            propose_and_start(&node, &revert);
            live_on(&node);
            assert_eq!(outcome_of(&node, &revert), Some(Outcome::Reverted));
            assert_eq!(node.snapshot(), plain);
            assert_eq!(node.left(), ["journal"]);
        }
    }
    assert!(incomplete > 5, "{incomplete}");
}

#[test]
fn an_update_that_was_left_incomplete_keeps_what_it_had_replaced() {
    let node = UPDATE.node();
    let before = node.snapshot();
    let update = UPDATE.transaction(&node);
    propose_and_start(&node, &update);
    node.fail("yurthub get nodes", usize::MAX);
    // The undo of `programs` ends with it, after that of the other steps.
    node.fail("systemctl restart yurthub.service", usize::MAX);
    live_on(&node);
    // It failed at `start` already: nothing more than files was replaced.
    let steps = [Step::Programs].into_iter().collect();
    assert_eq!(outcome_of(&node, &update), Some(Outcome::Incomplete(steps)));
    assert!(node.left().contains(&"previous".to_owned()) && node.left().contains(&"programs".to_owned()));

    // Another one that fails leads to what was before the first.
    node.repair();
    node.fail("yurthub get nodes", usize::MAX);
    let again = UPDATE.transaction(&node);
    propose_and_start(&node, &again);
    live_on(&node);
    assert_eq!(outcome_of(&node, &again), Some(Outcome::RolledBack));
    assert_eq!(node.snapshot(), before);
    assert!(node.store().incomplete().unwrap().is_some());

    // One that succeeds ends it.
    node.repair();
    let last = UPDATE.transaction(&node);
    propose_and_start(&node, &last);
    live_on(&node);
    assert!(assert_ended(&node, &last, &UPDATE.ends()));
}

#[test]
fn a_kubelet_is_turned_back_however_long_that_takes() {
    const TIMES: usize = 40;
    for is_k3s in [false, true] {
        let scenario = Scenario { is_k3s, ..CONVERT };
        let ends = scenario.ends();
        let node = scenario.node();
        let transaction = scenario.transaction(&node);
        propose_and_start(&node, &transaction);
        node.fail("yurthub get nodes", usize::MAX);
        let unit = transaction.spec.switch.unit.as_str();
        let begin = node.elapsed();
        let trouble = format!("systemctl restart -- {unit}");
        node.fail_after_first(&trouble, TIMES);
        live_on(&node);
        assert_eq!(outcome_of(&node, &transaction), Some(Outcome::RolledBack));
        assert_ended(&node, &transaction, &ends);
        let told = events(&node);
        let failures = told
            .iter()
            .filter(|event| matches!(event, Event::UndoFailed { .. }))
            .count();
        assert_eq!(failures, UNDO_TRIES, "the others are in the service's log only");
        // With pauses that grow to a minute.
        let took = node.elapsed().saturating_sub(begin);
        assert!(
            took > Duration::from_mins(30) && took < Duration::from_mins(45),
            "{took:?}"
        );
        let calls = node.calls.borrow();
        let stopped = calls.iter().position(|call| call.contains("stop yurthub"));
        let restarted = calls.iter().rposition(|call| *call == trouble);
        assert!(
            restarted < stopped,
            "yurthub was stopped while the kubelet might use it"
        );
    }
}

#[test]
fn what_an_earlier_transaction_has_left_is_not_taken_for_what_was_before() {
    let node = UPDATE.node();
    let before = node.snapshot();
    // As if the power was cut when an update from version 0 had ended.
    let store = node.store();
    let update = UPDATE.transaction(&node);
    for path in update.spec.paths() {
        let previous = store.previous();
        std::fs::create_dir_all(&previous).unwrap();
        let name = crate::digest::of(path.as_os_str().as_encoded_bytes());
        std::fs::write(previous.join(name), "version 0").unwrap();
    }
    node.fail("yurthub get nodes", usize::MAX);
    propose_and_start(&node, &update);
    live_on(&node);
    assert_eq!(outcome_of(&node, &update), Some(Outcome::RolledBack));
    assert_eq!(node.snapshot(), before);
}

#[test]
fn a_transaction_without_its_beginning_is_carried_out() {
    for scenario in [CONVERT, UPDATE, REVERT] {
        let ends = scenario.ends();
        let node = scenario.node();
        let transaction = scenario.transaction(&node);
        propose_and_start(&node, &transaction);
        node.store().accept().unwrap();
        live_on(&node);
        assert!(assert_ended(&node, &transaction, &ends));
        assert_eq!(outcome_of(&node, &transaction), Some(scenario.outcome));
    }
}

#[test]
fn a_plan_that_is_not_ours_is_forgotten_and_nothing_is_changed() {
    let node = CONVERT.node();
    let before = node.snapshot();
    let mut transaction = CONVERT.transaction(&node);
    transaction.spec.files[0].path = "/etc/passwd".into();
    propose(&node.store(), &transaction).unwrap_err();
    node.store().make().unwrap();
    node.store().propose(&transaction).unwrap();
    service::start(&node, &node.store()).unwrap();
    live_on(&node);
    assert_eq!(node.store().proposed().unwrap(), None);
    assert_eq!(node.snapshot(), before);
}

/// A life that may be interrupted, and in which the disk may be full for a while.
#[derive(Debug, Clone)]
struct Trouble {
    point: usize,
    end: End,
    full: Option<(usize, usize)>,
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let end = prop_oneof![Just(End::Kill), Just(End::PowerCut)];
    let full = proptest::option::of((0..150_usize, 1..30_usize));
    (0..150_usize, end, full).prop_map(|(point, end, full)| Trouble { point, end, full })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Several interruptions, full disks and a failing call in any order: one end or the other, and nothing in between.
    #[test]
    fn never_in_between(
        number in 0..11_usize,
        troubles in proptest::collection::vec(trouble(), 1..8),
        broken in proptest::option::of((0..30_usize, 1..3_usize)),
    ) {
        let scenario = scenarios()[number];
        let ends = scenario.ends();
        let node = scenario.node();
        let transaction = scenario.transaction(&node);
        propose_and_start(&node, &transaction);
        if let Some((number, many)) = broken {
            node.broken.set((node.calls.borrow().len() + number, many));
        }
        for Trouble { point, end, full } in troubles {
            if !node.serving.get() {
                break;
            }
            let (start, many) = full.unwrap_or_default();
            trial::full_at(start..start + many);
            live(&node, Some(point), end);
        }
        trial::full_at(0..0);
        live_on(&node);
        match outcome_of(&node, &transaction) {
            Some(Outcome::Incomplete(_)) => prop_assert!(node.store().incomplete().unwrap().is_some()),
            _ => drop(assert_ended(&node, &transaction, &ends)),
        }
    }
}
