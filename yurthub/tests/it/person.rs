//! A person at the node: kubectl's questions while the cloud is away, and yurthub's own commands.

use std::path::PathBuf;
use std::process::Command;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use yurt_testkit::api::{Raw, Reply};
use yurt_testkit::objects::{pod, secret};
use yurt_testkit::{Api, wait_for};
use yurthub_object::{Encoding, list, single};

use crate::hub::{Hub, JSON, PROTOBUF, SOON, STRATEGIC, header, json as body, patch, server};

/// As `kubectl get` asks.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,\
                     application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

async fn read(api: &Api, path: &str, accept: &'static str) -> Reply {
    api.send(Raw::get(path, accept)).await.unwrap()
}

/// A pod on the hub's node, which the hub mirrors as the kubelet follows it: in protobuf alone.
async fn follow_as_a_kubelet(hub: &Hub<'_>) -> String {
    let made = pod("web")
        .in_namespace(&hub.name)
        .on(&hub.name)
        .label("app", "web")
        .with(
            "/spec/volumes",
            json!([{"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}]),
        );
    made.create(hub.server.admin()).await.unwrap();
    let hidden = secret("hidden")
        .in_namespace(&hub.name)
        .data("key", "a-secret-value");
    hidden.create(hub.server.admin()).await.unwrap();
    let node = hub.name.as_str();
    let node_path = format!("/api/v1/nodes?fieldSelector=metadata.name%3D{node}&resourceVersion=0");
    let pods = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}&resourceVersion=0");
    for path in [node_path, pods] {
        wait_for("the mirror to follow", SOON, async || {
            let reply = read(&hub.node(), &path, PROTOBUF).await;
            let items = list::decode(Encoding::Protobuf, &reply.body);
            reply.status == 200 && items.is_ok_and(|page| page.items.len() == 1)
        })
        .await;
    }
    made.path()
}

/// Runs yurthub's own program: exit code, stdout, stderr.
pub(crate) fn yurthub(hub: &Hub<'_>, args: &[&str]) -> (i32, String, String) {
    run(hub.folder().join("admin.sock"), args)
}

fn run(socket: PathBuf, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_yurthub"))
        .args(args)
        .arg("--admin-socket")
        .arg(socket)
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[tokio::test]
async fn json_of_what_is_mirrored_in_protobuf_is_for_reading_while_cut_off() {
    let hub = Hub::start(server().await, "decoded").await;
    let path = follow_as_a_kubelet(&hub).await;
    let of_node = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", hub.name);
    let online = read(&hub.direct(), &path, JSON).await;
    let list_online = read(&hub.direct(), &of_node, JSON).await;
    hub.cut().await;

    let pod = read(&hub.node(), &path, JSON).await;
    assert_eq!(pod.body, online.body, "{}", body(&pod));
    assert_eq!(header(&pod, "content-type"), JSON);
    let warning = header(&pod, "warning");
    assert!(
        warning.contains("cloud unreachable for") && warning.contains("decoded from protobuf for display"),
        "{warning}"
    );
    let pods = read(&hub.node(), &of_node, JSON).await;
    assert_eq!(body(&pods)["items"], body(&list_online)["items"]);
    assert_eq!(body(&pods)["kind"], "PodList");
    let node = read(&hub.node(), &format!("/api/v1/nodes/{}", hub.name), JSON).await;
    assert_eq!(body(&node)["kind"], "Node");

    // Also with a status that the cloud does not have yet, and at any version.
    let status = json!({"status": {"phase": "Failed"}});
    let written = hub
        .node()
        .send(patch(&format!("{path}/status"), STRATEGIC, &status))
        .await;
    assert_eq!(written.unwrap().status, 200);
    for path in [path.clone(), format!("{path}?resourceVersion=0")] {
        let pod = read(&hub.node(), &path, JSON).await;
        assert_eq!(body(&pod)["status"]["phase"], "Failed", "{path}: {}", body(&pod));
        assert!(header(&pod, "warning").contains("decoded"), "{path}");
    }

    // What is here is one part of all pods: a program must not take it for the whole.
    for path in [
        "/api/v1/pods".to_owned(),
        format!("/api/v1/namespaces/{}/pods", hub.name),
    ] {
        let reply = read(&hub.node(), &path, JSON).await;
        assert_eq!(reply.status, 503, "{path}: {}", body(&reply));
    }
    // Nor is a watch of it decoded, whatever the form.
    for accept in [JSON, TABLE] {
        let reply = read(&hub.node(), &format!("{of_node}&watch=1"), accept).await;
        assert_eq!(reply.status, 503, "{accept}: {}", body(&reply));
    }
    // Protobuf stays what the cloud sent, without a warning.
    let reply = read(&hub.node(), &path, PROTOBUF).await;
    assert_eq!(
        single::split(Encoding::Protobuf, &reply.body).unwrap().0.kind,
        "Pod"
    );
    assert_eq!(header(&reply, "warning"), "");
    hub.join().await;
}

#[tokio::test]
async fn a_table_shows_what_is_here_and_says_when_that_is_a_part() {
    let hub = Hub::start(server().await, "tabled").await;
    let path = follow_as_a_kubelet(&hub).await;
    hub.cut().await;
    let status = json!({"status": {"phase": "Running", "podIP": "10.9.8.7"}});
    let written = hub
        .node()
        .send(patch(&format!("{path}/status"), STRATEGIC, &status))
        .await;
    assert_eq!(written.unwrap().status, 200);

    let reply = read(&hub.node(), "/api/v1/pods?limit=500", TABLE).await;
    let table = body(&reply);
    assert_eq!(
        (reply.status, table["kind"].as_str()),
        (200, Some("Table")),
        "{table}"
    );
    let warning = header(&reply, "warning");
    assert!(
        warning.contains("cloud unreachable for")
            && warning.contains("only those pods that this node mirrors"),
        "{warning}"
    );
    let rows = table["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{table}");
    let cells = &rows[0]["cells"];
    assert_eq!(
        (&cells[0], &cells[2], &cells[5], &cells[6]),
        (
            &json!("web"),
            &json!("Running"),
            &json!("10.9.8.7"),
            &json!("tabled")
        )
    );
    assert_eq!(rows[0]["object"]["metadata"]["namespace"], "tabled");

    let rows = async |path: &str| {
        let reply = read(&hub.node(), path, TABLE).await;
        let rows = body(&reply)["rows"].as_array().map(Vec::len);
        (
            reply.status,
            rows,
            header(&reply, "warning").contains("only those"),
        )
    };
    for (path, expected) in [
        ("/api/v1/namespaces/tabled/pods", (200, Some(1), true)),
        ("/api/v1/namespaces/other/pods", (200, Some(0), true)),
        ("/api/v1/pods?labelSelector=app%3Ddb", (200, Some(0), true)),
        (
            "/api/v1/pods?fieldSelector=spec.nodeName%3Dtabled",
            (200, Some(1), false),
        ),
        ("/api/v1/namespaces/tabled/pods/web", (200, Some(1), false)),
        ("/api/v1/namespaces/tabled/pods/none", (503, None, false)),
        ("/api/v1/nodes/tabled", (200, Some(1), false)),
        ("/api/v1/services", (503, None, false)),
    ] {
        assert_eq!(rows(path).await, expected, "{path}");
    }
    hub.join().await;
}

#[tokio::test]
async fn the_program_says_how_the_running_one_is() {
    let mut hub = Hub::start(server().await, "asked").await;
    let path = follow_as_a_kubelet(&hub).await;
    hub.cloud_is(true).await;
    let (code, text, errors) = yurthub(&hub, &["status"]);
    assert_eq!((code, errors.as_str()), (0, ""), "{text}");
    assert!(
        text.contains("on asked, up for") && text.contains("cloud      there for"),
        "{text}"
    );

    hub.cut().await;
    let status = json!({"status": {"phase": "Running"}});
    let written = hub
        .node()
        .send(patch(&format!("{path}/status"), STRATEGIC, &status))
        .await;
    assert_eq!(written.unwrap().status, 200);
    let event = json!({
        "kind": "Event", "apiVersion": "v1", "metadata": {"name": "web.1", "namespace": hub.name},
        "involvedObject": {"kind": "Pod", "namespace": hub.name, "name": "web"},
        "reason": "BackOff", "message": "again", "count": 1,
    });
    let events = format!("/api/v1/namespaces/{}/events", hub.name);
    let post = Raw::new(Method::POST, &events).body(JSON, event.to_string());
    assert_eq!(
        hub.node().send(post).await.unwrap().status,
        StatusCode::CREATED.as_u16()
    );

    let (code, text, _) = yurthub(&hub, &["status"]);
    assert_eq!(code, 3, "{text}");
    for part in [
        "cloud      AWAY for",
        "statuses   1 waits for the cloud",
        "events     1 waits for the cloud",
        "detached",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    let (code, text, _) = yurthub(&hub, &["status", "-o", "json"]);
    let status: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &status["cloud"]["phase"], &status["statuses"]["waiting"]),
        (3, &json!("down"), &json!(1)),
        "{text}"
    );
    let (code, text, _) = yurthub(&hub, &["journal"]);
    assert_eq!(code, 0);
    assert!(text.contains("asked/web") && text.contains("BackOff"), "{text}");
    let (code, text, _) = yurthub(&hub, &["scopes"]);
    assert_eq!(code, 0);
    assert!(text.contains("pods [spec.nodeName=asked]"), "{text}");

    hub.kill();
    let (code, text, errors) = yurthub(&hub, &["status"]);
    assert_eq!((code, text.as_str()), (4, ""));
    assert!(
        errors.contains("nobody listens") && errors.contains("journalctl"),
        "{errors}"
    );
    let (code, _, errors) = run(hub.folder().join("none.sock"), &["status"]);
    assert_eq!(code, 4);
    assert!(errors.contains("Is yurthub running?"), "{errors}");
}

#[tokio::test]
async fn the_program_shows_what_the_mirror_holds_and_hides_secrets() {
    let hub = Hub::start(server().await, "shown").await;
    let path = follow_as_a_kubelet(&hub).await;
    let online = read(&hub.direct(), &path, JSON).await;
    // A pod that uses it lets the node follow it.
    let user = pod("user")
        .in_namespace(&hub.name)
        .on(&hub.name)
        .mounting_secret("hidden");
    user.create(hub.server.admin()).await.unwrap();
    let secrets = format!(
        "/api/v1/namespaces/{}/secrets?fieldSelector=metadata.name%3Dhidden&resourceVersion=0",
        hub.name
    );
    wait_for("the node to be allowed the Secret", SOON, async || {
        read(&hub.node(), &secrets, PROTOBUF).await.status == 200
    })
    .await;
    hub.cut().await;

    let (code, text, notes) = yurthub(&hub, &["get", "pods", "-o", "wide"]);
    assert_eq!(code, 0, "{notes}");
    assert!(
        text.lines().next().unwrap().starts_with("NAMESPACE   NAME"),
        "{text}"
    );
    assert!(text.contains("shown       web"), "{text}");
    assert!(
        notes.contains("# 2 of pods [spec.nodeName=shown]: detached at version"),
        "{notes}"
    );
    let (_, text, _) = yurthub(&hub, &["get", "pod", "web", "-n", "shown", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), body(&online));
    let (_, text, _) = yurthub(&hub, &["get", "po", "web", "-o", "yaml"]);
    assert!(text.starts_with("apiVersion: v1\nkind: Pod\n"), "{text}");
    let (_, text, _) = yurthub(&hub, &["get", "pods", "-n", "shown", "-o", "name"]);
    assert_eq!(text, "pod/user\npod/web\n");

    for format in ["json", "yaml", "table", "wide"] {
        let (code, text, _) = yurthub(&hub, &["get", "secret", "-o", format]);
        assert!(code == 0 && text.contains("hidden"), "{format}: {text}");
        assert!(
            !text.contains("YS1zZWNyZXQtdmFsdWU="),
            "{format} shows a secret: {text}"
        );
    }
    let (_, text, _) = yurthub(&hub, &["get", "secret", "hidden", "-o", "json", "--show-secrets"]);
    assert!(text.contains("YS1zZWNyZXQtdmFsdWU="), "{text}");

    for (args, code, hint) in [
        (&["get", "pods", "none"][..], 1, "holds no pods \"none\""),
        (&["get", "widgets"][..], 1, "there are: nodes, pods, secrets"),
        (&["get", "pods", "-n", "other"][..], 0, "holds no pods in other"),
    ] {
        let (given, text, errors) = yurthub(&hub, args);
        assert_eq!((given, text.as_str()), (code, ""), "{args:?}: {errors}");
        assert!(errors.contains(hint), "{args:?}: {errors}");
    }
    hub.join().await;
}
