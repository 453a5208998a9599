//! A person at a node that is cut off: kubectl with the kubelet's certificate, and yurthub's own commands, tell what
//! runs there and since when the cloud is away.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::progress::say;
use e2e::{Node, containers, hub, pod, wait_for};
use serde_json::Value;

use crate::setup::{POD_DEADLINE, alone, wait_agreed};

const KUBECTL: [&str; 3] = ["kubectl", "--kubeconfig", "/etc/yurthub/kubelet.kubeconfig"];

/// What kubectl on the node prints: data, and warnings.
fn kubectl(node: &Node, args: &[&str]) -> Result<(String, String)> {
    let output = node.exec(KUBECTL.iter().chain(args))?;
    ensure!(
        output.status.success(),
        "kubectl {args:?}: {}{}",
        output.text(),
        output.errors()
    );
    Ok((output.text(), output.errors()))
}

/// Exit code and output of yurthub's own program on the node.
fn yurthub(node: &Node, args: &[&str]) -> Result<(Option<i32>, String, String)> {
    let output = node.exec(["yurthub"].iter().chain(args))?;
    Ok((output.status.code(), output.text(), output.errors()))
}

fn assert_holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

/// What kubectl says of the pods `web`, which was restarted, and `db` in `namespace`.
fn assert_kubectl_tells(node: &Node, namespace: &str) -> Result<()> {
    let (table, warnings) = kubectl(node, &["get", "pods", "-A", "-o", "wide"])?;
    assert_holds(
        &table,
        &[
            "NAMESPACE",
            "READY",
            "STATUS",
            "RESTARTS",
            "IP",
            "NODE",
            namespace,
            node.name(),
        ],
    );
    assert_holds(
        &warnings,
        &["cloud unreachable for", "only those pods that this node mirrors"],
    );
    let (text, warnings) = kubectl(node, &["describe", "pod", "-n", namespace, "web"])?;
    assert_holds(
        &text,
        &[
            "Name:             web",
            "Restart Count:  1",
            "Status:           Running",
        ],
    );
    // Decoded for display, unless somebody on this node reads pods in JSON and has brought them here so.
    assert_holds(&warnings, &["cloud unreachable for"]);
    let (text, _) = kubectl(node, &["get", "node", node.name(), "-o", "yaml"])?;
    assert_holds(&text, &["kind: Node", "kubeletVersion:", "- address:"]);
    let (text, _) = kubectl(node, &["get", "nodes"])?;
    assert_holds(&text, &[node.name(), "Ready", "VERSION"]);
    let (text, _) = kubectl(node, &["get", "pod", "-n", namespace, "web", "-o", "json"])?;
    let web: Value = serde_json::from_str(&text).context("parse what kubectl printed")?;
    assert_eq!(web["status"]["containerStatuses"][0]["restartCount"], 1, "{text}");
    let all = node.exec(KUBECTL.iter().chain(&["get", "pods", "-A", "-o", "json"]))?;
    ensure!(
        !all.status.success(),
        "a part was given as the whole: {}",
        all.text()
    );

    Ok(())
}

/// What yurthub's own commands say of the same.
fn assert_yurthub_tells(node: &Node, namespace: &str) -> Result<()> {
    let (code, text, _) = yurthub(node, &["status"])?;
    assert_eq!(code, Some(3), "{text}");
    assert_holds(
        &text,
        &[
            "cloud      AWAY for",
            "for the cloud, the oldest for",
            "scopes     ",
        ],
    );
    let (code, text, notes) = yurthub(node, &["get", "pods", "-n", namespace, "-o", "wide"])?;
    assert_eq!(code, Some(0), "{notes}");
    assert_holds(&text, &["web", "db", "LOCAL", "status"]);
    assert_holds(&notes, &["with a status that the cloud does not have yet"]);
    let (_, text, _) = yurthub(node, &["journal"])?;
    assert_holds(&text, &[&format!("{namespace}/web")]);
    Ok(())
}

#[test]
fn a_person_at_a_node_that_is_cut_off_sees_what_runs_and_since_when() -> Result<()> {
    let (cluster, node) = alone()?;
    let namespace = cluster.namespace("person")?;
    namespace.apply([pod("web").on(node.name()), pod("db").on(node.name())])?;
    for name in ["web", "db"] {
        namespace.wait_ready(name, POD_DEADLINE)?;
    }
    wait_agreed(&cluster, &node, &namespace, POD_DEADLINE)?;
    let (code, text, _) = yurthub(&node, &["status"])?;
    assert_eq!(code, Some(0), "{text}");

    node.cut()?;
    hub::wait_offline(&node)?;
    let start = Instant::now();
    // Something that the cloud does not know: a container that ended, and its restart.
    let running = containers::running(&node, namespace.name())?;
    containers::crash(&node, &running[&format!("{}/web/main", namespace.name())])?;
    wait_for("the restart to show in the mirror", POD_DEADLINE, || {
        let (table, _) = kubectl(&node, &["get", "pods", "-n", namespace.name()])?;
        let web = table.lines().find(|line| line.starts_with("web"));
        Ok(web
            .filter(|line| line.contains("Running") && line.contains("1 ("))
            .map(drop))
    })?;

    assert_kubectl_tells(&node, namespace.name())?;
    assert_yurthub_tells(&node, namespace.name())?;
    let cut = start.elapsed();
    node.exec_ok(["systemctl", "stop", "yurthub"])?;
    let (code, _, errors) = yurthub(&node, &["status"])?;
    assert_eq!(code, Some(4));
    assert_holds(&errors, &["Is yurthub running?", "systemctl status yurthub"]);
    node.exec_ok(["systemctl", "start", "yurthub"])?;
    hub::wait_ready(&node)?;

    node.join()?;
    wait_agreed(&cluster, &node, &namespace, POD_DEADLINE)?;
    wait_for(
        "yurthub to say that the cloud is there",
        Duration::from_mins(1),
        || {
            let (code, text, _) = yurthub(&node, &["status"])?;
            ensure!(code == Some(0), "{text}");
            Ok(Some(()))
        },
    )?;
    say(format_args!(
        "hub person: kubectl and yurthub told what runs on a node that was cut off, {:.1} s into the outage",
        cut.as_secs_f64()
    ));
    Ok(())
}
