//! Figures of the store, for metrics and for `explain`.

use crate::engine::DiskBytes;

/// A reading of the store's counters. Counters start at zero when the store is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Memory held by changes that are not durable yet, in bytes.
    pub pending_bytes: usize,
    /// Keys and prefixes whose change is not durable yet.
    pub pending_changes: usize,
    /// Durable transactions.
    pub commits: u64,
    /// Transactions that failed; their changes stay pending and are tried again.
    pub commit_failures: u64,
    /// Failures since the last success: greater than zero means that nothing reaches the disk at the moment.
    pub failures_in_a_row: u32,
    /// The last failure, also after it has gone.
    pub last_error: Option<String>,
    /// Batches refused because too much is pending.
    pub overflows: u64,
    /// Bytes of keys and values given to the engine.
    pub bytes_written: u64,
    /// Puts given to the engine.
    pub puts: u64,
    /// Puts not given to the engine because it already had exactly this value.
    pub puts_unchanged: u64,
    /// Values found damaged or sealed with another key, each key counted once; at most 4,096.
    pub corrupt: u64,
    /// The database itself is damaged: it is checked and rebuilt at the next open.
    pub suspect: bool,
    /// What the database takes on disk. A quota compares `total - reusable`.
    pub disk: DiskBytes,
}
