//! What the tests of this binary begin with, and questions that several of them ask.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::containers::{self, Containers};
use e2e::{BrokenNode, Cluster, Namespace, Node, Profile, hub, wait_for};
use serde_json::{Value, json};

/// Three times what it takes on a busy machine.
pub(crate) const POD_DEADLINE: Duration = Duration::from_mins(2);

pub(crate) fn cluster() -> Result<Cluster> {
    Cluster::attach_or_up(Profile::Default)
}

/// A node behind yurthub for us alone.
pub(crate) fn alone() -> Result<(Cluster, BrokenNode)> {
    let cluster = cluster()?;
    let node = hub::lock_any(&cluster)?;
    Ok((cluster, node))
}

/// A node behind yurthub, shared with others that only use it.
pub(crate) fn shared() -> Result<(Cluster, Node, File)> {
    let cluster = cluster()?;
    let (node, guard) = hub::share_any(&cluster)?;
    Ok((cluster, node, guard))
}

/// The containers in the cloud's view of `namespace`: those of pods that are Running and Ready.
pub(crate) fn in_the_cloud(cluster: &Cluster, namespace: &Namespace) -> Result<Containers> {
    let pods = cluster.get_json(["--namespace", namespace.name(), "pods"])?;
    Ok(items(&pods).iter().flat_map(ready_containers).collect())
}

/// The containers of pods of `namespace` that are Running and Ready, as the node itself tells, also without the cloud.
pub(crate) fn ready_here(node: &Node, namespace: &Namespace) -> Result<Containers> {
    let text = node.exec_ok(["yurthub", "get", "pods", "-n", namespace.name(), "-o", "json"])?;
    let pods: Value = serde_json::from_str(&text).with_context(|| format!("read pods from `{text}`"))?;
    Ok(items(&pods).iter().flat_map(ready_containers).collect())
}

pub(crate) fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

fn ready_containers(pod: &Value) -> Containers {
    let (metadata, status) = (&pod["metadata"], &pod["status"]);
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let ready = conditions
        .into_iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    if !ready || status["phase"] != "Running" || metadata.get("deletionTimestamp").is_some() {
        return Containers::new();
    }
    let name = |text: &Value| text.as_str().unwrap_or_default().to_owned();
    let of_pod = format!("{}/{}", name(&metadata["namespace"]), name(&metadata["name"]));
    let statuses = status["containerStatuses"].as_array().into_iter().flatten();
    let ids = statuses.filter_map(|status| {
        let id = status["containerID"].as_str()?.strip_prefix("containerd://")?;
        Some((format!("{of_pod}/{}", name(&status["name"])), id.to_owned()))
    });
    ids.collect()
}

/// Waits until the cloud says what is true: the node is Ready, and so are the pods of `namespace`, with the containers
/// that run on the node. Returns those.
pub(crate) fn wait_agreed(
    cluster: &Cluster,
    node: &Node,
    namespace: &Namespace,
    deadline: Duration,
) -> Result<Containers> {
    wait_for("the cloud's view to be right", deadline, || {
        let ready = [
            "-o",
            r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#,
        ];
        let ready = cluster
            .kubectl_cmd(["get", "node", node.name()])
            .args(ready)
            .run_ok()?;
        ensure!(ready == "True", "the node's condition Ready is {ready}");
        let (here, there) = (
            containers::running(node, namespace.name())?,
            in_the_cloud(cluster, namespace)?,
        );
        ensure!(
            here == there,
            "the node runs {here:#?}, the cloud says {there:#?}"
        );
        Ok(Some(here))
    })
}

/// `kubelet`'s own health, as systemd's watchdogs and people ask for it.
pub(crate) fn wait_kubelet_healthy(node: &Node) -> Result<()> {
    wait_for("the kubelet to be healthy", POD_DEADLINE, || {
        let answer = node.exec_ok(["curl", "-sS", "-m", "2", "http://127.0.0.1:10248/healthz"])?;
        ensure!(answer == "ok", "{answer}");
        Ok(Some(()))
    })
}

/// A Deployment of `replicas` pods on `node`, each with one container called `main`.
pub(crate) fn deployment(name: &str, node: &str, replicas: usize) -> Value {
    let mut template = e2e::pod(name).to_json();
    template["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": node});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": template["spec"]},
        },
    })
}

/// The version of each item of a list, by namespace and name.
pub(crate) fn versions(list: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_item = |item: &Value| {
        let metadata = &item["metadata"];
        let key = format!("{}/{}", text(&metadata["namespace"]), text(&metadata["name"]));
        (key, text(&metadata["resourceVersion"]))
    };
    items(list).iter().map(of_item).collect()
}

/// What is left to chance, repeatable by its seed.
pub(crate) struct Chance(fastrand::Rng);

impl Chance {
    /// Prints its seed; the variable `YURT_SEED` sets it.
    pub(crate) fn new(what: &str) -> Self {
        let given = std::env::var("YURT_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| fastrand::u64(..));
        e2e::progress::say(format_args!("{what}: YURT_SEED={seed}"));
        Self(fastrand::Rng::with_seed(seed))
    }

    pub(crate) fn random(&mut self) -> &mut fastrand::Rng {
        &mut self.0
    }

    pub(crate) fn choice<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.0.usize(..from.len())]
    }

    pub(crate) fn number(&mut self, least: usize, below: usize) -> usize {
        self.0.usize(least..below)
    }

    pub(crate) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        least + most.saturating_sub(least).mul_f64(self.0.f64())
    }
}

/// `count` ConfigMaps and as many Secrets, called `conf0`…
pub(crate) fn shared_objects(count: usize) -> String {
    let objects = (0..count).flat_map(|number| {
        let name = format!("conf{number}");
        let (metadata, data) = (json!({"name": name}), json!({"number": "0"}));
        [
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}),
        ]
    });
    let documents: Vec<_> = objects.map(|object| object.to_string()).collect();
    documents.join("\n---\n")
}

/// Lets the containers of a pod take their environment from [`shared_objects`], and mount the first one.
pub(crate) fn use_objects(spec: &mut Value, count: usize) {
    let from = (0..count).flat_map(|number| {
        let name = format!("conf{number}");
        [
            json!({"configMapRef": {"name": name}}),
            json!({"secretRef": {"name": name}}),
        ]
    });
    spec["containers"][0]["envFrom"] = from.collect();
    spec["containers"][0]["volumeMounts"] = json!([{"name": "conf", "mountPath": "/conf"}]);
    spec["volumes"] = json!([{"name": "conf", "configMap": {"name": "conf0"}}]);
}
