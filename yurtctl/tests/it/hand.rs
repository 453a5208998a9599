//! The hand of a test in the place of controllers and kubelets: makes the pod of each Job, lets it say what the test wants,
//! and lets deleted namespaces go.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use yurt_testkit::Api;
use yurtctl_node::message::Message;

use crate::site::Site;

const PAUSE: Duration = Duration::from_millis(50);

/// Works until it is dropped.
pub(crate) struct Hand {
    seen: Arc<Mutex<Vec<String>>>,
    work: JoinHandle<()>,
}

/// What a pod does.
pub(crate) enum Answer {
    Says(Message),
    /// Its kubelet does not take it up.
    Nothing,
}

impl Hand {
    /// `answer`: what the pod of a Job does, by the Job's task (`facts`, `convert`, `revert`) and node.
    pub(crate) fn start(site: &Site, mut answer: impl FnMut(&str, &str) -> Answer + Send + 'static) -> Self {
        let (admin, namespace) = (site.admin(), site.namespace.clone());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let work = tokio::spawn(async move {
            let mut known = Vec::new();
            loop {
                let (_, jobs) = admin
                    .get(&format!("/apis/batch/v1/namespaces/{namespace}/jobs"))
                    .await
                    .unwrap();
                for job in jobs["items"].as_array().into_iter().flatten() {
                    let uid = job["metadata"]["uid"].as_str().unwrap().to_owned();
                    if known.contains(&uid) {
                        continue;
                    }
                    let name = job["metadata"]["name"].as_str().unwrap();
                    let task = name.split('-').nth(1).unwrap().to_owned();
                    let node = job["spec"]["template"]["spec"]["nodeName"].as_str().unwrap();
                    noted.lock().unwrap().push(format!("{task} {node}"));
                    run(admin, &namespace, job, answer(&task, node)).await;
                    known.push(uid);
                }
                bury(admin, &namespace).await;
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { seen, work }
    }

    /// The Jobs so far: task and node.
    pub(crate) fn jobs(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn run(admin: &Api, namespace: &str, job: &Value, answer: Answer) {
    let uid = job["metadata"]["uid"].as_str().unwrap();
    let name = format!("pod-{uid}");
    let spec = &job["spec"]["template"]["spec"];
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {
            "batch.kubernetes.io/controller-uid": uid, "app.kubernetes.io/managed-by": "yurtctl",
        }},
        "spec": spec,
    });
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let (code, made) = admin.post(&pods, pod).await.unwrap();
    assert_eq!(code, 201, "{made}");
    let Answer::Says(message) = answer else {
        return;
    };
    let ended = json!({"terminated": {"exitCode": 0, "message": message.encode()}});
    let status = json!({"status": {"phase": "Succeeded", "containerStatuses": [{
        "name": "servant", "image": "yurt:1", "imageID": "", "ready": false, "restartCount": 0, "state": ended,
    }]}});
    let (code, told) = admin
        .patch(&format!("{pods}/{name}/status"), status)
        .await
        .unwrap();
    assert_eq!(code, 200, "{told}");
}

/// Lets the namespace go, where it was deleted.
async fn bury(admin: &Api, namespace: &str) {
    let path = format!("/api/v1/namespaces/{namespace}");
    let (_, mut found) = admin.get(&path).await.unwrap();
    if found["metadata"]["deletionTimestamp"].is_string() {
        for kind in ["api/v1", "apis/coordination.k8s.io/v1"] {
            for what in ["configmaps", "serviceaccounts", "pods", "leases"] {
                drop(
                    admin
                        .delete(&format!("/{kind}/namespaces/{namespace}/{what}"))
                        .await,
                );
            }
        }
        found["spec"]["finalizers"] = json!([]);
        admin.put(&format!("{path}/finalize"), found).await.unwrap();
    }
}

/// Facts of a node that is fine, but for what `change` says.
pub(crate) fn facts(node: &str, change: &[(&str, Value)]) -> Message {
    let mut facts: Value = serde_json::from_str(include_str!("../facts.json")).unwrap();
    facts["node"] = json!(node);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    facts["clockMs"] = json!(u64::try_from(now.as_millis()).unwrap());
    for (key, value) in change {
        facts[*key] = value.clone();
    }
    Message::Facts(Box::new(serde_json::from_value(facts).unwrap()))
}
