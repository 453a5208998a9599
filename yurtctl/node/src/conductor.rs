//! Carries a transaction out: asks [`course`] for the next move, makes it, writes it down; until the end.
//!
//! Run by a service of its own ([`crate::service`]), which starts it again after a crash and at the next boot. Going forward
//! depends on the journal: what cannot be written down is not begun. Going back depends on nothing but the step itself.

use std::error::Error;
use std::io;
use std::time::Duration;

use thiserror::Error;
use yurt_common::error_chain::ErrorChain;

use crate::course::{self, Life, Move, Reason, UNDO_TRIES};
use crate::host::Host;
use crate::journal::{Event, Journal, Outcome, Record};
use crate::spec::SpecError;
use crate::steps::{self, Scene, Step, StepError};
use crate::transaction::{Store, Transaction};

mod begin;

pub use begin::{accept, propose};

/// Why a transaction could not be carried on. The service is started again.
#[derive(Debug, Error)]
pub enum ConductError {
    /// The folder could not be read or written.
    #[error("failed to read or write {}", crate::FOLDER)]
    Store(#[source] io::Error),
    /// The plan would touch what is not ours.
    #[error("refused to carry out the transaction")]
    Spec(#[from] SpecError),
}

/// Carries out the transaction that is under way, if there is one. Returns how it ended.
pub fn conduct(host: &dyn Host, store: &Store) -> Result<Option<Outcome>, ConductError> {
    let Some(transaction) = store.under_way().map_err(ConductError::Store)? else {
        return Ok(None);
    };
    transaction.spec.check()?;
    let mut journal = Journal::open(&store.journal()).map_err(ConductError::Store)?;
    if let Err(error) = begin::note_begun(host, store, &mut journal, &transaction) {
        complain(host, &error);
    }
    let mut conductor = Conductor {
        host,
        store,
        was_converted: course::is_update(course::of_transaction(journal.records(), &transaction.id)),
        transaction,
        journal,
        start: host.elapsed(),
        stubborn: None,
    };
    conductor.run().map(Some)
}

struct Conductor<'a> {
    host: &'a dyn Host,
    store: &'a Store,
    transaction: Transaction,
    was_converted: bool,
    journal: Journal,
    start: Duration,
    /// The step that could not be taken back last, and how often in a row.
    stubborn: Option<(Step, u32)>,
}

impl Conductor<'_> {
    fn run(&mut self) -> Result<Outcome, ConductError> {
        if let Some(outcome) = course::outcome(self.own()) {
            // Ended, but the service was stopped before it had cleaned up.
            self.clean_up(outcome)?;
            return Ok(outcome);
        }
        if self.store.is_returning() && !course::is_turned(self.own()) {
            self.note(Event::TurnedBack {
                reason: Reason::Unwritten,
            });
        }
        // All is done or taken back, on disk: what remains to be said of it needs no journal that can be written.
        if !matches!(self.next(), Move::End(_)) && course::counts_starts(self.own()) {
            self.note(Event::Taken);
        }
        loop {
            match self.next() {
                Move::Apply(step) => self.apply(step),
                Move::TurnBack(reason) => self.turn_back(reason),
                Move::Undo(step) => self.undo(step),
                Move::End(outcome) => {
                    if let Err(error) = self.settle(outcome) {
                        if outcome != Outcome::Converted {
                            return Err(ConductError::Store(error));
                        }
                        complain(self.host, &error);
                        self.turn_back(Reason::Unwritten);
                        continue;
                    }
                    self.note(Event::Ended { outcome });
                    self.clean_up(outcome)?;
                    return Ok(outcome);
                }
            }
        }
    }

    /// The journal may not take it; then the name of the transaction tells the next life.
    fn turn_back(&mut self, reason: Reason) {
        if let Err(error) = self.store.turn_back() {
            complain(self.host, &error);
        }
        self.note(Event::TurnedBack { reason });
    }

    fn next(&self) -> Move {
        let life = Life {
            elapsed: self.elapsed(),
            written: self.journal.is_written(),
        };
        course::next(&self.transaction, self.journal.records(), life)
    }

    fn apply(&mut self, step: Step) {
        let again = self
            .own()
            .iter()
            .any(|record| record.event == Event::Started { step });
        self.note(Event::Started { step });
        if !self.journal.is_written() {
            // After a crash nobody would know that it was begun; so it is not.
            return;
        }
        let left = Duration::from_secs(self.transaction.deadline_s).saturating_sub(self.elapsed());
        let event = match steps::apply(step, &self.scene(again, left)) {
            Ok(()) => Event::Done { step },
            Err(error) => Event::Failed {
                step,
                why: why(&error),
            },
        };
        self.note(event);
    }

    fn undo(&mut self, step: Step) {
        let undone = steps::undo(step, &self.scene(true, Duration::ZERO));
        let Err(error) = undone else {
            self.note(Event::Undone { step });
            return;
        };
        self.note_failure(step, &error);
        let tries = match self.stubborn {
            Some((known, tries)) if known == step => tries.saturating_add(1),
            _ => 1,
        };
        self.stubborn = Some((step, tries));
        self.host.pause(course::pause_after(tries));
    }

    /// One that is tried without end fills neither the journal nor the memory.
    fn note_failure(&mut self, step: Step, error: &StepError) {
        let event = Event::UndoFailed {
            step,
            why: why(error),
        };
        if course::failures(self.own(), step) < UNDO_TRIES {
            self.note(event);
        } else {
            self.host.say(&event.to_string());
        }
    }

    fn scene(&self, again: bool, left: Duration) -> Scene<'_> {
        Scene {
            host: self.host,
            store: self.store,
            transaction: &self.transaction,
            was_converted: self.was_converted,
            again,
            left,
        }
    }

    /// What the node is from now on.
    fn settle(&self, outcome: Outcome) -> io::Result<()> {
        match outcome {
            Outcome::Converted if self.store.spec()?.as_ref() == Some(&self.transaction.spec) => Ok(()),
            Outcome::Converted => self.store.set_spec(Some(&self.transaction.spec)),
            Outcome::Reverted => self.store.set_spec(None),
            Outcome::RolledBack | Outcome::Incomplete(_) => Ok(()),
        }
    }

    fn clean_up(&mut self, outcome: Outcome) -> Result<(), ConductError> {
        let is_plain = || Ok(!self.was_converted && self.store.incomplete()?.is_none());
        let cleaned = match outcome {
            Outcome::Converted => self.store.end(),
            Outcome::Reverted => self.store.clear(),
            Outcome::RolledBack => is_plain().and_then(|is_plain| {
                if is_plain {
                    self.store.clear()
                } else {
                    self.store.end_as_before()
                }
            }),
            Outcome::Incomplete(_) => self.store.leave_incomplete(),
        };
        // There may be space for it now. Who follows is told by the journal.
        if let Err(error) = self.journal.write() {
            complain(self.host, &error);
        }
        cleaned.map_err(ConductError::Store)
    }

    fn own(&self) -> &[Record] {
        course::of_transaction(self.journal.records(), &self.transaction.id)
    }

    fn elapsed(&self) -> Duration {
        self.host.elapsed().saturating_sub(self.start)
    }

    /// It counts, written or not; what follows from it not being written, `course` says.
    fn note(&mut self, event: Event) {
        self.host.say(&event.to_string());
        if let Err(error) = self.journal.add(self.host.now(), event) {
            complain(self.host, &error);
        }
    }
}

fn complain(host: &dyn Host, error: &io::Error) {
    host.say(&format!(
        "failed to write {}: {error}; is there space on the disk (`df`), and is it writable?",
        crate::FOLDER
    ));
}

fn why(error: &(dyn Error + 'static)) -> String {
    // Bounded: it travels in a pod's termination message.
    let mut text = ErrorChain(error).to_string();
    if text.len() > 600 {
        let end = (0..=600)
            .rev()
            .find(|&end| text.is_char_boundary(end))
            .unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
