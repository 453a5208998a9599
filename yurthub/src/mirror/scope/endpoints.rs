//! Objects of a scope that list endpoints, shown as this node's pods are ([`crate::reality`]).
//!
//! What is shown follows from the cloud's object and what is known now, both under the scope's lock: whoever learns
//! something notes it first and then has the objects compared, so that nothing is shown by what was known before.

use bytes::Bytes;
use tracing::warn;
use yurthub_object::watch::EventType;
use yurthub_store::StoreError;

use super::{Inner, Scope, Wire};
use crate::offline::overlay::Overlay;

/// Which objects to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that a change of this node's pods may concern.
    Near,
    /// All: which ones these are is not known, or it is about other nodes.
    All,
}

impl Scope {
    /// Keys of the objects to compare; none where they list no endpoints.
    pub fn endpoints_to_compare(&self, which: Which) -> Vec<Box<str>> {
        if !self.local.lists_endpoints(&self.key) {
            return vec![];
        }
        let inner = self.lock();
        match which {
            Which::Near => inner.near.iter().cloned().collect(),
            Which::All => inner.index.keys().cloned().collect(),
        }
    }

    /// Compares an object with what is known now, and shows it where it has become different.
    pub fn compare_endpoints(&self, key: &str) {
        if let Err(error) = self.compare_object(key) {
            warn!(scope = self.key.describe(), key, %error, "failed to compare endpoints with what is known here");
        }
    }

    fn compare_object(&self, key: &str) -> Result<(), StoreError> {
        let wakers = {
            let mut inner = self.lock();
            let Some(wire) = inner.wire.clone().filter(|_| inner.index.contains_key(key)) else {
                return Ok(());
            };
            let Some(cloud) = self.stored(key)? else {
                return Ok(()); // it cannot be read; whoever asks for it finds out
            };
            let now = inner.endpoints_as_they_are(self, &wire, key, &cloud);
            match (inner.overlay.get(key), now) {
                (None, None) => return Ok(()),
                (Some(before), Some(now)) if before.shows(wire.encoding, &now.item) => return Ok(()),
                (_, Some(now)) => {
                    inner.tell(self, &wire, EventType::Modified, &now);
                    inner.overlay.insert(key.into(), now);
                }
                (Some(_), None) => {
                    inner.overlay.remove(key);
                    inner.show_clouds(self, &wire, &cloud);
                }
            }
            std::mem::take(&mut inner.wakers)
        };
        self.announce(wakers);
        Ok(())
    }
}

impl Inner {
    /// The cloud's object with endpoints as they are here; `None` where they do not differ, and for other kinds.
    pub(super) fn endpoints_as_they_are(
        &mut self,
        scope: &Scope,
        wire: &Wire,
        key: &str,
        cloud: &Bytes,
    ) -> Option<Overlay> {
        let judged = scope.local.judge(&scope.key, wire.encoding, (key, cloud))?;
        if judged.near {
            self.near.insert(key.into());
        } else {
            self.near.remove(key);
        }
        Overlay::of_endpoints(wire.encoding, &judged.shown?).ok()
    }
}
