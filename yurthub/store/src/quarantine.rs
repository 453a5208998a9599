//! Values that do not read back: each is moved aside alone, and a mark takes its place.
//!
//! The damaged bytes are kept for a look by a person, a bounded number of them, oldest dropped first. A value that
//! was sealed with another key stays where it is: it may be whole.
//!
//! Invariant: a mark replaces exactly the bytes that were found damaged, never a later write.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::engine::{Engine, EngineError, Op};
use crate::envelope::{self, Damage};
use crate::pending::{Known, Layer};
use crate::store::engine_key;

/// Namespace of quarantined bytes in the engine.
pub(crate) const QUARANTINE: u8 = b'q';
const MAX_KEPT: usize = 64;
const MAX_KEPT_BYTES: usize = 1 << 20;
const MAX_FOUND: usize = 64;
const MAX_REMEMBERED: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct Quarantine(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Found damaged, not moved yet.
    found: BTreeMap<Bytes, Bytes>,
    /// Counted and logged already.
    reported: HashSet<Bytes>,
    /// Kept in the engine, oldest first: key there and length.
    kept: VecDeque<(Vec<u8>, usize)>,
    next: u64,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reported {
    /// The writer has something to move.
    pub(crate) queued: bool,
    /// To be counted and logged.
    pub(crate) news: bool,
}

/// Operations that move what was found, and what will be kept when they are durable.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    ops: Vec<Op>,
    found: Vec<(Bytes, Bytes)>,
    kept: VecDeque<(Vec<u8>, usize)>,
    next: u64,
}

impl Moves {
    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }
}

impl Quarantine {
    /// Reads what is kept from earlier runs.
    pub(crate) fn load(engine: &dyn Engine) -> Result<Self, EngineError> {
        let mut state = State::default();
        engine.scan(&[QUARANTINE], None, &mut |key, value| {
            state.kept.push_back((key.to_vec(), value.len()));
            let number = key
                .get(1..9)
                .and_then(|number| number.try_into().ok())
                .map_or(0, u64::from_be_bytes);
            state.next = state.next.max(number.saturating_add(1));
            ControlFlow::Continue(())
        })?;
        Ok(Self(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes damage. What does not fit in is found again at the next read.
    pub(crate) fn report(&self, key: &[u8], envelope: Bytes, damage: Damage) -> Reported {
        let mut state = self.state();
        let key = Bytes::copy_from_slice(key);
        let queued = match damage {
            Damage::Quarantined => {
                return Reported {
                    queued: false,
                    news: false,
                };
            }
            Damage::OtherKey => false,
            Damage::Short | Damage::Format | Damage::Checksum | Damage::Seal => {
                if state.found.len() >= MAX_FOUND {
                    return Reported {
                        queued: false,
                        news: false,
                    };
                }
                state.found.insert(key.clone(), envelope).is_none()
            }
        };
        let news = state.reported.len() < MAX_REMEMBERED && state.reported.insert(key);
        Reported { queued, news }
    }

    /// Whether nothing waits to be moved.
    pub(crate) fn is_idle(&self) -> bool {
        self.state().found.is_empty()
    }

    /// What to add to the commit of `layer`. Called by the writer thread only.
    pub(crate) fn moves(&self, engine: &dyn Engine, layer: &Layer) -> Result<Moves, EngineError> {
        let state = self.state();
        if state.found.is_empty() {
            return Ok(Moves::default());
        }
        let found: Vec<(Bytes, Bytes)> = state
            .found
            .iter()
            .map(|(key, bytes)| (key.clone(), bytes.clone()))
            .collect();
        let mut moves = Moves {
            ops: Vec::new(),
            found,
            kept: state.kept.clone(),
            next: state.next,
        };
        drop(state);
        for (key, bytes) in &moves.found {
            let stored_key = engine_key(key);
            let replaced = layer.lookup(key) != Known::Unknown;
            if !replaced && engine.get(&stored_key)?.as_deref() == Some(&bytes[..]) {
                moves
                    .ops
                    .push(Op::Put(stored_key, envelope::quarantine_mark(key)));
            }
            if bytes.len() <= MAX_KEPT_BYTES {
                let kept_key = [&[QUARANTINE], &moves.next.to_be_bytes()[..], key].concat();
                moves.next += 1;
                moves.kept.push_back((kept_key.clone(), bytes.len()));
                moves.ops.push(Op::Put(kept_key, bytes.to_vec()));
            }
        }
        drop_oldest(&mut moves);
        Ok(moves)
    }

    /// The moves are durable.
    pub(crate) fn moved(&self, moves: Moves) {
        if moves.found.is_empty() {
            return;
        }
        let mut state = self.state();
        for (key, bytes) in &moves.found {
            if state.found.get(key) == Some(bytes) {
                state.found.remove(key);
            }
        }
        (state.kept, state.next) = (moves.kept, moves.next);
    }
}

fn drop_oldest(moves: &mut Moves) {
    let bytes = |kept: &VecDeque<(Vec<u8>, usize)>| kept.iter().map(|(_, len)| len).sum::<usize>();
    while moves.kept.len() > MAX_KEPT || bytes(&moves.kept) > MAX_KEPT_BYTES {
        let Some((oldest, _)) = moves.kept.pop_front() else {
            return;
        };
        let before = moves.ops.len();
        moves
            .ops
            .retain(|op| !matches!(op, Op::Put(key, _) if *key == oldest));
        if moves.ops.len() == before {
            moves.ops.push(Op::Delete(oldest));
        }
    }
}
