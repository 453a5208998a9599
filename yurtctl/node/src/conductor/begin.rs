//! How a transaction begins: somebody proposes it, and the service accepts it.

use std::io;

use super::ConductError;
use crate::course;
use crate::host::Host;
use crate::journal::{self, Event, Journal};
use crate::transaction::{Goal, Store, Transaction};

/// Says what shall happen to this node. It happens once the service is started and has accepted it.
pub fn propose(store: &Store, transaction: &Transaction) -> Result<(), ConductError> {
    transaction.spec.check()?;
    store
        .make()
        .and_then(|()| store.propose(transaction))
        .map_err(ConductError::Store)
}

/// Makes what was proposed the transaction under way. What cannot be accepted is forgotten: nothing was changed for it.
pub fn accept(host: &dyn Host, store: &Store) -> Result<(), ConductError> {
    let Some(proposal) = store.proposed().map_err(ConductError::Store)? else {
        return Ok(());
    };
    let accepted = begin(host, store, &proposal);
    if accepted.is_err() {
        store.withdraw().map_err(ConductError::Store)?;
    }
    accepted
}

fn begin(host: &dyn Host, store: &Store, transaction: &Transaction) -> Result<(), ConductError> {
    transaction.spec.check()?;
    let begin = || -> io::Result<()> {
        // Where there is no space to write a shorter one, the longer one does, too.
        drop(journal::shorten(&store.journal()));
        let mut journal = Journal::open(&store.journal())?;
        let begun = note_begun(host, store, &mut journal, transaction);
        match transaction.goal {
            Goal::Converted => begun?,
            // The way back must be free.
            Goal::Reverted => drop(begun),
        }
        store.accept()
    };
    begin().map_err(ConductError::Store)
}

/// The first event of a transaction, unless it is there already.
pub(super) fn note_begun(
    host: &dyn Host,
    store: &Store,
    journal: &mut Journal,
    transaction: &Transaction,
) -> io::Result<()> {
    if !course::of_transaction(journal.records(), &transaction.id).is_empty() {
        return Ok(());
    }
    let event = Event::Begun {
        id: transaction.id.clone(),
        goal: transaction.goal,
        version: transaction.spec.version.clone(),
        update: store.spec()?.is_some(),
    };
    host.say(&event.to_string());
    journal.add(host.now(), event)
}
