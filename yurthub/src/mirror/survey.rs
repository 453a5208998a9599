//! What the mirror holds of a resource, gathered from all scopes that a person may look into, whether or not one of them
//! knows everything.
//!
//! For eyes only: a program that took a part for the whole would believe in deletions. Invariant: each object once, at
//! most [`MAX_OBJECTS`] and [`MAX_BYTES`]; what is left out is counted.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use yurthub_object::Encoding;
use yurthub_store::StoreError;

use super::lens::{Lens, LensError};
use super::scope::{Scope, Wire};
use crate::identity::Client;

/// The most objects of one survey.
pub const MAX_OBJECTS: usize = 5_000;
/// The most bytes of one survey, as they are stored.
pub const MAX_BYTES: usize = 8 << 20;

/// What is looked for.
#[derive(Clone, Default)]
pub struct Wanted {
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Only of this name.
    pub name: Option<String>,
    /// Only what it shows.
    pub lens: Option<Lens>,
}

/// An object as it is shown here.
pub struct Sighting {
    /// Where it was found.
    pub scope: Arc<Scope>,
    /// How it is written.
    pub wire: Arc<Wire>,
    /// The object in stored form.
    pub item: Bytes,
    /// Whether its status is what this node's kubelet wrote, and the cloud does not have that yet.
    pub written: bool,
}

/// What was found.
#[derive(Default)]
pub struct Survey {
    /// The objects, by namespace and name.
    pub found: Vec<Sighting>,
    /// How many more there are.
    pub left_out: usize,
}

/// Looks through `scopes`. The kubelet's own come first, and JSON before protobuf. Blocks on the store.
pub fn of(mut scopes: Vec<Arc<Scope>>, wanted: &Wanted) -> Result<Survey, StoreError> {
    scopes.sort_by_key(|scope| {
        let rank = match scope.key.client {
            Client::Node => 0,
            Client::Shared => 1,
            Client::Account { .. } => 2,
        };
        (rank, scope.encoding() != Encoding::Json, scope.id)
    });
    let (mut survey, mut seen, mut bytes) = (Survey::default(), BTreeSet::new(), 0);
    let mut keyed = Vec::new();
    for scope in scopes {
        for key in scope.keys() {
            if !wanted.names(&key) || !seen.insert((scope.key.version.clone(), key.clone())) {
                continue;
            }
            let Ok((wire, item)) = scope.object(&key)? else {
                continue;
            };
            let Ok(Some(item)) = wanted.shown(&wire, &item) else {
                continue;
            };
            bytes += item.len();
            if keyed.len() >= MAX_OBJECTS || bytes > MAX_BYTES {
                survey.left_out += 1;
                continue;
            }
            let written = scope.overlay(&key).is_some_and(|overlay| overlay.is_written());
            let scope = Arc::clone(&scope);
            keyed.push((
                key,
                Sighting {
                    scope,
                    wire,
                    item,
                    written,
                },
            ));
        }
    }
    keyed.sort_by(|one, other| one.0.cmp(&other.0));
    survey.found = keyed.into_iter().map(|(_, sighting)| sighting).collect();
    Ok(survey)
}

impl Wanted {
    fn names(&self, key: &str) -> bool {
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        // A namespace in the path of a cluster-wide kind means the object itself.
        (namespace.is_empty() || is(&self.namespace, namespace)) && is(&self.name, name)
    }

    fn shown(&self, wire: &Wire, item: &Bytes) -> Result<Option<Bytes>, LensError> {
        match &self.lens {
            Some(lens) => lens.object(wire.encoding, item),
            None => Ok(Some(item.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_chosen_by_namespace_and_name() {
        let wanted = |namespace: Option<&str>, name: Option<&str>| Wanted {
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            lens: None,
        };
        for (namespace, name, key, expected) in [
            (None, None, "shop/web", true),
            (Some("shop"), None, "shop/web", true),
            (Some("shop"), None, "shopping/web", false),
            (Some("shop"), Some("web"), "shop/web", true),
            (Some("shop"), Some("db"), "shop/web", false),
            (None, Some("edge1"), "edge1", true),
            (Some("shop"), None, "edge1", true),
        ] {
            assert_eq!(
                wanted(namespace, name).names(key),
                expected,
                "{namespace:?} {name:?} {key}"
            );
        }
    }
}
