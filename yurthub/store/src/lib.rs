//! The durable store under the mirror.
//!
//! Modules in the order in which a write passes them:
//!
//! - `batch`: what is to change, all of it or nothing;
//! - `store`: the handle; reads that see writes not yet durable, and the queue of the writer;
//! - `pending`: the changes that wait for the disk, coalesced per key;
//! - `writer`: the one thread that turns them into durable transactions, in groups;
//! - `envelope` and `seal`: checksum and encryption of each value;
//! - `engine`: the embedded databases;
//! - `snapshot`: consistent views for lists;
//! - `quarantine`: what happens to a value that does not read back;
//! - `open`: lock, format, and recovery of a damaged database;
//! - `durable_file`: the few small files beside the database.
//!
//! The API blocks and needs no runtime; only [`Ticket`] is a future, and it can be waited for without one.
//!
//! Invariants: what was acknowledged as durable survives a power cut; a batch is seen whole or not at all;
//! a value that cannot be read is `Corrupt`, never `Absent`.

mod batch;
mod durable_file;
mod engine;
mod envelope;
mod open;
mod pending;
mod quarantine;
mod seal;
mod snapshot;
mod stats;
mod store;
mod ticket;
mod writer;

pub use batch::{Batch, Protection};
pub use engine::{
    DiskBytes, Engine, EngineError, EngineKind, EngineSnapshot, Fault, Op, UnknownEngine, Visit,
    memory::MemoryEngine, sled::SledEngine, sqlite::SqliteEngine,
};
pub use open::{FORMAT_VERSION, Lost, OpenError, OpenReport};
pub use seal::{KeyFileError, SealingKey};
pub use snapshot::{Scan, Snapshot, Usage};
pub use stats::Stats;
pub use store::{Lookup, Options, Store, StoreError};
pub use ticket::Ticket;
