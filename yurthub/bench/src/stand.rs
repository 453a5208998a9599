//! What all measurements share: the binary, one apiserver, and the objects in it.
//!
//! Everything is made when it is first needed. Invariant: objects that a measurement changes are its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use yurt_testkit::objects::{Object, config_map, ensure_namespace, node, pod, service};
use yurt_testkit::{Api, ApiServer};

use crate::client::Door;

/// The node that yurthub is on.
pub(crate) const NODE: &str = "bench-1";
/// Where the node's pods, the services and the `ConfigMap`s are.
pub(crate) const NAMESPACE: &str = "bench";
pub(crate) const SERVICES: usize = 1000;
pub(crate) const CONFIG_MAPS: usize = 500;
pub(crate) const PODS: usize = 500;

/// Objects that are made at the same time.
const PARALLEL: usize = 16;
/// Bytes of data in each `ConfigMap`.
const DATA: usize = 1000;

/// See the module's header.
pub(crate) struct Stand {
    binary: PathBuf,
    quick: bool,
    /// How long the link is cut.
    pub(crate) outage: Duration,
    server: OnceCell<ApiServer>,
    objects: OnceCell<()>,
}

impl Stand {
    pub(crate) fn new(binary: PathBuf, quick: bool, outage: Duration) -> Self {
        Self {
            binary,
            quick,
            outage,
            server: OnceCell::new(),
            objects: OnceCell::new(),
        }
    }

    /// `full`, or the smaller number of a quick run.
    pub(crate) fn rounds(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// The apiserver, with the node registered.
    pub(crate) async fn server(&self) -> Result<&ApiServer> {
        let start = async || {
            let server = ApiServer::start().await.context("start an apiserver")?;
            let admin = server.admin();
            ensure_namespace(admin, NAMESPACE).await?;
            ensure_namespace(admin, "kube-node-lease").await?;
            node(NODE).create(admin).await?;
            Ok::<_, anyhow::Error>(server)
        };
        self.server.get_or_try_init(start).await
    }

    /// The apiserver with 1,000 services, 500 `ConfigMap`s that the node may list, and 500 pods on the node.
    pub(crate) async fn filled_server(&self) -> Result<&ApiServer> {
        let server = self.server().await?;
        self.objects
            .get_or_try_init(async || fill(server.admin()).await)
            .await?;
        Ok(server)
    }

    /// The way to the apiserver as administrator.
    pub(crate) async fn admin(&self) -> Result<Door> {
        let server = self.server().await?;
        Door::new(
            server.address(),
            &server.authority().pem(),
            server.admin_identity(),
        )
    }

    /// The yurthub that is measured.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }
}

/// The name of object `number` of a kind.
pub(crate) fn name(kind: &str, number: usize) -> String {
    format!("{kind}-{number:04}")
}

async fn fill(admin: &Api) -> Result<()> {
    let services = (0..SERVICES).map(|number| service(&name("service", number)).label("tier", "backend"));
    let data = "x".repeat(DATA);
    let config_maps = (0..CONFIG_MAPS).map(|number| config_map(&name("config", number)).data("data", &data));
    let pods = (0..PODS).map(|number| worker(&name("pod", number)));
    let objects = services.chain(config_maps).chain(pods);
    create_all(admin, objects.map(|object| object.in_namespace(NAMESPACE))).await?;
    // A kubelet watches each ConfigMap by itself; to fill a scope with many, the node must be allowed to list them.
    let rules = json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"] }]);
    let user = format!("system:node:{NODE}");
    let subject = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user });
    allow(admin, "bench-config-maps", rules, subject).await
}

/// Lets `subject` do what `rules` say, everywhere; role and binding are called `name`.
pub(crate) async fn allow(admin: &Api, name: &str, rules: Value, subject: Value) -> Result<()> {
    let group = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({ "metadata": { "name": name }, "rules": rules });
    post(admin, &format!("{group}/clusterroles"), role).await?;
    let binding = json!({
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
        "subjects": [subject],
    });
    post(admin, &format!("{group}/clusterrolebindings"), binding).await
}

/// A pod of the node as workloads have them: labels, environment, an annotation.
pub(crate) fn worker(name: &str) -> Object {
    let setting = |number| json!({ "name": format!("SETTING_{number}"), "value": format!("value of setting {number}") });
    let env: Vec<Value> = (0..8).map(setting).collect();
    let container = json!({ "name": "main", "image": "testbed.local/pause:3.10", "env": env });
    pod(name)
        .in_namespace(NAMESPACE)
        .on(NODE)
        .label("app.kubernetes.io/name", name)
        .label("app.kubernetes.io/part-of", "bench")
        .annotation("bench/checksum", &"0123456789abcdef".repeat(4))
        .with("/spec/containers", json!([container]))
}

/// Creates objects, several at a time.
pub(crate) async fn create_all(admin: &Api, objects: impl Iterator<Item = Object>) -> Result<()> {
    stream::iter(objects)
        .map(|object| async move { object.ensure(admin).await })
        .buffer_unordered(PARALLEL)
        .try_collect::<()>()
        .await
}

async fn post(admin: &Api, path: &str, body: Value) -> Result<()> {
    let (status, answer) = admin.post(path, body).await?;
    ensure!(
        status == 201,
        "creating {path} was answered with {status}: {answer}"
    );
    Ok(())
}
