//! Which events are in the journal, and which goes first when it is full. Pure.

use std::collections::{BTreeMap, HashMap};

use crate::identity::Client;

/// How much the journal of events may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Events.
    pub entries: usize,
    /// Bytes, as they are kept.
    pub bytes: usize,
}

/// An event without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) client: Client,
    pub(super) bytes: usize,
    /// Counts its changes: what was sent may be old when the cloud has answered.
    pub(super) revision: u64,
    /// Whether a write of it was acknowledged: its writer knows that it is here.
    pub(super) acknowledged: bool,
}

/// Events by the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    entries: BTreeMap<u64, Placed>,
    by_name: HashMap<(String, String), u64>,
    held: HashMap<Client, usize>,
    bytes: usize,
}

impl Shelf {
    /// Puts an event in its place, or in the place of its earlier state.
    pub(super) fn put(&mut self, sequence: u64, placed: Placed) {
        self.remove(sequence);
        self.bytes += placed.bytes;
        *self.held.entry(placed.client.clone()).or_default() += placed.bytes;
        let name = (placed.namespace.clone(), placed.name.clone());
        self.by_name.insert(name, sequence);
        self.entries.insert(sequence, placed);
    }

    /// A write of it is durable, and its writer is told.
    pub(super) fn acknowledge(&mut self, sequence: u64) {
        if let Some(placed) = self.entries.get_mut(&sequence) {
            placed.acknowledged = true;
        }
    }

    pub(super) fn remove(&mut self, sequence: u64) -> Option<Placed> {
        let placed = self.entries.remove(&sequence)?;
        self.bytes -= placed.bytes;
        if let Some(held) = self.held.get_mut(&placed.client) {
            *held -= placed.bytes;
            if *held == 0 {
                self.held.remove(&placed.client);
            }
        }
        self.by_name
            .remove(&(placed.namespace.clone(), placed.name.clone()));
        Some(placed)
    }

    pub(super) fn get(&self, sequence: u64) -> Option<&Placed> {
        self.entries.get(&sequence)
    }

    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<(u64, &Placed)> {
        let sequence = *self.by_name.get(&(namespace.to_owned(), name.to_owned()))?;
        Some((sequence, self.entries.get(&sequence)?))
    }

    /// What must go so that the bounds hold: the oldest event of whoever holds the most, so that one writer that
    /// floods the journal loses its own events and not those of others.
    pub(super) fn surplus(&self, bounds: Bounds) -> Option<u64> {
        if self.entries.len() <= bounds.entries && self.bytes <= bounds.bytes {
            return None;
        }
        let most = self.held.iter().max_by_key(|(_, bytes)| **bytes)?.0;
        let oldest = self.entries.iter().find(|(_, placed)| placed.client == *most)?;
        Some(*oldest.0)
    }

    /// In the order in which they came.
    pub(super) fn sequences(&self) -> Vec<u64> {
        self.entries.keys().copied().collect()
    }

    /// Events and bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(client: &Client, name: &str, bytes: usize) -> Placed {
        Placed {
            namespace: "shop".into(),
            name: name.into(),
            client: client.clone(),
            bytes,
            revision: 0,
            acknowledged: true,
        }
    }

    fn pod() -> Client {
        Client::Account {
            namespace: "shop".into(),
            name: "web".into(),
            uid: "1".into(),
        }
    }

    #[test]
    fn the_oldest_event_of_the_greatest_writer_goes_first() {
        let mut shelf = Shelf::default();
        shelf.put(1, placed(&Client::Node, "old", 10));
        for sequence in 2..5 {
            shelf.put(sequence, placed(&pod(), &format!("flood-{sequence}"), 20));
        }
        for (bounds, expected) in [
            ((4, 70), None),
            ((3, 70), Some(2)),
            ((4, 69), Some(2)),
            ((0, 0), Some(2)),
        ] {
            let (entries, bytes) = bounds;
            assert_eq!(shelf.surplus(Bounds { entries, bytes }), expected, "{bounds:?}");
        }
        for sequence in 2..5 {
            shelf.remove(sequence);
        }
        assert_eq!(shelf.surplus(Bounds { entries: 0, bytes: 0 }), Some(1));
    }

    #[test]
    fn a_new_state_takes_the_place_of_the_old_one() {
        let mut shelf = Shelf::default();
        shelf.put(1, placed(&Client::Node, "a", 10));
        shelf.put(1, placed(&Client::Node, "a", 30));
        assert_eq!(shelf.size(), (1, 30));
        assert_eq!(shelf.find("shop", "a").map(|(sequence, _)| sequence), Some(1));
        shelf.remove(1);
        assert_eq!(shelf.size(), (0, 0));
        assert_eq!(shelf.find("shop", "a"), None);
        assert!(shelf.held.is_empty());
    }
}
