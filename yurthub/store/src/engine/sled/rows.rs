//! Rows of the engine in a sled tree: values are cut into pieces.
//!
//! A leaf of sled holds up to 20 entries, and one that outgrows a quarter of a segment (128 KiB) goes to a blob file,
//! which does not survive power cuts. Pieces of 2 KiB keep it below that, with any keys.
//!
//! ```text
//! key                            pieces (2), stamp (8), first piece
//! 0 'p' key number (2)           stamp (8), further piece
//! ```
//!
//! The stamp is that of the commit, so that a reader notices pieces of two commits. Keys that begin with 0 are not the
//! caller's.
//!
//! Invariant: a value that was written whole is read whole, or not as a value that a checksum would accept.

use std::ops::Bound;

use super::failed;
use crate::engine::{EngineError, Visit};

const PIECE: usize = 2048;
const HEADER: usize = 10;
const STAMP: usize = 8;
/// A commit in between makes the pieces differ; so many in a row do not happen.
const ATTEMPTS: usize = 10;

fn piece_key(key: &[u8], number: u16) -> Vec<u8> {
    [&[0, b'p'], key, &number.to_be_bytes()].concat()
}

fn pieces(head: &[u8]) -> u16 {
    head.first_chunk().copied().map_or(0, u16::from_be_bytes)
}

fn read(db: &sled::Db, key: &[u8]) -> Result<Option<sled::IVec>, EngineError> {
    db.get(key).map_err(failed("read from"))
}

/// Adds a put to the batch. `stamp` differs from that of any other commit.
pub(super) fn put(
    db: &sled::Db,
    batch: &mut sled::Batch,
    row: (&[u8], &[u8]),
    stamp: u64,
) -> Result<(), EngineError> {
    let (key, value) = row;
    let (first, rest) = value.split_at_checked(PIECE).unwrap_or((value, &[]));
    let count = rest.chunks(PIECE).len() as u16;
    batch.insert(
        key,
        [&count.to_be_bytes()[..], &stamp.to_be_bytes(), first].concat(),
    );
    for (number, piece) in (0..).zip(rest.chunks(PIECE)) {
        batch.insert(piece_key(key, number), [&stamp.to_be_bytes()[..], piece].concat());
    }
    remove_pieces(db, batch, key, count)
}

/// Adds a removal to the batch.
pub(super) fn remove(db: &sled::Db, batch: &mut sled::Batch, key: &[u8]) -> Result<(), EngineError> {
    batch.remove(key);
    remove_pieces(db, batch, key, 0)
}

fn remove_pieces(db: &sled::Db, batch: &mut sled::Batch, key: &[u8], from: u16) -> Result<(), EngineError> {
    let old = read(db, key)?.map_or(0, |head| pieces(&head));
    (from..old).for_each(|number| batch.remove(piece_key(key, number)));
    Ok(())
}

/// The value of `key`. Damaged pieces give a value that its checksum refuses.
pub(super) fn get(db: &sled::Db, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
    let mut partial = None;
    for _ in 0..ATTEMPTS {
        let Some(head) = read(db, key)? else {
            return Ok(None);
        };
        match assemble(db, key, &head)? {
            (value, true) => return Ok(Some(value)),
            (value, false) => partial = Some(value),
        }
    }
    Ok(partial)
}

/// The value, and whether it is whole.
fn assemble(db: &sled::Db, key: &[u8], head: &[u8]) -> Result<(Vec<u8>, bool), EngineError> {
    let Some((header, first)) = head.split_first_chunk::<HEADER>() else {
        return Ok((head.to_vec(), true));
    };
    let mut value = first.to_vec();
    for number in 0..pieces(header) {
        let piece = read(db, &piece_key(key, number))?;
        match piece.as_deref().and_then(<[u8]>::split_first_chunk::<STAMP>) {
            Some((stamp, piece)) if stamp[..] == header[2..] => value.extend_from_slice(piece),
            _ => return Ok((value, false)),
        }
    }
    Ok((value, true))
}

/// Where rows with `prefix` after `after` begin.
pub(super) fn start<'a>(prefix: &'a [u8], after: Option<&'a [u8]>) -> Bound<&'a [u8]> {
    match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    }
}

/// As [`crate::engine::Engine::scan`].
pub(super) fn scan(
    db: &sled::Db,
    prefix: &[u8],
    after: Option<&[u8]>,
    visit: &mut Visit<'_>,
) -> Result<(), EngineError> {
    for row in db.range::<&[u8], _>((start(prefix, after), Bound::Unbounded)) {
        let (key, head) = row.map_err(failed("scan"))?;
        if !key.starts_with(prefix) {
            break;
        }
        if key.first() == Some(&0) {
            continue;
        }
        let value = match assemble(db, &key, &head)? {
            (value, true) => Some(value),
            (_, false) => get(db, &key)?, // changed meanwhile
        };
        if value.is_some_and(|value| visit(&key, &value).is_break()) {
            break;
        }
    }
    Ok(())
}

/// The rows from the last one backward, down to `end`.
pub(super) fn scan_back(db: &sled::Db, end: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), EngineError> {
    for row in db.iter().rev() {
        let (key, head) = row.map_err(failed("scan"))?;
        if key.first() == Some(&0) || end.is_some_and(|end| *key <= *end) {
            break;
        }
        if visit(&key, &assemble(db, &key, &head)?.0).is_break() {
            break;
        }
    }
    Ok(())
}
