//! Plays what is around the manager: kubelets, the node lifecycle controller, and the yurthubs of a pool.

use http::Method;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use yurt_common::pool::votes::{Seen, Vote, Votes};
use yurt_common::pool::{LABEL, PEER, Silence, VOTES, config_maps};
use yurt_testkit::Api;
use yurt_testkit::api::Raw;
use yurt_testkit::objects::node;

/// A cluster as its administrator sees it.
pub(crate) struct Cluster<'a>(pub(crate) &'a Api);

impl Cluster<'_> {
    /// A Node of a pool, heard, whose yurthub answers peers.
    pub(crate) async fn join(&self, pool: &str, name: &str) {
        let node = node(name).label(LABEL, pool).annotation(PEER, "10.0.0.1:10269");
        node.ensure(self.0).await.unwrap();
        self.set_ready(name, "True", Timestamp::now()).await;
    }

    /// Kubernetes notices that a Node is silent: marks it, taints it, marks its pods. Returns since when.
    pub(crate) async fn fall_silent(&self, name: &str) -> String {
        let since = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
        self.set_ready(name, "Unknown", since).await;
        let taint =
            json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": since}]);
        self.patch(
            &format!("/api/v1/nodes/{name}"),
            json!({"spec": {"taints": taint}}),
        )
        .await;
        for pod in self.pods_of(name).await {
            self.set_pod_ready(pod["metadata"]["name"].as_str().unwrap(), "False")
                .await;
        }
        since.to_string()
    }

    /// It is heard again; its pods are marked still.
    pub(crate) async fn come_back(&self, name: &str) {
        self.set_ready(name, "True", Timestamp::now()).await;
        self.patch(
            &format!("/api/v1/nodes/{name}"),
            json!({"spec": {"taints": null}}),
        )
        .await;
    }

    async fn set_ready(&self, name: &str, status: &str, since: Timestamp) {
        let ready = json!({"type": "Ready", "status": status, "lastTransitionTime": since});
        self.set_status(&format!("/api/v1/nodes/{name}/status"), json!([ready]))
            .await;
    }

    /// `Ready` of a pod whose containers are.
    pub(crate) async fn set_pod_ready(&self, name: &str, status: &str) {
        let ready = json!({"type": "Ready", "status": status});
        self.set_status(&pod_path(name, "/status"), json!([ready])).await;
    }

    /// `ContainersReady` and `Ready` of a pod, as its kubelet sets them.
    pub(crate) async fn set_containers_ready(&self, name: &str, are: bool) {
        let (status, reason) = if are {
            ("True", "")
        } else {
            ("False", "ContainersNotReady")
        };
        let conditions = ["ContainersReady", "Ready"]
            .map(|kind| json!({"type": kind, "status": status, "reason": reason}));
        self.set_status(&pod_path(name, "/status"), json!(conditions))
            .await;
    }

    async fn set_status(&self, path: &str, conditions: Value) {
        let patch = json!({"status": {"conditions": conditions}}).to_string();
        let request = Raw::new(Method::PATCH, path).body("application/strategic-merge-patch+json", patch);
        let reply = self.0.send(request).await.unwrap();
        assert_eq!(reply.status, 200, "{path}: {:?}", reply.body);
    }

    /// A yurthub says what it sees of others in one silence.
    pub(crate) async fn vote(&self, (voter, beat): (&str, u64), of: &str, since: &str, sees: Seen) {
        let vote = Vote {
            since: since.to_owned(),
            sees,
        };
        let votes = Votes {
            beat,
            of: [(of.to_owned(), vote)].into(),
        };
        let text = serde_json::to_string(&votes).unwrap();
        self.annotate(voter, VOTES, &text).await;
    }

    /// Sets an annotation of a Node.
    pub(crate) async fn annotate(&self, node: &str, name: &str, value: &str) {
        let patch = json!({"metadata": {"annotations": {name: value}}});
        self.patch(&format!("/api/v1/nodes/{node}"), patch).await;
    }

    async fn patch(&self, path: &str, patch: Value) {
        let (code, answer) = self.0.patch(path, patch).await.unwrap();
        assert_eq!(code, 200, "{path}: {answer}");
    }

    async fn pods_of(&self, node: &str) -> Vec<Value> {
        let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}");
        let (_, list) = self.0.get(&path).await.unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// A pod.
    pub(crate) async fn pod(&self, name: &str) -> Value {
        let (code, pod) = self.0.get(&pod_path(name, "")).await.unwrap();
        assert_eq!(code, 200, "{pod}");
        pod
    }

    /// Whether a pod was told to end.
    pub(crate) async fn is_evicted(&self, name: &str) -> bool {
        let (code, pod) = self.0.get(&pod_path(name, "")).await.unwrap();
        code == 404 || pod["metadata"].get("deletionTimestamp").is_some()
    }

    /// The silence of a pool, where its ConfigMap is there.
    pub(crate) async fn silence(&self, pool: &str) -> Option<Silence> {
        Some(serde_json::from_str(&self.content(pool, 1).await?).unwrap())
    }

    /// What one of a pool's ConfigMaps says.
    pub(crate) async fn content(&self, pool: &str, which: usize) -> Option<String> {
        let name = &config_maps(pool)[which];
        let path = format!("/api/v1/namespaces/yurt-system/configmaps/{name}");
        let (code, object) = self.0.get(&path).await.unwrap();
        (code == 200).then(|| object["data"]["pool.json"].as_str().unwrap().to_owned())
    }

    /// The reason of the condition `NodeAutonomy` of a Node.
    pub(crate) async fn reason(&self, name: &str) -> Option<String> {
        let (_, node) = self.0.get(&format!("/api/v1/nodes/{name}")).await.unwrap();
        let conditions = node["status"]["conditions"].as_array()?;
        let ours = conditions.iter().find(|one| one["type"] == "NodeAutonomy")?;
        ours["reason"].as_str().map(str::to_owned)
    }

    /// For how many seconds a pod tolerates that its node is silent; `null`: for ever.
    pub(crate) async fn tolerates(&self, name: &str) -> Value {
        let pod = self.pod(name).await;
        let tolerations = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
        let of_silence = |one: &Value| one["key"] == "node.kubernetes.io/unreachable";
        let found = tolerations.into_iter().find(of_silence);
        found.map_or_else(|| json!("nothing"), |found| found["tolerationSeconds"].clone())
    }
}

fn pod_path(name: &str, part: &str) -> String {
    format!("/api/v1/namespaces/default/pods/{name}{part}")
}
