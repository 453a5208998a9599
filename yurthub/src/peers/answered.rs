//! Who has ever answered this yurthub, and at which address; kept over restarts. The silence of others says nothing: a
//! firewall may drop what comes from this node.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use tracing::warn;
use yurthub_store::{Batch, Lookup, Protection, Store, StoreError};

const KEY: &[u8] = b"p";

/// See the module. As many as are probed.
pub(super) struct Answered {
    store: Store,
    addresses: BTreeMap<String, SocketAddr>,
}

impl Answered {
    /// Finds what the store holds.
    pub(super) fn open(store: Store) -> Result<Self, StoreError> {
        let addresses = match store.get(KEY)? {
            Lookup::Found(value) => serde_json::from_slice(&value).unwrap_or_default(),
            Lookup::Absent | Lookup::Corrupt => BTreeMap::new(),
        };
        Ok(Self { store, addresses })
    }

    /// Whether the member has answered at this address.
    pub(super) fn has(&self, name: &str, address: SocketAddr) -> bool {
        self.addresses.get(name) == Some(&address)
    }

    /// It has answered there.
    pub(super) fn note(&mut self, name: &str, address: SocketAddr) {
        if !self.has(name, address) {
            self.addresses.insert(name.to_owned(), address);
            self.write();
        }
    }

    /// Forgets all others.
    pub(super) fn keep_only(&mut self, is_probed: impl Fn(&str) -> bool) {
        let before = self.addresses.len();
        self.addresses.retain(|name, _| is_probed(name));
        if self.addresses.len() != before {
            self.write();
        }
    }

    fn write(&self) {
        let mut batch = Batch::new();
        let value = serde_json::to_vec(&self.addresses).unwrap_or_default();
        batch.put(KEY, Bytes::from(value), Protection::Plain);
        if let Err(error) = self.store.write(batch) {
            warn!(%error, "failed to keep which members of the pool have answered; it is found out again after a restart");
        }
    }
}

#[cfg(test)]
mod tests {
    use yurthub_store::{MemoryEngine, Options};

    use super::*;

    #[test]
    fn an_answer_counts_for_the_address_where_it_was_given() {
        let store = Store::over(Box::new(MemoryEngine::default()), Options::default()).unwrap();
        let [one, other] = ["10.0.0.1:1", "10.0.0.2:1"].map(|address| address.parse().unwrap());
        let mut answered = Answered::open(store.clone()).unwrap();
        answered.note("edge1", one);
        answered.note("edge2", one);
        answered.keep_only(|name| name == "edge1");
        let answered = Answered::open(store).unwrap();
        assert!(answered.has("edge1", one));
        assert!(!answered.has("edge1", other) && !answered.has("edge2", one));
    }
}
