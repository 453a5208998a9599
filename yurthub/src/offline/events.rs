//! Events of the time without cloud: the node's flight recorder. Each is durable before it is acknowledged, and sent
//! with its original times when the cloud returns.
//!
//! Bounded by number and bytes; the oldest goes first, and is counted. In reading order: `entry` is one event and
//! `metadata` what of it is edited, `shelf` what there is and what must go, `recent` what the cloud has, `replay` sends,
//! `verdict` judges the answers.

pub mod entry;
mod metadata;
mod recent;
pub mod replay;
mod shelf;
pub mod verdict;

use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::{BufMut, Bytes, BytesMut};
use http::{Method, StatusCode};
use tokio::sync::Notify;
use tracing::{debug, info, warn};
use yurthub_object::Encoding;
use yurthub_request::ResourcePath;
use yurthub_store::{Batch, Lookup, Protection, Store, StoreError, Ticket};

use super::journal::PatchType;
use super::overlay;
use crate::identity::Client;
use crate::metrics::EventMetrics;
pub use entry::{Entry, EventError};
use entry::{Head, Stamp};
use recent::Recent;
pub use shelf::Bounds;
use shelf::{Placed, Shelf};
use verdict::Outcome;

const PREFIX: u8 = b'e';
/// One event takes at most this part of the journal.
const LARGEST_PART: usize = 8;

/// The journal of events.
pub struct Events {
    store: Store,
    bounds: Bounds,
    shelf: Mutex<Shelf>,
    /// Events that the cloud took lately, whose repeats may be counted while it is away.
    recent: Mutex<Recent>,
    grew: Notify,
    metrics: EventMetrics,
}

/// What a writer is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 201 for a new event, else 200.
    pub code: StatusCode,
    /// As the writer wrote it.
    pub encoding: Encoding,
    /// The object.
    pub body: Bytes,
}

/// A write of an event.
#[derive(Debug, Clone, Copy)]
pub struct EventWrite<'a> {
    /// `POST`, `PUT` or `PATCH`.
    pub method: &'a Method,
    /// The event, or the events of a namespace.
    pub path: &'a ResourcePath,
    /// The content type of the body.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a Bytes,
}

impl Events {
    /// Finds what the store holds.
    pub fn open(store: &Store, bounds: Bounds, metrics: &EventMetrics) -> Result<Self, StoreError> {
        let (mut shelf, mut unreadable) = (Shelf::default(), Batch::new());
        store.snapshot()?.scan(&[PREFIX], None, &mut |key, value| {
            match (sequence_of(key), Entry::decode(&value)) {
                (Some(sequence), Ok(entry)) => {
                    overlay::seen(sequence);
                    shelf.put(sequence, placed(&entry, value.len(), (0, true)));
                }
                (_, outcome) => {
                    let error = outcome.err().map(|error| error.to_string());
                    warn!(error, "dropping an event of the journal that cannot be read");
                    unreadable.delete(key);
                }
            }
            ControlFlow::Continue(())
        })?;
        if !unreadable.is_empty() {
            store.write(unreadable)?;
        }
        let (found, _) = shelf.size();
        if found > 0 {
            info!(found, "events from the time without cloud are still to be sent");
        }
        Ok(Self {
            store: store.clone(),
            bounds,
            shelf: Mutex::new(shelf),
            recent: Mutex::default(),
            grew: Notify::new(),
            metrics: metrics.clone(),
        })
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the event is still to be sent.
    pub fn holds(&self, client: &Client, path: &ResourcePath) -> bool {
        let (Some(namespace), Some(name)) = (&path.namespace, &path.name) else {
            return false;
        };
        let shelf = self.shelf();
        shelf
            .find(namespace, name)
            .is_some_and(|(_, placed)| placed.client == *client)
    }

    /// Events and bytes held.
    pub fn size(&self) -> (usize, usize) {
        self.shelf().size()
    }

    /// The version of this node's own under which the oldest event came.
    pub fn oldest(&self) -> Option<u64> {
        self.shelf().sequences().first().copied()
    }

    /// All events in the order in which they came, each with the version under which it did. What cannot be read is
    /// left out. Blocks on the store.
    pub fn waiting(&self) -> Vec<(u64, Entry)> {
        let sequences = self.sequences();
        let read = |sequence| Some((sequence, self.read(sequence).ok()??));
        sequences.into_iter().filter_map(read).collect()
    }

    /// Keeps in mind how an event is in the cloud; its writer may count its repeats when the cloud is away.
    pub fn saw(&self, client: &Client, path: &ResourcePath, answer: (Encoding, &Bytes)) {
        if let Some(entry) = Entry::of_the_cloud(client, path, answer) {
            self.recent().keep(entry);
        }
    }

    /// Accepts a write. Durable when this returns.
    pub async fn write(&self, client: &Client, write: EventWrite<'_>) -> Result<Answer, EventError> {
        // The store's queue is entered under the lock: of two writes the later one is the later one on disk.
        let (ticket, sequence, answer) = {
            let mut shelf = self.shelf();
            let (sequence, entry) = self.applied(&shelf, client, write)?;
            let code = if *write.method == Method::POST {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            };
            let answer = Answer {
                code,
                encoding: entry.head.encoding(),
                body: entry.answer(),
            };
            (self.put(&mut shelf, sequence, &entry)?, sequence, answer)
        };
        ticket.await?;
        self.shelf().acknowledge(sequence);
        self.metrics.count(Outcome::Kept);
        self.grew.notify_one();
        Ok(answer)
    }

    /// The event as it is after a write, and its place.
    fn applied(
        &self,
        shelf: &Shelf,
        client: &Client,
        write: EventWrite<'_>,
    ) -> Result<(u64, Entry), EventError> {
        let version = overlay::next_version(SystemTime::now());
        if *write.method == Method::PATCH {
            let kind = PatchType::from_content_type(write.content_type).ok_or(EventError::PatchType)?;
            let (sequence, entry) = self.present(shelf, client, write.path)?;
            let patched = entry.patched((kind, write.body), version)?;
            return Ok((sequence.unwrap_or(version), patched));
        }
        let encoding = if write.content_type.starts_with(Encoding::Protobuf.content_type()) {
            Encoding::Protobuf
        } else {
            Encoding::Json
        };
        let stamp = Stamp {
            version,
            now: SystemTime::now(),
            random: fastrand::u128(..),
        };
        let entry = Entry::from_body(client, write.path, (encoding, write.body), stamp)?;
        match shelf.find(&entry.head.namespace, &entry.head.name) {
            // One that could not be made durable was not acknowledged, and its writer tries again: "it exists" would
            // tell it that all is well.
            Some((sequence, placed))
                if placed.client == *client && (*write.method == Method::PUT || !placed.acknowledged) =>
            {
                Ok((sequence, entry))
            }
            Some(_) => Err(EventError::Exists(entry.head.name)),
            None => Ok((version, entry)),
        }
    }

    /// The event that a patch is for: journaled, or known from the cloud.
    fn present(
        &self,
        shelf: &Shelf,
        client: &Client,
        path: &ResourcePath,
    ) -> Result<(Option<u64>, Entry), EventError> {
        let namespace = path.namespace.as_deref().unwrap_or_default();
        let name = path.name.as_deref().unwrap_or_default();
        if let Some((sequence, placed)) = shelf.find(namespace, name) {
            if placed.client != *client {
                return Err(EventError::Unknown);
            }
            let entry = self.read(sequence)?.ok_or(EventError::Unknown)?;
            return Ok((Some(sequence), entry));
        }
        let entry = self.recent().find(client, (namespace, name));
        Ok((None, entry.ok_or(EventError::Unknown)?))
    }

    fn put(&self, shelf: &mut Shelf, sequence: u64, entry: &Entry) -> Result<Ticket, EventError> {
        let value = entry.encode()?;
        let limit = self.bounds.bytes / LARGEST_PART;
        if value.len() > limit {
            return Err(EventError::TooLarge(limit));
        }
        let earlier = shelf.get(sequence);
        let state = earlier.map_or((0, false), |placed| (placed.revision + 1, placed.acknowledged));
        shelf.put(sequence, placed(entry, value.len(), state));
        let mut batch = Batch::new();
        batch.put(store_key(sequence), value, Protection::Plain);
        while let Some(surplus) = shelf.surplus(self.bounds) {
            shelf.remove(surplus);
            batch.delete(store_key(surplus));
            self.metrics.count(Outcome::Overflow);
        }
        Ok(self.store.write_durable(batch))
    }

    fn read(&self, sequence: u64) -> Result<Option<Entry>, EventError> {
        match self.store.get(&store_key(sequence))? {
            Lookup::Found(value) => Entry::decode(&value).map(Some),
            Lookup::Absent | Lookup::Corrupt => Ok(None),
        }
    }

    /// The events to be sent, in the order in which they came.
    fn sequences(&self) -> Vec<u64> {
        self.shelf().sequences()
    }

    /// Who wrote an event.
    fn writer(&self, sequence: u64) -> Option<Client> {
        self.shelf().get(sequence).map(|placed| placed.client.clone())
    }

    /// An event as it is now, with the number of its changes.
    fn next(&self, sequence: u64) -> Option<(Entry, u64)> {
        let mut shelf = self.shelf();
        let revision = shelf.get(sequence)?.revision;
        match self.read(sequence) {
            Ok(Some(entry)) => Some((entry, revision)),
            Ok(None) => {
                shelf.remove(sequence); // set aside by the store as corrupt, which counts it
                None
            }
            Err(error) => {
                debug!(%error, "failed to read a journaled event");
                None
            }
        }
    }

    /// Takes an event out that the cloud has, or will never take. One that was written again meanwhile stays.
    fn finish(&self, sequence: u64, revision: Option<u64>) -> Result<(), StoreError> {
        let mut shelf = self.shelf();
        let present = shelf.get(sequence).map(|placed| placed.revision);
        if revision.is_some() && revision != present {
            return Ok(());
        }
        shelf.remove(sequence);
        let mut batch = Batch::new();
        batch.delete(store_key(sequence));
        self.store.write(batch)
    }

    /// Gives an event another name for the cloud; durable when this returns. Returns it as it is now.
    async fn rename(&self, sequence: u64) -> Result<Option<(Entry, u64)>, EventError> {
        let (ticket, renamed) = {
            let mut shelf = self.shelf();
            if shelf.get(sequence).is_none() {
                return Ok(None);
            }
            let Some(entry) = self.read(sequence)? else {
                return Ok(None);
            };
            let renamed = entry.renamed(fastrand::u128(..));
            let ticket = self.put(&mut shelf, sequence, &renamed)?;
            let revision = shelf.get(sequence).map_or(0, |placed| placed.revision);
            (ticket, (renamed, revision))
        };
        ticket.await?;
        Ok(Some(renamed))
    }
}

fn placed(entry: &Entry, bytes: usize, (revision, acknowledged): (u64, bool)) -> Placed {
    Placed {
        namespace: entry.head.namespace.clone(),
        name: entry.head.name.clone(),
        client: entry.head.client.clone(),
        bytes,
        revision,
        acknowledged,
    }
}

/// Ordered by the version that an event got first: these rise, over restarts as well.
fn store_key(sequence: u64) -> Bytes {
    let mut key = BytesMut::with_capacity(9);
    key.put_u8(PREFIX);
    key.put_u64(sequence);
    key.freeze()
}

fn sequence_of(key: &[u8]) -> Option<u64> {
    let digits = key.strip_prefix(&[PREFIX])?;
    Some(u64::from_be_bytes(digits.try_into().ok()?))
}

#[cfg(test)]
mod tests;
