//! The service of systemd that carries a transaction out, and who follows it.
//!
//! It is started when somebody proposes a transaction, enables itself before it accepts it, so that a boot in between goes
//! on with it, and takes itself away when it is over. So a transaction is under way only where the service is: who dies
//! before the service is started has changed nothing.

use std::io;
use std::path::Path;
use std::time::Duration;

use thiserror::Error;
use yurt_common::error_chain::ErrorChain;

use crate::conductor::{self, ConductError};
use crate::course::{self, of_transaction};
use crate::disk::{self, Change};
use crate::host::Host;
use crate::journal::{self, Event, Outcome, Record};
use crate::systemd::CallError;
use crate::transaction::{Store, Transaction};

/// Its unit.
pub const UNIT: &str = "yurt-conversion.service";
const UNIT_PATH: &str = "/etc/systemd/system/yurt-conversion.service";
const WANTED_PATH: &str = "/etc/systemd/system/multi-user.target.wants/yurt-conversion.service";
const TEXT: &str = include_str!("../packaging/yurt-conversion.service");

const CALL: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How long the service of the transaction before may take to go, once that one has ended.
const GONE: Duration = Duration::from_mins(1);

/// Why the service could not be started or followed, or do its work.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// Its files.
    #[error("failed to write `{path}`; is there space on the disk (`df`), and is it writable?")]
    Write {
        /// Which.
        path: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The folder with the transaction.
    #[error("failed to read or write {}", crate::FOLDER)]
    Store(#[source] io::Error),
    /// systemd.
    #[error("failed to start the service that converts this node")]
    Call(#[from] CallError),
    /// The transaction.
    #[error(transparent)]
    Conduct(#[from] ConductError),
    /// The service of an earlier transaction does not go.
    #[error(
        "{UNIT} of an earlier conversion still runs after {} s and nothing is under way; see `systemctl status {UNIT}` on \
         the node, stop it, and try again",
        .0.as_secs()
    )]
    Busy(Duration),
    /// The service ended, and nobody can tell how.
    #[error(
        "{UNIT} has ended on the node and the journal does not tell how; see `journalctl -u {UNIT}` there (is its disk \
         full?), and run this again to see how the node is"
    )]
    Untold,
    /// It does not come to an end.
    #[error(
        "the conversion did not end within {} s; it goes on by itself, see `journalctl -u {UNIT}` on the node",
        .0.as_secs()
    )]
    Slow(Duration),
}

/// Starts the service for what was proposed, or what is under way already.
pub fn start(host: &dyn Host, store: &Store) -> Result<(), ServiceError> {
    let begin = host.elapsed();
    // One that is about to go would not hear of a new proposal, and take its own files away.
    while store.under_way().map_err(ServiceError::Store)?.is_none() && !is_idle(host) {
        if host.elapsed().saturating_sub(begin) >= GONE {
            return Err(ServiceError::Busy(GONE));
        }
        host.pause(POLL_INTERVAL);
    }
    disk::write(&host.at(Path::new(UNIT_PATH)), TEXT.as_bytes(), 0o644).map_err(write(UNIT_PATH))?;
    host.systemctl(&["daemon-reload"], CALL)?;
    host.systemctl(&["start", "--no-block", UNIT], CALL)?;
    Ok(())
}

/// What the service does: carries out what was proposed or is under way, and takes itself away.
pub fn run(host: &dyn Host, store: &Store) -> Result<(), ServiceError> {
    if store.under_way().map_err(ServiceError::Store)?.is_some() {
        // It was enabled when it accepted it; all the same, and it must not hinder the way back.
        if let Err(error) = enable(host) {
            host.say(&ErrorChain(&error).to_string());
        }
    } else if store.proposed().map_err(ServiceError::Store)?.is_some() {
        if let Err(error) = enable(host) {
            store.withdraw().map_err(ServiceError::Store)?;
            return Err(error);
        }
        conductor::accept(host, store)?;
    }
    let outcome = conductor::conduct(host, store)?;
    remove(host)?;
    // At last, as the service is one of them. Where the way back is incomplete, a person needs them.
    let is_incomplete = matches!(outcome, Some(Outcome::Incomplete(_)))
        || store.incomplete().map_err(ServiceError::Store)?.is_some();
    if !is_incomplete {
        store.drop_programs().map_err(ServiceError::Store)?;
    }
    Ok(())
}

/// What `systemctl enable` would make.
fn enable(host: &dyn Host) -> Result<(), ServiceError> {
    disk::make(&Change::Link {
        path: &host.at(Path::new(WANTED_PATH)),
        target: Path::new(UNIT_PATH),
    })
    .map_err(write(WANTED_PATH))
}

/// Takes the service away; it is the one that calls.
fn remove(host: &dyn Host) -> Result<(), ServiceError> {
    for path in [WANTED_PATH, UNIT_PATH] {
        disk::remove(&host.at(Path::new(path))).map_err(write(path))?;
    }
    host.systemctl(&["daemon-reload"], CALL)?;
    Ok(())
}

fn write(path: &'static str) -> impl FnOnce(io::Error) -> ServiceError {
    move |source| ServiceError::Write { path, source }
}

/// Whether no process of the service is there, and none will be by itself.
fn is_idle(host: &dyn Host) -> bool {
    host.property(UNIT, "ActiveState")
        .is_ok_and(|state| ["inactive", "failed"].contains(&state.as_str()))
}

/// Passes on what happens, until the transaction has ended and the service is gone: the next one may begin then.
pub fn follow(
    host: &dyn Host,
    store: &Store,
    transaction: &Transaction,
    limit: Duration,
    mut tell: impl FnMut(&Record),
) -> Result<Outcome, ServiceError> {
    let start = host.elapsed();
    let mut told = 0;
    loop {
        // Looked at first: what it writes last is read then.
        let is_over = is_idle(host) && store.under_way().map_err(ServiceError::Store)?.is_none();
        // One that was started a moment ago seems idle, too; but its unit is there.
        let is_gone = is_over && !host.at(Path::new(UNIT_PATH)).exists();
        let records = journal::read(&store.journal()).map_err(ServiceError::Store)?;
        let own = of_transaction(&records, &transaction.id);
        own.iter().skip(told).for_each(&mut tell);
        told = told.max(own.len());
        let is_late = host.elapsed().saturating_sub(start) >= limit;
        match course::outcome(own) {
            Some(outcome) if is_over || is_late => return Ok(outcome),
            None if is_gone => return Err(ServiceError::Untold),
            None if is_late => return Err(ServiceError::Slow(limit)),
            _ => host.pause(POLL_INTERVAL),
        }
    }
}

/// Why a transaction did not come to its goal, as its journal tells.
pub fn complaint(records: &[Record]) -> Option<String> {
    let left = records.iter().rev().find_map(|record| match record.event {
        Event::Ended {
            outcome: Outcome::Incomplete(steps),
        } => Some(steps),
        _ => None,
    });
    records.iter().rev().find_map(|record| match &record.event {
        Event::UndoFailed { step, why }
            if left.is_some_and(|left| left.iter().any(|known| known == *step)) =>
        {
            Some(format!("step `{step}` could not be taken back: {why}"))
        }
        Event::Failed { step, why } => Some(format!("step `{step}`: {why}")),
        Event::TurnedBack { reason } if !matches!(reason, course::Reason::Failed(_)) => {
            Some(reason.to_string())
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests;
