//! Objects of a scope as they are on this node, shown in place of the cloud's.

use bytes::Bytes;
use yurthub_object::watch::{self as frames, EventType};
use yurthub_store::StoreError;

use super::{Inner, Scope, Wire};
use crate::identity::Client;
use crate::mirror::ring::Content;
use crate::offline::overlay::{Over, Overlay};

impl Scope {
    /// Keys of all objects that this node's kubelet has written and the cloud does not have yet.
    pub fn written(&self) -> Vec<Box<str>> {
        let inner = self.lock();
        let written = inner.overlay.iter().filter(|(_, overlay)| overlay.is_written());
        written.map(|(key, _)| key.clone()).collect()
    }

    /// Keys and versions of all objects as they are shown.
    pub fn shown_versions(&self) -> Vec<(Box<str>, u64)> {
        let shown = self.lock().all_shown().into_iter();
        shown.map(|(key, version, _)| (key, version)).collect()
    }

    /// Shows `overlay` in place of the cloud's object, as a change of this scope.
    pub fn show_overlay(&self, key: &str, overlay: Overlay) {
        let wakers = {
            let mut inner = self.lock();
            let Some(wire) = inner.wire.clone() else { return };
            if !inner.stand_ins.contains_key(key) {
                inner.tell(self, &wire, EventType::Modified, &overlay);
            }
            inner.overlay.insert(key.into(), overlay);
            std::mem::take(&mut inner.wakers)
        };
        self.announce(wakers);
    }

    /// Puts an overlay in place without telling anybody: at start, before there are clients.
    pub(crate) fn restore_overlay(&self, key: &str, overlay: Overlay) {
        self.lock().overlay.insert(key.into(), overlay);
    }

    /// The overlay of an object.
    pub fn overlay(&self, key: &str) -> Option<Overlay> {
        self.lock().overlay.get(key).cloned()
    }

    /// Notes that the cloud's version `version` will hold the status that the kubelet wrote.
    pub fn overlay_sent(&self, key: &str, version: u64) {
        if let Some(overlay) = self.lock().overlay.get_mut(key)
            && let Over::Status { sent } = &mut overlay.over
        {
            *sent = version;
        }
    }

    /// Tells watchers of an object that has not changed, where what a lens makes of it has.
    pub fn tell_again(&self, key: &str) -> Result<(), StoreError> {
        self.show_stored(key, |_| true)
    }

    /// Shows the cloud's object again.
    pub fn drop_overlay(&self, key: &str) -> Result<(), StoreError> {
        self.show_stored(key, |inner| inner.overlay.remove(key).is_some())
    }

    /// Tells watchers of the cloud's object, where `prepare` finds that they should be; both under one lock.
    fn show_stored(&self, key: &str, prepare: impl FnOnce(&mut Inner) -> bool) -> Result<(), StoreError> {
        let item = self.stored(key)?;
        let wakers = {
            let mut inner = self.lock();
            if !prepare(&mut inner) || inner.stand_ins.contains_key(key) {
                return Ok(());
            }
            let (Some(item), Some(wire)) = (item, inner.wire.clone()) else {
                return Ok(());
            };
            inner.show_clouds(self, &wire, &item);
            std::mem::take(&mut inner.wakers)
        };
        self.announce(wakers);
        Ok(())
    }
}

impl Inner {
    /// What is shown in place of an object that the cloud has changed; `None`: that very object.
    pub(super) fn laid_over(
        &mut self,
        scope: &Scope,
        wire: &Wire,
        key: &str,
        cloud: &Bytes,
    ) -> Option<Overlay> {
        match self.overlay.get(key) {
            Some(written) if written.is_written() => {
                let mut rebased = written.clone();
                rebased.rebase(wire.encoding, &scope.key, cloud)?;
                Some(rebased)
            }
            _ => self.endpoints_as_they_are(scope, wire, key, cloud),
        }
    }

    /// Tells watchers of an object as it is shown now. What selectors look at does not differ from the cloud's.
    pub(super) fn tell(&mut self, scope: &Scope, wire: &Wire, event: EventType, now: &Overlay) {
        let frame = frames::encode(wire.encoding, event, &wire.item_type, &now.item);
        let content = (scope.key.client == Client::Shared).then(|| Content {
            item: now.item.clone(),
            previous: None,
        });
        self.ring.push(now.version, event, frame, content);
    }

    /// Tells watchers of the cloud's object again, under a version of this node's own: the cloud's is older than what
    /// they have seen, and they would not look at it.
    pub(super) fn show_clouds(&mut self, scope: &Scope, wire: &Wire, item: &Bytes) {
        if let Ok(shown) = Overlay::new(wire.encoding, item) {
            self.tell(scope, wire, EventType::Modified, &shown);
        }
    }
}
