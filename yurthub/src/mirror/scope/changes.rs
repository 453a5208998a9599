//! What comes from the cloud: single changes, bookmarks, and whole lists. Each goes into index, store and ring under one
//! lock.

use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use yurthub_object::watch as frames;
use yurthub_object::watch::EventType;
use yurthub_store::{Batch, Protection, StoreError};

use super::{IndexEntry, Inner, Scope, Wire};
use crate::identity::Client;
use crate::mirror::ring::Content;
use crate::mirror::{lens, record};

/// A change of one object, as the cloud or a comparison with its list reported it.
#[derive(Debug, Clone)]
pub struct Change {
    /// Key within the scope.
    pub key: Box<str>,
    /// Version after the change.
    pub version: u64,
    /// The object in stored form; `None`: deleted, with its last known content where that matters.
    pub kind: ChangeKind,
}

/// What changed.
#[derive(Debug, Clone)]
pub enum ChangeKind {
    /// The object is there, with this content.
    Present(Bytes),
    /// The object is gone; this was its last content.
    Gone(Bytes),
}

impl Scope {
    /// Takes in changes, in the order of their versions; `version` is what the scope is true for afterwards.
    pub fn apply(&self, changes: Vec<Change>, version: u64) -> Result<(), StoreError> {
        let wakers = {
            let mut inner = self.lock();
            inner.end_stand_ins(self);
            let mut batch = Batch::new();
            for change in changes {
                inner.change(self, change, &mut batch);
            }
            inner.reach(version);
            batch.put(record::version_key(self.id), inner.progress(), Protection::Plain);
            self.store.write(batch)?;
            std::mem::take(&mut inner.wakers)
        };
        self.announce(wakers);
        Ok(())
    }

    /// Takes in a bookmark: nothing has changed up to `version`.
    pub fn bookmark(&self, version: u64) {
        let wakers = {
            let mut inner = self.lock();
            inner.end_stand_ins(self);
            inner.reach(version);
            std::mem::take(&mut inner.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Replaces everything by the objects of a first list, or of one that cannot be compared.
    pub(in crate::mirror) fn replace(
        &self,
        wire: Wire,
        objects: Vec<(Box<str>, u64, Bytes)>,
        version: u64,
    ) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let mut batch = Batch::new();
        batch.delete_prefix(record::object_prefix(self.id));
        inner.index.clear();
        inner.near.clear();
        inner.stand_ins.clear(); // all watchers list anew
        inner.overlay.retain(|_, overlay| overlay.is_written());
        for (key, object_version, object) in objects {
            // What the kubelet wrote is laid over the object of now, and is to be sent again where it differs.
            match inner.laid_over(self, &wire, &key, &object) {
                Some(overlay) => drop(inner.overlay.insert(key.clone(), overlay)),
                None => drop(inner.overlay.remove(&key)),
            }
            inner.index.insert(
                key.clone(),
                IndexEntry {
                    version: object_version,
                    length: object.len() as u32,
                },
            );
            batch.put(record::object_key(self.id, &key), object, self.protection());
        }
        inner.wire = Some(Arc::new(wire));
        inner.version = version;
        inner.complete = true;
        inner.closed = None;
        inner.denied = None;
        inner.changed = version;
        inner.ring.reset(version);
        batch.put(record::version_key(self.id), inner.progress(), Protection::Plain);
        batch.put(
            record::scope_key(self.id),
            self.record(&inner, false),
            Protection::Plain,
        );
        let wakers = std::mem::take(&mut inner.wakers);
        let outcome = self.store.write(batch);
        drop(inner);
        self.announce(wakers);
        outcome
    }

    /// Forgets all objects: the cloud has denied them for too long.
    pub(in crate::mirror) fn forget_objects(&self) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if inner.index.is_empty() {
            return Ok(());
        }
        inner.index.clear();
        inner.stand_ins.clear();
        inner.overlay.clear();
        inner.near.clear();
        inner.complete = false;
        let mut batch = Batch::new();
        batch.delete_prefix(record::object_prefix(self.id));
        batch.delete(record::version_key(self.id));
        self.store.write(batch)
    }
}

impl Inner {
    /// What is stored beside the objects with each change.
    pub(super) fn progress(&self) -> Bytes {
        let objects = self.index.len() as u64;
        record::Progress {
            version: self.version,
            changed: self.changed,
            objects,
        }
        .encode()
    }

    /// Nothing else has changed up to `version`. Every version that is ever told has its place in the ring.
    pub(super) fn reach(&mut self, version: u64) {
        if version <= self.version {
            return;
        }
        self.version = version;
        if let Some(wire) = &self.wire {
            let frame = frames::encode_bookmark(wire.encoding, &wire.item_type, version, false);
            self.ring.push(version, EventType::Bookmark, frame, None);
        }
    }

    /// One change: index, store, ring.
    fn change(&mut self, scope: &Scope, change: Change, batch: &mut Batch) {
        let Some(wire) = self.wire.clone() else { return };
        let Change { key, version, kind } = change;
        let shared = scope.key.client == Client::Shared;
        let mut previous = None;
        let (event, item) = match kind {
            ChangeKind::Gone(item) => {
                self.overlay.remove(&key);
                self.near.remove(&key);
                if self.index.remove(&key).is_none() {
                    return; // a repetition
                }
                batch.delete(record::object_key(scope.id, &key));
                (EventType::Deleted, item)
            }
            ChangeKind::Present(item) => {
                let entry = IndexEntry {
                    version,
                    length: item.len() as u32,
                };
                let before = self.index.insert(key.clone(), entry);
                if before.is_some_and(|before| before.version >= version) {
                    self.index.extend(before.map(|before| (key, before)));
                    return; // a repetition
                }
                if shared && before.is_some() {
                    previous =
                        scope.stored(&key).ok().flatten().filter(|before| {
                            lens::selectable_changed(&scope.key, wire.encoding, before, &item)
                        });
                }
                batch.put(
                    record::object_key(scope.id, &key),
                    item.clone(),
                    scope.protection(),
                );
                let event = if before.is_some() {
                    EventType::Modified
                } else {
                    EventType::Added
                };
                if let Some(overlay) = self.laid_over(scope, &wire, &key, &item) {
                    let shown = overlay.item.clone();
                    let frame = frames::encode(wire.encoding, event, &wire.item_type, &shown);
                    let content = shared.then_some(Content {
                        item: shown,
                        previous,
                    });
                    self.ring.push(overlay.version, event, frame, content);
                    self.overlay.insert(key, overlay);
                    // The cloud's version comes behind it as a bookmark; no watch may skip this by starting before.
                    self.changed = self.changed.max(version);
                    return;
                }
                // The cloud says the same as this node: its object is shown again.
                self.overlay.remove(&key);
                (event, item)
            }
        };
        self.version = self.version.max(version);
        self.changed = self.changed.max(version);
        let frame = frames::encode(wire.encoding, event, &wire.item_type, &item);
        let content = shared.then_some(Content { item, previous });
        self.ring.push(version, event, frame, content);
    }
}
