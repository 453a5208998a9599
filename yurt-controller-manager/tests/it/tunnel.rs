//! A Node says whether the tunnel reaches its kubelet, by the pods of agents.

use serde_json::{Value, json};
use yurt_testkit::objects::{node, pod};
use yurt_testkit::{Api, ApiServer, wait_for};

use crate::autonomy::{annotate, get, wait_condition};
use crate::manager::{Manager, NAMESPACE, SOON, grant};

const EDGE: &str = "openyurt.io/is-edge-worker";

/// Makes an agent's pod on a node, ready or not.
async fn agent(admin: &Api, name: &str, on: &str, ready: bool) {
    let owner =
        json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "x", "controller": true}]);
    pod(name)
        .in_namespace(NAMESPACE)
        .on(on)
        .label("app.kubernetes.io/part-of", "yurt")
        .label("app.kubernetes.io/component", "tunnel-agent")
        .with("/metadata/ownerReferences", owner)
        .ensure(admin)
        .await
        .unwrap();
    set_ready(admin, name, ready).await;
}

async fn set_ready(admin: &Api, name: &str, ready: bool) {
    let status = if ready { "True" } else { "False" };
    let conditions = ["Ready", "ContainersReady"].map(|kind| json!({"type": kind, "status": status}));
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}/status");
    let patch = json!({"status": {"conditions": conditions}});
    assert_eq!(admin.patch(&path, patch).await.unwrap().0, 200);
}

/// Reason and status of the condition of a Node.
async fn tunnel(admin: &Api, name: &str) -> Option<(String, String)> {
    let node = get(admin, &format!("/api/v1/nodes/{name}")).await;
    let conditions = node["status"]["conditions"].as_array().cloned()?;
    let ours = conditions
        .into_iter()
        .find(|one| one["type"] == "TunnelConnected")?;
    let text = |name: &str| ours[name].as_str().unwrap_or_default().to_owned();
    Some((text("reason"), text("status")))
}

async fn wait_tunnel(admin: &Api, name: &str, expected: Option<(&str, &str)>) {
    let expected = expected.map(|(reason, status)| (reason.to_owned(), status.to_owned()));
    wait_for(
        &format!("the tunnel of {name} to be {expected:?}"),
        SOON,
        async || {
            let now = tunnel(admin, name).await;
            if now == expected { Ok(()) } else { Err(now) }
        },
    )
    .await;
}

#[tokio::test]
async fn a_node_says_whether_the_tunnel_reaches_it() {
    let server = ApiServer::start().await.unwrap();
    grant(&server).await;
    let admin = server.admin();
    for name in ["edge1", "edge2"] {
        node(name).label(EDGE, "true").ensure(admin).await.unwrap();
    }
    node("cloud1").ensure(admin).await.unwrap();
    annotate(admin, "edge1", json!("0")).await;
    let mut manager = Manager::start_with(&server, "one", &["--tunnel-grace=2s"]);
    manager.ready().await;
    // Nobody has a tunnel, so nobody misses one.
    wait_condition(admin, "edge1", Some(("ForEver", "True"))).await;
    assert_eq!(tunnel(admin, "edge1").await, None);

    agent(admin, "agent1", "edge1", true).await;
    wait_tunnel(admin, "edge1", Some(("AgentConnected", "True"))).await;
    set_ready(admin, "agent1", false).await;
    wait_tunnel(admin, "edge1", Some(("AgentNotConnected", "False"))).await;
    // The other condition is another one's, and stays.
    wait_condition(admin, "edge1", Some(("ForEver", "True"))).await;
    wait_for("an event of it", SOON, async || {
        let events = get(admin, "/apis/events.k8s.io/v1/namespaces/default/events").await;
        let items = events["items"].as_array().cloned().unwrap_or_default();
        let told = |one: &Value| one["reason"] == "TunnelAgentNotConnected" && one["type"] == "Warning";
        if items.iter().any(told) {
            Ok(())
        } else {
            Err(items)
        }
    })
    .await;
    set_ready(admin, "agent1", true).await;
    wait_tunnel(admin, "edge1", Some(("AgentConnected", "True"))).await;

    // One that gets its agent's label later is looked at then.
    agent(admin, "agent2", "edge2", true).await;
    wait_tunnel(admin, "edge2", Some(("AgentConnected", "True"))).await;
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/agent2?gracePeriodSeconds=0");
    admin.delete(&path).await.unwrap();
    wait_tunnel(admin, "edge2", Some(("NoAgent", "False"))).await;
    let patch = json!({"metadata": {"labels": {EDGE: null}}});
    assert_eq!(admin.patch("/api/v1/nodes/edge2", patch).await.unwrap().0, 200);
    wait_tunnel(admin, "edge2", None).await;
    assert_eq!(tunnel(admin, "cloud1").await, None);
}
