//! Finds objects and lists in scopes that were made for something else: which scope can say what, and to whom.

use std::sync::Arc;

use bytes::Bytes;
use yurthub_object::Encoding;
use yurthub_request::{FieldSelector, Format, LabelSelector, Media, ResourcePath, Shape};
use yurthub_store::StoreError;

use super::Mirror;
use super::filter::Filter;
use super::key::{ScopeKey, object_key};
use super::scope::{Missing, Scope, Wire};
use crate::identity::Client;

/// What the mirror says of one object.
#[derive(Debug)]
pub enum Lookup {
    /// Here it is.
    Found {
        /// How it is written.
        wire: Arc<Wire>,
        /// The object in stored form.
        item: Bytes,
    },
    /// It does not exist: a scope that knows everything of its kind does not have it.
    Absent,
    /// The mirror cannot tell.
    Unknown,
}

impl Mirror {
    /// One object, from whichever scope in sight knows it and in an encoding that the client reads.
    pub fn lookup(
        &self,
        sight: Sight<'_>,
        path: &ResourcePath,
        name: &str,
        formats: &[Format],
    ) -> Result<Lookup, StoreError> {
        let namespace = path.namespace.as_deref().unwrap_or_default();
        let key = object_key(
            if path.resource == "namespaces" {
                ""
            } else {
                namespace
            },
            name,
        );
        let (mut absent, mut deleted, mut elsewhere) = (false, false, false);
        let mut second_choice = None;
        for scope in self.of_resource(sight, path) {
            let coverage = coverage(&scope.key, path, name);
            if coverage == Coverage::None {
                continue;
            }
            match scope.object(&key)? {
                Ok((wire, item)) if reads(formats.get(..1).unwrap_or_default(), wire.encoding) => {
                    return Ok(Lookup::Found { wire, item });
                }
                Ok((wire, item)) if reads(formats, wire.encoding) => {
                    second_choice = Some(Lookup::Found { wire, item });
                }
                Ok(_) => elsewhere = true,
                Err(Missing::Unknown) => {}
                Err(Missing::Absent) => {
                    absent |= coverage == Coverage::Whole;
                    deleted |= scope.is_deleted_here(&key);
                }
            }
        }
        // Names are unique: what this node's kubelet has deleted, and made no other of, is nowhere.
        let absent = absent || deleted && !elsewhere;
        Ok(second_choice.unwrap_or(if absent { Lookup::Absent } else { Lookup::Unknown }))
    }

    /// A scope that has everything that `filter` can select, and more: the list can be answered from it.
    pub fn broader(
        &self,
        sight: Sight<'_>,
        path: &ResourcePath,
        filter: &Filter,
        formats: &[Format],
    ) -> Option<Arc<Scope>> {
        self.of_resource(sight, path).into_iter().find(|scope| {
            let key = &scope.key;
            let namespace = key.namespace.is_none() || key.namespace == filter.namespace;
            let labels =
                LabelSelector::parse(&key.labels).is_ok_and(|labels| labels.is_superset_of(&filter.labels));
            let fields =
                FieldSelector::parse(&key.fields).is_ok_and(|fields| fields.is_superset_of(&filter.fields));
            namespace && labels && fields && scope.is_complete() && reads(formats, scope.encoding())
        })
    }

    /// The kubelet's scopes that hold the object.
    pub fn holding(&self, path: &ResourcePath, key: &str) -> Vec<Arc<Scope>> {
        self.of_resource(Sight::of(&Client::Node), path)
            .into_iter()
            .filter(|scope| scope.contains(key))
            .collect()
    }

    /// Scopes of the resource that a client may look into.
    pub fn of_resource(&self, sight: Sight<'_>, path: &ResourcePath) -> Vec<Arc<Scope>> {
        let scopes = self.lock();
        let resource = (path.group.clone(), path.resource.clone());
        let of_version = |scope: &&Arc<Scope>| scope.key.is_of(path) && sight.covers(&scope.key.client);
        scopes
            .by_resource
            .get(&resource)
            .into_iter()
            .flatten()
            .filter(of_version)
            .cloned()
            .collect()
    }
}

/// Whether one of the client's formats is this encoding, plain.
pub fn reads(formats: &[Format], encoding: Encoding) -> bool {
    let media = match encoding {
        Encoding::Json => Media::Json,
        Encoding::Protobuf => Media::Protobuf,
    };
    formats
        .iter()
        .any(|format| format.media == media && format.shape == Shape::Plain)
}

/// Into which scopes a client may look: its own, and those that are shared where it was authorized.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    client: &'a Client,
    shared: bool,
}

impl<'a> Sight<'a> {
    /// Into its own scopes only.
    pub fn of(client: &'a Client) -> Self {
        Self {
            client,
            shared: false,
        }
    }

    /// Into shared scopes, too: the caller has authorized the client.
    pub fn with_shared(client: &'a Client) -> Self {
        Self { client, shared: true }
    }

    fn covers(self, client: &Client) -> bool {
        client == self.client || self.shared && *client == Client::Shared
    }
}

/// What a scope can say about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coverage {
    /// Nothing.
    None,
    /// That it exists, where it has it.
    Part,
    /// Whether it exists.
    Whole,
}

fn coverage(key: &ScopeKey, path: &ResourcePath, name: &str) -> Coverage {
    if key.namespace.is_some() && key.namespace != path.namespace {
        return Coverage::None;
    }
    let named = key.fields.strip_prefix("metadata.name=");
    match (key.fields.as_str(), named) {
        ("", _) if key.labels.is_empty() => Coverage::Whole,
        (_, Some(only)) if only == name && key.labels.is_empty() => Coverage::Whole,
        (_, Some(only)) if only != name && !only.contains(',') => Coverage::None,
        _ => Coverage::Part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_scope_of_everything_or_of_that_name_can_deny_existence() {
        let path = ResourcePath {
            namespace: Some("ns".into()),
            ..ResourcePath::default()
        };
        for (namespace, fields, labels, expected) in [
            (None, "", "", Coverage::Whole),
            (Some("ns"), "", "", Coverage::Whole),
            (Some("other"), "", "", Coverage::None),
            (Some("ns"), "metadata.name=web", "", Coverage::Whole),
            (Some("ns"), "metadata.name=db", "", Coverage::None),
            (None, "spec.nodeName=edge1", "", Coverage::Part),
            (None, "", "app=web", Coverage::Part),
            (None, "metadata.name=web", "app=web", Coverage::Part),
        ] {
            let key = ScopeKey {
                client: Client::Node,
                group: String::new(),
                version: "v1".into(),
                resource: "pods".into(),
                namespace: namespace.map(str::to_owned),
                labels: labels.into(),
                fields: fields.into(),
                protobuf: true,
            };
            assert_eq!(
                coverage(&key, &path, "web"),
                expected,
                "{namespace:?} {fields} {labels}"
            );
        }
    }
}
