//! An engine without a disk, for tests of what is above the store. It forgets all when it is dropped.
//!
//! Invariant: a pinned view shares the map and keeps it; a commit then works on a copy.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{DiskBytes, Engine, EngineError, EngineSnapshot, Op, Visit};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// See the module.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    map: Arc<Mutex<Arc<Map>>>,
}

fn lock(map: &Mutex<Arc<Map>>) -> MutexGuard<'_, Arc<Map>> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine for MemoryEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(lock(&self.map).get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        let map = lock(&self.map).clone();
        scan_map(&map, prefix, after, visit);
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn EngineSnapshot + Send>, EngineError> {
        Ok(Box::new(MemorySnapshot {
            source: self.map.clone(),
            pinned: Arc::default(),
        }))
    }

    fn commit(&self, ops: &[Op]) -> Result<(), EngineError> {
        let mut map = lock(&self.map);
        let map = Arc::make_mut(&mut map);
        for op in ops {
            match op {
                Op::Put(key, value) => drop(map.insert(key.clone(), value.clone())),
                Op::Delete(key) => drop(map.remove(key)),
            }
        }
        Ok(())
    }

    fn disk_bytes(&self) -> DiskBytes {
        DiskBytes::default()
    }
}

struct MemorySnapshot {
    source: Arc<Mutex<Arc<Map>>>,
    pinned: Arc<Map>,
}

impl EngineSnapshot for MemorySnapshot {
    fn pin(&mut self) -> Result<(), EngineError> {
        self.pinned = lock(&self.source).clone();
        Ok(())
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.pinned.get(key).cloned())
    }

    fn scan(
        &mut self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), EngineError> {
        scan_map(&self.pinned, prefix, after, visit);
        Ok(())
    }
}

fn scan_map(map: &Map, prefix: &[u8], after: Option<&[u8]>, visit: &mut Visit<'_>) {
    let start = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    for (key, value) in map.range::<[u8], _>((start, Bound::Unbounded)) {
        if !key.starts_with(prefix) || visit(key, value) == ControlFlow::Break(()) {
            return;
        }
    }
}
