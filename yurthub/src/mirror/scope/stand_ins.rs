//! Pods of a scope that stand in for mirror pods while the cloud is away ([`crate::offline::mirror_pods`]).
//!
//! They lie over everything else of their name, in memory only. They end before the scope takes in anything more from
//! the cloud, so that no local reader ever knows a version of the cloud that came after a stand-in and not its end: what
//! a reader of a stand-in knows is a version of this node's own, from which no watch goes on after a restart.

use std::collections::BTreeMap;

use bytes::Bytes;
use tracing::{info, warn};
use yurthub_object::watch::EventType;

use super::{Inner, Scope, Wire};
use crate::offline::mirror_pods::Load;
use crate::offline::overlay::Overlay;

/// What lies over a name.
#[derive(Debug, Clone)]
pub(super) enum StandIn {
    /// Nothing has it: the kubelet has deleted the mirror pod.
    Gone,
    /// The kubelet has made a mirror pod.
    There(Box<Made>),
}

/// A mirror pod that stands in.
#[derive(Debug, Clone)]
pub(super) struct Made {
    /// The pod as it is shown.
    shown: Overlay,
    /// The cloud's pod of that name whose endpoints are this one's now.
    heir_of: Option<String>,
}

/// A stand-in whose endpoints are told of another pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heir {
    /// Key of both in the scope.
    pub key: Box<str>,
    /// UID of the stand-in.
    pub uid: String,
    /// UID of the cloud's pod.
    pub of: String,
}

impl StandIn {
    fn bytes(&self) -> usize {
        match self {
            Self::Gone => 0,
            Self::There(made) => made.shown.item.len(),
        }
    }
}

impl Scope {
    /// How many stand-ins of other names there are, and their bytes.
    pub fn stand_ins_beside(&self, key: &str) -> Load {
        let inner = self.lock();
        let others = inner.stand_ins.iter().filter(|(other, _)| &***other != key);
        others.fold(Load::default(), |sum, (_, stand_in)| Load {
            count: sum.count + 1,
            bytes: sum.bytes + stand_in.bytes(),
        })
    }

    /// Whether a stand-in has this name.
    pub fn has_stand_in(&self, key: &str) -> bool {
        matches!(self.lock().stand_ins.get(key), Some(StandIn::There(_)))
    }

    /// Whether this node's kubelet has deleted the pod of this name here, and made no other.
    pub fn is_deleted_here(&self, key: &str) -> bool {
        matches!(self.lock().stand_ins.get(key), Some(StandIn::Gone))
    }

    /// Stand-ins whose endpoints are told of others.
    pub fn heirs(&self) -> Vec<Heir> {
        let inner = self.lock();
        let made = inner
            .stand_ins
            .iter()
            .filter_map(|(key, stand_in)| match stand_in {
                StandIn::There(made) => Some((key, made)),
                StandIn::Gone => None,
            });
        made.filter_map(|(key, made)| {
            Some(Heir {
                key: key.clone(),
                uid: made.shown.uid.clone(),
                of: made.heir_of.clone()?,
            })
        })
        .collect()
    }

    /// Hides the object `key`, where the one that is shown has this UID.
    pub fn delete_here(&self, key: &str, uid: &str, shown: &Bytes) -> bool {
        let wakers = {
            let mut inner = self.lock();
            let Some(wire) = inner.wire.clone() else {
                return false;
            };
            if !inner.is_shown(key) {
                return false;
            }
            let Ok(last) = Overlay::new(wire.encoding, shown) else {
                return false;
            };
            // Whoever decided saw it before; it may be another one by now.
            if last.uid != uid || inner.shown_uid(self, key, &wire).as_deref() != Some(uid) {
                return false;
            }
            inner.tell(self, &wire, EventType::Deleted, &last);
            if inner.index.contains_key(key) {
                inner.stand_ins.insert(key.into(), StandIn::Gone);
            } else {
                inner.stand_ins.remove(key);
            }
            std::mem::take(&mut inner.wakers)
        };
        self.announce(wakers);
        true
    }

    /// Shows `item` under a name that nothing has; returns it with its version. `heir_of`: the cloud's pod whose
    /// endpoints are its now.
    pub fn create_here(&self, key: &str, item: &Bytes, heir_of: Option<String>) -> Option<Bytes> {
        let (wakers, item) = {
            let mut inner = self.lock();
            let wire = inner.wire.clone()?;
            if inner.is_shown(key) {
                return None;
            }
            let shown = Overlay::new(wire.encoding, item).ok()?;
            inner.tell(self, &wire, EventType::Added, &shown);
            let item = shown.item.clone();
            let made = Made { shown, heir_of };
            inner.stand_ins.insert(key.into(), StandIn::There(Box::new(made)));
            (std::mem::take(&mut inner.wakers), item)
        };
        self.announce(wakers);
        Some(item)
    }

    /// Shows a stand-in with another content; `false` where another one has its name by now.
    pub fn change_here(&self, key: &str, now: &Overlay) -> bool {
        let wakers = {
            let mut inner = self.lock();
            let Some(wire) = inner.wire.clone() else {
                return false;
            };
            match inner.stand_ins.get_mut(key) {
                Some(StandIn::There(made)) if made.shown.uid == now.uid => made.shown = now.clone(),
                _ => return false,
            }
            inner.tell(self, &wire, EventType::Modified, now);
            std::mem::take(&mut inner.wakers)
        };
        self.announce(wakers);
        true
    }

    /// Ends all stand-ins: watchers see what the cloud had last. Before anything else of the cloud is told.
    pub(in crate::mirror) fn end_stand_ins(&self) {
        let wakers = {
            let mut inner = self.lock();
            if inner.stand_ins.is_empty() {
                return;
            }
            inner.end_stand_ins(self);
            std::mem::take(&mut inner.wakers)
        };
        self.announce(wakers);
    }
}

impl Inner {
    /// Whether local readers see an object of this name.
    pub(super) fn is_shown(&self, key: &str) -> bool {
        match self.stand_ins.get(key) {
            Some(StandIn::Gone) => false,
            Some(StandIn::There(_)) => true,
            None => self.index.contains_key(key),
        }
    }

    /// What is shown of this name that is not as the cloud has it.
    pub(super) fn over(&self, key: &str) -> Option<&Overlay> {
        match self.stand_ins.get(key) {
            Some(StandIn::Gone) => None,
            Some(StandIn::There(made)) => Some(&made.shown),
            None => self.overlay.get(key),
        }
    }

    /// Keys, versions and lengths of all that is shown, in order.
    pub(super) fn all_shown(&self) -> Vec<(Box<str>, u64, u32)> {
        let indexed = self.index.iter().map(|(key, entry)| {
            let over = self.overlay.get(key);
            let version = over.map_or(entry.version, |over| over.version);
            (key.clone(), version, self.shown_length(key, *entry))
        });
        if self.stand_ins.is_empty() {
            return indexed.collect();
        }
        let hidden = |key: &str| self.stand_ins.contains_key(key);
        let mut all: Vec<_> = indexed.filter(|(key, ..)| !hidden(key)).collect();
        for (key, stand_in) in &self.stand_ins {
            if let StandIn::There(made) = stand_in {
                all.push((key.clone(), made.shown.version, made.shown.item.len() as u32));
            }
        }
        all.sort_unstable();
        all
    }

    /// Objects that are not as the cloud has them, as they are shown.
    pub(super) fn all_over(&self) -> BTreeMap<Box<str>, Bytes> {
        let over = self.overlay.iter();
        let mut all: BTreeMap<_, _> = over
            .map(|(key, overlay)| (key.clone(), overlay.item.clone()))
            .collect();
        for (key, stand_in) in &self.stand_ins {
            match stand_in {
                StandIn::Gone => drop(all.remove(key)),
                StandIn::There(made) => drop(all.insert(key.clone(), made.shown.item.clone())),
            }
        }
        all
    }

    fn shown_uid(&self, scope: &Scope, key: &str, wire: &Wire) -> Option<String> {
        if let Some(StandIn::There(made)) = self.stand_ins.get(key) {
            return Some(made.shown.uid.clone());
        }
        if let Some(over) = self.overlay.get(key) {
            return Some(over.uid.clone());
        }
        let item = scope.stored(key).ok()??;
        Some(yurthub_object::meta::read(wire.encoding, &item).ok()?.uid)
    }

    pub(super) fn end_stand_ins(&mut self, scope: &Scope) {
        if self.stand_ins.is_empty() {
            return;
        }
        let Some(wire) = self.wire.clone() else { return };
        for (key, stand_in) in std::mem::take(&mut self.stand_ins) {
            if let StandIn::There(made) = &stand_in
                && let Ok(last) = Overlay::new(wire.encoding, &made.shown.item)
            {
                self.tell(scope, &wire, EventType::Deleted, &last);
            }
            if !self.index.contains_key(&key) {
                continue;
            }
            let over = self.overlay.get(&key).map(|over| over.item.clone());
            let Some(item) = over.or_else(|| scope.stored(&key).ok().flatten()) else {
                warn!(key, "failed to read a pod back; all are listed again");
                self.complete = false;
                scope.wake_reflector();
                continue;
            };
            if let Ok(again) = Overlay::new(wire.encoding, &item) {
                self.tell(scope, &wire, EventType::Added, &again);
            }
        }
        info!("the cloud is there; its mirror pods are shown again, for the kubelet to replace");
    }
}

#[cfg(test)]
mod tests;
