//! What happens next in a transaction (pure): from the journal to one move.
//!
//! Invariants: a step is taken back if, and only if, it was begun; nothing goes forward any more once it was turned
//! back; the kubelet is turned back before anything that it may still use is taken away, however long that takes; every
//! course ends otherwise.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::journal::{Event, Outcome, Record};
use crate::steps::Step;
use crate::transaction::{Goal, Transaction};

/// How often the service may be started for one transaction: it was killed, or the node went down, each time but the
/// first. More, and something is wrong with going forward.
const STARTS: usize = 4;
/// How often a step is tried to be taken back. Then the others are, all the same; but for [`Step::Switch`]: a kubelet that
/// is not turned back is tried for without end.
pub(crate) const UNDO_TRIES: usize = 3;
/// Time between the first two tries to take a step back, and the longest.
const UNDO_PAUSE: Duration = Duration::from_secs(2);
const UNDO_PAUSE_MOST: Duration = Duration::from_mins(1);

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// This step.
    Apply(Step),
    /// Turn back.
    TurnBack(Reason),
    /// Take back this step.
    Undo(Step),
    /// It is over.
    End(Outcome),
}

/// Why a transaction is turned back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// A step failed.
    Failed(Step),
    /// Time is over, since the service was started last.
    Deadline,
    /// The service was interrupted too often.
    Interrupted,
    /// The journal could not be written: after a crash nobody would know what was begun.
    Unwritten,
}

/// This life of the service.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// How long it lasts.
    pub elapsed: Duration,
    /// Whether all that happened is on disk.
    pub written: bool,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(step) => write!(f, "step `{step}` failed"),
            Self::Deadline => write!(f, "its time was over"),
            Self::Interrupted => write!(f, "it was interrupted more than {} times", STARTS - 1),
            Self::Unwritten => write!(
                f,
                "{} could not be written; is there space on the disk (`df`), and is it writable?",
                crate::FOLDER
            ),
        }
    }
}

/// The next move.
pub fn next(transaction: &Transaction, records: &[Record], life: Life) -> Move {
    let own = of_transaction(records, &transaction.id);
    let was = |wanted: &Event| own.iter().any(|record| record.event == *wanted);
    let reverting = transaction.goal == Goal::Reverted;
    if reverting || is_turned(own) {
        let left = |&step: &Step| {
            let begun = reverting || was(&Event::Started { step });
            begun && !was(&Event::Undone { step })
        };
        let is_tried = |&step: &Step| step == Step::Switch || failures(own, step) < UNDO_TRIES;
        let mut back = Step::ALL.into_iter().rev().filter(left);
        if let Some(step) = back.clone().find(is_tried) {
            return Move::Undo(step);
        }
        return Move::End(match back.next() {
            Some(_) => Outcome::Incomplete(Step::ALL.into_iter().filter(left).collect()),
            None if reverting => Outcome::Reverted,
            None => Outcome::RolledBack,
        });
    }
    let failed = own.iter().find_map(|record| match record.event {
        Event::Failed { step, .. } => Some(step),
        _ => None,
    });
    if let Some(step) = failed {
        return Move::TurnBack(Reason::Failed(step));
    }
    if !life.written {
        return Move::TurnBack(Reason::Unwritten);
    }
    let Some(step) = Step::ALL.into_iter().find(|&step| !was(&Event::Done { step })) else {
        return Move::End(Outcome::Converted);
    };
    if life.elapsed >= Duration::from_secs(transaction.deadline_s) {
        return Move::TurnBack(Reason::Deadline);
    }
    if !counts_starts(own) {
        return Move::TurnBack(Reason::Interrupted);
    }
    Move::Apply(step)
}

/// Whether it was turned back.
pub fn is_turned(own: &[Record]) -> bool {
    own.iter()
        .any(|record| matches!(record.event, Event::TurnedBack { .. }))
}

/// Whether one more start of the service matters: beyond, it is turned back anyway.
pub fn counts_starts(own: &[Record]) -> bool {
    own.iter().filter(|record| record.event == Event::Taken).count() <= STARTS
}

/// How often a step could not be taken back, as far as it is told.
pub fn failures(own: &[Record], step: Step) -> usize {
    let failed =
        |record: &&Record| matches!(record.event, Event::UndoFailed { step: failed, .. } if failed == step);
    own.iter().filter(failed).count()
}

/// How long to wait after a step could not be taken back for the `tries`th time in a row.
pub fn pause_after(tries: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(tries.saturating_sub(1));
    UNDO_PAUSE.saturating_mul(doubled).min(UNDO_PAUSE_MOST)
}

/// Whether the node was converted before, by the beginning of a transaction's records.
pub fn is_update(own: &[Record]) -> bool {
    own.iter()
        .any(|record| matches!(record.event, Event::Begun { update: true, .. }))
}

/// How a transaction ended, where it has.
pub fn outcome(own: &[Record]) -> Option<Outcome> {
    own.iter().find_map(|record| match record.event {
        Event::Ended { outcome } => Some(outcome),
        _ => None,
    })
}

/// The records of the transaction `id`: from its beginning on.
pub fn of_transaction<'a>(records: &'a [Record], id: &str) -> &'a [Record] {
    let begun = |record: &Record| matches!(&record.event, Event::Begun { id: begun, .. } if begun == id);
    match records.iter().rposition(begun) {
        Some(start) => &records[start..],
        None => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Content, NodeSpec, Switch, TextFile};
    use proptest::prelude::*;

    fn transaction(goal: Goal) -> Transaction {
        Transaction {
            id: "one".to_owned(),
            goal,
            deadline_s: 60,
            restart_kubelet: false,
            spec: NodeSpec {
                version: "1".to_owned(),
                node: "edge1".to_owned(),
                programs: Vec::new(),
                files: Vec::new(),
                pods_address: None,
                switch: Switch {
                    unit: "kubelet.service".to_owned(),
                    file: TextFile {
                        path: "/x".into(),
                        content: Content::Link("/y".into()),
                    },
                    kubeconfig: "/k".into(),
                    original_kubeconfig: None,
                    healthz_port: 0,
                },
            },
        }
    }

    fn begun(transaction: &Transaction) -> Vec<Record> {
        records([
            Event::Begun {
                id: "other".to_owned(),
                goal: Goal::Converted,
                version: "0".to_owned(),
                update: false,
            },
            Event::Failed {
                step: Step::Switch,
                why: "long ago".to_owned(),
            },
            Event::Begun {
                id: transaction.id.clone(),
                goal: transaction.goal,
                version: "1".to_owned(),
                update: false,
            },
            Event::Taken,
        ])
    }

    /// A life that has just begun.
    const YOUNG: Life = Life {
        elapsed: Duration::ZERO,
        written: true,
    };

    fn undo_failed(step: Step) -> Vec<Record> {
        let why = String::new();
        records([Event::UndoFailed { step, why }])
    }

    fn records(events: impl IntoIterator<Item = Event>) -> Vec<Record> {
        events.into_iter().map(|event| Record { at: 0, event }).collect()
    }

    /// Plays a transaction to its end; `fails` is the step that fails. What was begun and not taken back.
    fn play(transaction: &Transaction, fails: Option<Step>, starts: usize) -> (Outcome, Vec<Step>) {
        let mut log = begun(transaction);
        log.extend(records(std::iter::repeat_n(Event::Taken, starts)));
        let mut there = if transaction.goal == Goal::Reverted {
            Step::ALL.to_vec()
        } else {
            Vec::new()
        };
        for _ in 0..100 {
            let events = match next(transaction, &log, YOUNG) {
                Move::End(outcome) => return (outcome, there),
                Move::TurnBack(reason) => vec![Event::TurnedBack { reason }],
                Move::Undo(step) => {
                    there.retain(|&known| known != step);
                    vec![Event::Undone { step }]
                }
                Move::Apply(step) => {
                    there.push(step);
                    let end = if fails == Some(step) {
                        Event::Failed {
                            step,
                            why: String::new(),
                        }
                    } else {
                        Event::Done { step }
                    };
                    vec![Event::Started { step }, end]
                }
            };
            log.extend(records(events));
        }
        panic!("no end in a hundred moves");
    }

    #[test]
    fn all_steps_one_after_the_other_convert_a_node() {
        let (outcome, there) = play(&transaction(Goal::Converted), None, 0);
        assert_eq!((outcome, there), (Outcome::Converted, Step::ALL.to_vec()));
    }

    #[test]
    fn whatever_fails_nothing_is_left() {
        for step in Step::ALL {
            let end = play(&transaction(Goal::Converted), Some(step), 0);
            assert_eq!(end, (Outcome::RolledBack, Vec::new()), "{step}");
        }
    }

    #[test]
    fn a_revert_takes_back_every_step() {
        assert_eq!(
            play(&transaction(Goal::Reverted), None, 9),
            (Outcome::Reverted, Vec::new())
        );
    }

    #[test]
    fn a_step_that_was_begun_before_a_reboot_is_begun_again() {
        let transaction = transaction(Goal::Converted);
        let mut log = begun(&transaction);
        log.extend(records([
            Event::Started { step: Step::Programs },
            Event::Done { step: Step::Programs },
            Event::Started {
                step: Step::Configuration,
            },
            Event::Taken,
        ]));
        assert_eq!(next(&transaction, &log, YOUNG), Move::Apply(Step::Configuration));
    }

    #[test]
    fn time_and_patience_have_an_end() {
        let transaction = transaction(Goal::Converted);
        let log = begun(&transaction);
        let late = Life {
            elapsed: Duration::from_mins(1),
            ..YOUNG
        };
        assert_eq!(next(&transaction, &log, late), Move::TurnBack(Reason::Deadline));
        let mut log = begun(&transaction);
        log.extend(records(std::iter::repeat_n(Event::Taken, STARTS)));
        assert_eq!(
            next(&transaction, &log, YOUNG),
            Move::TurnBack(Reason::Interrupted)
        );
    }

    #[test]
    fn a_journal_that_cannot_be_written_turns_it_back_and_hinders_no_way_back() {
        let unwritten = Life {
            written: false,
            ..YOUNG
        };
        let convert = transaction(Goal::Converted);
        let log = begun(&convert);
        assert_eq!(next(&convert, &log, unwritten), Move::TurnBack(Reason::Unwritten));
        let revert = transaction(Goal::Reverted);
        assert_eq!(
            next(&revert, &begun(&revert), unwritten),
            Move::Undo(Step::Verify)
        );
    }

    #[test]
    fn what_cannot_be_taken_back_does_not_stop_the_rest_and_is_told_at_the_end() {
        let transaction = transaction(Goal::Reverted);
        let mut log = begun(&transaction);
        let hard = [Step::Start, Step::Programs];
        for _ in 0..100 {
            match next(&transaction, &log, YOUNG) {
                Move::Undo(step) if hard.contains(&step) => log.extend(undo_failed(step)),
                Move::Undo(step) => log.extend(records([Event::Undone { step }])),
                end => {
                    let left = hard.into_iter().collect();
                    assert_eq!(end, Move::End(Outcome::Incomplete(left)));
                    assert_eq!(failures(&log, Step::Start), UNDO_TRIES);
                    return;
                }
            }
        }
        panic!("no end in a hundred moves");
    }

    #[test]
    fn a_kubelet_that_cannot_be_turned_back_is_tried_for_without_end_before_all_else() {
        let transaction = transaction(Goal::Reverted);
        let mut log = begun(&transaction);
        log.extend(records([Event::Undone { step: Step::Verify }]));
        for _ in 0..50 {
            assert_eq!(next(&transaction, &log, YOUNG), Move::Undo(Step::Switch));
            log.extend(undo_failed(Step::Switch));
        }
        let pauses: Vec<_> = (1..8).map(|tries| pause_after(tries).as_secs()).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause_after(u32::MAX).as_secs(), 60);
    }

    #[test]
    fn starts_are_counted_until_they_are_too_many() {
        let transaction = transaction(Goal::Converted);
        let mut log = begun(&transaction);
        while counts_starts(of_transaction(&log, "one")) {
            log.extend(records([Event::Taken]));
        }
        assert_eq!(
            next(&transaction, &log, YOUNG),
            Move::TurnBack(Reason::Interrupted)
        );
    }

    proptest! {
        /// Interrupted anywhere, with any step failing: converted whole, or nothing left.
        #[test]
        fn never_in_between(fails in proptest::option::of(0..Step::ALL.len()), starts in 0_usize..8) {
            let fails = fails.map(|index| Step::ALL[index]);
            let (outcome, there) = play(&transaction(Goal::Converted), fails, starts);
            match outcome {
                Outcome::Converted => prop_assert_eq!(there, Step::ALL.to_vec()),
                Outcome::RolledBack => prop_assert_eq!(there, Vec::new()),
                Outcome::Reverted | Outcome::Incomplete(_) => prop_assert!(false),
            }
        }
    }
}
