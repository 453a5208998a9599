//! A batch: changes that become visible together and durable together.
//!
//! Order inside a batch counts: `delete_prefix` followed by puts replaces a list atomically. It does not check
//! sizes (the store does when it is queued).

use bytes::Bytes;

/// How a value is kept on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// With a checksum.
    Plain,
    /// With a checksum, encrypted and authenticated by the sealing key. Keys are not encrypted.
    Sealed,
}

/// Changes to be made all or not at all, in order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(crate) changes: Vec<BatchChange>,
    pub(crate) bytes: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum BatchChange {
    Put {
        key: Bytes,
        value: Bytes,
        protection: Protection,
    },
    Delete {
        key: Bytes,
    },
    DeletePrefix {
        prefix: Bytes,
    },
}

/// What a queued change costs in memory beside its key and value.
pub(crate) const CHANGE_OVERHEAD: usize = 96;

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores `value` under `key`. The value is not copied: it shares its buffer until it has been committed.
    pub fn put(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl Into<Bytes>,
        protection: Protection,
    ) -> &mut Self {
        let (key, value) = (Bytes::copy_from_slice(key.as_ref()), value.into());
        self.bytes += key.len() + value.len() + CHANGE_OVERHEAD;
        self.changes.push(BatchChange::Put {
            key,
            value,
            protection,
        });
        self
    }

    /// Removes `key`; no error if it is not there.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> &mut Self {
        let key = Bytes::copy_from_slice(key.as_ref());
        self.bytes += key.len() + CHANGE_OVERHEAD;
        self.changes.push(BatchChange::Delete { key });
        self
    }

    /// Removes every key that begins with `prefix`, earlier puts of this batch included. Puts that follow stay.
    pub fn delete_prefix(&mut self, prefix: impl AsRef<[u8]>) -> &mut Self {
        let prefix = Bytes::copy_from_slice(prefix.as_ref());
        self.bytes += prefix.len() + CHANGE_OVERHEAD;
        self.changes.push(BatchChange::DeletePrefix { prefix });
        self
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Bytes of memory that the batch takes while it waits for the disk.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
