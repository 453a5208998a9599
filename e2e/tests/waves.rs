//! yurtctl and a whole cluster: waves with a canary, Helm, and Kubernetes' own upgrade of a node.
//!
//! On a cluster of its own, as what is asked here is what is left in the cluster when all is reverted. Cargo runs it after
//! the others, by its name, so that its five nodes take nothing from them.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::conversion::{WITHOUT_DNS, yurtctl};
use e2e::progress::say;
use e2e::{Background, Cluster, Node, hub, image, up, wait_for};

const NODES: [&str; 4] = ["edge1", "edge2", "edge3", "edge4"];
const DEADLINE: Duration = Duration::from_mins(3);
/// Kubernetes knows of nothing of ours any more.
const KINDS: &str = "namespaces,clusterroles,clusterrolebindings,configmaps,serviceaccounts,jobs,pods,leases,roles,rolebindings";

/// The cluster for one test at a time, with the image on its nodes.
fn fleet() -> Result<(Cluster, MutexGuard<'static, ()>)> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = up::attach_or_up_fleet()?;
    let image = image::built()?;
    for name in NODES.into_iter().chain(["cloud1"]) {
        image::load(&cluster.node(name), &image)?;
    }
    // What a test before this one has left.
    yurtctl(&cluster, ["revert", "--yes"])?.run_ok()?;
    Ok((cluster, turn))
}

fn is_converted(node: &Node) -> Result<bool> {
    let turned = "grep -q /etc/yurthub/ /proc/$(systemctl show -P MainPID kubelet)/cmdline";
    Ok(node.exec(["sh", "-c", turned])?.status.success())
}

fn converted(cluster: &Cluster) -> Result<Vec<&'static str>> {
    let mut found = Vec::new();
    for name in NODES {
        if is_converted(&cluster.node(name))? {
            found.push(name);
        }
    }
    Ok(found)
}

/// What yurtctl is told to convert one node, and to leave kube-proxy alone.
fn to_convert(node: &str) -> [&str; 6] {
    [
        "convert",
        "--yes",
        WITHOUT_DNS,
        "--system-clients=",
        "--edge-nodes",
        node,
    ]
}

/// Nothing of ours is in the cluster.
fn assert_clean(cluster: &Cluster) -> Result<()> {
    let ours = [
        "get",
        KINDS,
        "-A",
        "-l",
        "app.kubernetes.io/part-of=yurt",
        "-o",
        "name",
    ];
    assert_eq!(cluster.kubectl(ours)?, "");
    let nodes = cluster.get_json(["nodes"])?;
    for node in nodes["items"].as_array().into_iter().flatten() {
        let metadata = format!(
            "{} {}",
            node["metadata"]["labels"], node["metadata"]["annotations"]
        );
        assert!(!metadata.contains("yurt"), "{metadata}");
    }
    Ok(())
}

#[test]
fn a_canary_that_fails_stops_the_waves_and_a_second_run_does_the_rest() -> Result<()> {
    let (cluster, _turn) = fleet()?;
    let canary = cluster.node("edge1");
    // A kubelet that does not start once it is turned.
    let site = "/etc/systemd/system/kubelet.service.d/15-site.conf";
    let refuse =
        b"[Service]\nExecStartPre=/usr/bin/test ! -e /etc/systemd/system/kubelet.service.d/20-yurthub.conf\n";
    canary.push_file(site, refuse, 0o644)?;
    canary.exec_ok(["systemctl", "daemon-reload"])?;
    let nodes = NODES.join(",");
    let args = [
        "convert",
        "--yes",
        WITHOUT_DNS,
        "--system-clients=",
        "--max-unavailable=2",
        "--edge-nodes",
        &nodes,
    ];
    let failed = yurtctl(&cluster, args)?.run()?;
    assert_eq!(failed.status.code(), Some(1), "{}", failed.errors());
    let said = failed.errors();
    assert!(
        said.contains("edge1: FAILED: it is as it was before: step `switch`"),
        "{said}"
    );
    assert!(
        said.contains("stopped; nothing was done to edge2, edge3, edge4"),
        "{said}"
    );
    assert_eq!(converted(&cluster)?, Vec::<&str>::new());
    canary.exec_ok(["rm", site])?;
    canary.exec_ok(["systemctl", "daemon-reload"])?;
    let ready = ["wait", "--for=condition=Ready", "--timeout=120s", "node", "--all"];
    cluster.kubectl_cmd(ready).run_ok()?;

    // Two at once: the second one is refused.
    let mut first = Background::start(&yurtctl(&cluster, args)?)?;
    wait_for("the first run to hold the lock", DEADLINE, || {
        let lease = cluster.kubectl(["-n", "yurt-system", "get", "lease", "yurtctl", "-o", "name"])?;
        Ok((!lease.is_empty()).then_some(()))
    })?;
    let second = yurtctl(&cluster, args)?.run()?;
    assert!(second.errors().contains("another yurtctl"), "{}", second.errors());
    wait_for("the first run to end", DEADLINE * 3, || {
        Ok((!first.is_running()?).then_some(()))
    })?;
    assert_eq!(converted(&cluster)?, NODES, "{}", first.errors());
    assert!(
        first.errors().contains("wave 2 of 3: edge2, edge3"),
        "{}",
        first.errors()
    );

    yurtctl(&cluster, ["revert", "--yes", "--max-unavailable=4"])?.run_ok()?;
    assert_eq!(converted(&cluster)?, Vec::<&str>::new());
    assert_clean(&cluster)?;
    say(
        "fleet: a canary that failed stopped the waves; then four nodes in three waves, and back without a trace",
    );
    Ok(())
}

#[test]
fn a_release_of_helm_is_used_and_left_to_helm() -> Result<()> {
    let (cluster, _turn) = fleet()?;
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/yurt");
    let chart = chart.to_str().context("the chart's path is text")?;
    let node = cluster.node("edge1");
    cluster.helm(["install", "yurt", chart])?;
    let args = to_convert("edge1");
    yurtctl(&cluster, args)?.run_ok()?;
    cluster.helm(["upgrade", "yurt", chart, "--set", "hub.log=debug"])?;
    let updated = yurtctl(&cluster, args)?.run()?;
    ensure!(updated.status.success(), "{}", updated.errors());
    assert!(
        updated.errors().contains("edge1: is updated"),
        "{}",
        updated.errors()
    );
    let config = node.exec_ok(["cat", "/etc/yurthub/config.yaml"])?;
    assert!(config.contains("log: debug"), "{config}");
    hub::wait_ready(&node)?;

    yurtctl(&cluster, ["revert", "--yes"])?.run_ok()?;
    let release = cluster.helm(["status", "yurt"])?;
    assert!(release.contains("deployed"), "{release}");
    let left = cluster.kubectl([
        "-n",
        "yurt-system",
        "get",
        "configmap",
        "yurt-hub-cfg",
        "-o",
        "name",
    ])?;
    assert_eq!(
        left, "configmap/yurt-hub-cfg",
        "what Helm has put there was taken away"
    );
    cluster.helm(["uninstall", "yurt", "--wait"])?;
    assert_clean(&cluster)
}

#[test]
fn kubernetes_own_upgrade_of_a_node_leaves_it_converted() -> Result<()> {
    let (cluster, _turn) = fleet()?;
    let node = cluster.node("edge2");
    let args = to_convert("edge2");
    yurtctl(&cluster, args)?.run_ok()?;
    // As a run leaves it that was interrupted before its end.
    cluster.kubectl(["label", "node", "edge2", "openyurt.io/is-edge-worker-"])?;
    let finished = yurtctl(&cluster, args)?.run()?;
    assert!(
        finished.errors().contains("an interrupted run has left"),
        "{}",
        finished.errors()
    );
    let labels = cluster.get_json(["node", "edge2"])?["metadata"]["labels"].clone();
    assert_eq!(labels["openyurt.io/is-edge-worker"], "true", "{labels}");

    node.exec_ok(["kubeadm", "upgrade", "node"])?;
    node.exec_ok(["systemctl", "restart", "kubelet"])?;
    wait_for("the kubelet to watch through yurthub again", DEADLINE, || {
        ensure!(is_converted(&node)?, "the kubelet is not turned");
        Ok((hub::metric(&node, "yurthub_mirror_watchers")? > 0.0).then_some(()))
    })?;
    cluster.kubectl(["wait", "--for=condition=Ready", "--timeout=60s", "node/edge2"])?;
    // Again and again, on the same node.
    for _ in 0..2 {
        yurtctl(&cluster, ["revert", "--yes"])?.run_ok()?;
        ensure!(!is_converted(&node)?, "the kubelet is still turned");
        assert_clean(&cluster)?;
        yurtctl(&cluster, args)?.run_ok()?;
    }
    yurtctl(&cluster, ["revert", "--yes"])?.run_ok()?;
    assert_clean(&cluster)
}
