//! Nodes and pods as large as real ones, and the writes of those who are not here: kubelets, and the node lifecycle
//! controller of kube-controller-manager (pure).

use serde_json::{Value, json};
use yurt_testkit::objects::{Object, node, pod};

/// A label of the nodes that ask for autonomy, by which they are listed.
pub(crate) const LABEL: &str = "bench/autonomous";
/// Where pods are.
pub(crate) const NAMESPACE: &str = "bench";
/// The annotation by which a node asks.
pub(crate) const DURATION: &str = "node.openyurt.io/autonomy-duration";
/// Images that a kubelet tells of (`nodeStatusMaxImages`).
const IMAGES: usize = 50;
/// Of every so many autonomous nodes one asks for a while, the others for ever.
const FOR_A_WHILE: usize = 4;

/// The name of node `number`.
pub(crate) fn node_name(number: usize) -> String {
    format!("edge-{number:05}")
}

/// The name of pod `index` of node `number`.
pub(crate) fn pod_name(number: usize, index: usize) -> String {
    format!("worker-{number:05}-{index}")
}

/// Node `number`, as a kubelet registers it.
pub(crate) fn edge_node(number: usize, autonomous: bool) -> Object {
    let name = node_name(number);
    let image = |image: usize| {
        json!({"names": [
            format!("registry.example/team/application-{image}@sha256:{image:064x}"),
            format!("registry.example/team/application-{image}:v1.{image}"),
        ], "sizeBytes": 10_000_000 + image})
    };
    let amounts = json!({
        "cpu": "4", "memory": "8040372Ki", "ephemeral-storage": "61202244Ki", "hugepages-2Mi": "0", "pods": "110",
    });
    let status = json!({
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": name}],
        "capacity": amounts, "allocatable": amounts, "conditions": conditions("True", "2026-01-01T00:00:00Z"),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "images": (0..IMAGES).map(image).collect::<Vec<_>>(),
        "nodeInfo": {
            "architecture": "amd64", "bootID": name, "containerRuntimeVersion": "containerd://2.0.0",
            "kernelVersion": "6.1.0", "kubeProxyVersion": "", "kubeletVersion": "v1.34.4", "machineID": name,
            "operatingSystem": "linux", "osImage": "Debian GNU/Linux 12", "systemUUID": name,
        },
    });
    let object = node(&name)
        .label("beta.kubernetes.io/arch", "amd64")
        .label("topology.kubernetes.io/zone", &format!("site-{}", number % 50))
        .with("/status", status);
    if !autonomous {
        return object;
    }
    let wish = if number.is_multiple_of(FOR_A_WHILE) {
        "24h"
    } else {
        "0"
    };
    object.label(LABEL, "yes").annotation(DURATION, wish)
}

/// Pod `index` of node `number`, as workloads have them.
pub(crate) fn worker(number: usize, index: usize) -> Object {
    let setting =
        |number| json!({"name": format!("SETTING_{number}"), "value": format!("value of setting {number}")});
    let probe = json!({"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10});
    let container = json!({
        "name": "main", "image": "registry.example/team/application-1:v1.1",
        "env": (0..8).map(setting).collect::<Vec<_>>(), "livenessProbe": probe, "readinessProbe": probe,
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
    });
    let owner = json!([{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "worker-5d4f8c7b9", "controller": true,
        "uid": "2f7d2c1e-0000-4000-8000-000000000000",
    }]);
    pod(&pod_name(number, index))
        .in_namespace(NAMESPACE)
        .on(&node_name(number))
        .label("app.kubernetes.io/name", "worker")
        .label("pod-template-hash", "5d4f8c7b9")
        .annotation("bench/checksum", &"0123456789abcdef".repeat(4))
        .with("/metadata/ownerReferences", owner)
        .with("/spec/containers", json!([container]))
}

/// A heartbeat of a node's status, as a strategic merge patch: a kubelet's, or of the controller that has not heard of it.
pub(crate) fn status(ready: &str, now: &str) -> Value {
    json!({"status": {"conditions": conditions(ready, now)}})
}

fn conditions(ready: &str, heard: &str) -> Value {
    let one = |kind: &str, status: &str| {
        json!({
            "type": kind, "status": status, "reason": "KubeletSays", "message": "kubelet has sufficient of everything",
            "lastHeartbeatTime": heard, "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    json!([
        one("MemoryPressure", "False"),
        one("DiskPressure", "False"),
        one("PIDPressure", "False"),
        one("Ready", ready),
    ])
}

/// What marks a pod of a silent node (`MarkPodsNotReady` of the node lifecycle controller).
pub(crate) fn pod_not_ready() -> Value {
    json!({"status": {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})
}

/// The taints of a silent node: first the one for the scheduler alone, then the one that evicts, too.
pub(crate) fn taints(effects: &[&str], now: &str) -> Value {
    let taint =
        |effect: &&str| json!({"key": "node.kubernetes.io/unreachable", "effect": effect, "timeAdded": now});
    json!({"spec": {"taints": effects.iter().map(taint).collect::<Vec<_>>()}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_pods_are_as_large_as_real_ones() {
        let length = |object: Object| object.into_value().to_string().len();
        assert!((6_000..16_000).contains(&length(edge_node(1, true))));
        assert!((1_200..6_000).contains(&length(worker(1, 1))));
    }

    #[test]
    fn some_ask_for_a_while_and_others_for_ever() {
        let wish = |number| edge_node(number, true).into_value()["metadata"]["annotations"][DURATION].clone();
        assert_eq!((wish(0), wish(1)), (json!("24h"), json!("0")));
        assert!(
            edge_node(0, false).into_value()["metadata"]
                .get("annotations")
                .is_none()
        );
    }
}
