//! Consistent views: what lists are made from while writes go on.
//!
//! Invariant: all reads of one snapshot show one moment, whatever has been written or committed since.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use crate::engine::EngineSnapshot;
use crate::pending::{Known, Overlay};
use crate::store::{Lookup, Shared, StoreError, engine_key};

/// Corrupt keys named by one scan; more are only counted.
const MAX_NAMED: usize = 1024;

/// A view of one moment. It can be sent to another thread.
pub struct Snapshot {
    reader: Box<dyn EngineSnapshot + Send>, // before `shared`: the engine outlives its readers
    overlay: Overlay,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

/// What a scan could not show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Keys whose values cannot be read; the visitor did not get them. At most 1,024 are named. Where bits of the key
    /// itself were damaged, this names the damaged key: a scan with corrupt entries is not a complete list.
    pub corrupt: Vec<Bytes>,
    /// How many there are.
    pub corrupt_count: usize,
}

/// Entries below a prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many.
    pub entries: u64,
    /// Bytes of keys and values (of sealed values: as shown, not as stored).
    pub bytes: u64,
}

impl Snapshot {
    pub(crate) fn new(shared: Arc<Shared>, overlay: Overlay, reader: Box<dyn EngineSnapshot + Send>) -> Self {
        Self {
            reader,
            overlay,
            shared,
        }
    }

    /// The value of `key` at that moment.
    pub fn get(&mut self, key: &[u8]) -> Result<Lookup, StoreError> {
        match self.overlay.lookup(key) {
            Known::Put(value) => Ok(Lookup::Found(value)),
            Known::Deleted => Ok(Lookup::Absent),
            Known::Unknown => {
                let read = self.reader.get(&engine_key(key));
                let envelope = read
                    .inspect_err(|error| self.shared.note(error))
                    .map_err(StoreError::Engine)?;
                Ok(self.shared.decode(key, envelope.map(Bytes::from)))
            }
        }
    }

    /// Visits the entries with `prefix` that come after `after`, in key order. Entries that cannot be read are left
    /// out and named in the result. One value at a time is in memory.
    pub fn scan(
        &mut self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<Scan, StoreError> {
        let Self {
            reader,
            overlay,
            shared,
        } = self;
        let mut pending = overlay.puts(prefix, after).into_iter().peekable();
        let mut scan = Scan::default();
        let mut ended = false;
        let mut merge = |stored_key: &[u8], envelope: &[u8]| {
            let key = stored_key.get(1..).unwrap_or_default();
            while let Some((key, value)) = pending.next_if(|(pending, _)| pending[..] < *key) {
                if visit(&key, value).is_break() {
                    ended = true;
                    return ControlFlow::Break(());
                }
            }
            let lookup = match overlay.lookup(key) {
                Known::Unknown => shared.decode(key, Some(Bytes::copy_from_slice(envelope))),
                Known::Put(_) | Known::Deleted => return ControlFlow::Continue(()), // pending has it, or it is gone
            };
            let flow = match lookup {
                Lookup::Found(value) => visit(key, value),
                Lookup::Absent => ControlFlow::Continue(()),
                Lookup::Corrupt => {
                    scan.corrupt_count += 1;
                    if scan.corrupt.len() < MAX_NAMED {
                        scan.corrupt.push(Bytes::copy_from_slice(key));
                    }
                    ControlFlow::Continue(())
                }
            };
            ended = flow.is_break();
            flow
        };
        let read = reader.scan(&engine_key(prefix), after.map(engine_key).as_deref(), &mut merge);
        read.inspect_err(|error| shared.note(error))
            .map_err(StoreError::Engine)?;
        while !ended && let Some((key, value)) = pending.next() {
            ended = visit(&key, value).is_break();
        }
        Ok(scan)
    }

    /// Entries and bytes below `prefix`. Reads them all.
    pub fn usage(&mut self, prefix: &[u8]) -> Result<Usage, StoreError> {
        let mut usage = Usage::default();
        self.scan(prefix, None, &mut |key, value| {
            usage.entries += 1;
            usage.bytes += (key.len() + value.len()) as u64;
            ControlFlow::Continue(())
        })?;
        Ok(usage)
    }
}
