//! The one thread that makes changes durable, a group at a time.
//!
//! It writes only what differs from what the engine has: a list that is replaced by nearly the same list costs the
//! few changed entries. When the disk fails it keeps the changes, tells those who wait, and tries again with
//! growing pauses.
//!
//! Invariant: a promise is kept with `Ok` only after the engine has said that the group is durable.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::batch::Protection;
use crate::engine::Op;
use crate::envelope;
use crate::pending::{Change, Layer};
use crate::store::{Queue, Shared, StoreError, engine_key, with_sources};
use crate::ticket::Promise;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// While the disk fails, an attempt for somebody who waits is made this long after the last one.
const PAUSE_FOR_WAITER: Duration = Duration::from_millis(50);
/// Attempts to write the rest when the store is closed.
const CLOSING_ATTEMPTS: u32 = 3;

pub(crate) fn run(shared: &Shared) {
    let mut failures = 0;
    while let Some(layer) = next_group(shared) {
        let recovered = if failures > 0 {
            shared.engine.recover().map_err(StoreError::Engine)
        } else {
            Ok(())
        };
        let outcome = recovered.and_then(|()| write(shared, &layer));
        failures = if outcome.is_ok() { 0 } else { failures + 1 };
        let (promises, give_up) = settle(shared, layer, &outcome, failures);
        for promise in promises {
            promise.keep(outcome.clone());
        }
        if give_up {
            tracing::error!("the store is closed with changes that could not be written");
            break;
        }
    }
    shared.queue().closed = true;
}

/// Waits until a group is due and moves it down; `None` when the store is closed and all is written.
fn next_group(shared: &Shared) -> Option<Arc<Layer>> {
    let mut queue = shared.queue();
    loop {
        let now = Instant::now();
        let nothing = queue.open.is_empty() && queue.promises.is_empty() && shared.quarantine.is_idle();
        if queue.closing && nothing {
            return None;
        }
        let due = if queue.closing {
            Some(queue.failed_at.map_or(now, |at| at + PAUSE_FOR_WAITER))
        } else {
            due(&queue)
        };
        queue = match due {
            Some(due) if due <= now => return Some(begin(&mut queue)),
            Some(due) => {
                let waited = shared.wake.wait_timeout(queue, due - now);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

fn due(queue: &Queue) -> Option<Instant> {
    let not_before = if queue.promises.is_empty() {
        queue.retry_at
    } else {
        queue.failed_at.map(|at| at + PAUSE_FOR_WAITER)
    };
    queue
        .due
        .map(|due| not_before.map_or(due, |not_before| due.max(not_before)))
}

fn begin(queue: &mut Queue) -> Arc<Layer> {
    queue.due = None;
    let layer = std::mem::take(&mut queue.open);
    queue.committing = Some(layer.clone());
    queue.committing_promises = std::mem::take(&mut queue.promises);
    layer
}

fn write(shared: &Shared, layer: &Layer) -> Result<(), StoreError> {
    let mut ops = changes(shared, layer)?;
    let moved = shared
        .quarantine
        .moves(shared.engine.as_ref(), layer)
        .map_err(StoreError::Engine)?;
    ops.extend(moved.ops().iter().cloned());
    if ops.is_empty() {
        shared.quarantine.moved(moved);
        return Ok(());
    }
    shared.engine.commit(&ops).map_err(StoreError::Engine)?;
    shared.quarantine.moved(moved);
    let puts = ops.iter().filter(|op| matches!(op, Op::Put(..))).count() as u64;
    let bytes: usize = ops.iter().map(Op::bytes).sum();
    shared.count(|stats| {
        stats.commits += 1;
        stats.puts += puts;
        stats.bytes_written += bytes as u64;
    });
    Ok(())
}

/// What has to be done to the engine so that it holds the layer.
fn changes(shared: &Shared, layer: &Layer) -> Result<Vec<Op>, StoreError> {
    let mut ops = Vec::with_capacity(layer.entries().len());
    let mut unchanged = HashSet::new();
    for prefix in layer.prefixes() {
        let mut visit = |stored_key: &[u8], envelope: &[u8]| {
            let key = stored_key.get(1..).unwrap_or_default();
            match layer.entries().get_key_value(key) {
                Some((key, Change::Put(value, protection))) => {
                    if is_same(shared, key, envelope, (value, *protection)) {
                        unchanged.insert(key.clone());
                    }
                }
                Some((_, Change::Delete)) => {} // below
                None => ops.push(Op::Delete(stored_key.to_vec())),
            }
            ControlFlow::Continue(())
        };
        shared
            .engine
            .scan(&engine_key(prefix), None, &mut visit)
            .map_err(StoreError::Engine)?;
    }
    for (key, change) in layer.entries() {
        let stored_key = engine_key(key);
        match change {
            Change::Delete => ops.push(Op::Delete(stored_key)),
            Change::Put(..) if unchanged.contains(key) => {}
            Change::Put(value, protection) => {
                let stored = shared.engine.get(&stored_key).map_err(StoreError::Engine)?;
                if stored.is_some_and(|envelope| is_same(shared, key, &envelope, (value, *protection))) {
                    unchanged.insert(key.clone());
                    continue;
                }
                let envelope = envelope::encode(key, value, *protection, shared.sealing.as_ref())
                    .map_err(|envelope::CannotSeal| StoreError::Sealing)?;
                ops.push(Op::Put(stored_key, envelope));
            }
        }
    }
    shared.count(|stats| stats.puts_unchanged += unchanged.len() as u64);
    Ok(ops)
}

fn is_same(shared: &Shared, key: &[u8], stored: &[u8], wanted: (&Bytes, Protection)) -> bool {
    if stored.len() < wanted.0.len() {
        return false;
    }
    let decoded = envelope::decode(key, &Bytes::copy_from_slice(stored), shared.sealing.as_ref());
    decoded.is_ok_and(|decoded| (&decoded.value, decoded.protection) == wanted)
}

/// Takes the group out of the queue, or puts it back under what was written meanwhile. Returns who waits for the
/// outcome, and whether the thread is to give up.
fn settle(
    shared: &Shared,
    layer: Arc<Layer>,
    outcome: &Result<(), StoreError>,
    failures: u32,
) -> (Vec<Promise>, bool) {
    let mut give_up = false;
    let mut queue = shared.queue();
    queue.committing = None;
    let mut promises = std::mem::take(&mut queue.committing_promises);
    if outcome.is_ok() {
        (queue.retry_at, queue.failed_at) = (None, None);
    } else {
        let mut merged = Arc::unwrap_or_clone(layer);
        merged.absorb(Arc::unwrap_or_clone(std::mem::take(&mut queue.open)));
        queue.open = Arc::new(merged);
        let now = Instant::now();
        let pause = FIRST_PAUSE
            .saturating_mul(1 << failures.min(16).saturating_sub(1))
            .min(LONGEST_PAUSE);
        (queue.due, queue.failed_at, queue.retry_at) = (Some(now), Some(now), Some(now + pause));
        give_up = queue.closing && failures >= CLOSING_ATTEMPTS;
        if give_up {
            promises.append(&mut queue.promises);
        }
    }
    drop(queue);
    shared.count(|stats| match outcome {
        Ok(()) => stats.failures_in_a_row = 0,
        Err(error) => {
            stats.commit_failures += 1;
            stats.failures_in_a_row = failures;
            stats.last_error = Some(with_sources(error));
        }
    });
    log(shared, outcome, failures);
    (promises, give_up)
}

fn log(shared: &Shared, outcome: &Result<(), StoreError>, failures: u32) {
    let Err(error) = outcome else { return };
    if failures == 1 {
        tracing::error!(error = %with_sources(error), "failed to write to disk; changes are kept in memory and tried again");
    }
    if let StoreError::Engine(error) = error {
        shared.note(error);
    }
}
