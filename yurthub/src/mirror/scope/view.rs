//! What a scope holds, to be read: one object, or all of them as of one version.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use yurthub_store::{Snapshot, StoreError};

use super::{Scope, ScopeId, Wire};
use crate::mirror::readers::Reading;
use crate::mirror::record;

/// Why an object cannot be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// It does not exist, as far as this scope knows everything.
    Absent,
    /// This scope cannot tell.
    Unknown,
}

/// A consistent view of a scope, to be streamed without holding its lock.
pub struct View {
    /// What is shown.
    pub shown: Shown,
    /// Where the objects come from.
    pub source: Source,
}

/// Where the objects of a view come from.
pub enum Source {
    /// Few and small: read already, as they are shown.
    Loaded(Vec<Bytes>),
    /// Read as they are sent. The permit bounds the number of views of the store.
    Stored(Snapshot, Reading),
}

/// Up to here a view is read at once: objects, and bytes of them.
const SMALL: (usize, usize) = (32, 256 << 10);

/// What a view shows.
pub struct Shown {
    /// Whose.
    pub id: ScopeId,
    /// How to write it.
    pub wire: Arc<Wire>,
    /// Its version.
    pub version: u64,
    /// Position in the ring right behind it.
    pub seq: u64,
    /// Keys and lengths of what is shown, in order.
    pub objects: Vec<(Box<str>, u32)>,
    /// Objects as this node's kubelet last wrote them.
    pub overlay: BTreeMap<Box<str>, Bytes>,
}

impl Scope {
    /// Whether a view of the scope is read at once, and needs no permit.
    pub(in crate::mirror) fn is_small(&self) -> bool {
        let inner = self.lock();
        let bytes: usize = inner
            .index
            .values()
            .take(SMALL.0 + 1)
            .map(|entry| entry.length as usize)
            .sum();
        inner.index.len() <= SMALL.0 && bytes <= SMALL.1
    }

    /// A consistent view of all objects; `None` while not everything is here. With a permit it reads the store as it
    /// is sent, without one it is read now.
    pub(in crate::mirror) fn view(&self, permit: Option<Reading>) -> Result<Option<View>, StoreError> {
        let inner = self.lock();
        let (true, Some(wire)) = (inner.complete, inner.wire.clone()) else {
            return Ok(None);
        };
        let shown = Shown {
            id: self.id,
            wire,
            version: inner.ring.own_version().unwrap_or(inner.version),
            seq: inner.ring.end(),
            objects: inner
                .all_shown()
                .into_iter()
                .map(|(key, _, length)| (key, length))
                .collect(),
            overlay: inner.all_over(),
        };
        // With stand-ins the keys are not those of the store, and the objects are the pods of one node.
        let permit = permit.filter(|_| inner.stand_ins.is_empty());
        let source = if let Some(permit) = permit {
            Source::Stored(self.store.snapshot()?, permit)
        } else if let Some(items) = self.load(&shown)? {
            Source::Loaded(items)
        } else {
            drop(inner);
            self.invalidate();
            return Ok(None);
        };
        Ok(Some(View { shown, source }))
    }

    /// All objects as they are shown; `None` where one cannot be read.
    fn load(&self, shown: &Shown) -> Result<Option<Vec<Bytes>>, StoreError> {
        let mut items = Vec::with_capacity(shown.objects.len());
        for (key, length) in &shown.objects {
            let item = match shown.overlay.get(key) {
                Some(item) => Some(item.clone()),
                None => self.stored(key)?,
            };
            match item {
                Some(item) if item.len() == *length as usize => items.push(item),
                _ => return Ok(None),
            }
        }
        Ok(Some(items))
    }

    /// One object as it is shown to local clients.
    pub fn object(&self, key: &str) -> Result<Result<(Arc<Wire>, Bytes), Missing>, StoreError> {
        let (wire, complete, indexed) = {
            let inner = self.lock();
            let Some(wire) = inner.wire.clone() else {
                return Ok(Err(Missing::Unknown));
            };
            if let Some(over) = inner.over(key) {
                return Ok(Ok((wire, over.item.clone())));
            }
            (wire, inner.complete, inner.is_shown(key))
        };
        if !indexed {
            return Ok(Err(if complete {
                Missing::Absent
            } else {
                Missing::Unknown
            }));
        }
        let found = self.stored(key)?;
        if found.is_none() && self.contains(key) {
            self.invalidate(); // it is there and cannot be read
        }
        Ok(found.map(|item| (wire, item)).ok_or(Missing::Unknown))
    }

    /// The cloud's object in stored form, without what this node's kubelet wrote.
    pub fn stored(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        match self.store.get(&record::object_key(self.id, key))? {
            yurthub_store::Lookup::Found(item) => Ok(Some(item)),
            yurthub_store::Lookup::Absent | yurthub_store::Lookup::Corrupt => Ok(None),
        }
    }

    /// Whether the object is in the scope, as it is shown.
    pub fn contains(&self, key: &str) -> bool {
        self.lock().is_shown(key)
    }
}
