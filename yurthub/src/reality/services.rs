//! Which Services publish pods before they are ready, read from the mirror.

use std::collections::{BTreeMap, BTreeSet};

use tracing::debug;
use yurthub_endpoints::publishes_not_ready;

use crate::mirror::Mirror;
use crate::mirror::key::ScopeKey;
use crate::mirror::scope::{Scope, ScopeId};

/// Whether a scope holds services as every client of the node may see them.
pub(super) fn is_source(key: &ScopeKey) -> bool {
    super::is_of_node(key) && key.resource == "services"
}

/// Reads the Services, each one when it has changed.
#[derive(Default)]
pub(super) struct Services {
    scopes: BTreeMap<ScopeId, BTreeMap<Box<str>, Read>>,
}

#[derive(Clone, Copy)]
struct Read {
    version: u64,
    publishes: bool,
}

impl Services {
    /// Those that publish, by `namespace/name`.
    pub(super) fn publishing(&mut self, mirror: &Mirror) -> BTreeSet<String> {
        let mut before = std::mem::take(&mut self.scopes);
        for scope in mirror.scopes() {
            if is_source(&scope.key) {
                let read = follow(&scope, before.remove(&scope.id).unwrap_or_default());
                self.scopes.insert(scope.id, read);
            }
        }
        let all = self.scopes.values().flatten();
        all.filter(|(_, read)| read.publishes)
            .map(|(key, _)| key.to_string())
            .collect()
    }
}

fn follow(scope: &Scope, mut before: BTreeMap<Box<str>, Read>) -> BTreeMap<Box<str>, Read> {
    let mut now = BTreeMap::new();
    for (key, version) in scope.shown_versions() {
        let same = before.remove(&key).filter(|read| read.version == version);
        let read = same.unwrap_or_else(|| Read {
            version,
            publishes: publishes(scope, &key),
        });
        now.insert(key, read);
    }
    now
}

/// What cannot be read does not publish.
fn publishes(scope: &Scope, key: &str) -> bool {
    let Ok(Ok((wire, item))) = scope.object(key) else {
        return false;
    };
    publishes_not_ready(wire.encoding, &item).unwrap_or_else(|error| {
        debug!(key, %error, "a Service cannot be read");
        false
    })
}
