//! The pool of this node: which one it is, who is in it, and whom of them the cloud does not hear of.
//!
//! Which pool it is says a label of this node's Node; the rest are two ConfigMaps that yurt-controller-manager writes
//! ([`yurt_common::pool`]). All three come from scopes of the mirror: so they are followed by a list and a watch, come back
//! after an outage at little cost, and are there after a restart without cloud.
//!
//! - `content`: what is in these objects; pure.
//! - [`follow`]: keeps their scopes, and says what right is missing.
//!
//! Deliberately not here: who acts on it ([`crate::reality`] shows endpoints by it, [`crate::peers`] probes members).
//! Invariant: what cannot be read changes nothing; the last that could is kept.

mod content;
pub mod follow;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tracing::warn;
use yurt_common::pool::{Members, Shown, Silence, config_maps};
use yurthub_object::Encoding;
use yurthub_request::FieldSelector;

use crate::identity::Client;
use crate::mirror::Mirror;
use crate::mirror::key::ScopeKey;
use crate::mirror::scope::{Scope, ScopeId, State};
use content::OfPool;
pub use content::OwnNode;

/// What is known of the pool.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// This node's own Node; `None` while nothing is known of it.
    pub own: Option<Arc<OwnNode>>,
    /// Who takes part in probing.
    pub members: Arc<Members>,
    /// Whom the cloud does not hear of.
    pub silence: Arc<Silence>,
}

impl Known {
    /// The pool's name; `None`: this node is in none, or it is not known.
    pub fn pool(&self) -> Option<&str> {
        self.own.as_ref()?.pool.as_deref()
    }

    /// The nodes whose endpoints are kept, each with the UIDs of its pods that are not ready on their own account.
    pub fn kept(&self) -> BTreeMap<String, BTreeSet<String>> {
        let silent = self.silence.silent.iter();
        let kept = silent.filter(|(_, silent)| silent.endpoints == Shown::Kept);
        kept.map(|(node, silent)| (node.clone(), silent.unready.iter().cloned().collect()))
            .collect()
    }

    /// Where this node's kubelet says that the node is.
    pub fn address(&self) -> Option<IpAddr> {
        self.own.as_ref()?.address
    }
}

/// See the module.
pub struct Pool {
    mirror: Arc<Mirror>,
    node: Arc<str>,
    namespace: String,
    read: Mutex<Read>,
}

/// What was read last.
#[derive(Default)]
struct Read {
    own: Last<OwnNode>,
    members: Last<Members>,
    silence: Last<Silence>,
}

/// The last version of an object that was looked at, and the last one that could be read.
struct Last<T> {
    seen: Option<(ScopeId, u64)>,
    good: Option<Arc<T>>,
}

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self {
            seen: None,
            good: None,
        }
    }
}

impl Pool {
    /// That of the node `node`, whose objects are in `namespace`.
    pub fn new(mirror: Arc<Mirror>, node: Arc<str>, namespace: String) -> Self {
        Self {
            mirror,
            node,
            namespace,
            read: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known now. Reads what has changed since the last time.
    pub fn known(&self) -> Known {
        let mut read = self.lock();
        let own = newest(
            &self.mirror,
            &[true, false].map(|protobuf| own_node(&self.node, protobuf)),
        );
        read.own.look(own.as_deref(), &self.node, content::own_node);
        let Some(pool) = read.own.good.as_ref().and_then(|own| own.pool.clone()) else {
            (read.members, read.silence) = Default::default();
            return Known {
                own: read.own.good.clone(),
                ..Known::default()
            };
        };
        let [members, silence] = config_maps(&pool);
        self.look(&mut read.members, &members, &pool);
        self.look(&mut read.silence, &silence, &pool);
        Known {
            own: read.own.good.clone(),
            members: read.members.good.clone().unwrap_or_default(),
            silence: read.silence.good.clone().unwrap_or_default(),
        }
    }

    /// Looks at the ConfigMap `name`. Of another pool nothing is kept.
    fn look<T: OfPool + DeserializeOwned>(&self, last: &mut Last<T>, name: &str, pool: &str) {
        if last.good.as_ref().is_some_and(|good| good.pool() != pool) {
            *last = Last::default();
        }
        let scope = self.mirror.find(&self.config_map(name));
        let key = format!("{}/{name}", self.namespace);
        last.look(scope.as_deref(), &key, |_, item| content::config_map(item, pool));
    }

    fn config_map(&self, name: &str) -> ScopeKey {
        ScopeKey {
            resource: "configmaps".to_owned(),
            namespace: Some(self.namespace.clone()),
            fields: FieldSelector::equals("metadata.name", name).to_string(),
            protobuf: false,
            ..own_node(&self.node, false)
        }
    }
}

impl<T> Last<T> {
    /// Takes in the object `key` of a scope where it has changed; without a scope nothing is said.
    fn look(
        &mut self,
        scope: Option<&Scope>,
        key: &str,
        read: impl FnOnce(Encoding, &Bytes) -> Result<T, content::Unreadable>,
    ) {
        let Some(scope) = scope else { return };
        let versions = scope.shown_versions();
        let Some((_, version)) = versions.iter().find(|(found, _)| **found == *key) else {
            // There is none, or what the cloud denies has been forgotten. What is only not known yet stays as it was.
            if scope.is_complete() || scope.state() == State::Denied {
                *self = Self::default();
            }
            return;
        };
        let seen = Some((scope.id, *version));
        if self.seen == seen {
            return;
        }
        let Ok(Ok((wire, item))) = scope.object(key) else {
            return; // it cannot be read in this moment; the mirror fetches it anew
        };
        self.seen = seen;
        match read(wire.encoding, &item) {
            Ok(content) => self.good = Some(Arc::new(content)),
            Err(error) => warn!(
                object = key,
                error = %crate::telemetry::ErrorChain(&error),
                "what is said of this node's pool cannot be read; the last that could counts"
            ),
        }
    }
}

/// The scope of this node's own Node, as its kubelet asks for it.
fn own_node(node: &str, protobuf: bool) -> ScopeKey {
    ScopeKey {
        client: Client::Node,
        group: String::new(),
        version: "v1".to_owned(),
        resource: "nodes".to_owned(),
        namespace: None,
        labels: String::new(),
        fields: FieldSelector::equals("metadata.name", node).to_string(),
        protobuf,
    }
}

/// Of scopes of the same thing the one that is followed, or knows the latest.
fn newest(mirror: &Mirror, keys: &[ScopeKey; 2]) -> Option<Arc<Scope>> {
    let found = keys.iter().filter_map(|key| mirror.find(key));
    found.max_by_key(|scope| (scope.state() == State::Live, scope.version()))
}

/// Whether what is known of a pool may come from a scope.
pub(crate) fn is_source(key: &ScopeKey) -> bool {
    key.client == Client::Node
        && key.group.is_empty()
        && match key.resource.as_str() {
            "nodes" => key.fields.starts_with("metadata.name="),
            "configmaps" => key.fields.starts_with("metadata.name=yurt-pool-"),
            _ => false,
        }
}
