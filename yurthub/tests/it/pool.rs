//! What yurt-controller-manager tells the members of a pool, written by the tests in its place.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize as _, Serialize};
use serde_json::{Value, json};
use yurt_common::pool::{KEY, LABEL, Members, Shown, Silence, Silent, config_maps};
use yurt_testkit::objects::{config_map, ensure_namespace};
use yurt_testkit::{Api, wait_for};

use crate::hub::{Hub, SOON};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
/// What the cluster gets for yurthub.
const MANIFESTS: &str = include_str!("../../../manifests/yurt.yaml");
/// Another namespace than the usual one: several tests share a server.
pub(crate) const NAMESPACE_FLAG: &str = "--pool-namespace";

/// A pool and its namespace, of the same name.
pub(crate) struct Pool<'s> {
    name: String,
    admin: &'s Api,
}

impl<'s> Pool<'s> {
    /// Makes the namespace.
    pub(crate) async fn make(name: &str, admin: &'s Api) -> Self {
        ensure_namespace(admin, name).await.unwrap();
        Self {
            name: name.to_owned(),
            admin,
        }
    }

    /// The flag by which a hub finds it.
    pub(crate) fn flag(name: &str) -> String {
        format!("{NAMESPACE_FLAG}={name}")
    }

    /// Puts a node into the pool, with its kubelet as a client of its hub.
    pub(crate) async fn join(&self, hub: &Hub<'_>) {
        let node = format!("/api/v1/nodes/{}", hub.name);
        let label = json!({"metadata": {"labels": {LABEL: self.name}}});
        assert_eq!(self.admin.patch(&node, label).await.unwrap().0, 200);
        let listed = format!(
            "/api/v1/nodes?fieldSelector=metadata.name%3D{}&resourceVersion=0",
            hub.name
        );
        assert_eq!(hub.node().get(&listed).await.unwrap().0, 200);
    }

    /// What `yurtctl convert` gives a node's user, by the packaged role.
    pub(crate) async fn bind(&self, node: &str) {
        let documents = serde_yaml::Deserializer::from_str(MANIFESTS).map(Value::deserialize);
        let mut role = documents
            .map(Result::unwrap)
            .find(|object| {
                object["kind"] == "ClusterRole" && object["metadata"]["name"] == "yurthub-pool-member"
            })
            .unwrap();
        let name = format!("{node}-pool");
        role["metadata"]["name"] = name.clone().into();
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": format!("system:node:{node}") }],
        });
        for (path, object) in [
            (format!("{RBAC}/clusterroles"), role),
            (format!("{RBAC}/namespaces/{}/rolebindings", self.name), binding),
        ] {
            let (status, answer) = self.admin.post(&path, object).await.unwrap();
            assert_eq!(status, 201, "{answer}");
        }
    }

    async fn write(&self, name: &str, content: &str) {
        config_map(name)
            .in_namespace(&self.name)
            .ensure(self.admin)
            .await
            .unwrap();
        let path = format!("/api/v1/namespaces/{}/configmaps/{name}", self.name);
        let patch = json!({"data": {KEY: content}});
        assert_eq!(self.admin.patch(&path, patch).await.unwrap().0, 200);
    }

    async fn write_json(&self, name: &str, content: &impl Serialize) {
        self.write(name, &serde_json::to_string(content).unwrap()).await;
    }

    /// Says who is in the pool.
    pub(crate) async fn members(&self, members: &[(&str, SocketAddr)]) {
        let members = members
            .iter()
            .map(|(name, address)| ((*name).to_owned(), *address));
        let members = Members {
            pool: self.name.clone(),
            members: members.collect(),
        };
        self.write_json(&config_maps(&self.name)[0], &members).await;
    }

    /// Says whom the cloud does not hear of, since when, how their endpoints are shown, and which pods were not ready.
    pub(crate) async fn silence(&self, silent: &[(&str, &str, Shown, &[&str])]) {
        let entry = |(node, since, endpoints, unready): &(&str, &str, Shown, &[&str])| {
            let silent = Silent {
                since: (*since).to_owned(),
                endpoints: *endpoints,
                unready: unready.iter().map(ToString::to_string).collect(),
            };
            ((*node).to_owned(), silent)
        };
        let silence = Silence {
            pool: self.name.clone(),
            silent: silent.iter().map(entry).collect::<BTreeMap<_, _>>(),
        };
        self.write_json(&config_maps(&self.name)[1], &silence).await;
    }

    /// Says what nobody understands.
    pub(crate) async fn garbage(&self) {
        self.write(&config_maps(&self.name)[1], "{\"pool\": 7}").await;
    }
}

/// Waits until the log says something.
pub(crate) async fn says(hub: &Hub<'_>, what: &str) {
    wait_for(&format!("the log to say `{what}`"), SOON, async || {
        hub.process.log_tail(2000).contains(what)
    })
    .await;
}
