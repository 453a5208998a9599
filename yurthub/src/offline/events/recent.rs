//! Events that the cloud took lately. Their writers count repeats by patches that hold only what changes: with the
//! event at hand such a patch makes a whole event, which can be sent even when the cloud's one has run out.
//!
//! In memory, and bounded: a writer whose event is not here is told 404, as by an apiserver whose event has run out
//! (they last an hour), and then writes it whole.

use std::collections::VecDeque;

use super::Entry;
use crate::identity::Client;

/// Events kept.
const MAX: usize = 128;
/// Longest event that is kept.
const MAX_BYTES: usize = 4 << 10;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// The newest last.
    events: VecDeque<Entry>,
}

impl Recent {
    pub(super) fn keep(&mut self, entry: Entry) {
        let name = (entry.head.namespace.as_str(), entry.head.name.as_str());
        self.events.retain(|held| !is(held, &entry.head.client, name));
        if entry.item.len() > MAX_BYTES {
            return;
        }
        if self.events.len() >= MAX {
            self.events.pop_front();
        }
        self.events.push_back(entry);
    }

    pub(super) fn find(&self, client: &Client, name: (&str, &str)) -> Option<Entry> {
        self.events
            .iter()
            .rev()
            .find(|held| is(held, client, name))
            .cloned()
    }
}

fn is(held: &Entry, client: &Client, (namespace, name): (&str, &str)) -> bool {
    held.head.client == *client && held.head.namespace == namespace && held.head.name == name
}
