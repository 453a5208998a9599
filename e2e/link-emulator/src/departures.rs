//! Packets that are on their way, by the time at which they leave. Pure.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From the node.
    Up,
    /// To the node.
    Down,
}

/// A packet that the kernel keeps for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Packet {
    /// Which way it goes.
    pub direction: Direction,
    /// Its number in the kernel's queue of that direction.
    pub id: u32,
    /// Length of its Ethernet frame.
    pub length: u64,
}

/// Packets on their way. What is due at the same time leaves in the order in which it came.
#[derive(Debug, Default)]
pub struct Departures {
    heap: BinaryHeap<Reverse<(Duration, u64, Packet)>>,
    next: u64,
}

impl Departures {
    /// Adds a packet that leaves at `at`.
    pub fn add(&mut self, at: Duration, packet: Packet) {
        self.heap.push(Reverse((at, self.next, packet)));
        self.next += 1;
    }

    /// When the next one leaves.
    pub fn next_at(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes the next packet that is due at `now`.
    pub fn take_due(&mut self, now: Duration) -> Option<Packet> {
        let Reverse((at, ..)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse((.., packet))| packet)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_leave_when_they_are_due_and_in_the_order_in_which_they_came() {
        let packet = |id| Packet {
            direction: Direction::Up,
            id,
            length: 100,
        };
        let second = Duration::from_secs(1);
        let mut departures = Departures::default();
        for (at, id) in [(2, 1), (1, 9), (1, 3), (3, 4)] {
            departures.add(second * at, packet(id));
        }
        assert_eq!((departures.len(), departures.next_at()), (4, Some(second)));
        let due: Vec<_> = std::iter::from_fn(|| departures.take_due(2 * second))
            .map(|packet| packet.id)
            .collect();
        assert_eq!(due, [9, 3, 1]);
        assert_eq!(departures.take_due(2 * second), None);
    }
}
