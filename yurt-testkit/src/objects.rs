//! Kubernetes objects in words: `pod("web").on("edge-1")`, and how they get into a cluster.
//!
//! Builders hold the smallest object that an apiserver accepts; everything else is set where a test cares.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use crate::api::Api;

/// An object under construction. Namespaced kinds start in the namespace `default`.
#[derive(Clone, Debug)]
pub struct Object {
    kind: Kind,
    value: Value,
}

/// What the kit can build, with where it lives in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Namespace,
    Node,
    Pod,
    ConfigMap,
    Secret,
    Service,
    ServiceAccount,
    Lease,
}

impl Kind {
    /// `apiVersion`, `kind`, resource, and whether it is namespaced.
    const fn facts(self) -> (&'static str, &'static str, &'static str, bool) {
        match self {
            Self::Namespace => ("v1", "Namespace", "namespaces", false),
            Self::Node => ("v1", "Node", "nodes", false),
            Self::Pod => ("v1", "Pod", "pods", true),
            Self::ConfigMap => ("v1", "ConfigMap", "configmaps", true),
            Self::Secret => ("v1", "Secret", "secrets", true),
            Self::Service => ("v1", "Service", "services", true),
            Self::ServiceAccount => ("v1", "ServiceAccount", "serviceaccounts", true),
            Self::Lease => ("coordination.k8s.io/v1", "Lease", "leases", true),
        }
    }
}

/// A Namespace. See [`ensure_namespace`] for one in which pods can be created.
pub fn namespace(name: &str) -> Object {
    Object::new(Kind::Namespace, name, json!({}))
}

/// A Node, as a kubelet registers it, without status.
pub fn node(name: &str) -> Object {
    Object::new(Kind::Node, name, json!({})).label("kubernetes.io/hostname", name)
}

/// A pod of one container that no token is mounted into.
pub fn pod(name: &str) -> Object {
    let container = json!({ "name": "main", "image": "pause:3.10" });
    let spec = json!({ "containers": [container], "automountServiceAccountToken": false });
    Object::new(Kind::Pod, name, json!({ "spec": spec }))
}

/// A `ConfigMap` without data.
pub fn config_map(name: &str) -> Object {
    Object::new(Kind::ConfigMap, name, json!({}))
}

/// An Opaque Secret without data.
pub fn secret(name: &str) -> Object {
    Object::new(Kind::Secret, name, json!({ "type": "Opaque" }))
}

/// A `ClusterIP` Service with port 80 and the selector `app=<name>`.
pub fn service(name: &str) -> Object {
    Object::new(
        Kind::Service,
        name,
        json!({ "spec": { "selector": { "app": name }, "ports": [{ "port": 80 }] } }),
    )
}

/// A service account.
pub fn service_account(name: &str) -> Object {
    Object::new(Kind::ServiceAccount, name, json!({}))
}

/// A kubelet's lease in `kube-node-lease`.
pub fn lease(node: &str) -> Object {
    let spec = json!({ "holderIdentity": node, "leaseDurationSeconds": 40 });
    Object::new(Kind::Lease, node, json!({ "spec": spec })).in_namespace("kube-node-lease")
}

impl Object {
    fn new(kind: Kind, name: &str, content: Value) -> Self {
        let (api_version, kind_name, _, namespaced) = kind.facts();
        let mut metadata = json!({ "name": name });
        if namespaced {
            metadata["namespace"] = "default".into();
        }
        let mut value = json!({ "apiVersion": api_version, "kind": kind_name, "metadata": metadata });
        if let (Value::Object(value), Value::Object(content)) = (&mut value, content) {
            value.extend(content);
        }
        Self { kind, value }
    }

    /// Puts it into another namespace.
    #[must_use]
    pub fn in_namespace(self, namespace: &str) -> Self {
        self.with("/metadata/namespace", namespace)
    }

    /// Binds a pod to a node.
    #[must_use]
    pub fn on(self, node: &str) -> Self {
        self.with("/spec/nodeName", node)
    }

    /// Sets a label.
    #[must_use]
    pub fn label(self, name: &str, value: &str) -> Self {
        self.entry(&["metadata", "labels"], name, value.into())
    }

    /// Sets an annotation.
    #[must_use]
    pub fn annotation(self, name: &str, value: &str) -> Self {
        self.entry(&["metadata", "annotations"], name, value.into())
    }

    /// Sets an entry of a `ConfigMap`'s `data`, or of a Secret's `stringData`.
    #[must_use]
    pub fn data(self, name: &str, value: &str) -> Self {
        let field = if self.kind == Kind::Secret {
            "stringData"
        } else {
            "data"
        };
        self.entry(&[field], name, value.into())
    }

    /// Lets a pod mount all of a `ConfigMap`, which is what lets its node read that (node authorizer).
    #[must_use]
    pub fn mounting_config_map(self, name: &str) -> Self {
        self.with_volume(json!({ "name": format!("config-map-{name}"), "configMap": { "name": name } }))
    }

    /// Lets a pod mount all of a Secret.
    #[must_use]
    pub fn mounting_secret(self, name: &str) -> Self {
        self.with_volume(json!({ "name": format!("secret-{name}"), "secret": { "secretName": name } }))
    }

    /// Sets any field, by JSON pointer (RFC 6901); objects on the way are created.
    #[must_use]
    pub fn with(self, pointer: &str, value: impl Into<Value>) -> Self {
        let mut path: Vec<String> = pointer
            .split('/')
            .skip(1)
            .map(|part| part.replace("~1", "/").replace("~0", "~"))
            .collect();
        let Some(last) = path.pop() else { return self };
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        self.entry(&path, &last, value.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// The path of its collection, to POST to.
    pub fn collection(&self) -> String {
        let (api_version, _, resource, _) = self.kind.facts();
        let root = if api_version == "v1" { "/api" } else { "/apis" };
        match self.value["metadata"]["namespace"].as_str() {
            Some(namespace) => format!("{root}/{api_version}/namespaces/{namespace}/{resource}"),
            None => format!("{root}/{api_version}/{resource}"),
        }
    }

    /// Its own path.
    pub fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name())
    }

    /// The object itself.
    pub fn into_value(self) -> Value {
        self.value
    }

    /// Creates it, and gives it as stored.
    pub async fn create(&self, api: &Api) -> Result<Value> {
        let (status, stored) = api.post(&self.collection(), self.value.clone()).await?;
        ensure!(
            status == 201,
            "creating {} was answered with {status}: {stored}",
            self.path()
        );
        Ok(stored)
    }

    /// Creates it unless it is there; what is there is left as it is.
    pub async fn ensure(&self, api: &Api) -> Result<()> {
        let (status, answer) = api.post(&self.collection(), self.value.clone()).await?;
        ensure!(
            matches!(status, 201 | 409),
            "creating {} was answered with {status}: {answer}",
            self.path()
        );
        Ok(())
    }

    fn with_volume(mut self, volume: Value) -> Self {
        let spec = descend(&mut self.value, &["spec"]);
        if let Some(volumes) = spec.entry("volumes").or_insert_with(|| json!([])).as_array_mut() {
            volumes.push(volume);
        }
        self
    }

    fn entry(mut self, path: &[&str], name: &str, value: Value) -> Self {
        descend(&mut self.value, path).insert(name.to_owned(), value);
        self
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        object.value
    }
}

/// A namespace with its default service account, which a controller makes in a whole cluster, and without which the
/// apiserver refuses pods. Both may be there already.
pub async fn ensure_namespace(api: &Api, name: &str) -> Result<()> {
    namespace(name).ensure(api).await?;
    let account = service_account("default").in_namespace(name);
    account
        .ensure(api)
        .await
        .with_context(|| format!("preparing the namespace `{name}`"))
}

/// The object at `path`, where everything on the way that is no object becomes an empty one.
fn descend<'v>(value: &'v mut Value, path: &[&str]) -> &'v mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    let Value::Object(map) = value else {
        unreachable!("made an object above")
    };
    match path {
        [] => map,
        [first, rest @ ..] => descend(map.entry((*first).to_owned()).or_insert(Value::Null), rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_reads_as_it_was_written() {
        let web = pod("web")
            .in_namespace("shop")
            .on("edge-1")
            .label("app", "web")
            .mounting_config_map("conf");
        assert_eq!(web.path(), "/api/v1/namespaces/shop/pods/web");
        let value = web.into_value();
        assert_eq!(value["spec"]["nodeName"], "edge-1");
        assert_eq!(value["metadata"]["labels"]["app"], "web");
        assert_eq!(value["spec"]["volumes"][0]["configMap"]["name"], "conf");
    }

    #[test]
    fn cluster_wide_and_grouped_kinds_have_their_paths() {
        assert_eq!(node("edge-1").path(), "/api/v1/nodes/edge-1");
        let path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/edge-1";
        assert_eq!(lease("edge-1").path(), path);
    }

    #[test]
    fn with_creates_what_is_on_the_way() {
        let value = node("edge-1")
            .with("/metadata/annotations/example.com~1a", "b")
            .into_value();
        assert_eq!(value["metadata"]["annotations"]["example.com/a"], "b");
        assert_eq!(value["metadata"]["name"], "edge-1");
    }
}
