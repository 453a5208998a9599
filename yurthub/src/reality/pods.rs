//! The kubelet's pods, read from the mirror as they are shown: with the statuses that the cloud does not have yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::warn;
use yurthub_endpoints::LocalPod;
use yurthub_object::meta;

use super::heirs::Heirs;
use crate::mirror::Mirror;
use crate::mirror::key::ScopeKey;
use crate::mirror::scope::{Missing, Scope, State};
use crate::offline::mirror_pods::MIRROR;

/// A pod of this node.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Version under which it is shown.
    pub(super) version: u64,
    pub(super) uid: String,
    /// Which static pod it mirrors, where it is a mirror pod.
    pub(super) mirrors: Option<String>,
    /// As if it had been reported since the boot.
    pub(super) pod: LocalPod,
}

/// Whether a scope holds the kubelet's pods.
pub(crate) fn is_source(key: &ScopeKey) -> bool {
    super::is_of_node(key)
        && key.resource == "pods"
        && key.namespace.is_none()
        && key.labels.is_empty()
        && key.fields.starts_with("spec.nodeName=")
}

/// Reads the pods of this node, each one when it has changed.
#[derive(Default)]
pub(super) struct Pods {
    found: BTreeMap<Box<str>, Found>,
    heirs: Heirs,
}

impl Pods {
    /// All pods by key, `namespace/name`; `None` while they are not known as a whole. `away`: the cloud is away.
    pub(super) fn read(&mut self, mirror: &Mirror, away: bool) -> Option<&BTreeMap<Box<str>, Found>> {
        let scope = newest(mirror, away)?;
        let mut before = std::mem::take(&mut self.found);
        for (key, version) in scope.shown_versions() {
            let same = before.remove(&key).filter(|found| found.version == version);
            match same.map_or_else(|| read(&scope, &key), Ok) {
                Ok(found) => drop(self.found.insert(key, found)),
                Err(Missing::Absent) => {} // it has gone in this moment
                Err(Missing::Unknown) => return None,
            }
        }
        self.heirs.note(scope.heirs(), &self.found);
        Some(&self.found)
    }

    /// By which pod the endpoints of which UID are to be shown. Of several for one UID the last counts: it takes the
    /// place of the pod that the cloud still has.
    pub(super) fn of_endpoints(&self) -> impl Iterator<Item = (&str, &Found)> {
        let own = self.found.values().map(|found| (found.uid.as_str(), found));
        own.chain(self.heirs.pods(&self.found))
    }
}

/// The scope that knows most of the pods. What nobody follows is older than the endpoints of a cloud that is there.
fn newest(mirror: &Mirror, away: bool) -> Option<Arc<Scope>> {
    let mut scopes = mirror.scopes();
    scopes.retain(|scope| is_source(&scope.key) && scope.is_complete());
    let rank = |scope: &Arc<Scope>| match scope.state() {
        State::Live => Some(2),
        State::Detached | State::Resuming | State::Relisting => Some(1),
        State::Parked if away => Some(0),
        State::Parked | State::Syncing | State::Denied => None,
    };
    let ranked = scopes
        .into_iter()
        .filter_map(|scope| Some((rank(&scope)?, scope)));
    // Of scopes in several encodings only one may have the pods that stand in.
    let newest = ranked.max_by_key(|(rank, scope)| (*rank, scope.heirs().len(), scope.version()));
    newest.map(|(_, scope)| scope)
}

fn read(scope: &Scope, key: &str) -> Result<Found, Missing> {
    let (wire, item) = scope.object(key).unwrap_or(Err(Missing::Unknown))?;
    let read = meta::read(wire.encoding, &item)
        .and_then(|read| Ok((read, LocalPod::read(wire.encoding, &item, true)?)))
        .and_then(|(read, pod)| Ok((read, pod, meta::annotation(wire.encoding, &item, MIRROR)?)));
    let (read, pod, mirrors) = read.map_err(|error| {
        warn!(key, %error, "showing all endpoints as the cloud has them: a pod of this node cannot be read");
        Missing::Unknown
    })?;
    Ok(Found {
        version: read.resource_version,
        uid: read.uid,
        mirrors,
        pod,
    })
}
