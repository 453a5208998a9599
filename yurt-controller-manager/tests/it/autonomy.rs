//! Pods of a node that asks for autonomy tolerate its silence, and tolerate again what they did when it asks no more.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use yurt_testkit::objects::{node, pod};
use yurt_testkit::{Api, ApiServer, wait_for};

use crate::manager::{Manager, SOON, grant};

const DURATION: &str = "node.openyurt.io/autonomy-duration";
const LONG_AGO: &str = "2026-01-01T00:00:00Z";
const ORIGINAL: &str = "apps.openyurt.io/original-unreachable-toleration-duration";

/// An object that is there.
pub(crate) async fn get(admin: &Api, path: &str) -> Value {
    let (code, object) = admin.get(path).await.unwrap();
    assert_eq!(code, 200, "{object}");
    object
}

/// For how many seconds a pod tolerates that its node is silent; `null`: for ever.
async fn tolerates(admin: &Api, name: &str) -> Value {
    let pod = get(admin, &format!("/api/v1/namespaces/default/pods/{name}")).await;
    let tolerations = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    let of_silence = |one: &Value| one["key"] == "node.kubernetes.io/unreachable";
    let found = tolerations.into_iter().find(of_silence);
    found.map_or_else(|| json!("nothing"), |found| found["tolerationSeconds"].clone())
}

async fn wait_tolerates(admin: &Api, name: &str, expected: Value) {
    let what = format!("{name} to tolerate {expected}");
    wait_for(&what, SOON, async || {
        let now = tolerates(admin, name).await;
        if now == expected { Ok(()) } else { Err(now) }
    })
    .await;
}

/// Lets a Node ask for so much autonomy; `null`: for none.
pub(crate) async fn annotate(admin: &Api, node: &str, value: Value) {
    let patch = json!({"metadata": {"annotations": {DURATION: value}}});
    let (code, answer) = admin
        .patch(&format!("/api/v1/nodes/{node}"), patch)
        .await
        .unwrap();
    assert_eq!(code, 200, "{answer}");
}

/// Reason and status of the condition of a Node.
async fn condition(admin: &Api, name: &str) -> Option<(Value, Value)> {
    let node = get(admin, &format!("/api/v1/nodes/{name}")).await;
    let conditions = node["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let ours = conditions.into_iter().find(|one| one["type"] == "NodeAutonomy")?;
    Some((ours["reason"].clone(), ours["status"].clone()))
}

/// Waits until the condition of a Node has this reason and status, or is not there.
pub(crate) async fn wait_condition(admin: &Api, name: &str, expected: Option<(&str, &str)>) {
    let expected = expected.map(|(reason, status)| (json!(reason), json!(status)));
    wait_for(&format!("the condition to be {expected:?}"), SOON, async || {
        let now = condition(admin, name).await;
        if now == expected { Ok(()) } else { Err(now) }
    })
    .await;
}

/// Taints a Node as Kubernetes taints one that is silent since then, or takes that away.
async fn set_silent(admin: &Api, name: &str, since: Option<&str>) {
    let taint =
        |since| json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": since}]);
    let patch = json!({"spec": {"taints": since.map(taint)}});
    let (code, answer) = admin
        .patch(&format!("/api/v1/nodes/{name}"), patch)
        .await
        .unwrap();
    assert_eq!(code, 200, "{answer}");
}

#[tokio::test]
async fn pods_follow_the_wish_of_their_node() {
    let server = ApiServer::start().await.unwrap();
    grant(&server).await;
    let admin = server.admin();
    for name in ["edge1", "edge2"] {
        node(name).ensure(admin).await.unwrap();
        pod(&format!("web-{name}")).on(name).ensure(admin).await.unwrap();
    }
    let owner =
        json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "x", "controller": true}]);
    pod("daemon")
        .on("edge1")
        .with("/metadata/ownerReferences", owner)
        .ensure(admin)
        .await
        .unwrap();
    annotate(admin, "edge1", json!("0")).await;
    let mut manager = Manager::start(&server, "one");
    manager.ready().await;

    wait_tolerates(admin, "web-edge1", Value::Null).await;
    wait_condition(admin, "edge1", Some(("ForEver", "True"))).await;
    pod("late").on("edge1").ensure(admin).await.unwrap();
    wait_tolerates(admin, "late", Value::Null).await;
    assert_eq!(tolerates(admin, "web-edge2").await, 300);
    assert_eq!(tolerates(admin, "daemon").await, 300);
    assert_eq!(condition(admin, "edge2").await, None);

    annotate(admin, "edge1", json!("2h")).await;
    wait_tolerates(admin, "late", json!(7200)).await;
    wait_condition(admin, "edge1", Some(("ForDuration", "True"))).await;

    annotate(admin, "edge1", json!("soon")).await;
    wait_condition(admin, "edge1", Some(("InvalidDuration", "Unknown"))).await;
    assert_eq!(
        tolerates(admin, "late").await,
        7200,
        "what is unclear changes no pod"
    );

    annotate(admin, "edge1", Value::Null).await;
    wait_tolerates(admin, "late", json!(300)).await;
    wait_tolerates(admin, "web-edge1", json!(300)).await;
    wait_condition(admin, "edge1", None).await;
    let late = get(admin, "/api/v1/namespaces/default/pods/late").await;
    assert_eq!(late["metadata"].get("annotations"), None, "{late}");

    let events = get(admin, "/apis/events.k8s.io/v1/namespaces/default/events").await;
    for reason in ["ForEver", "ForDuration", "InvalidDuration", "AutonomyEnded"] {
        assert!(
            events.to_string().contains(&format!(r#""reason":"{reason}""#)),
            "{reason}: {events}"
        );
    }
}

#[tokio::test]
async fn a_wish_that_changes_while_its_node_is_silent_begins_evictions_anew() {
    let server = ApiServer::start().await.unwrap();
    grant(&server).await;
    let admin = server.admin();
    node("edge1").ensure(admin).await.unwrap();
    pod("web").on("edge1").ensure(admin).await.unwrap();
    set_silent(admin, "edge1", Some(LONG_AGO)).await;
    let mut manager = Manager::start(&server, "one");
    manager.ready().await;

    // Somebody grants it while an eviction is under way.
    annotate(admin, "edge1", json!("0")).await;
    wait_tolerates(admin, "web", Value::Null).await;
    wait_condition(admin, "edge1", Some(("ForEver", "True"))).await;
    // And restricts it: it has been silent for longer than that.
    annotate(admin, "edge1", json!("10m")).await;
    wait_tolerates(admin, "web", json!(300)).await;
    wait_condition(admin, "edge1", Some(("DurationOver", "False"))).await;
    // The node is back.
    set_silent(admin, "edge1", None).await;
    wait_tolerates(admin, "web", json!(600)).await;
    wait_condition(admin, "edge1", Some(("ForDuration", "True"))).await;
    // Silent once more, and the wish goes: the seconds that run are stopped first, which shows as no seconds at all.
    set_silent(admin, "edge1", Some(LONG_AGO)).await;
    let mut watch = admin
        .watch(
            "/api/v1/namespaces/default/pods?watch=true&fieldSelector=metadata.name%3Dweb",
            "application/json",
        )
        .await
        .unwrap();
    annotate(admin, "edge1", Value::Null).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&json!(300)) {
        let event = tokio::time::timeout(SOON, watch.event())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let tolerations = event["object"]["spec"]["tolerations"].as_array().unwrap().clone();
        let silence = tolerations
            .iter()
            .find(|one| one["key"] == "node.kubernetes.io/unreachable");
        seen.push(silence.unwrap()["tolerationSeconds"].clone());
    }
    assert_eq!(seen, [json!(600), Value::Null, json!(300)]);
    let pod = get(admin, "/api/v1/namespaces/default/pods/web").await;
    assert_eq!(pod["metadata"]["annotations"].get(ORIGINAL), None, "{pod}");
}

#[tokio::test]
async fn what_is_as_it_shall_be_is_not_written() {
    let server = ApiServer::start().await.unwrap();
    grant(&server).await;
    let admin = server.admin();
    node("edge1").ensure(admin).await.unwrap();
    annotate(admin, "edge1", json!("2h")).await;
    for number in 0..5 {
        pod(&format!("web{number}"))
            .on("edge1")
            .ensure(admin)
            .await
            .unwrap();
    }
    let mut manager = Manager::start(&server, "one");
    manager.ready().await;
    for number in 0..5 {
        wait_tolerates(admin, &format!("web{number}"), json!(7200)).await;
    }
    wait_condition(admin, "edge1", Some(("ForDuration", "True"))).await;
    let writes = manager.metric("writes_total", "autonomy").await;
    assert_eq!(writes, 6);
    // Heartbeats, and labels that mean nothing here.
    let before = manager.metric("cache_events_total", "").await;
    for round in 0..10 {
        let patch = json!({"metadata": {"labels": {"round": round.to_string()}}});
        for path in ["/api/v1/nodes/edge1", "/api/v1/namespaces/default/pods/web0"] {
            assert_eq!(admin.patch(path, patch.clone()).await.unwrap().0, 200);
        }
    }
    wait_for("the manager to have heard of all that", SOON, async || {
        manager.metric("cache_events_total", "").await >= before + 20
    })
    .await;
    // It falls silent and comes back in time: what it said holds all the while.
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    for since in [Some(now.to_string()), None] {
        let looks = manager.metric("look_seconds_count", "autonomy").await;
        set_silent(admin, "edge1", since.as_deref()).await;
        wait_for("the node to be looked at", SOON, async || {
            manager.metric("look_seconds_count", "autonomy").await > looks
        })
        .await;
    }
    assert_eq!(manager.metric("writes_total", "autonomy").await, writes);
    wait_condition(admin, "edge1", Some(("ForDuration", "True"))).await;
    // A restarted manager finds all as it shall be, too.
    manager.process.restart().unwrap();
    manager.ready().await;
    wait_for("the manager to lead again", SOON, async || manager.leads().await).await;
    wait_for("the node to be looked at", SOON, async || {
        manager.metric("look_seconds_count", "autonomy").await >= 1
    })
    .await;
    assert_eq!(manager.metric("writes_total", "autonomy").await, 0);
}
