//! The recent events of a scope, for local watchers that are a little behind. Pure.
//!
//! An event is encoded once; every watcher gets the same bytes. Positions are sequence numbers, because versions
//! of an overlay and of the cloud are not ordered among each other.

use std::collections::VecDeque;

use bytes::Bytes;
use yurthub_object::watch::EventType;

/// Versions from here on are given out by this node for what its kubelet wrote while the cloud was away; etcd
/// would need centuries to get here. They never travel upstream.
pub const FIRST_OVERLAY_VERSION: u64 = 1 << 62;

/// One entry.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Position; rises by one with each entry ever made.
    pub seq: u64,
    /// Version of the object after the event.
    pub version: u64,
    /// Lowest version that means this same position: that of the first of several bookmarks that became one.
    since: u64,
    /// What happened.
    pub event: EventType,
    /// The event as it goes out.
    pub frame: Bytes,
    /// What selectors of different clients are evaluated on, where the scope is shared.
    pub content: Option<Content>,
}

/// The object of an event.
#[derive(Debug, Clone)]
pub struct Content {
    /// In stored form, after the event.
    pub item: Bytes,
    /// Before the event, where what a selector looks at may have changed.
    pub previous: Option<Bytes>,
}

impl Entry {
    fn bytes(&self) -> usize {
        let content = self.content.as_ref();
        let previous = |content: &Content| content.previous.as_ref().map_or(0, Bytes::len);
        self.frame.len() + content.map_or(0, |content| content.item.len() + previous(content))
    }
}

/// A bounded queue of entries.
#[derive(Debug)]
pub struct Ring {
    entries: VecDeque<Entry>,
    bytes: usize,
    next_seq: u64,
    /// Position of the newest event (bookmarks do not count) that was dropped.
    dropped_seq: u64,
    /// Version below which a watch cannot start: the cloud's newest among what was dropped.
    floor: u64,
    /// Whether events of this node's own versions were dropped behind the floor: then it is no place to start.
    floor_is_past: bool,
    limit: Limit,
}

/// How much a ring holds.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Entries.
    pub entries: usize,
    /// Bytes of their frames.
    pub bytes: usize,
}

/// Where a watch from a version starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At a position.
    At {
        /// The first entry of interest.
        seq: u64,
        /// Entries whose version is not above this one are known to the watcher already.
        above: u64,
    },
    /// Events that it would need are gone.
    TooOld {
        /// The oldest version from which a watch can start.
        floor: u64,
    },
}

/// What a watcher finds at its position.
#[derive(Debug)]
pub enum Next<'a> {
    /// An entry.
    Entry(&'a Entry),
    /// Nothing yet.
    CaughtUp,
    /// The watcher was too slow: events that it has not seen are gone.
    FellBehind,
}

impl Ring {
    /// An empty ring whose history begins at version `floor`.
    pub fn new(limit: Limit, floor: u64) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            next_seq: 1,
            dropped_seq: 0,
            floor,
            floor_is_past: false,
            limit,
        }
    }

    /// Adds an event, with what it is about where the scope is shared, and drops the oldest while the bounds are passed. The newest always stays.
    pub fn push(&mut self, version: u64, event: EventType, frame: Bytes, content: Option<Content>) {
        let mut since = version;
        if event == EventType::Bookmark
            && let Some(last) = self.entries.back()
            && last.event == EventType::Bookmark
        {
            since = last.since;
            self.bytes -= last.bytes();
            self.entries.pop_back();
        }
        let entry = Entry {
            seq: self.next_seq,
            version,
            since,
            event,
            frame,
            content,
        };
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
        self.next_seq += 1;
        while self.entries.len() > 1
            && (self.entries.len() > self.limit.entries || self.bytes > self.limit.bytes)
        {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes();
            self.drop_entry(&oldest);
        }
    }

    fn drop_entry(&mut self, entry: &Entry) {
        if entry.event != EventType::Bookmark {
            self.dropped_seq = entry.seq;
        }
        if entry.version >= FIRST_OVERLAY_VERSION {
            self.floor_is_past = true;
        } else if entry.version > self.floor {
            self.floor = entry.version;
            self.floor_is_past = false;
        }
    }

    /// Forgets all history up to version `floor`; every watcher falls behind.
    pub fn reset(&mut self, floor: u64) {
        self.entries.clear();
        self.bytes = 0;
        self.dropped_seq = self.next_seq;
        self.next_seq += 1;
        self.floor = floor;
        self.floor_is_past = false;
    }

    /// The position after everything that has happened.
    pub fn end(&self) -> u64 {
        self.next_seq
    }

    /// The oldest version from which a watch can start.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Where a watcher that knows `version` starts.
    pub fn start_after(&self, version: u64) -> Start {
        let own = version >= FIRST_OVERLAY_VERSION;
        // The cloud's versions rise along the ring; this node's own stand between them, at their own entry only.
        let known = self.entries.iter().rev().find(|entry| {
            if own {
                entry.version == version
            } else {
                entry.since <= version
            }
        });
        match known {
            Some(entry) => Start::At {
                seq: entry.seq + 1,
                above: if own { 0 } else { version },
            },
            None if own || version < self.floor || version == self.floor && self.floor_is_past => {
                Start::TooOld { floor: self.floor }
            }
            None => Start::At {
                seq: self.dropped_seq + 1,
                above: version,
            },
        }
    }

    /// The version that a list has which is true for all of the ring: the newest entry's, where it is this node's
    /// own; else the cloud's, which the scope knows better.
    pub fn own_version(&self) -> Option<u64> {
        self.entries
            .back()
            .map(|entry| entry.version)
            .filter(|version| *version >= FIRST_OVERLAY_VERSION)
    }

    /// What stands at position `seq` or behind it.
    pub fn at(&self, seq: u64) -> Next<'_> {
        if seq <= self.dropped_seq {
            return Next::FellBehind;
        }
        let index = self.entries.partition_point(|entry| entry.seq < seq);
        self.entries.get(index).map_or(Next::CaughtUp, Next::Entry)
    }

    /// Entries and bytes held.
    pub fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit {
        entries: 3,
        bytes: 100,
    };

    fn ring(versions: &[u64]) -> Ring {
        let mut ring = Ring::new(LIMIT, 10);
        for version in versions {
            ring.push(*version, EventType::Modified, Bytes::from(vec![0; 10]), None);
        }
        ring
    }

    fn versions_from(ring: &Ring, mut seq: u64) -> Vec<u64> {
        let mut versions = Vec::new();
        while let Next::Entry(entry) = ring.at(seq) {
            versions.push(entry.version);
            seq = entry.seq + 1;
        }
        versions
    }

    #[test]
    fn a_watch_starts_where_nothing_is_missing() {
        let ring = ring(&[11, 15, 20]);
        for (version, expected) in [
            (9, Start::TooOld { floor: 10 }),
            (10, Start::At { seq: 1, above: 10 }),
            (11, Start::At { seq: 2, above: 11 }),
            (17, Start::At { seq: 3, above: 17 }),
            (20, Start::At { seq: 4, above: 20 }),
            (99, Start::At { seq: 4, above: 99 }), // above the mirror: accepted, skips what is not above it
            (FIRST_OVERLAY_VERSION + 7, Start::TooOld { floor: 10 }),
        ] {
            assert_eq!(ring.start_after(version), expected, "{version}");
        }
    }

    #[test]
    fn dropping_an_event_raises_the_floor_and_leaves_slow_watchers_behind() {
        let ring = ring(&[11, 12, 13, 14]);
        assert_eq!(ring.start_after(10), Start::TooOld { floor: 11 });
        assert_eq!(ring.start_after(11), Start::At { seq: 2, above: 11 });
        assert!(matches!(ring.at(1), Next::FellBehind));
        assert_eq!(versions_from(&ring, 2), [12, 13, 14]);
    }

    #[test]
    fn bytes_are_bounded_too_but_the_newest_stays() {
        let mut ring = ring(&[11, 12]);
        ring.push(13, EventType::Modified, Bytes::from(vec![0; 1000]), None);
        assert_eq!(ring.size(), (1, 1000));
        assert_eq!(versions_from(&ring, 3), [13]);
    }

    #[test]
    fn bookmarks_replace_each_other_and_never_raise_the_floor() {
        let mut ring = ring(&[11]);
        for version in 20..40 {
            ring.push(version, EventType::Bookmark, Bytes::from_static(b"b"), None);
        }
        assert_eq!(versions_from(&ring, 1), [11, 39]);
        assert_eq!(ring.floor(), 10);
    }

    #[test]
    fn a_bookmark_that_was_replaced_is_still_a_place() {
        let mut ring = ring(&[11, FIRST_OVERLAY_VERSION]);
        ring.push(20, EventType::Bookmark, Bytes::from_static(b"b"), None);
        ring.push(30, EventType::Bookmark, Bytes::from_static(b"b"), None);
        for version in [20, 25, 30] {
            let Start::At { seq, .. } = ring.start_after(version) else {
                panic!("{version} is too old")
            };
            assert!(matches!(ring.at(seq), Next::CaughtUp), "{version}");
        }
    }

    #[test]
    fn own_versions_never_become_the_floor_but_make_it_no_place_to_start() {
        let own = FIRST_OVERLAY_VERSION;
        let ring = ring(&[11, own, own + 1, own + 2, own + 3]);
        assert_eq!(ring.floor(), 11);
        assert_eq!(ring.start_after(11), Start::TooOld { floor: 11 });
        assert_eq!(ring.own_version(), Some(own + 3));
        assert_eq!(ring.start_after(own + 3), Start::At { seq: 6, above: 0 });
    }

    #[test]
    fn an_overlay_version_resumes_behind_its_own_entry() {
        let overlay = FIRST_OVERLAY_VERSION;
        let ring = ring(&[11, overlay, 12]);
        assert_eq!(versions_from(&ring, 3), [12]);
        assert_eq!(ring.start_after(overlay), Start::At { seq: 3, above: 0 });
    }

    #[test]
    fn a_reset_sends_every_watcher_back_to_a_list() {
        let mut ring = ring(&[11, 12]);
        let end = ring.end();
        ring.reset(50);
        assert!(matches!(ring.at(end), Next::FellBehind));
        assert_eq!(ring.start_after(49), Start::TooOld { floor: 50 });
        assert!(
            matches!(ring.start_after(50), Start::At { seq, .. } if matches!(ring.at(seq), Next::CaughtUp))
        );
    }
}
