//! What the store needs of an embedded database, and the databases that give it.
//!
//! An engine knows ordered byte strings and durable atomic commits, nothing of envelopes, namespaces or
//! grouping. There is one committer at a time (the store's writer thread); reads come from any thread.
//!
//! Invariant: when `commit` has returned `Ok`, all of its operations survive a power cut; when it has returned an
//! error, either all of them are there or none is.

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;
use std::sync::Arc;

pub(crate) mod memory;
pub(crate) mod sled;
pub(crate) mod sqlite;

/// Receives a key and a value in key order; `Break` ends the scan.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// An embedded database.
pub trait Engine: Send + Sync {
    /// The value of `key`, of the last commit.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// Visits all keys with `prefix` that are greater than `after`, in key order. Sees each commit wholly or not at
    /// all only through [`Engine::reader`].
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), EngineError>;

    /// Reserves what a consistent view needs (may wait for a free reader). The view is fixed by
    /// [`EngineSnapshot::pin`], not here.
    fn reader(&self) -> Result<Box<dyn EngineSnapshot + Send>, EngineError>;

    /// Makes all operations durable, atomically.
    fn commit(&self, ops: &[Op]) -> Result<(), EngineError>;

    /// After a failed commit, before anything is read for the next one: afterwards reads show again only what is
    /// durable. Until then they may show changes of the failed commit.
    fn recover(&self) -> Result<(), EngineError> {
        Ok(())
    }

    /// Bytes that the database takes on disk.
    fn disk_bytes(&self) -> DiskBytes;
}

/// A view of one moment. Dropping it gives its reader back.
pub trait EngineSnapshot {
    /// Fixes the view to the commits made so far. Quick: it is called while writers wait. Called once, first.
    fn pin(&mut self) -> Result<(), EngineError>;

    /// As [`Engine::get`], at the pinned moment.
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// As [`Engine::scan`], at the pinned moment.
    fn scan(&mut self, prefix: &[u8], after: Option<&[u8]>, visit: &mut Visit<'_>)
    -> Result<(), EngineError>;
}

/// One change of a commit. The keys of one commit are distinct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Stores the value under the key.
    Put(Vec<u8>, Vec<u8>),
    /// Removes the key if it is there.
    Delete(Vec<u8>),
}

impl Op {
    /// Length of what it carries: key and value.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Put(key, value) => key.len() + value.len(),
            Self::Delete(key) => key.len(),
        }
    }
}

/// Disk space of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskBytes {
    /// Size of all its files.
    pub total: u64,
    /// The part of `total` that the engine knows to be free for new data (deleting does not shrink the files).
    pub reusable: u64,
}

/// What kind of failure it was: decides whether to wait, to report or to recover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk or quota is full: goes away when space is made.
    Full,
    /// Reading or writing failed.
    Io,
    /// The database's own structure is damaged: needs recovery at the next open.
    Corrupt,
    /// No reader became free in time.
    Busy,
    /// Anything else.
    Other,
}

/// A failed engine operation.
#[derive(Clone, Debug, thiserror::Error)]
#[error("failed to {action} the {engine} database")]
pub struct EngineError {
    /// Which engine.
    pub engine: EngineKind,
    /// What kind of failure.
    pub fault: Fault,
    /// What was being done.
    pub action: &'static str,
    #[source]
    source: Arc<dyn std::error::Error + Send + Sync>,
}

impl EngineError {
    pub(crate) fn new(
        engine: EngineKind,
        fault: Fault,
        action: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            engine,
            fault,
            action,
            source: Arc::from(source.into()),
        }
    }
}

/// Which engine keeps the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineKind {
    /// SQLite in WAL mode: writes the fewest bytes, recovers fastest.
    #[default]
    Sqlite,
    /// sled, made durable by our own fsync.
    Sled,
    /// Nothing on disk, for tests.
    Memory,
}

impl EngineKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Sled => "sled",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no engine's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no storage engine is called {0:?}; use sqlite, sled or memory")]
pub struct UnknownEngine(String);

impl FromStr for EngineKind {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Self, UnknownEngine> {
        [Self::Sqlite, Self::Sled, Self::Memory]
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownEngine(name.to_owned()))
    }
}

/// The smallest key greater than every key with `prefix`; `None` if there is none (the prefix is all 0xFF or empty).
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xFF)?;
    let mut end = prefix.get(..=last)?.to_vec();
    if let Some(byte) = end.last_mut() {
        *byte += 1;
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_possible_key() {
        for (prefix, end) in [
            (&b"a"[..], Some(&b"b"[..])),
            (b"a\xFF", Some(b"b")),
            (b"a\xFE\xFF\xFF", Some(b"a\xFF")),
            (b"\xFF\xFF", None),
            (b"", None),
        ] {
            assert_eq!(prefix_end(prefix).as_deref(), end, "{prefix:?}");
        }
    }

    #[test]
    fn engine_names_read_back() {
        for kind in [EngineKind::Sqlite, EngineKind::Sled, EngineKind::Memory] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("redb".parse::<EngineKind>().is_err());
    }
}
