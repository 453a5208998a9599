//! Endpoints as they are on this node: what local readers are shown while the cloud's word is older than the kubelet's.
//!
//! The controllers that write EndpointSlices and Endpoints run in the cloud, and learn of a pod here when it can be
//! told. kube-proxy and the DNS server on this node read these objects from the mirror, where endpoints of this node's
//! pods are shown as its kubelet last reported them. The rules are those of `yurthub-endpoints`; here is who applies them, and when:
//!
//! - [`facts`] holds what is known, as values; pure.
//! - [`Local`] gives it to the scopes, which ask for each object that the cloud changes (`mirror/scope/endpoints.rs`):
//!   what the cloud says of other endpoints is never held back, and what it says of these never shown in between.
//! - [`keeper`] follows the kubelet's pods, and has the objects compared that a change concerns.
//! - `heirs` knows of which pods the cloud tells that others have replaced meanwhile.
//! - `pods` and `services` read from the mirror what the rules need.
//! - [`boot`] knows which pods the kubelet has not reported since the node started.
//! - [`neighbours`] knows which other nodes cannot be reached while the cloud is away.
//! - [`crate::pool`] knows of which nodes of this one's pool the cloud does not hear, and whose endpoints are kept.
//!
//! Deliberately not here: statuses (the journal shows and sends them). Nothing of this is stored but [`boot`]'s record
//! and the addresses of other nodes, and nothing is ever sent.

pub mod boot;
pub mod facts;
mod heirs;
pub mod keeper;
pub mod neighbours;
pub(crate) mod pods;
mod services;

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tracing::warn;
use yurthub_endpoints::Kind;
use yurthub_object::Encoding;

use crate::identity::Client;
use crate::mirror::key::ScopeKey;
use crate::pool;
use facts::{Concerns, Facts, Judged, Listing};
use neighbours::names::Names;

/// What this node knows of endpoints, for all scopes.
pub struct Local {
    /// `None`: endpoints are shown as the cloud has them.
    node: Option<Arc<str>>,
    facts: ArcSwap<Facts>,
    changed: Notify,
    /// Other nodes that endpoints name.
    named: Names,
    /// Those of them that did not answer last.
    unreachable: ArcSwap<BTreeSet<String>>,
    /// Something may have changed that tells of this node's pool.
    pool_news: watch::Sender<()>,
}

impl Local {
    /// Knows nothing yet of the node `node`.
    pub fn new(node: Arc<str>) -> Self {
        Self {
            node: Some(node),
            ..Self::off()
        }
    }

    /// Shows everything as the cloud has it.
    pub fn off() -> Self {
        Self {
            node: None,
            facts: ArcSwap::default(),
            changed: Notify::new(),
            named: Names::default(),
            unreachable: ArcSwap::default(),
            pool_news: watch::Sender::new(()),
        }
    }

    /// Whether objects of the scope list endpoints, and may be shown otherwise than in the cloud.
    pub fn lists_endpoints(&self, key: &ScopeKey) -> bool {
        self.node.is_some() && kind_of(key).is_some()
    }

    /// How an object of a scope is to be shown, by its key and the cloud's content; `None` where it lists no endpoints.
    pub(crate) fn judge(
        &self,
        scope: &ScopeKey,
        encoding: Encoding,
        (key, item): (&str, &Bytes),
    ) -> Option<Judged> {
        let (node, kind) = (self.node.as_deref()?, kind_of(scope)?);
        let listing = Listing {
            kind,
            encoding,
            key,
            item,
        };
        match self.facts.load().judge(node, listing) {
            Ok(judged) => {
                self.named.note(&judged.others);
                Some(judged)
            }
            Err(error) => {
                warn!(scope = scope.describe(), key, %error, "showing endpoints as the cloud has them: they cannot be read");
                Some(Judged::default())
            }
        }
    }

    /// A scope has changed; where something follows from it for endpoints, it is looked at.
    pub(crate) fn scope_changed(&self, key: &ScopeKey) {
        let of_pool = pool::is_source(key);
        if of_pool {
            self.pool_news.send_replace(());
        }
        if self.node.is_some() && (of_pool || pods::is_source(key) || services::is_source(key)) {
            self.changed.notify_one();
        }
    }

    /// Tells when something may have changed that tells of this node's pool ([`crate::pool`]).
    pub fn pool_news(&self) -> watch::Receiver<()> {
        self.pool_news.subscribe()
    }

    /// Something else has become known.
    fn stir(&self) {
        self.changed.notify_one();
    }

    /// Which other nodes cannot be reached, as far as somebody has looked. Counts while the cloud is away.
    fn set_unreachable(&self, nodes: BTreeSet<String>) {
        self.unreachable.store(Arc::new(nodes));
        self.stir();
    }

    /// Replaces what is known. Returns what that concerns.
    fn learn(&self, facts: Facts) -> Concerns {
        let concerns = facts.concerns(&self.facts.load());
        if concerns != Concerns::Nothing {
            self.facts.store(Arc::new(facts));
        }
        concerns
    }
}

/// The kinds whose endpoints are shown as they are here.
fn kind_of(key: &ScopeKey) -> Option<Kind> {
    match (key.group.as_str(), key.version.as_str(), key.resource.as_str()) {
        ("discovery.k8s.io", "v1", "endpointslices") => Some(Kind::EndpointSlice),
        ("", "v1", "endpoints") => Some(Kind::Endpoints),
        _ => None,
    }
}

/// Whether a scope is what the cloud shows this node's kubelet or all of its clients.
fn is_of_node(key: &ScopeKey) -> bool {
    key.version == "v1" && key.group.is_empty() && matches!(key.client, Client::Node | Client::Shared)
}
