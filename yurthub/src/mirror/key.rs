//! What a scope mirrors, as a value that can be compared, stored and asked upstream. Pure.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use yurthub_object::Encoding;
use yurthub_request::{FieldSelector, LabelSelector, ResourcePath};

use crate::identity::Client;

/// Identifies a scope: what a client of this node lists and watches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ScopeKey {
    /// Whose view it is.
    #[serde(default)]
    pub client: Client,
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Resource, in the plural.
    pub resource: String,
    /// Namespace; `None` for cluster-wide lists and cluster-scoped resources.
    pub namespace: Option<String>,
    /// Label selector in canonical form; empty selects everything.
    pub labels: String,
    /// Field selector in canonical form; empty selects everything.
    pub fields: String,
    /// Whether the client prefers protobuf; the cloud may still answer JSON (custom resources have nothing else).
    pub protobuf: bool,
}

/// Order in which scopes are resumed after an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Pods of this node: what runs.
    Pods,
    /// The node's own objects.
    Node,
    /// All else.
    Rest,
}

impl ScopeKey {
    /// The scope of a list or watch.
    pub fn new(
        client: &Client,
        path: &ResourcePath,
        labels: &LabelSelector,
        fields: &FieldSelector,
        preferred: Encoding,
    ) -> Self {
        Self {
            client: client.clone(),
            group: path.group.clone(),
            version: path.version.clone(),
            resource: path.resource.clone(),
            namespace: path.namespace.clone(),
            labels: labels.to_string(),
            fields: fields.to_string(),
            protobuf: preferred == Encoding::Protobuf,
        }
    }

    /// Whether this scope is of the resource that `path` names.
    pub fn is_of(&self, path: &ResourcePath) -> bool {
        self.resource == path.resource && self.group == path.group && self.version == path.version
    }

    /// Group and resource, as field selectors need them.
    pub fn group_resource(&self) -> (&str, &str) {
        (&self.group, &self.resource)
    }

    /// Path and query of this scope's list upstream, with `extra` query parameters.
    pub fn url(&self, extra: &str) -> String {
        let mut url = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        if let Some(namespace) = &self.namespace {
            let _ = write!(url, "/namespaces/{}", Escaped(namespace));
        }
        let _ = write!(url, "/{}?{extra}", Escaped(&self.resource));
        if !self.fields.is_empty() {
            let _ = write!(url, "&fieldSelector={}", Escaped(&self.fields));
        }
        if !self.labels.is_empty() {
            let _ = write!(url, "&labelSelector={}", Escaped(&self.labels));
        }
        url
    }

    /// The Accept header upstream.
    pub fn accept(&self) -> &'static str {
        if self.protobuf {
            "application/vnd.kubernetes.protobuf,application/json"
        } else {
            "application/json"
        }
    }

    /// The Accept header of a list that needs no more than metadata. A server that cannot give that answers as to
    /// [`ScopeKey::accept`].
    pub fn accept_metadata(&self) -> &'static str {
        if self.protobuf {
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,\
             application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,\
             application/vnd.kubernetes.protobuf,application/json"
        } else {
            "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
        }
    }

    /// The scope of one object of this one, by the object's key. Whoever may list this scope may list that one.
    #[must_use]
    pub fn narrowed_to(&self, object: &str) -> Self {
        let (namespace, name) = match object.split_once('/') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
            None => (self.namespace.clone(), object),
        };
        let name = FieldSelector::equals("metadata.name", name).to_string();
        let fields = match FieldSelector::parse(&self.fields) {
            Ok(fields) if fields.is_everything() => name,
            Ok(fields) if fields.exact("metadata.name").is_some() => self.fields.clone(),
            // The other terms stay: the apiserver lets a node list pods by its own `spec.nodeName` only.
            _ => format!("{},{name}", self.fields),
        };
        Self {
            namespace,
            fields,
            ..self.clone()
        }
    }

    /// Whether objects of this scope must be encrypted at rest.
    pub fn is_secret(&self) -> bool {
        self.group.is_empty() && self.resource == "secrets"
    }

    /// Whether this scope holds one object at most in each namespace: listing it again costs next to nothing.
    pub fn is_single(&self) -> bool {
        self.fields
            .split(',')
            .any(|field| field.starts_with("metadata.name="))
    }

    /// Whether lists of this scope give way to those that pods of the node run on.
    pub fn is_bulk(&self) -> bool {
        self.priority() == Priority::Rest && !self.is_single()
    }

    /// When this scope is resumed, beside others.
    pub fn priority(&self) -> Priority {
        match self.group_resource() {
            ("", "pods") => Priority::Pods,
            ("", "nodes") | ("coordination.k8s.io", "leases") => Priority::Node,
            _ => Priority::Rest,
        }
    }

    /// A name for logs: `pods`, `secrets in default [metadata.name=x]`.
    pub fn describe(&self) -> String {
        let mut text = self.resource.clone();
        if !self.group.is_empty() {
            let _ = write!(text, ".{}", self.group);
        }
        if let Some(namespace) = &self.namespace {
            let _ = write!(text, " in {namespace}");
        }
        for selector in [&self.fields, &self.labels] {
            if !selector.is_empty() {
                let _ = write!(text, " [{selector}]");
            }
        }
        if self.client != Client::Node {
            let _ = write!(text, " for {}", self.client);
        }
        text
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
pub struct Escaped<'a>(pub &'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    f.write_char(byte as char)?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

/// Key of an object within a scope: `namespace/name`, or `name`. Sorts as the apiserver sorts its lists.
pub fn object_key(namespace: &str, name: &str) -> Box<str> {
    if namespace.is_empty() {
        name.into()
    } else {
        format!("{namespace}/{name}").into_boxed_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods() -> ScopeKey {
        ScopeKey {
            client: Client::Node,
            group: String::new(),
            version: "v1".into(),
            resource: "pods".into(),
            namespace: None,
            labels: String::new(),
            fields: "spec.nodeName=edge1".into(),
            protobuf: true,
        }
    }

    #[test]
    fn urls_are_escaped() {
        assert_eq!(
            pods().url("limit=500"),
            "/api/v1/pods?limit=500&fieldSelector=spec.nodeName%3Dedge1"
        );
        let leases = ScopeKey {
            group: "coordination.k8s.io".into(),
            resource: "leases".into(),
            namespace: Some("kube-node-lease".into()),
            fields: String::new(),
            labels: "a in (b,c)".into(),
            ..pods()
        };
        assert_eq!(
            leases.url("watch=true"),
            "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases?watch=true&labelSelector=a%20in%20%28b%2Cc%29"
        );
    }

    #[test]
    fn one_object_is_asked_for_within_its_namespace_and_the_scopes_selectors() {
        let url = |scope: &ScopeKey, object: &str| scope.narrowed_to(object).url("");
        assert_eq!(
            url(&pods(), "default/web"),
            "/api/v1/namespaces/default/pods?&fieldSelector=spec.nodeName%3Dedge1%2Cmetadata.name%3Dweb"
        );
        let roles = ScopeKey {
            resource: "clusterroles".into(),
            fields: String::new(),
            ..pods()
        };
        // Names of roles may hold what separates terms.
        assert_eq!(
            url(&roles, "a,b"),
            "/api/v1/clusterroles?&fieldSelector=metadata.name%3Da%5C%2Cb"
        );
        let one = ScopeKey {
            namespace: Some("default".into()),
            fields: "metadata.name=web".into(),
            ..pods()
        };
        assert_eq!(one.narrowed_to("default/web"), one);
    }

    #[test]
    fn own_pods_go_first() {
        assert!(pods().priority() < Priority::Node);
        assert!(Priority::Node < Priority::Rest);
    }
}
