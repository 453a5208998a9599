//! A scope: what one list+watch upstream keeps true here, for any number of local clients.
//!
//! Memory holds the index and the ring; objects live in the store. Every change goes through [`Scope::apply`],
//! which under one lock updates the index, hands the change to the store's queue, and puts the event into the
//! ring: a list's version is always that of the objects it holds, and each watcher sees each change once, in order.

mod changes;
mod discard;
pub mod endpoints;
mod figures;
mod history;
mod overlays;
mod stand_ins;
mod state;
mod view;
mod watchers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use yurthub_object::status::Status;
use yurthub_object::{Encoding, TypeMeta, single};
use yurthub_store::{Batch, Protection, Store, StoreError};

pub use changes::{Change, ChangeKind};
pub use figures::Figures;
pub use stand_ins::Heir;
pub use state::State;
pub use view::{Missing, Shown, Source, View};
pub(super) use watchers::{Cursor, Poll};

use history::Past;
use stand_ins::StandIn;

use super::key::ScopeKey;
use super::ring::{Limit, Ring};
use super::{record, relist};
use crate::offline::overlay::Overlay;
use crate::reality::Local;

/// Number of a scope in the store.
pub type ScopeId = u32;

/// How the cloud writes this resource; learned from its first answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// Encoding of objects and lists.
    pub encoding: Encoding,
    /// Version and kind of lists, and how the server lays out their JSON.
    pub list_type: TypeMeta,
    /// Version and kind of objects.
    pub item_type: TypeMeta,
}

impl Wire {
    /// What a list says about the resource.
    pub fn new(encoding: Encoding, list_type: TypeMeta) -> Self {
        let kind = list_type
            .kind
            .strip_suffix("List")
            .unwrap_or(&list_type.kind)
            .to_owned();
        let item_type = TypeMeta {
            kind,
            ..list_type.clone()
        };
        Self {
            encoding,
            list_type,
            item_type,
        }
    }
}

/// One object of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// Version of the cloud's object.
    pub version: u64,
    /// Length of the cloud's object in stored form.
    pub length: u32,
}

pub(super) struct Inner {
    pub(super) wire: Option<Arc<Wire>>,
    pub(super) index: BTreeMap<Box<str>, IndexEntry>,
    /// The version up to which this scope is known to be true.
    pub(super) version: u64,
    /// The version of the last change; what lies between it and `version` holds none. A watch can start from here
    /// also after a restart, when the ring is empty.
    changed: u64,
    /// Whether all objects as of `version` are here.
    pub(super) complete: bool,
    pub(super) ring: Ring,
    pub(super) overlay: BTreeMap<Box<str>, Overlay>,
    stand_ins: BTreeMap<Box<str>, StandIn>,
    /// Objects that list endpoints which this node may know better.
    near: BTreeSet<Box<str>>,
    wakers: Vec<Waker>,
    watchers: usize,
    last_used: Instant,
    /// What local watchers are told before their streams end; set while the scope cannot serve.
    closed: Option<Bytes>,
    denied: Option<Status>,
    past: Past,
}

/// A scope. See the module.
pub struct Scope {
    /// What is mirrored.
    pub key: ScopeKey,
    /// Its number in the store.
    pub id: ScopeId,
    /// When it was made here, or restored.
    made: Instant,
    store: Store,
    local: Arc<Local>,
    inner: Mutex<Inner>,
    state: watch::Sender<State>,
    /// Wakes a reflector that waits before its next attempt.
    demand: Notify,
    /// Attempts of the reflector that have ended.
    attempts: watch::Sender<u64>,
    /// It made room for another scope.
    discarded: CancellationToken,
}

impl Scope {
    /// A scope that knows nothing yet.
    pub fn new(key: ScopeKey, id: ScopeId, (store, local): (Store, Arc<Local>), limit: Limit) -> Self {
        let inner = Inner {
            wire: None,
            index: BTreeMap::new(),
            version: 0,
            changed: 0,
            complete: false,
            ring: Ring::new(limit, 0),
            overlay: BTreeMap::new(),
            stand_ins: BTreeMap::new(),
            near: BTreeSet::new(),
            wakers: Vec::new(),
            watchers: 0,
            last_used: Instant::now(),
            closed: None,
            denied: None,
            past: Past::default(),
        };
        Self {
            key,
            id,
            made: Instant::now(),
            store,
            local,
            inner: Mutex::new(inner),
            state: watch::Sender::new(State::Syncing),
            demand: Notify::new(),
            attempts: watch::Sender::new(0),
            discarded: CancellationToken::new(),
        }
    }

    /// A scope as it was found in the store.
    pub(super) fn restore(
        key: ScopeKey,
        id: ScopeId,
        stock: (Store, Arc<Local>),
        limit: Limit,
        found: record::Found,
    ) -> Self {
        let scope = Self::new(key, id, stock, limit);
        {
            let mut inner = scope.lock();
            inner.ring = Ring::new(limit, found.floor);
            inner.wire = Some(Arc::new(found.wire));
            inner.index = found.index;
            inner.version = found.version;
            inner.changed = found.floor;
            inner.complete = found.complete;
            inner.past = Past::found(found.lost);
        }
        let state = match (found.complete, found.parked) {
            (false, _) => State::Syncing,
            (true, false) => State::Detached,
            (true, true) => State::Parked,
        };
        scope.state.send_replace(state);
        scope
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait that something has changed; outside the lock.
    fn announce(&self, wakers: Vec<Waker>) {
        wakers.into_iter().for_each(Waker::wake);
        self.local.scope_changed(&self.key);
    }

    /// Whether it was here before `time`.
    pub(super) fn is_older_than(&self, time: Instant) -> bool {
        self.made < time
    }

    /// Whether everything as of the scope's version is here.
    pub fn is_complete(&self) -> bool {
        self.lock().complete
    }

    /// The version up to which the scope is true.
    pub fn version(&self) -> u64 {
        self.lock().version
    }

    /// Notes that somebody on the node uses the scope.
    pub fn touch(&self) {
        self.lock().last_used = Instant::now();
    }

    /// Whether somebody watches, or used it less than `idle` ago.
    pub(super) fn is_wanted(&self, now: Instant, idle: std::time::Duration) -> bool {
        let inner = self.lock();
        inner.watchers > 0 || now.saturating_duration_since(inner.last_used) < idle
    }

    /// Writes the scope's own record; `parked` is what a restart shall find.
    pub(super) fn save_record(&self, parked: bool) -> Result<(), StoreError> {
        let inner = self.lock();
        if inner.wire.is_none() {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.put(
            record::scope_key(self.id),
            self.record(&inner, parked),
            Protection::Plain,
        );
        self.store.write(batch)
    }

    fn record(&self, inner: &Inner, parked: bool) -> Bytes {
        record::scope_value(&self.key, inner.wire.as_deref(), inner.ring.floor(), parked)
    }

    pub(super) fn protection(&self) -> Protection {
        if self.key.is_secret() {
            Protection::Sealed
        } else {
            Protection::Plain
        }
    }

    /// What is here, to be compared with a list; `None` before the first one.
    pub(super) fn indexed(&self) -> Option<relist::Before> {
        let inner = self.lock();
        let wire = Wire::clone(inner.wire.as_deref().filter(|_| inner.complete)?);
        Some(relist::Before {
            wire,
            version: inner.version,
            index: inner.index.clone(),
        })
    }

    /// Keys of all objects that are shown.
    pub fn keys(&self) -> Vec<Box<str>> {
        let inner = self.lock();
        inner.all_shown().into_iter().map(|(key, ..)| key).collect()
    }

    /// How this scope's answers are encoded; JSON before that is known.
    pub fn encoding(&self) -> Encoding {
        self.lock()
            .wire
            .as_ref()
            .map_or(Encoding::Json, |wire| wire.encoding)
    }

    /// How long nobody has used the scope.
    pub(super) fn idle(&self, now: Instant) -> std::time::Duration {
        let inner = self.lock();
        if inner.watchers > 0 {
            std::time::Duration::ZERO
        } else {
            now.saturating_duration_since(inner.last_used)
        }
    }

    /// How the cloud writes this resource, once that is known.
    pub fn wire(&self) -> Option<Arc<Wire>> {
        self.lock().wire.clone()
    }

    /// The object as a single answer.
    pub fn single(wire: &Wire, item: &Bytes) -> Bytes {
        single::join(wire.encoding, &wire.item_type, item)
    }
}

impl Inner {
    fn shown_length(&self, key: &str, entry: IndexEntry) -> u32 {
        self.overlay
            .get(key)
            .map_or(entry.length, |overlay| overlay.item.len() as u32)
    }
}
