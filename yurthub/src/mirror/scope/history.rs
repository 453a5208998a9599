//! Which past the objects of a scope are of: the cloud's, or one that it lost when it was restored from a backup.
//!
//! A scope in doubt goes on to serve what it has until a whole list has replaced that. Nothing of a lost past is
//! compared by version with what the cloud has now: the same version may mean something else there.

use yurthub_store::{Batch, Protection, StoreError};

use super::{Inner, Scope};
use crate::mirror::record::{self, Lost};
use crate::mirror::ring::FIRST_OVERLAY_VERSION;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::mirror) struct Past {
    /// Versions up to this one may be of a past that the cloud does not have.
    lost_up_to: u64,
    /// How often the scope was doubted, and how often it had been when the list began that it now has.
    doubts: u32,
    listed: u32,
    /// The number under which its watch was resumed last.
    resumption: u64,
}

impl Past {
    /// As the store has it.
    pub(super) fn found(lost: Lost) -> Self {
        Self {
            lost_up_to: lost.up_to,
            doubts: lost.doubted.into(),
            ..Self::default()
        }
    }

    fn is_doubted(&self) -> bool {
        self.doubts != self.listed
    }

    fn lost(&self) -> Lost {
        Lost {
            up_to: self.lost_up_to,
            doubted: self.is_doubted(),
        }
    }
}

impl Scope {
    /// The cloud has another past than this scope: it must be listed again, as a whole.
    pub(in crate::mirror) fn doubt(&self) -> Result<(), StoreError> {
        let outcome = {
            let mut inner = self.lock();
            inner.past.doubts = inner.past.doubts.wrapping_add(1);
            inner.past.lost_up_to = inner.past.lost_up_to.max(inner.version);
            self.write_past(&inner)
        };
        self.wake_reflector();
        outcome
    }

    /// Whether its objects are of a past that the cloud does not have.
    pub fn is_doubted(&self) -> bool {
        self.lock().past.is_doubted()
    }

    /// How often it was doubted.
    pub(in crate::mirror) fn doubts(&self) -> u32 {
        self.lock().past.doubts
    }

    /// It has been listed as a whole; the list began after so many doubts.
    pub(in crate::mirror) fn trust(&self, doubts: u32) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if inner.past.listed == doubts {
            return Ok(());
        }
        inner.past.listed = doubts;
        self.write_past(&inner)
    }

    fn write_past(&self, inner: &Inner) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        let value = inner.past.lost().encode();
        batch.put(record::lost_key(self.id), value, Protection::Plain);
        self.store.write(batch)
    }

    /// Notes the number under which its watch was resumed.
    pub(in crate::mirror) fn set_resumption(&self, number: u64) {
        self.lock().past.resumption = number;
    }

    /// The number under which its watch was resumed last; 0 before.
    pub(in crate::mirror) fn resumption(&self) -> u64 {
        self.lock().past.resumption
    }
}

impl Inner {
    /// Whether `version` is one that the cloud has not come to again since it lost it: whoever knows it must list.
    pub(super) fn is_of_a_lost_past(&self, version: u64) -> bool {
        version < FIRST_OVERLAY_VERSION && version > self.version && version <= self.past.lost_up_to
    }
}
