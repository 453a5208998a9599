//! What becomes of the kubelet's writes that the cloud does not take when it is back.

use http::Method;
use serde_json::{Value, json};
use yurt_testkit::api::Raw;
use yurt_testkit::{Api, wait_for};

use super::read;
use super::writes::{mirrored_node, mirrored_pod, pods};
use crate::hub::{Hub, JSON, SOON, STRATEGIC, json as body, patch, server};

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";
const RUNNING: &str = "Running";

fn running() -> Value {
    json!({ "status": { "phase": RUNNING, "podIP": "10.0.0.9", "podIPs": [{ "ip": "10.0.0.9" }] } })
}

async fn write(api: &Api, pod: &str, query: &str) -> (u16, Value) {
    let request = patch(&format!("{pod}/status{query}"), STRATEGIC, &running());
    let reply = api.send(request).await.unwrap();
    (reply.status, body(&reply))
}

async fn replayed(hub: &Hub<'_>, outcome: &str) -> u64 {
    let label = format!("outcome=\"{outcome}\"");
    hub.metric("yurthub_replay_entries_total", &label).await
}

async fn waiting(hub: &Hub<'_>) -> u64 {
    hub.metric("yurthub_journal_entries", "").await
}

/// Forbids pods of the namespace `name` to run, and waits until the apiserver holds to that.
async fn forbid(hub: &Hub<'_>, pod: &str) {
    let name = &hub.name;
    let admin = hub.server.admin();
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": { "name": name },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": { "resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods/status"],
            }] },
            "matchConditions": [{ "name": "mine", "expression": format!("object.metadata.namespace == '{name}'") }],
            "validations": [{ "expression": "object.status.phase != 'Running'", "message": "nothing runs here" }],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": name },
        "spec": { "policyName": name, "validationActions": ["Deny"] },
    });
    for (path, object) in [(POLICIES, policy), (BINDINGS, binding)] {
        let (status, answer) = admin.post(path, object).await.unwrap();
        assert_eq!(status, 201, "{answer}");
    }
    wait_for("the policy to hold", SOON, async || {
        let (status, answer) = write(admin, pod, "?dryRun=All").await;
        if status == 422 {
            Ok(())
        } else {
            Err((status, answer))
        }
    })
    .await;
}

#[tokio::test]
async fn a_status_that_admission_refuses_is_dropped_once_and_the_kubelets_next_one_goes_through() {
    let hub = Hub::start(server().await, "refused").await;
    let admin = hub.server.admin();
    let (pod, _) = mirrored_pod(&hub, "web").await;
    hub.cut().await;
    assert_eq!(write(&hub.node(), &pod, "").await.0, 200);
    assert_eq!(waiting(&hub).await, 2, "one pod in two encodings");
    forbid(&hub, &pod).await;
    hub.join().await;
    wait_for("the journal to be empty", SOON, async || waiting(&hub).await == 0).await;
    assert_eq!(replayed(&hub, "refused").await, 2);
    assert_eq!(replayed(&hub, "sent").await, 0);
    let log = hub.process.log();
    assert!(
        log.contains("the cloud refuses what the kubelet wrote meanwhile")
            && log.contains("nothing runs here"),
        "the log names the cause:\n{}",
        hub.process.log_tail(40)
    );
    // Local readers, and so the kubelet, see what the cloud has: that is how the kubelet finds that it must write again.
    let (_, shown) = hub.node().get(&pod).await.unwrap();
    assert_eq!(shown["status"]["phase"], "Pending", "{shown}");
    let (status, answer) = write(&hub.node(), &pod, "").await;
    assert_eq!(status, 422, "the refusal is the cloud's own: {answer}");
    // Another outage has nothing left to send, and the next refused write is one more.
    hub.cut().await;
    assert_eq!(write(&hub.node(), &pod, "").await.0, 200);
    assert_eq!(waiting(&hub).await, 2, "the journal does not grow");
    hub.join().await;
    wait_for("the journal to be empty again", SOON, async || {
        waiting(&hub).await == 0
    })
    .await;
    assert_eq!(replayed(&hub, "refused").await, 4, "each once");

    for path in [BINDINGS, POLICIES] {
        assert_eq!(admin.delete(&format!("{path}/refused")).await.unwrap().0, 200);
    }
    wait_for("the kubelet's status to go through", SOON, async || {
        let (status, answer) = write(&hub.node(), &pod, "").await;
        if status == 200 {
            Ok(())
        } else {
            Err((status, answer))
        }
    })
    .await;
    let (_, cloud) = hub.direct().get(&pod).await.unwrap();
    assert_eq!(cloud["status"]["phase"], RUNNING);
    wait_for("the mirror to follow", SOON, async || {
        let path = format!("{}&resourceVersion=0", pods(&hub));
        let list = body(&read(&hub.node(), &path, JSON).await);
        if list["items"][0]["status"] == cloud["status"] {
            Ok(())
        } else {
            Err(list)
        }
    })
    .await;
    assert_eq!((waiting(&hub).await, replayed(&hub, "refused").await), (0, 4));
}

#[tokio::test]
async fn a_node_that_was_deleted_meanwhile_registers_anew() {
    let hub = Hub::start(server().await, "deleted").await;
    let admin = hub.server.admin();
    let nodes = mirrored_node(&hub).await;
    let path = "/api/v1/nodes/deleted";
    let (_, before) = hub.node().get(path).await.unwrap();
    let alive = |cpu: &str| {
        patch(
            &format!("{path}/status"),
            STRATEGIC,
            &json!({ "status": { "capacity": { "cpu": cpu } } }),
        )
    };
    let registration = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "deleted", "labels": { "kubernetes.io/hostname": "deleted" } } });
    let register = async || {
        let request = Raw::new(Method::POST, "/api/v1/nodes").body(JSON, registration.to_string());
        hub.node().send(request).await.unwrap()
    };
    hub.cut().await;
    assert_eq!(hub.node().send(alive("7")).await.unwrap().status, 200);
    assert_eq!(waiting(&hub).await, 2, "one node in two encodings");
    assert_eq!(admin.delete(path).await.unwrap().0, 200);
    // Nobody on the node can know that: a kubelet that starts now finds its Node.
    assert_eq!(register().await.status, 409);
    assert_eq!(hub.node().get(path).await.unwrap().0, 200);
    hub.join().await;
    wait_for("the status to be dropped", SOON, async || {
        waiting(&hub).await == 0
    })
    .await;
    wait_for("both entries to be counted", SOON, async || {
        let gone = replayed(&hub, "gone").await;
        if gone == 2 { Ok(()) } else { Err(gone) }
    })
    .await;
    assert_eq!(replayed(&hub, "sent").await, 0);
    wait_for("the Node to be gone from the mirror", SOON, async || {
        let list = body(&read(&hub.node(), &format!("{nodes}&resourceVersion=0"), JSON).await);
        if list["items"].as_array().is_some_and(Vec::is_empty) {
            Ok(())
        } else {
            Err(list)
        }
    })
    .await;
    // As the kubelet does: its status update finds no Node, so it registers, at the cloud.
    let reply = hub.node().send(alive("7")).await.unwrap();
    assert_eq!(reply.status, 404, "{}", body(&reply));
    let made = register().await;
    assert_eq!(made.status, 201, "{}", body(&made));
    assert_ne!(body(&made)["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(hub.node().send(alive("7")).await.unwrap().status, 200);
    wait_for("the mirror to have the new Node", SOON, async || {
        let list = body(&read(&hub.node(), &format!("{nodes}&resourceVersion=0"), JSON).await);
        let (found, status) = (
            &list["items"][0]["metadata"]["uid"],
            &list["items"][0]["status"]["capacity"]["cpu"],
        );
        if *found == body(&made)["metadata"]["uid"] && status == "7" {
            Ok(())
        } else {
            Err(list)
        }
    })
    .await;
    // From here on it is a Node as any other.
    hub.cut().await;
    assert_eq!(hub.node().send(alive("9")).await.unwrap().status, 200);
    hub.join().await;
    wait_for("the new Node's status to arrive", SOON, async || {
        let (_, cloud) = hub.direct().get(path).await.unwrap();
        if cloud["status"]["capacity"]["cpu"] == "9" {
            Ok(())
        } else {
            Err(cloud)
        }
    })
    .await;
    wait_for("the journal to be empty", SOON, async || waiting(&hub).await == 0).await;
    assert_eq!(replayed(&hub, "gone").await, 2, "nothing loops");
    assert_eq!(hub.metric("yurthub_scopes", "state=\"denied\"").await, 0);
}
