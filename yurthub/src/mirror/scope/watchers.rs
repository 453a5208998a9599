//! Local watchers of a scope: cursors into its ring, woken when something is added.

use std::task::Waker;

use bytes::Bytes;
use tokio::time::Instant;
use yurthub_object::Encoding;
use yurthub_object::status::Status;
use yurthub_object::watch::{self as frames, EventType};

use super::Scope;
use crate::mirror::lens::{Lens, LensError};
use crate::mirror::ring::{Next, Start};

/// Where a watcher stands, and what it wants to see.
pub(in crate::mirror) struct Cursor {
    /// Position in the ring.
    pub(in crate::mirror) seq: u64,
    /// Versions that are not above this one are known to it.
    pub(in crate::mirror) above: u64,
    /// Whether it wants bookmarks.
    pub(in crate::mirror) bookmarks: bool,
    /// What it sees; `None`: everything, as it is.
    pub(in crate::mirror) lens: Option<Lens>,
}

/// What a watcher gets.
pub(in crate::mirror) enum Poll {
    /// An event.
    Frame(Bytes),
    /// Nothing yet.
    Pending,
    /// The stream ends with this frame.
    Closed(Bytes),
    /// Events are gone; the stream ends with 410.
    FellBehind(Encoding, u64),
}

/// Ends a watch whose next event cannot be judged: the client lists anew.
fn unreadable(encoding: Encoding, error: &LensError) -> Bytes {
    let status = Status::new(500, "InternalError", format!("cannot show an event: {error}"));
    frames::encode_error(encoding, &status)
}

impl Scope {
    /// Where a watch from `version` starts.
    pub(in crate::mirror) fn start_watch(&self, version: u64) -> Start {
        let inner = self.lock();
        if inner.is_of_a_lost_past(version) {
            let floor = inner.ring.floor();
            return Start::TooOld { floor };
        }
        inner.ring.start_after(version)
    }

    pub(in crate::mirror) fn watcher_joins(&self) {
        let mut inner = self.lock();
        inner.watchers += 1;
        inner.last_used = Instant::now();
    }

    pub(in crate::mirror) fn watcher_leaves(&self) {
        let mut inner = self.lock();
        inner.watchers -= 1;
        inner.last_used = Instant::now();
    }

    /// What a watcher gets next; its cursor moves behind that. Where there is nothing, `waker` is woken when that may
    /// have changed.
    pub(in crate::mirror) fn poll_watch(&self, cursor: &mut Cursor, waker: &Waker) -> Poll {
        let mut inner = self.lock();
        if let Some(frame) = &inner.closed {
            return Poll::Closed(frame.clone());
        }
        loop {
            match inner.ring.at(cursor.seq) {
                Next::Entry(entry) => {
                    cursor.seq = entry.seq + 1;
                    let unwanted = !cursor.bookmarks && entry.event == EventType::Bookmark;
                    if unwanted || entry.version <= cursor.above {
                        continue;
                    }
                    match (&cursor.lens, &inner.wire) {
                        (Some(lens), Some(wire)) => match lens.event(wire, entry) {
                            Ok(Some(frame)) => return Poll::Frame(frame),
                            Ok(None) => {}
                            Err(error) => return Poll::Closed(unreadable(wire.encoding, &error)),
                        },
                        _ => return Poll::Frame(entry.frame.clone()),
                    }
                }
                Next::FellBehind => {
                    let encoding = inner.wire.as_ref().map_or(Encoding::Json, |wire| wire.encoding);
                    return Poll::FellBehind(encoding, inner.ring.floor());
                }
                Next::CaughtUp => {
                    if !inner.wakers.iter().any(|known| known.will_wake(waker)) {
                        inner.wakers.push(waker.clone());
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// The position behind everything that has happened.
    pub(in crate::mirror) fn end(&self) -> u64 {
        self.lock().ring.end()
    }
}
