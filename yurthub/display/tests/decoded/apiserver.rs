//! Objects of a real apiserver, read as protobuf, as JSON and as tables: decoded, the first is the second, and the rows
//! are those that we print.

use bytes::Bytes;
use serde_json::{Value, json};
use yurt_testkit::api::Raw;
use yurt_testkit::{Api, ApiServer};
use yurthub_display::{Message, decode, table};
use yurthub_object::{Encoding, single};

/// Collections, and what is created in them.
fn objects() -> Vec<(&'static str, Value)> {
    let meta = |name: &str| json!({"name": name, "labels": {"a/b": "c"}, "annotations": {"note": "<&> é"}});
    vec![
        (
            "/api/v1/nodes",
            json!({"kind": "Node", "apiVersion": "v1", "metadata": meta("shown"),
                "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}], "unschedulable": true},
                "status": {"capacity": {"cpu": "1500m", "memory": "2Gi"}}}),
        ),
        (
            "/api/v1/namespaces/default/configmaps",
            json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": meta("conf"),
                "data": {"b": "2", "a": "line\n\"quoted\"\t"}, "binaryData": {"raw": "AP8="}, "immutable": true}),
        ),
        (
            "/api/v1/namespaces/default/secrets",
            json!({"kind": "Secret", "apiVersion": "v1", "metadata": meta("secret"),
                "stringData": {"user": "me", "empty": ""}}),
        ),
        (
            "/api/v1/namespaces/default/services",
            json!({"kind": "Service", "apiVersion": "v1", "metadata": meta("web"),
                "spec": {"selector": {"app": "web"}, "externalIPs": ["1.2.3.4"],
                    "ports": [{"name": "http", "port": 80, "targetPort": "web"}, {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 5353}]}}),
        ),
        (
            "/api/v1/namespaces/default/serviceaccounts",
            json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": meta("robot"), "automountServiceAccountToken": false}),
        ),
        ("/api/v1/namespaces/default/pods", pod(&meta("web"))),
        (
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
            json!({"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "metadata": meta("web-1"),
                "addressType": "IPv4", "ports": [{"name": "", "port": 80}],
                "endpoints": [{"addresses": ["10.1.0.1"], "conditions": {"ready": false}, "nodeName": "shown",
                    "targetRef": {"kind": "Pod", "name": "web"}}]}),
        ),
        (
            "/apis/coordination.k8s.io/v1/namespaces/default/leases",
            json!({"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": meta("lease"),
                "spec": {"holderIdentity": "shown", "leaseDurationSeconds": 40, "renewTime": "2026-11-21T14:00:01.000123Z"}}),
        ),
        (
            "/apis/node.k8s.io/v1/runtimeclasses",
            json!({"kind": "RuntimeClass", "apiVersion": "node.k8s.io/v1", "metadata": meta("small"),
                "handler": "runc", "overhead": {"podFixed": {"memory": "10Mi"}}}),
        ),
        (
            "/apis/storage.k8s.io/v1/csidrivers",
            json!({"kind": "CSIDriver", "apiVersion": "storage.k8s.io/v1", "metadata": meta("disk.example.com"),
                "spec": {"attachRequired": false, "tokenRequests": [{"audience": ""}]}}),
        ),
        (
            "/apis/storage.k8s.io/v1/csinodes",
            json!({"kind": "CSINode", "apiVersion": "storage.k8s.io/v1", "metadata": meta("shown"),
                "spec": {"drivers": [{"name": "disk.example.com", "nodeID": "n", "topologyKeys": ["zone"], "allocatable": {"count": 0}}]}}),
        ),
        (
            "/apis/storage.k8s.io/v1/volumeattachments",
            json!({"kind": "VolumeAttachment", "apiVersion": "storage.k8s.io/v1", "metadata": meta("attached"),
                "spec": {"attacher": "disk.example.com", "nodeName": "shown", "source": {"persistentVolumeName": "disk"}}}),
        ),
        (
            "/api/v1/persistentvolumes",
            json!({"kind": "PersistentVolume", "apiVersion": "v1", "metadata": meta("disk"),
                "spec": {"capacity": {"storage": "1.5Gi"}, "accessModes": ["ReadWriteOnce"],
                    "hostPath": {"path": "/disk"}, "persistentVolumeReclaimPolicy": "Retain"}}),
        ),
        (
            "/api/v1/namespaces/default/persistentvolumeclaims",
            json!({"kind": "PersistentVolumeClaim", "apiVersion": "v1", "metadata": meta("claim"),
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}),
        ),
        (
            "/api/v1/namespaces/default/events",
            json!({"kind": "Event", "apiVersion": "v1", "metadata": meta("started"),
                "involvedObject": {"kind": "Pod", "name": "web", "namespace": "default"}, "reason": "Started", "message": "up",
                "type": "Normal", "count": 2, "firstTimestamp": "2026-11-21T14:00:01Z", "lastTimestamp": null}),
        ),
    ]
}

fn pod(metadata: &Value) -> Value {
    json!({"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {
        "automountServiceAccountToken": false, "nodeName": "shown", "hostNetwork": true, "terminationGracePeriodSeconds": 0,
        "securityContext": {"fsGroup": 0, "sysctls": []},
        "tolerations": [{"operator": "Exists", "tolerationSeconds": 0, "effect": "NoExecute"}],
        "initContainers": [{"name": "side", "image": "pause:3.10", "restartPolicy": "Always"}],
        "containers": [{"name": "main", "image": "pause:3.10", "args": ["-v", ""], "ports": [{"containerPort": 80, "hostPort": 80}],
            "env": [{"name": "EMPTY", "value": ""}, {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}],
            "resources": {"limits": {"cpu": "0.5", "memory": "128Mi"}, "requests": {"cpu": "100m"}},
            "livenessProbe": {"httpGet": {"path": "/", "port": 80}, "initialDelaySeconds": 5},
            "readinessProbe": {"exec": {"command": ["true"]}},
            "volumeMounts": [{"name": "conf", "mountPath": "/conf", "readOnly": true}]}],
        "volumes": [{"name": "conf", "projected": {"sources": [{"configMap": {"name": "conf", "items": [{"key": "a", "path": "a"}]}}]}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}]}})
}

async fn read(api: &Api, path: &str, encoding: Encoding) -> Bytes {
    let reply = api.send(Raw::get(path, encoding.content_type())).await.unwrap();
    assert_eq!(reply.status, 200, "{path}");
    reply.body
}

#[tokio::test]
async fn what_is_decoded_is_what_the_apiserver_writes() {
    let server = ApiServer::start().await.unwrap();
    let api = server.admin();
    for (collection, object) in objects() {
        let (status, created) = api.post(collection, object).await.unwrap();
        assert_eq!(status, 201, "{collection}: {created}");
        let path = format!("{collection}/{}", created["metadata"]["name"].as_str().unwrap());
        let protobuf = read(api, &path, Encoding::Protobuf).await;
        let expected = read(api, &path, Encoding::Json).await;
        let (type_meta, item) = single::split(Encoding::Protobuf, &protobuf).unwrap();
        let message = Message::of(&type_meta.api_version, &type_meta.kind).unwrap();
        let decoded = decode::item(message, &item).unwrap();
        let decoded = single::join(Encoding::Json, &type_meta, &decoded);
        assert_eq!(
            String::from_utf8_lossy(&decoded),
            String::from_utf8_lossy(&expected),
            "{path}"
        );
        let item: Value = serde_json::from_slice(&expected).unwrap();
        assert_same_table(api, (collection, &path), item).await;
    }
}

/// Kinds without columns of their own show less than the apiserver.
async fn assert_same_table(api: &Api, (collection, path): (&str, &str), item: Value) {
    let mut parts = collection.split('/').skip(1);
    let group = if parts.next() == Some("api") {
        ""
    } else {
        parts.next().unwrap_or_default()
    };
    let resource = parts.last().unwrap_or_default();
    let ours = table::of((group, resource), std::iter::once(item), "v1", 0);
    if ours["columnDefinitions"].as_array().unwrap().len() == 2 {
        return;
    }
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let reply = api.send(Raw::get(path, accept)).await.unwrap();
    let theirs: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(columns(&ours), columns(&theirs), "{path}");
    assert_eq!(
        ours["rows"][0]["object"]["metadata"], theirs["rows"][0]["object"]["metadata"],
        "{path}"
    );
    for (index, (name, _)) in columns(&ours).iter().enumerate() {
        let cell = |table: &Value| match &table["rows"][0]["cells"][index] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if name != "Age" {
            assert_eq!(cell(&ours), cell(&theirs), "{path} {name}");
        }
    }
}

/// Name of each column, and whether it is for wide tables.
fn columns(table: &Value) -> Vec<(String, bool)> {
    let columns = table["columnDefinitions"].as_array().unwrap().iter();
    columns
        .map(|column| {
            (
                column["name"].as_str().unwrap().to_owned(),
                column["priority"] != 0,
            )
        })
        .collect()
}
