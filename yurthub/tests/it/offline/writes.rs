//! The table of writes, row by row, and what becomes of them when the cloud returns.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use yurt_testkit::api::{Raw, Watch};
use yurt_testkit::objects::{ensure_namespace, lease, pod};
use yurt_testkit::wait_for;
use yurthub_object::{Encoding, list, meta, single};

use super::read;
use crate::hub::{Hub, JSON, PROTOBUF, SOON, STRATEGIC, header, json as body, patch, server};

/// A pod of the hub's node that the hub mirrors in both encodings, as kubelet and a second reader do.
pub(super) async fn mirrored_pod(hub: &Hub<'_>, name: &str) -> (String, Value) {
    let sources = json!([
        { "serviceAccountToken": { "path": "api" } },
        { "serviceAccountToken": { "path": "vault", "audience": "vault" } },
    ]);
    let made = pod(name).in_namespace(&hub.name).on(&hub.name).with(
        "/spec/volumes",
        json!([{ "name": "tokens", "projected": { "sources": sources } }]),
    );
    let made = (made.path(), made.create(hub.server.admin()).await.unwrap());
    for accept in [JSON, PROTOBUF] {
        let path = pods(hub);
        wait_for("the mirror to have the pod", SOON, async || {
            let reply = read(&hub.node(), &format!("{path}&resourceVersion=0"), accept).await;
            String::from_utf8_lossy(&reply.body).contains(name)
        })
        .await;
    }
    made
}

pub(super) fn pods(hub: &Hub<'_>) -> String {
    format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", hub.name)
}

pub(super) async fn mirrored_node(hub: &Hub<'_>) -> String {
    let path = format!("/api/v1/nodes?fieldSelector=metadata.name%3D{}", hub.name);
    for accept in [JSON, PROTOBUF] {
        assert_eq!(
            read(&hub.node(), &format!("{path}&resourceVersion=0"), accept)
                .await
                .status,
            200
        );
    }
    path
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    let now = "2026-01-01T00:00:00Z";
    json!({ "type": kind, "status": status, "reason": reason, "lastTransitionTime": now })
}

/// The next event of an object.
async fn event_of(watch: &mut Watch, name: &str) -> Value {
    loop {
        let event = watch.event().await.unwrap().expect("the watch goes on");
        if event["object"]["metadata"]["name"] == name {
            return event;
        }
    }
}

fn condition_of<'v>(object: &'v Value, kind: &str) -> &'v Value {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.and_then(|all| all.iter().find(|condition| condition["type"] == kind));
    found.unwrap_or(&Value::Null)
}

#[tokio::test]
async fn the_table_of_writes_holds_row_by_row() {
    let hub = Hub::start(server().await, "table").await;
    let (pod, _) = mirrored_pod(&hub, "web").await;
    mirrored_node(&hub).await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    hub.cut().await;
    let node = hub.node();
    let status = json!({ "status": { "phase": "Running" } });
    let spec = json!({ "spec": { "holderIdentity": "table", "leaseDurationSeconds": 40 } });
    let named =
        |kind: &str, name: &str| json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name } });
    let event = json!({ "apiVersion": "v1", "kind": "Event", "metadata": { "name": "x" } });
    let token = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let with_body =
        |method: Method, path: &str, body: &Value| Raw::new(method, path).body(JSON, body.to_string());
    let table = [
        (with_body(Method::PUT, &format!("{leases}/table"), &spec), 200),
        (with_body(Method::PUT, &format!("{leases}/other"), &spec), 503),
        (with_body(Method::POST, leases, &spec), 503),
        (
            patch(
                "/api/v1/nodes/table/status",
                STRATEGIC,
                &json!({ "status": { "nodeInfo": {} } }),
            ),
            200,
        ),
        (
            patch("/api/v1/nodes/other/status", STRATEGIC, &json!({ "status": {} })),
            503,
        ),
        (
            patch("/api/v1/nodes/table", STRATEGIC, &json!({ "metadata": {} })),
            503,
        ),
        (patch(&format!("{pod}/status"), STRATEGIC, &status), 200),
        (
            patch(&format!("{pod}/status"), "application/merge-patch+json", &status),
            200,
        ),
        (
            patch(
                &format!("{pod}/status"),
                "application/json-patch+json",
                &json!([]),
            ),
            415,
        ),
        (
            patch(&format!("{pod}/status"), "application/apply-patch+yaml", &status),
            415,
        ),
        (
            patch(&format!("{pod}/status?dryRun=All"), STRATEGIC, &status),
            503,
        ),
        (patch(&format!("{pod}-unknown/status"), STRATEGIC, &status), 503),
        (
            patch(
                &format!("{pod}/status"),
                STRATEGIC,
                &json!({ "metadata": { "uid": "another" }, "status": {} }),
            ),
            409,
        ),
        (
            patch(
                &format!("{pod}/status"),
                STRATEGIC,
                &json!({ "status": { "conditions": "none" } }),
            ),
            400,
        ),
        (
            Raw::new(Method::PATCH, format!("{pod}/status")).body(STRATEGIC, "{"),
            400,
        ),
        (with_body(Method::PUT, &format!("{pod}/status"), &status), 503),
        (
            with_body(Method::POST, "/api/v1/nodes", &named("Node", "table")),
            409,
        ),
        (
            with_body(
                Method::POST,
                "/api/v1/namespaces/table/pods",
                &named("Pod", "new"),
            ),
            503,
        ),
        (
            with_body(Method::POST, "/api/v1/namespaces/table/events", &event),
            201,
        ),
        (
            with_body(
                Method::POST,
                "/api/v1/namespaces/table/serviceaccounts/default/token",
                &token,
            ),
            503,
        ),
        (
            with_body(
                Method::POST,
                "/apis/certificates.k8s.io/v1/certificatesigningrequests",
                &named("CertificateSigningRequest", "x"),
            ),
            503,
        ),
        (Raw::new(Method::DELETE, "/api/v1/namespaces/table/events/x"), 503),
        (Raw::new(Method::DELETE, pod.clone()), 503),
        (Raw::new(Method::DELETE, "/api/v1/namespaces/table/pods"), 503),
        (
            with_body(Method::POST, &format!("{pod}/eviction"), &json!({})),
            503,
        ),
    ];
    for (request, expected) in table {
        let start = Instant::now();
        let reply = node.send(request.clone()).await.unwrap();
        assert_eq!(reply.status, expected, "{request:?}: {}", body(&reply));
        assert_eq!(header(&reply, "retry-after"), "", "{request:?}");
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{request:?}: {:?}",
            start.elapsed()
        );
        if expected == 503 {
            let message = body(&reply)["message"].as_str().unwrap().to_owned();
            assert!(
                message.contains("cloud unreachable for"),
                "{request:?}: {message}"
            );
        }
    }
    hub.join().await;
    assert_eq!(
        hub.direct().get(&pod).await.unwrap().0,
        200,
        "nothing was deleted"
    );
}

#[tokio::test]
async fn a_lease_is_echoed_while_away_and_the_last_one_is_sent() {
    let hub = Hub::start(server().await, "beating").await;
    ensure_namespace(hub.server.admin(), "kube-node-lease")
        .await
        .unwrap();
    let made = lease("beating").create(&hub.node()).await.unwrap();
    let path = lease("beating").path();
    let beat = async |mut last: Value, time: &str| {
        last["spec"]["renewTime"] = time.into();
        let (status, answer) = hub.node().put(&path, last).await.unwrap();
        assert_eq!((status, &answer["spec"]["renewTime"]), (200, &json!(time)));
        answer
    };
    let online = beat(made, "2026-01-01T00:00:01.000000Z").await;
    hub.cut().await;
    let mut last = online.clone();
    for second in 2..5 {
        let time = format!("2026-01-01T00:00:0{second}.000000Z");
        last = beat(last, &time).await;
        let (status, shown) = hub.node().get(&path).await.unwrap();
        assert_eq!((status, &shown["spec"]["renewTime"]), (200, &json!(time)));
    }
    let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
    assert_eq!(
        version(&last),
        version(&online),
        "the next write to the cloud must fit"
    );
    hub.join().await;
    wait_for("the last heartbeat", SOON, async || {
        let lease = hub.direct().get(&path).await.unwrap().1;
        if lease["spec"]["renewTime"] == "2026-01-01T00:00:04.000000Z" {
            Ok(())
        } else {
            Err(lease)
        }
    })
    .await;
    let (_, now) = hub.node().get(&path).await.unwrap();
    beat(now, "2026-01-01T00:00:09.000000Z").await;
}

#[tokio::test]
async fn a_status_written_while_away_is_seen_by_all_survives_a_kill_and_reaches_the_cloud() {
    let mut hub = Hub::start(server().await, "writer-off").await;
    let admin = hub.server.admin();
    let (pod, made) = mirrored_pod(&hub, "web").await;
    let nodes = mirrored_node(&hub).await;
    let uid = made["metadata"]["uid"].as_str().unwrap().to_owned();
    let node = hub.node();
    let mut watch = node
        .watch(&format!("{}&watch=true", pods(&hub)), JSON)
        .await
        .unwrap();
    event_of(&mut watch, "web").await;
    let mut node_watch = node.watch(&format!("{nodes}&watch=true"), JSON).await.unwrap();
    event_of(&mut node_watch, "writer-off").await;
    hub.cut().await;

    let patch_of = |ready: &str, phase: &str| {
        json!({
            "metadata": { "uid": uid },
            "status": {
                "$setElementOrder/conditions": [{ "type": "Ready" }, { "type": "ContainersReady" }],
                "conditions": [condition("Ready", ready, "Test"), condition("ContainersReady", ready, "Test")],
                "phase": phase, "podIPs": [{ "ip": "10.0.0.7" }], "podIP": "10.0.0.7",
            },
        })
    };
    let mut versions = Vec::new();
    for (round, accept) in [JSON, PROTOBUF, JSON].into_iter().enumerate() {
        let ready = if round % 2 == 0 { "True" } else { "False" };
        let request = patch(&format!("{pod}/status"), STRATEGIC, &patch_of(ready, "Running"));
        let request = request.header(http::header::ACCEPT, accept.parse().unwrap());
        let reply = node.send(request).await.unwrap();
        assert_eq!(
            (reply.status, header(&reply, "content-type")),
            (200, accept),
            "{}",
            body(&reply)
        );
        let event = event_of(&mut watch, "web").await;
        assert_eq!(event["type"], "MODIFIED");
        assert_eq!(condition_of(&event["object"], "Ready")["status"], ready);
        let (_, got) = node.get(&pod).await.unwrap();
        assert_eq!(got, event["object"]);
        let listed = body(&read(&node, &format!("{}&resourceVersion=0", pods(&hub)), JSON).await);
        assert_eq!(listed["items"][0]["status"], got["status"]);
        versions.push(got["metadata"]["resourceVersion"].as_str().unwrap().to_owned());
        let protobuf = read(&node, &pod, PROTOBUF).await;
        let (_, item) = single::split(Encoding::Protobuf, &protobuf.body).unwrap();
        assert_eq!(meta::read(Encoding::Protobuf, &item).unwrap().uid, uid);
        let text = String::from_utf8_lossy(&protobuf.body).into_owned();
        assert!(text.contains("10.0.0.7") && text.contains(ready));
        let listed = read(&node, &format!("{}&resourceVersion=0", pods(&hub)), PROTOBUF).await;
        let items = list::decode(Encoding::Protobuf, &listed.body).unwrap().items;
        assert!(String::from_utf8_lossy(&items[0]).contains("10.0.0.7"));
    }
    let mut distinct = versions.clone();
    distinct.dedup();
    assert_eq!(
        distinct.len(),
        3,
        "each write has a version of its own: {versions:?}"
    );

    let node_patch = json!({ "status": { "conditions": [condition("Ready", "True", "Alive")], "capacity": { "cpu": "7" } } });
    let reply = node
        .send(patch("/api/v1/nodes/writer-off/status", STRATEGIC, &node_patch))
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(
        condition_of(&event_of(&mut node_watch, "writer-off").await["object"], "Ready")["reason"],
        "Alive"
    );

    // Others write meanwhile what is theirs.
    let others = json!({ "status": { "conditions": [condition("NetworkUnavailable", "False", "Cni")] } });
    let reply = admin
        .send(patch("/api/v1/nodes/writer-off/status", STRATEGIC, &others))
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    let others = json!({ "status": { "conditions": [condition("example.com/gate", "True", "Gate"), condition("Ready", "False", "NodeLost")] } });
    assert_eq!(
        admin
            .send(patch(&format!("{pod}/status"), STRATEGIC, &others))
            .await
            .unwrap()
            .status,
        200
    );

    hub.restart().await;
    let (_, shown) = node.get(&pod).await.unwrap();
    assert_eq!(
        condition_of(&shown, "Ready")["status"],
        "True",
        "the journal survives SIGKILL"
    );
    assert_eq!(
        hub.metric("yurthub_journal_entries", "").await,
        4,
        "two objects in two encodings each"
    );
    hub.join().await;
    wait_for("the journal to be sent", SOON, async || {
        hub.metric("yurthub_journal_entries", "").await == 0
    })
    .await;
    let (_, sent) = hub.direct().get(&pod).await.unwrap();
    assert_eq!(condition_of(&sent, "Ready")["status"], "True");
    assert_eq!(condition_of(&sent, "ContainersReady")["status"], "True");
    assert_eq!(
        condition_of(&sent, "example.com/gate")["status"],
        "True",
        "conditions of others stay: {sent}"
    );
    assert_eq!(
        (&sent["status"]["phase"], &sent["status"]["podIP"]),
        (&json!("Running"), &json!("10.0.0.7"))
    );
    let (_, sent) = hub.direct().get("/api/v1/nodes/writer-off").await.unwrap();
    assert_eq!(condition_of(&sent, "Ready")["reason"], "Alive");
    assert_eq!(
        condition_of(&sent, "NetworkUnavailable")["reason"],
        "Cni",
        "{sent}"
    );
    assert_eq!(sent["status"]["capacity"]["cpu"], "7");
    // The mirror shows the cloud's object again, in both encodings.
    let cloud = hub.direct().get(&pod).await.unwrap().1;
    assert_eq!(node.get(&pod).await.unwrap().1, cloud);
    let listed = body(&read(&node, &format!("{}&resourceVersion=0", pods(&hub)), JSON).await);
    assert_eq!(
        listed["items"][0]["metadata"]["resourceVersion"],
        cloud["metadata"]["resourceVersion"]
    );
}

#[tokio::test]
async fn what_was_written_for_a_pod_that_is_gone_or_another_one_is_dropped() {
    let hub = Hub::start(server().await, "dropper").await;
    let admin = hub.server.admin();
    let (gone, _) = mirrored_pod(&hub, "gone").await;
    let (again, _) = mirrored_pod(&hub, "again").await;
    hub.cut().await;
    let status =
        json!({ "status": { "phase": "Running", "podIP": "10.0.0.8", "podIPs": [{ "ip": "10.0.0.8" }] } });
    for path in [&gone, &again] {
        let reply = hub
            .node()
            .send(patch(&format!("{path}/status"), STRATEGIC, &status))
            .await
            .unwrap();
        assert_eq!(reply.status, 200);
        assert_eq!(admin.delete(path).await.unwrap().0, 200);
    }
    let other = pod("again")
        .in_namespace("dropper")
        .on("dropper")
        .create(admin)
        .await
        .unwrap();
    hub.join().await;
    wait_for("the journal to be empty", SOON, async || {
        hub.metric("yurthub_journal_entries", "").await == 0
    })
    .await;
    wait_for(
        "both pods to be counted, in two encodings each",
        SOON,
        async || {
            let gone = hub
                .metric("yurthub_replay_entries_total", "outcome=\"gone\"")
                .await;
            if gone == 4 { Ok(()) } else { Err(gone) }
        },
    )
    .await;
    wait_for("the mirror to follow", SOON, async || {
        let list = body(&read(&hub.node(), &format!("{}&resourceVersion=0", pods(&hub)), JSON).await);
        let items = list["items"].as_array().unwrap();
        if items.len() == 1 && items[0]["metadata"]["uid"] == other["metadata"]["uid"] {
            Ok(())
        } else {
            Err(list)
        }
    })
    .await;
    let (_, now) = hub.direct().get(&again).await.unwrap();
    assert_eq!(now["status"]["phase"], "Pending", "{now}");
    assert_eq!(admin.get(&gone).await.unwrap().0, 404);
}

#[tokio::test]
async fn the_last_token_is_given_to_the_same_pod_and_audience_only() {
    let mut hub = Hub::start(server().await, "tokens").await;
    let (_, made) = mirrored_pod(&hub, "web").await;
    let uid = made["metadata"]["uid"].as_str().unwrap();
    let path = "/api/v1/namespaces/tokens/serviceaccounts/default/token";
    let ask = async |hub: &Hub<'_>, uid: &str, name: &str, audiences: Value| {
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {
                "audiences": audiences, "expirationSeconds": 3607,
                "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid },
            },
        });
        hub.node().post(path, request).await.unwrap()
    };
    let wait = async || {
        let answer = ask(&hub, uid, "web", json!([])).await;
        if answer.0 == 201 {
            Ok(answer.1)
        } else {
            Err(answer)
        }
    };
    let online = wait_for("the node to be allowed to make tokens", SOON, wait).await;
    let (status, other) = ask(&hub, uid, "web", json!(["vault"])).await;
    assert_eq!(status, 201, "{other}");
    hub.store_is_quiet().await;
    hub.cut().await;
    for restarted in [false, true] {
        if restarted {
            hub.restart().await;
        }
        let (status, token) = ask(&hub, uid, "web", json!([])).await;
        assert_eq!(
            (status, &token["status"]["token"]),
            (201, &online["status"]["token"])
        );
        let (_, for_vault) = ask(&hub, uid, "web", json!(["vault"])).await;
        assert_eq!(for_vault["status"]["token"], other["status"]["token"]);
        assert!(
            token["status"]["expirationTimestamp"].as_str()
                < online["status"]["expirationTimestamp"].as_str()
        );
        for (uid, name, audiences) in [
            ("another", "web", json!([])),
            (uid, "other", json!([])),
            (uid, "web", json!(["elsewhere"])),
        ] {
            assert_eq!(ask(&hub, uid, name, audiences).await.0, 503, "{uid} {name}");
        }
    }
    hub.join().await;
    let (status, fresh) = ask(&hub, uid, "web", json!([])).await;
    assert_eq!(status, 201);
    assert_ne!(fresh["status"]["token"], online["status"]["token"]);
}
