//! What is kept of other nodes: where their kubelets are, and when they answered; and what to do next while the cloud is
//! there. Pure but for the store, which is written when an entry changes.
//!
//! An entry takes some 60 bytes, and is written a few times a day. One that is lost is read again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tracing::warn;
use yurthub_store::{Batch, Protection, Store, StoreError};

use super::names::FOLLOWED;

const PREFIX: u8 = b'n';
/// Nodes that are kept: those that are followed, and as many that were.
const KEPT: usize = 2 * FOLLOWED;
const HOUR: u64 = 3600;
/// How long an address is taken for true.
const FRESH: u64 = 24 * HOUR;
/// How long a node that no endpoint names is kept, and how long one whose kubelet no longer answers counts as one that
/// could.
const WEEK: u64 = 7 * 24 * HOUR;

/// What is known of a node. Times are seconds since 1970, 0: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where its kubelet listens; `None`: it has no such address, or the cloud knows no such node.
    pub(super) address: Option<SocketAddr>,
    /// When the cloud said so.
    pub(super) read: u64,
    /// When that address was last tried with the cloud there.
    tried: u64,
    /// When it last answered.
    answered: u64,
}

/// What to do next while the cloud is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask the cloud for the node's address.
    Read(String),
    /// See whether its kubelet answers.
    Try(String, SocketAddr),
    /// Drop it.
    Forget(String),
    /// Nothing for this time.
    Wait(Duration),
}

impl Entry {
    /// An address that the cloud named at `now`; what is known `of before` stays where it is the same one.
    pub(super) fn read_at(address: Option<SocketAddr>, now: u64, before: Option<Self>) -> Self {
        let same = before.filter(|before| before.address == address);
        Self {
            address,
            read: now,
            tried: 0,
            answered: same.map_or(0, |before| before.answered),
        }
    }

    /// Its address was tried at `now`.
    #[must_use]
    pub(super) fn tried_at(self, now: u64, answered: bool) -> Self {
        Self {
            tried: now,
            answered: if answered { now } else { self.answered },
            ..self
        }
    }

    /// It answered at `now`, with the cloud away.
    #[must_use]
    pub(super) fn answered_at(self, now: u64) -> Self {
        Self {
            answered: now,
            ..self
        }
    }

    /// Whether its kubelet can be expected to answer: its silence says something. A firewall may drop what comes from
    /// this node, or the address may lead nowhere from here.
    pub(super) fn answers(&self) -> bool {
        self.answered != 0 && self.tried.saturating_sub(self.answered) < WEEK
    }

    /// When it must be tried, where it has an address.
    fn try_at(&self) -> u64 {
        match self.tried {
            0 => 0,
            tried if self.answered >= tried => u64::MAX, // when it is read again
            tried => tried.saturating_add(HOUR),
        }
    }

    fn encode(&self) -> Bytes {
        let address = self
            .address
            .map_or_else(|| "-".to_owned(), |address| address.to_string());
        let Self {
            read,
            tried,
            answered,
            ..
        } = self;
        format!("{read} {tried} {answered} {address}").into()
    }

    fn decode(text: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(text).ok()?.split(' ');
        let mut number = || words.next()?.parse().ok();
        let (read, tried, answered) = (number()?, number()?, number()?);
        let address = match words.next()? {
            "-" => None,
            address => Some(address.parse().ok()?),
        };
        Some(Self {
            address,
            read,
            tried,
            answered,
        })
    }
}

/// What is known of other nodes, by name.
pub(super) struct Book {
    store: Store,
    entries: BTreeMap<String, Entry>,
}

impl Book {
    /// Finds what the store holds.
    pub(super) fn open(store: Store) -> Result<Self, StoreError> {
        let mut entries = BTreeMap::new();
        store.snapshot()?.scan(&[PREFIX], None, &mut |key, value| {
            let name = key.get(1..).and_then(|name| std::str::from_utf8(name).ok());
            if let (Some(name), Some(entry)) = (name, Entry::decode(&value)) {
                entries.insert(name.to_owned(), entry);
            }
            ControlFlow::Continue(())
        })?;
        Ok(Self { store, entries })
    }

    pub(super) fn get(&self, name: &str) -> Option<Entry> {
        self.entries.get(name).copied()
    }

    /// Keeps what is known of a node now.
    pub(super) fn keep(&mut self, name: &str, entry: Entry) {
        let mut batch = Batch::new();
        batch.put(key(name), entry.encode(), Protection::Plain);
        self.write(batch);
        self.entries.insert(name.to_owned(), entry);
    }

    pub(super) fn forget(&mut self, name: &str) {
        let mut batch = Batch::new();
        batch.delete(key(name));
        self.write(batch);
        self.entries.remove(name);
    }

    /// What to do next, where `named` are the nodes to follow and it is `now`.
    pub(super) fn next(&self, named: &[String], now: u64) -> Step {
        next(&self.entries, named, now)
    }

    fn write(&self, batch: Batch) {
        if let Err(error) = self.store.write(batch) {
            warn!(%error, "failed to keep where another node is; it is asked for again after a restart");
        }
    }
}

fn key(name: &str) -> Bytes {
    let mut key = BytesMut::with_capacity(1 + name.len());
    key.put_u8(PREFIX);
    key.put_slice(name.as_bytes());
    key.freeze()
}

fn next(entries: &BTreeMap<String, Entry>, named: &[String], now: u64) -> Step {
    if let Some(name) = superfluous(entries, named, now) {
        return Step::Forget(name);
    }
    let mut soonest = u64::MAX;
    for name in named {
        let Some(entry) = entries.get(name) else {
            return Step::Read(name.clone());
        };
        if let Some(address) = entry.address {
            let due = due(entry.try_at(), entry.tried, now);
            if due == 0 {
                return Step::Try(name.clone(), address);
            }
            soonest = soonest.min(due);
        }
        let due = due(entry.read.saturating_add(FRESH), entry.read, now);
        if due == 0 {
            return Step::Read(name.clone());
        }
        soonest = soonest.min(due);
    }
    Step::Wait(Duration::from_secs(soonest.min(HOUR)))
}

/// Seconds until `at`, which was set at `since`. A clock that was set back makes it due: how old it is is not known.
fn due(at: u64, since: u64, now: u64) -> u64 {
    if since > now { 0 } else { at.saturating_sub(now) }
}

/// A node that no endpoint has named for long, or that was not named for the longest time where there are too many.
fn superfluous(entries: &BTreeMap<String, Entry>, named: &[String], now: u64) -> Option<String> {
    let named: BTreeSet<&str> = named.iter().map(String::as_str).collect();
    let unnamed = entries.iter().filter(|(name, _)| !named.contains(name.as_str()));
    let (name, oldest) = unnamed.min_by_key(|(_, entry)| entry.read)?;
    let old = oldest.read.saturating_add(WEEK) <= now;
    (old || entries.len() > KEPT).then(|| name.clone())
}

#[cfg(test)]
mod tests {
    use yurthub_store::{MemoryEngine, Options};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn address() -> SocketAddr {
        "10.0.0.1:10250".parse().unwrap()
    }

    fn entry(read: u64, tried: u64, answered: u64) -> Entry {
        Entry {
            address: Some(address()),
            read,
            tried,
            answered,
        }
    }

    #[test]
    fn a_node_is_read_once_a_day_and_tried_when_it_was_read() {
        let read = || Step::Read("a".into());
        let tried = || Step::Try("a".into(), address());
        let wait = |seconds| Step::Wait(Duration::from_secs(seconds));
        let nowhere = Entry {
            address: None,
            ..entry(NOW - 10, 0, 0)
        };
        for (known, expected) in [
            (None, read()),
            (Some(entry(NOW, 0, 0)), tried()),
            (Some(entry(NOW, 0, NOW - FRESH)), tried()),
            (Some(entry(NOW, NOW, NOW)), wait(HOUR)),
            (
                Some(entry(NOW - FRESH + 7, NOW - FRESH + 7, NOW - FRESH + 7)),
                wait(7),
            ),
            (Some(entry(NOW - FRESH, NOW - FRESH, NOW - FRESH)), read()),
            // It does not answer: once an hour.
            (Some(entry(NOW - 10, NOW - 10, 0)), wait(HOUR - 10)),
            (Some(entry(NOW - 10, NOW - 10, NOW - FRESH)), wait(HOUR - 10)),
            (Some(entry(NOW - HOUR, NOW - HOUR, 0)), tried()),
            (Some(nowhere), wait(HOUR)),
            // The clock has gone back.
            (Some(entry(NOW + HOUR, NOW + HOUR, NOW + HOUR)), tried()),
        ] {
            let entries: BTreeMap<_, _> = known.map(|known| ("a".to_owned(), known)).into_iter().collect();
            assert_eq!(next(&entries, &["a".to_owned()], NOW), expected, "{known:?}");
        }
        assert_eq!(next(&BTreeMap::new(), &[], NOW), wait(HOUR));
    }

    #[test]
    fn times_ahead_of_the_clock_are_made_anew_and_no_step_repeats_itself() {
        let mut entries = BTreeMap::from([("a".to_owned(), entry(NOW + HOUR, NOW + HOUR, NOW + HOUR))]);
        let mut steps = Vec::new();
        loop {
            let step = next(&entries, &["a".to_owned()], NOW);
            let before = entries.get("a").copied();
            match step {
                Step::Read(_) => {
                    entries.insert("a".into(), Entry::read_at(Some(address()), NOW, before));
                    steps.push("read");
                }
                Step::Try(..) => {
                    entries.insert("a".into(), before.unwrap().tried_at(NOW, true));
                    steps.push("try");
                }
                Step::Forget(_) => panic!("it is named"),
                Step::Wait(_) => break,
            }
            assert!(steps.len() < 5, "{steps:?}");
        }
        assert_eq!(steps, ["try", "read", "try"]);
    }

    #[test]
    fn silence_says_something_only_of_a_kubelet_that_answered_lately() {
        for (known, expected) in [
            (entry(NOW, 0, 0), false),
            (entry(NOW, NOW, 0), false),
            (entry(NOW, NOW, NOW), true),
            (entry(NOW, 0, NOW - 100 * WEEK), true), // read again, and not tried yet
            (entry(NOW, NOW, NOW - WEEK + 1), true),
            (entry(NOW, NOW, NOW - WEEK), false),
            (entry(NOW, NOW, NOW).tried_at(NOW + WEEK, false), false),
            (entry(NOW, NOW, 0).answered_at(NOW + HOUR), true),
            (Entry::read_at(Some(address()), NOW, Some(entry(1, 1, 1))), true),
            (Entry::read_at(None, NOW, Some(entry(NOW, NOW, NOW))), false),
        ] {
            assert_eq!(known.answers(), expected, "{known:?}");
        }
    }

    #[test]
    fn nodes_that_nobody_names_are_forgotten_after_a_week_or_when_there_are_too_many() {
        let old = BTreeMap::from([("a".to_owned(), entry(NOW - WEEK, NOW, NOW))]);
        assert_eq!(next(&old, &[], NOW), Step::Forget("a".into()));
        assert_ne!(
            next(&old, &["a".to_owned()], NOW),
            Step::Forget("a".into()),
            "named"
        );
        assert_eq!(next(&old, &[], NOW - 1), Step::Wait(Duration::from_secs(HOUR)));
        let one = |number: usize| (format!("{number:05}"), entry(NOW - number as u64, NOW, NOW));
        let mut many: BTreeMap<_, _> = (0..=KEPT).map(one).collect();
        let oldest = format!("{KEPT:05}");
        assert_eq!(next(&many, &[], NOW), Step::Forget(oldest.clone()));
        many.remove(&oldest);
        assert_eq!(next(&many, &[], NOW), Step::Wait(Duration::from_secs(HOUR)));
    }

    #[test]
    fn entries_are_found_again() {
        let store = Store::over(Box::new(MemoryEngine::default()), Options::default()).unwrap();
        let mut book = Book::open(store.clone()).unwrap();
        let nowhere = Entry {
            address: None,
            ..entry(NOW, 0, 0)
        };
        let known = [("a", entry(1, 2, 3)), ("b", nowhere), ("gone", nowhere)];
        for (name, entry) in known {
            book.keep(name, entry);
        }
        book.forget("gone");
        let found = Book::open(store).unwrap();
        for (name, entry) in &known[..2] {
            assert_eq!(found.get(name), Some(*entry));
        }
        assert_eq!(found.get("gone"), None);
        for damaged in ["", "1 2 3", "1 2 x -", "1 2 3 nowhere"] {
            assert_eq!(Entry::decode(damaged.as_bytes()), None, "{damaged}");
        }
    }
}
