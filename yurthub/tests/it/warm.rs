//! A mirror that is made ready for a kubelet that is not its client yet.

use serde_json::{Value, json};
use yurt_testkit::api::Raw;
use yurt_testkit::objects::{config_map, pod, secret};
use yurt_testkit::wait_for;
use yurthub_object::{Encoding, list};

use crate::hub::{Hub, PROTOBUF, SOON, server};
use crate::person::yurthub;

/// As the kubelet asks.
const ACCEPT: &str = "application/vnd.kubernetes.protobuf,application/json";

/// Numbers that rise when something new is listed upstream or followed.
async fn followed(hub: &Hub<'_>) -> (u64, u64) {
    (
        hub.metric("yurthub_mirror_lists_total", "").await,
        hub.metric("yurthub_scopes", "").await,
    )
}

fn names(answer: &Value, of: &str) -> Vec<String> {
    let all = answer[of].as_array().unwrap().iter();
    all.map(|entry| entry["what"].as_str().unwrap().to_owned())
        .collect()
}

/// A pod that names objects in each way, of which `gone` does not exist.
async fn make_a_pod(hub: &Hub<'_>) {
    let (space, admin) = (hub.name.as_str(), hub.server.admin());
    for name in ["conf", "kube-root-ca.crt"] {
        let map = config_map(name).in_namespace(space).data("k", "v");
        map.create(admin).await.unwrap();
    }
    for name in ["key", "pull"] {
        let made = secret(name).in_namespace(space).data("k", "v");
        made.create(admin).await.unwrap();
    }
    let volumes = json!([
        {"name": "key", "secret": {"secretName": "key"}},
        {"name": "gone", "configMap": {"name": "gone", "optional": true}},
        {"name": "ca", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}},
    ]);
    let container = json!({
        "name": "main", "image": "pause:3.10", "envFrom": [{"configMapRef": {"name": "conf"}}],
    });
    let made = pod("web")
        .in_namespace(space)
        .on(space)
        .with("/spec/containers", json!([container]))
        .with("/spec/imagePullSecrets", json!([{"name": "pull"}]))
        .with("/spec/volumes", volumes);
    made.create(admin).await.unwrap();
    let csi_node = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSINode",
        "metadata": {"name": space}, "spec": {"drivers": []},
    });
    let path = "/apis/storage.k8s.io/v1/csinodes";
    assert_eq!(admin.post(path, csi_node).await.unwrap().0, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubelet_that_comes_later_finds_everything_followed() {
    let hub = Hub::start(server().await, "warm").await;
    make_a_pod(&hub).await;
    // The node authorizer learns of the pod by a watch of its own.
    wait_for("the node to be allowed its pod's Secret", SOON, async || {
        let path = "/api/v1/namespaces/warm/secrets?fieldSelector=metadata.name%3Dkey";
        hub.direct().get(path).await.unwrap().0 == 200
    })
    .await;

    let (exit, text, problems) = yurthub(&hub, &["warm", "--timeout=50s", "-o", "json"]);
    assert_eq!(exit, 0, "{text}{problems}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        names(&answer, "absent"),
        [
            "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/warm",
            "configmaps in warm [metadata.name=gone]"
        ],
        "{answer:#}"
    );
    assert_eq!(answer["live"].as_array().unwrap().len(), 10, "{answer:#}");
    assert_eq!(answer["missing"], json!([]));

    let before = followed(&hub).await;
    let object = |resource: &str, name: &str| {
        format!("/api/v1/namespaces/warm/{resource}?fieldSelector=metadata.name%3D{name}")
    };
    for (path, objects) in [
        (
            "/api/v1/nodes?fieldSelector=metadata.name%3Dwarm".to_owned(),
            Some(1),
        ),
        (
            "/api/v1/pods?fieldSelector=spec.nodeName%3Dwarm".to_owned(),
            Some(1),
        ),
        (
            "/api/v1/services?fieldSelector=spec.clusterIP%21%3DNone".to_owned(),
            None,
        ),
        ("/apis/node.k8s.io/v1/runtimeclasses?".to_owned(), None),
        ("/apis/storage.k8s.io/v1/csidrivers?".to_owned(), None),
        (object("secrets", "key"), Some(1)),
        (object("secrets", "pull"), Some(1)),
        (object("configmaps", "conf"), Some(1)),
        (object("configmaps", "kube-root-ca.crt"), Some(1)),
        (object("configmaps", "gone"), Some(0)),
    ] {
        let listed = Raw::get(format!("{path}&limit=500&resourceVersion=0"), ACCEPT);
        let reply = hub.node().send(listed).await.unwrap();
        assert_eq!(reply.status, 200, "{path}");
        let page = list::decode(Encoding::Protobuf, &reply.body).unwrap();
        assert!(
            objects.is_none_or(|objects| page.items.len() == objects),
            "{path}"
        );
        let version = page.resource_version;
        let watched = format!("{path}&watch=true&allowWatchBookmarks=true&resourceVersion={version}");
        let watch = hub.node().watch(&watched, ACCEPT).await.unwrap();
        assert_eq!(watch.status, 200, "{path}");
    }
    assert_eq!(
        followed(&hub).await,
        before,
        "the kubelet's requests made the hub list or follow more"
    );

    // What it gets one by one is here, too.
    hub.cut().await;
    for path in [
        "/api/v1/nodes/warm",
        "/apis/storage.k8s.io/v1/csinodes/warm?resourceVersion=0",
        "/api/v1/namespaces/warm/pods/web",
    ] {
        let reply = hub.node().send(Raw::get(path, PROTOBUF)).await.unwrap();
        assert_eq!(reply.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_had_is_named_with_a_reason_and_fails() {
    let hub = Hub::start(server().await, "cold").await;
    hub.cut().await;
    let (exit, text, _) = yurthub(&hub, &["warm", "--timeout", "1s"]);
    assert_eq!(exit, 1, "{text}");
    assert!(
        text.contains("missing   pods [spec.nodeName=cold]: the cloud is away\n"),
        "{text}"
    );
    assert!(text.contains("0 live, 0 absent, 7 missing"), "{text}");
    let (exit, _, problems) = yurthub(&hub, &["warm", "--timeout", "1h"]);
    assert_eq!(exit, 2, "{problems}");
    assert!(problems.contains("must be from 1s to 10m"), "{problems}");
}
