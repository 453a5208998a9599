//! An object as it is on this node, shown to local readers in place of the cloud's: with the status that the kubelet
//! wrote, until the cloud has it, or with endpoints as the kubelet's pods are, until the cloud says the same.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tracing::warn;
use yurthub_object::{Encoding, edit, meta};
use yurthub_patch::ObjectKind;
use yurthub_patch::owned::{Merged, merge_status};

use crate::mirror::key::ScopeKey;
use crate::mirror::ring::FIRST_OVERLAY_VERSION;

/// See the module.
#[derive(Debug, Clone)]
pub struct Overlay {
    /// The object in stored form, with the overlay's version in it.
    pub item: Bytes,
    /// A version of this node's own, above all of the cloud's.
    pub version: u64,
    /// Which object it is; one of the same name is another.
    pub uid: String,
    /// What of it is this node's own word.
    pub over: Over,
}

/// What of the cloud's object is laid over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The status, as this node's kubelet wrote it: in the journal until the cloud has it.
    Status {
        /// The cloud's version that holds it, once it was sent; 0 before.
        sent: u64,
    },
    /// Endpoints, as they follow from the kubelet's pods ([`crate::reality`]): never kept, never sent.
    Endpoints,
}

/// The kinds whose status this node's kubelet owns.
pub fn kind_of(key: &ScopeKey) -> Option<ObjectKind> {
    match key.group_resource() {
        ("", "pods") => Some(ObjectKind::Pod),
        ("", "nodes") => Some(ObjectKind::Node),
        _ => None,
    }
}

impl Overlay {
    /// What the kubelet wrote, with `item` as its content, which gets a version of its own.
    pub fn new(encoding: Encoding, item: &Bytes) -> Result<Self, yurthub_object::Malformed> {
        Self::over(encoding, item, Over::Status { sent: 0 })
    }

    /// An object with other endpoints than the cloud's, likewise.
    pub fn of_endpoints(encoding: Encoding, item: &Bytes) -> Result<Self, yurthub_object::Malformed> {
        Self::over(encoding, item, Over::Endpoints)
    }

    fn over(encoding: Encoding, item: &Bytes, over: Over) -> Result<Self, yurthub_object::Malformed> {
        let version = next_version(SystemTime::now());
        let uid = meta::read(encoding, item)?.uid;
        let item = edit::set_resource_version(encoding, item, version)?;
        Ok(Self {
            item,
            version,
            uid,
            over,
        })
    }

    /// Reads an overlay back from the journal.
    pub fn restore(encoding: Encoding, item: Bytes) -> Result<Self, yurthub_object::Malformed> {
        let read = meta::read(encoding, &item)?;
        seen(read.resource_version);
        Ok(Self {
            item,
            version: read.resource_version,
            uid: read.uid,
            over: Over::Status { sent: 0 },
        })
    }

    /// Whether the kubelet wrote it, so that the cloud must get it.
    pub fn is_written(&self) -> bool {
        matches!(self.over, Over::Status { .. })
    }

    /// Whether it shows `item`, but for the version.
    pub fn shows(&self, encoding: Encoding, item: &Bytes) -> bool {
        edit::set_resource_version(encoding, item, self.version).is_ok_and(|item| item == self.item)
    }

    /// The cloud's object has changed: what this node's kubelet owns stays, all else follows the cloud. Returns what
    /// is shown now; `None` where nothing of the overlay is left.
    pub fn rebase(&mut self, encoding: Encoding, key: &ScopeKey, cloud: &Bytes) -> Option<Bytes> {
        let kind = kind_of(key)?;
        if meta::read(encoding, cloud).map_or(true, |read| read.uid != self.uid) {
            return None; // another object of the same name
        }
        match merge_status(encoding, kind, cloud, &self.item) {
            Ok(Merged::Changed(item)) => {
                let rebased = Self::new(encoding, &item).ok()?;
                *self = rebased;
                Some(self.item.clone())
            }
            Ok(Merged::Unchanged) => None,
            Err(error) => {
                warn!(scope = key.describe(), %error, "failed to merge the kubelet's status into the cloud's object");
                None
            }
        }
    }
}

static LAST_VERSION: AtomicU64 = AtomicU64::new(FIRST_OVERLAY_VERSION);

/// Versions rise over restarts as well: they follow the clock, and never go back behind one that was seen.
pub(super) fn next_version(now: SystemTime) -> u64 {
    let micros = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_micros() as u64);
    let by_clock = FIRST_OVERLAY_VERSION + micros;
    let next = |last: u64| Some(by_clock.max(last + 1));
    match LAST_VERSION.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) {
        Ok(last) | Err(last) => by_clock.max(last + 1),
    }
}

/// A version of this node's own that an earlier run gave out.
pub(super) fn seen(version: u64) {
    LAST_VERSION.fetch_max(version, Ordering::AcqRel);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn versions_rise_and_stay_above_what_was_seen_wherever_the_clock_jumps() {
        let (today, year) = (SystemTime::now(), Duration::from_hours(365 * 24));
        let first = next_version(today);
        assert!(first > FIRST_OVERLAY_VERSION);
        seen(first + 1_000_000_000_000);
        let mut last = next_version(today);
        assert!(last > first + 1_000_000_000_000);
        for now in [today + year, today - year, UNIX_EPOCH, UNIX_EPOCH - year, today] {
            let next = next_version(now);
            assert!(next > last, "{now:?}");
            last = next;
        }
    }
}
