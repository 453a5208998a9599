//! A history that both sides know: batch number n of a seed, and the state after it.

use std::collections::BTreeMap;

use yurthub_store::{Batch, Protection};

pub(crate) type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// The key that holds the number of the last batch.
pub(crate) const LAST: &[u8] = b"last";

enum Step {
    Put(Vec<u8>, Vec<u8>, Protection),
    Delete(Vec<u8>),
    DeletePrefix(Vec<u8>),
}

fn steps(seed: u64, number: u64) -> Vec<Step> {
    let mut random = fastrand::Rng::with_seed(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut steps = Vec::new();
    for _ in 0..random.usize(1..6) {
        let group = random.u8(b'a'..=b'd') as char;
        let key = format!("{group}/{:02}", random.u8(..30)).into_bytes();
        match random.u8(..20) {
            0 => steps.push(Step::DeletePrefix(format!("{group}/").into_bytes())),
            1 | 2 => steps.push(Step::Delete(key)),
            kind => {
                let mut value = format!("{seed}:{number}:").into_bytes();
                let len = match random.u8(..30) {
                    0 => random.usize(..200_000),
                    1..8 => random.usize(..9000),
                    _ => random.usize(..700),
                };
                value.extend(std::iter::repeat_with(|| random.u8(..)).take(len));
                let protection = if kind < 6 {
                    Protection::Sealed
                } else {
                    Protection::Plain
                };
                steps.push(Step::Put(key, value, protection));
            }
        }
    }
    steps.push(Step::Put(
        LAST.to_vec(),
        number.to_string().into_bytes(),
        Protection::Plain,
    ));
    steps
}

pub(crate) fn batch(seed: u64, number: u64) -> Batch {
    let mut batch = Batch::new();
    for step in steps(seed, number) {
        match step {
            Step::Put(key, value, protection) => batch.put(key, value, protection),
            Step::Delete(key) => batch.delete(key),
            Step::DeletePrefix(prefix) => batch.delete_prefix(prefix),
        };
    }
    batch
}

pub(crate) fn advance(state: &mut State, seed: u64, number: u64) {
    for step in steps(seed, number) {
        match step {
            Step::Put(key, value, _) => drop(state.insert(key, value)),
            Step::Delete(key) => drop(state.remove(&key)),
            Step::DeletePrefix(prefix) => state.retain(|key, _| !key.starts_with(&prefix)),
        }
    }
}
