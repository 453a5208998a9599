//! The handle to the store: reads that see what is pending, and the queue in front of the writer.
//!
//! It does not write (the writer thread does) and evicts nothing: whoever owns the entries decides what a quota
//! costs.
//!
//! Invariant: the lock of the queue is never held over disk work, except to pin a view.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::batch::{Batch, BatchChange, Protection};
use crate::engine::{Engine, EngineError, EngineKind, Fault};
use crate::envelope::{self, Damage};
use crate::open::{self, Guarded, OpenError, OpenReport};
use crate::pending::{Known, Layer, Overlay};
use crate::quarantine::{Quarantine, Reported};
use crate::seal::SealingKey;
use crate::snapshot::Snapshot;
use crate::stats::Stats;
use crate::ticket::{Promise, Ticket};
use crate::writer;

/// The longest key, in bytes.
const MAX_KEY: usize = 4096;
/// How long a durable write waits for others to share its transaction.
const DURABLE_WAIT: Duration = Duration::from_millis(2);
/// From this many pending bytes on a group is written without waiting for the interval, so that a large list does
/// not wait in memory.
const EARLY_COMMIT: usize = 1 << 20;
/// Namespace of entries in the engine; quarantine has its own.
pub(crate) const DATA: u8 = b'd';

/// How to open a store.
#[derive(Debug)]
pub struct Options {
    /// The database.
    pub engine: EngineKind,
    /// The longest that a plain write waits before it is made durable.
    pub commit_interval: Duration,
    /// Bytes of changes that may wait for the disk. A batch that would go beyond is refused.
    pub pending_limit: usize,
    /// For [`Protection::Sealed`] values. Without it those are refused, and stored ones read as corrupt.
    pub sealing_key: Option<SealingKey>,
    /// Now, in seconds since 1970: names the copy of a damaged database.
    pub unix_time: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            engine: EngineKind::default(),
            commit_interval: Duration::from_millis(200),
            pending_limit: 16 << 20,
            sealing_key: None,
            unix_time: 0,
        }
    }
}

/// What the store has under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// This value, as it was written.
    Found(Bytes),
    /// Nothing was written, or it was deleted.
    Absent,
    /// Something was written that cannot be read back. Stays so until it is overwritten or deleted.
    Corrupt,
}

/// A refused or failed operation.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Too much waits for the disk. Nothing of the batch was taken.
    #[error(
        "refused to queue {batch} bytes for the store: {pending} of {limit} bytes already wait for the disk"
    )]
    Overflow {
        /// Bytes of the batch.
        batch: usize,
        /// Bytes waiting.
        pending: usize,
        /// [`Options::pending_limit`].
        limit: usize,
    },
    /// A key longer than 4096 bytes. Nothing of the batch was taken.
    #[error("refused a key of {len} bytes: the longest is {MAX_KEY}")]
    KeyTooLong {
        /// Its length.
        len: usize,
    },
    /// A sealed value, but the store was opened without a sealing key. Nothing of the batch was taken.
    #[error("refused a value that is to be sealed: the store has no sealing key")]
    NoSealingKey,
    /// The engine failed. Of a durable write: it was taken, stays visible and is tried again; it is not durable now.
    #[error(transparent)]
    Engine(EngineError),
    /// Sealing failed for want of random bytes.
    #[error("failed to seal a value: no random bytes from the system")]
    Sealing,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// What waits for the writer thread, and wakes it.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) open: Arc<Layer>,
    pub(crate) committing: Option<Arc<Layer>>,
    /// When the open layer is to be committed.
    pub(crate) due: Option<Instant>,
    /// Wait for the open layer.
    pub(crate) promises: Vec<Promise>,
    /// Wait for the layer being committed.
    pub(crate) committing_promises: Vec<Promise>,
    /// After failures: no attempt before this, or before `failed_at` plus a little if somebody waits.
    pub(crate) retry_at: Option<Instant>,
    pub(crate) failed_at: Option<Instant>,
    pub(crate) closing: bool,
    pub(crate) closed: bool,
}

impl Queue {
    pub(crate) fn pending_bytes(&self) -> usize {
        self.open.bytes() + self.committing.as_ref().map_or(0, |layer| layer.bytes())
    }

    fn due_by(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    pub(crate) fn overlay(&self) -> Overlay {
        Overlay {
            open: self.open.clone(),
            committing: self.committing.clone(),
        }
    }
}

/// What the handles, the writer thread and the snapshots share.
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    pub(crate) wake: Condvar,
    pub(crate) counters: Mutex<Stats>,
    pub(crate) quarantine: Quarantine,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) sealing: Option<SealingKey>,
    commit_interval: Duration,
    pending_limit: usize,
    guarded: Option<Guarded>, // dropped last: holds the lock of the folder
}

impl Shared {
    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Stats)) {
        count(&mut self.counters.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes what an engine error says about the database.
    pub(crate) fn note(&self, error: &EngineError) {
        if error.fault != Fault::Corrupt {
            return;
        }
        let mut first = false;
        self.count(|stats| first = !std::mem::replace(&mut stats.suspect, true));
        if first {
            tracing::error!(error = %with_sources(error), "the database is damaged; it will be rebuilt when the store is next opened");
            if let Some(guarded) = &self.guarded {
                guarded.mark_suspect();
            }
        }
    }

    /// Turns what the engine returned for `key` into a lookup, and reports damage.
    pub(crate) fn decode(&self, key: &[u8], envelope: Option<Bytes>) -> Lookup {
        let Some(envelope) = envelope else {
            return Lookup::Absent;
        };
        match envelope::decode(key, &envelope, self.sealing.as_ref()) {
            Ok(decoded) => Lookup::Found(decoded.value),
            Err(damage) => {
                self.report(key, envelope, damage);
                Lookup::Corrupt
            }
        }
    }

    fn report(&self, key: &[u8], envelope: Bytes, damage: Damage) {
        let Reported { queued, news } = self.quarantine.report(key, envelope, damage);
        if queued {
            self.queue().due_by(Instant::now() + self.commit_interval);
            self.wake.notify_one();
        }
        if !news {
            return;
        }
        self.count(|stats| stats.corrupt += 1);
        let key = String::from_utf8_lossy(key);
        if damage == Damage::OtherKey {
            tracing::error!(%key, "a stored value was sealed with another key");
        } else {
            tracing::error!(%key, ?damage, "a stored value is damaged and goes to quarantine");
        }
    }
}

/// An error and its causes, in one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

/// The key of an entry in the engine.
pub(crate) fn engine_key(key: &[u8]) -> Vec<u8> {
    let mut engine_key = Vec::with_capacity(key.len() + 1);
    engine_key.push(DATA);
    engine_key.extend_from_slice(key);
    engine_key
}

struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Handle {
    fn stop(&self) {
        self.shared.queue().closing = true;
        self.shared.wake.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's writer thread panicked");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The durable store. Clones share it; dropping the last one writes what is pending and waits for it.
#[derive(Clone)]
pub struct Store(Arc<Handle>);

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("queue", &self.0.shared.queue)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens or creates the store in `dir` and locks the folder for this process. A damaged database is set aside
    /// and what can be read of it is kept; the report says so. Blocks.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, OpenReport), OpenError> {
        let opened = open::open(dir, options.engine, options.unix_time)?;
        let store = Self::start(opened.engine, options, Some(opened.guarded)).map_err(OpenError::Start)?;
        Ok((store, opened.report))
    }

    /// A store over an engine that the caller has opened: no lock, no recovery, `options.engine` is not looked at.
    pub fn over(engine: Box<dyn Engine>, options: Options) -> Result<Self, EngineError> {
        Self::start(engine, options, None)
    }

    fn start(
        engine: Box<dyn Engine>,
        options: Options,
        guarded: Option<Guarded>,
    ) -> Result<Self, EngineError> {
        let Options {
            engine: kind,
            commit_interval,
            pending_limit,
            sealing_key,
            unix_time: _,
        } = options;
        let quarantine = Quarantine::load(engine.as_ref())?;
        let queue = Queue {
            open: Arc::default(),
            committing: None,
            due: None,
            promises: Vec::new(),
            committing_promises: Vec::new(),
            retry_at: None,
            failed_at: None,
            closing: false,
            closed: false,
        };
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            wake: Condvar::new(),
            counters: Mutex::default(),
            quarantine,
            engine,
            sealing: sealing_key,
            commit_interval,
            pending_limit,
            guarded,
        });
        let for_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer::run(&for_thread))
            .map_err(|error| EngineError::new(kind, Fault::Other, "start the writer of", error))?;
        Ok(Self(Arc::new(Handle {
            shared,
            thread: Mutex::new(Some(thread)),
        })))
    }

    /// The value of `key`, with writes that are not durable yet.
    pub fn get(&self, key: &[u8]) -> Result<Lookup, StoreError> {
        let shared = &self.0.shared;
        let overlay = shared.queue().overlay();
        match overlay.lookup(key) {
            Known::Put(value) => return Ok(Lookup::Found(value)),
            Known::Deleted => return Ok(Lookup::Absent),
            Known::Unknown => {}
        }
        drop(overlay); // a change made while it is held would have to copy the layer
        let envelope = shared.engine.get(&engine_key(key)).map_err(|error| {
            shared.note(&error);
            StoreError::Engine(error)
        })?;
        Ok(shared.decode(key, envelope.map(Bytes::from)))
    }

    /// A consistent view of this instant, with writes that are not durable yet. Takes microseconds, and may wait for
    /// a free reader when very many views are open. Hold it briefly: while it lives, the database cannot reuse the
    /// space of what changes.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let mut reader = self.0.shared.engine.reader().map_err(StoreError::Engine)?;
        let queue = self.0.shared.queue();
        // Under the lock: no group can begin in between, and one that is just ending shows the same either way.
        let pinned = reader.pin();
        let overlay = queue.overlay();
        drop(queue);
        pinned.map_err(StoreError::Engine)?;
        Ok(Snapshot::new(self.0.shared.clone(), overlay, reader))
    }

    /// Queues a batch: visible at once, durable within [`Options::commit_interval`].
    pub fn write(&self, batch: Batch) -> Result<(), StoreError> {
        let interval = self.0.shared.commit_interval;
        self.write_within(batch, interval)
    }

    /// As [`Self::write`], but it may wait `delay` for a transaction to share: for what is cheap to lose, so that it
    /// does not wear out the disk.
    pub fn write_within(&self, batch: Batch, delay: Duration) -> Result<(), StoreError> {
        self.enqueue(batch, delay, None)
    }

    /// Queues a batch: visible at once, committed as soon as possible. The ticket resolves when the disk has it, or
    /// with the error of the attempt, after which the batch is still pending and tried again.
    pub fn write_durable(&self, batch: Batch) -> Ticket {
        let (ticket, promise) = Ticket::pair();
        match self.enqueue(batch, DURABLE_WAIT, Some(promise)) {
            Ok(()) => ticket,
            Err(error) => Ticket::resolved(Err(error)),
        }
    }

    fn enqueue(&self, batch: Batch, delay: Duration, promise: Option<Promise>) -> Result<(), StoreError> {
        let shared = &self.0.shared;
        let bytes = batch.bytes();
        let changes = self.validated(batch)?;
        let mut queue = shared.queue();
        if queue.closing {
            return Err(StoreError::Closed);
        }
        let pending = queue.pending_bytes();
        if pending.saturating_add(bytes) > shared.pending_limit {
            drop(queue);
            shared.count(|stats| stats.overflows += 1);
            return Err(StoreError::Overflow {
                batch: bytes,
                pending,
                limit: shared.pending_limit,
            });
        }
        if !changes.is_empty() {
            let open = Arc::make_mut(&mut queue.open);
            for change in changes {
                open.apply(change);
            }
        }
        let delay = if queue.open.bytes() > EARLY_COMMIT {
            Duration::ZERO
        } else {
            delay
        };
        queue.due_by(Instant::now() + delay);
        queue.promises.extend(promise);
        drop(queue);
        shared.wake.notify_one();
        Ok(())
    }

    fn validated(&self, batch: Batch) -> Result<Vec<BatchChange>, StoreError> {
        for change in &batch.changes {
            let (BatchChange::Put { key, .. }
            | BatchChange::Delete { key }
            | BatchChange::DeletePrefix { prefix: key }) = change;
            if key.len() > MAX_KEY {
                return Err(StoreError::KeyTooLong { len: key.len() });
            }
            let sealed = matches!(
                change,
                BatchChange::Put {
                    protection: Protection::Sealed,
                    ..
                }
            );
            if sealed && self.0.shared.sealing.is_none() {
                return Err(StoreError::NoSealingKey);
            }
        }
        Ok(batch.changes)
    }

    /// Resolves when all that was written before is durable.
    pub fn flush(&self) -> Ticket {
        let (ticket, promise) = Ticket::pair();
        let mut queue = self.0.shared.queue();
        if queue.closed && !queue.open.is_empty() {
            drop(queue);
            return Ticket::resolved(Err(StoreError::Closed));
        }
        if !queue.open.is_empty() {
            queue.due_by(Instant::now());
            queue.promises.push(promise);
        } else if queue.committing.is_some() {
            queue.committing_promises.push(promise);
        } else {
            drop(queue);
            return Ticket::resolved(Ok(()));
        }
        drop(queue);
        self.0.shared.wake.notify_one();
        ticket
    }

    /// Writes what is pending and stops the writer; later writes are refused. Blocks. The folder stays locked until
    /// the last clone and the last snapshot are gone.
    pub fn close(&self) -> Result<(), StoreError> {
        self.0.stop();
        self.flush().wait()
    }

    /// Counters and sizes.
    pub fn stats(&self) -> Stats {
        let shared = &self.0.shared;
        let queue = shared.queue();
        let pending_bytes = queue.pending_bytes();
        let pending_changes = queue.open.len() + queue.committing.as_ref().map_or(0, |layer| layer.len());
        drop(queue);
        let mut stats = shared
            .counters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        (stats.pending_bytes, stats.pending_changes) = (pending_bytes, pending_changes);
        stats.disk = shared.engine.disk_bytes();
        stats
    }
}
