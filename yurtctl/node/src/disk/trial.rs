//! What may go wrong at a point of a test: the process ends there, or the disk is full from there on.
//!
//! Points are changes of files, and what the model of a node does ([`crate::model`]). They are counted for each thread, so
//! tests may run in parallel.

use std::cell::Cell;
use std::fs;
use std::io::{self, Write as _};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::{Change, temporary};

thread_local! {
    static PASSED: Cell<usize> = const { Cell::new(0) };
    static END: Cell<Option<usize>> = const { Cell::new(None) };
    static FULL: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Far more than anything has that ends.
const POINTS_MOST: usize = 20_000;

/// The process ended.
struct Ended;

/// Runs `body` until its end, or until the point `end`, counted from 0. `None`: it did not come to its own end.
pub(crate) fn until<T>(end: Option<usize>, body: impl FnOnce() -> T) -> Option<T> {
    PASSED.set(0);
    END.set(end);
    let result = catch_unwind(AssertUnwindSafe(body));
    END.set(None);
    match result {
        Ok(value) => Some(value),
        Err(payload) if payload.is::<Ended>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

/// How many points were passed since [`until`] was called last.
pub(crate) fn passed() -> usize {
    PASSED.get()
}

/// The disk is full while points of this range are passed, by [`passed`].
pub(crate) fn full_at(points: Range<usize>) {
    FULL.set((points.start, points.end));
}

/// A point; `tear` is what is left when the process ends in the middle of what comes.
pub(crate) fn point(tear: impl FnOnce()) {
    let number = PASSED.get();
    PASSED.set(number + 1);
    assert!(number < POINTS_MOST, "what is tested does not end");
    if END.get() == Some(number) {
        tear();
        // Without the panic hook: nothing is wrong.
        resume_unwind(Box::new(Ended));
    }
}

/// The point of a change.
pub(super) fn before(change: &Change<'_>) -> io::Result<()> {
    let number = PASSED.get();
    point(|| tear(change));
    let needs_space = matches!(
        change,
        Change::Write { .. } | Change::Append { .. } | Change::Link { .. } | Change::MakeFolder { .. }
    );
    let (start, end) = FULL.get();
    if needs_space && (start..end).contains(&number) {
        if matches!(change, Change::Append { .. }) {
            tear(change);
        }
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

/// A part of a change.
fn tear(change: &Change<'_>) {
    match *change {
        Change::Write { path, bytes, .. } => {
            drop(fs::write(temporary(path), &bytes[..bytes.len() / 2]));
        }
        Change::Append { mut file, bytes } => drop(file.write_all(&bytes[..bytes.len() / 2])),
        Change::RemoveFolder(path) => {
            let first = fs::read_dir(path).into_iter().flatten().flatten().next();
            drop(first.map(|entry| fs::remove_file(entry.path())));
        }
        _ => {}
    }
}
