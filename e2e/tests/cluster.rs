//! What must work on the cluster before it can judge anything else.
//!
//! Says nothing about this project's own programs. Tests that only use the cluster share edge1; those that break a
//! node take edge2 for themselves.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::{Cluster, Namespace, Node, Profile, pod, wait_for};

/// Three times what it takes on a busy machine.
const POD_DEADLINE: Duration = Duration::from_mins(2);
const BOOT_DEADLINE: Duration = Duration::from_mins(2);
const LINK_DEADLINE: Duration = Duration::from_secs(30);

fn cluster() -> Result<Cluster> {
    Cluster::attach_or_up(Profile::Default)
}

/// `pod` answers an exec: its sandbox, its container and the way to its kubelet work.
fn wait_for_exec(namespace: &Namespace, pod: &str) -> Result<()> {
    wait_for(&format!("an exec in pod {pod}"), POD_DEADLINE, || {
        let hostname = namespace.kubectl(["exec", pod, "--", "hostname"])?;
        ensure!(hostname == pod, "the pod calls itself {hostname}");
        Ok(Some(()))
    })
}

/// After a reboot or a power cut: the container is a new one, and answers.
fn wait_for_return(namespace: &Namespace, pod: &str, restarts_before: u64) -> Result<()> {
    wait_for(&format!("pod {pod} to be restarted"), POD_DEADLINE, || {
        Ok((namespace.restarts(pod)? > restarts_before).then_some(()))
    })?;
    wait_for_exec(namespace, pod)
}

/// The pids, in the node, of the containers of `pod`'s command.
fn httpd_pids(node: &Node) -> Result<String> {
    node.exec_ok(["pgrep", "-x", "httpd"])
}

#[test]
fn logs_and_exec_work_on_every_node() -> Result<()> {
    let cluster = cluster()?;
    let _share = cluster.node("edge1").share()?;
    let namespace = cluster.namespace("logs")?;
    namespace.apply([pod("on-cloud1").on("cloud1"), pod("on-edge1").on("edge1")])?;
    for pod in ["on-cloud1", "on-edge1"] {
        namespace.wait_ready(pod, POD_DEADLINE)?;
        assert_eq!(namespace.kubectl(["logs", pod])?, "started");
        assert_eq!(namespace.kubectl(["exec", pod, "--", "hostname"])?, pod);
    }
    Ok(())
}

#[test]
fn exec_passes_standard_input() -> Result<()> {
    let cluster = cluster()?;
    let _share = cluster.node("edge1").share()?;
    let namespace = cluster.namespace("stdin")?;
    namespace.apply([pod("web").on("edge1")])?;
    namespace.wait_ready("web", POD_DEADLINE)?;
    let cat = namespace.kubectl_cmd(["exec", "-i", "web", "--", "cat"]);
    assert_eq!(cat.stdin("hello").run_ok()?, "hello");
    Ok(())
}

#[test]
fn a_cluster_ip_leads_to_a_pod_on_another_node() -> Result<()> {
    let cluster = cluster()?;
    let _share = cluster.node("edge1").share()?;
    let namespace = cluster.namespace("vip")?;
    namespace.apply([pod("web").on("edge1")])?;
    namespace.wait_ready("web", POD_DEADLINE)?;
    namespace.kubectl(["expose", "pod", "web", "--port=80", "--target-port=8080"])?;
    let ip = namespace.kubectl(["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"])?;
    let url = format!("http://{ip}/");
    let answer = wait_for("an answer from the ClusterIP", LINK_DEADLINE, || {
        Ok(Some(cluster.node("cloud1").exec_ok([
            "curl",
            "-sS",
            "--max-time",
            "2",
            &url,
        ])?))
    })?;
    assert_eq!(answer, "web");
    Ok(())
}

#[test]
fn nodes_run_systemd_in_namespaces_of_their_own() -> Result<()> {
    let cluster = cluster()?;
    let edge1 = cluster.node("edge1");
    let _share = edge1.share()?;
    assert_eq!(edge1.exec_ok(["cat", "/proc/1/comm"])?, "systemd");
    assert_eq!(edge1.exec_ok(["systemctl", "is-active", "kubelet"])?, "active");
    assert_eq!(edge1.exec_ok(["hostname"])?, "edge1");
    let identity = ["cat", "/etc/machine-id", "/proc/sys/kernel/random/boot_id"];
    assert_ne!(
        edge1.exec_ok(identity)?,
        cluster.node("cloud1").exec_ok(identity)?
    );
    Ok(())
}

#[test]
fn the_bytes_on_the_link_are_counted() -> Result<()> {
    let cluster = cluster()?;
    let edge1 = cluster.node("edge1");
    let _share = edge1.share()?;
    let (received, sent) = edge1.link_bytes()?;
    let kubectl = [
        "kubectl",
        "--kubeconfig=/etc/kubernetes/kubelet.conf",
        "get",
        "--raw",
        "/openapi/v2",
    ];
    let document = edge1.cmd(kubectl)?.run_ok()?;
    let (received, sent) = (edge1.link_bytes()?.0 - received, edge1.link_bytes()?.1 - sent);
    // It comes compressed, and something goes the other way too.
    ensure!(
        document.len() > 1_000_000 && received > 100_000 && sent > 1000,
        "received {received}, sent {sent}"
    );
    Ok(())
}

#[test]
fn containers_live_through_a_cut_and_a_kubelet_restart() -> Result<()> {
    let cluster = cluster()?;
    let edge2 = cluster.node("edge2").lock()?;
    let namespace = cluster.namespace("cut")?;
    namespace.apply([pod("web").on("edge2")])?;
    namespace.wait_ready("web", POD_DEADLINE)?;
    let before = httpd_pids(&edge2)?;
    edge2.cut()?;
    ensure!(!edge2.is_connected()?, "the cable is in");
    edge2.exec_ok(["systemctl", "restart", "kubelet"])?;
    assert_eq!(httpd_pids(&edge2)?, before);
    edge2.join()?;
    wait_for("logs from the joined node", POD_DEADLINE, || {
        Ok(Some(namespace.kubectl(["logs", "web"])?))
    })?;
    assert_eq!((httpd_pids(&edge2)?, namespace.restarts("web")?), (before, 0));
    Ok(())
}

#[test]
fn pods_return_after_a_reboot_and_after_a_power_cut() -> Result<()> {
    let cluster = cluster()?;
    let edge2 = cluster.node("edge2").lock()?;
    let namespace = cluster.namespace("reboot")?;
    namespace.apply([pod("web").on("edge2")])?;
    namespace.wait_ready("web", POD_DEADLINE)?;
    let boot_id = || edge2.exec_ok(["cat", "/proc/sys/kernel/random/boot_id"]);
    let first = boot_id()?;
    let start = Instant::now();
    edge2.reboot()?;
    edge2.wait_booted(BOOT_DEADLINE)?;
    wait_for_return(&namespace, "web", 0)?;
    println!(
        "reboot: the pod is back after {:.1} s",
        start.elapsed().as_secs_f64()
    );
    let second = boot_id()?;
    assert_ne!(first, second);

    let restarts = namespace.restarts("web")?;
    let start = Instant::now();
    edge2.power_cut()?;
    edge2.wait_booted(BOOT_DEADLINE)?;
    wait_for_return(&namespace, "web", restarts)?;
    println!(
        "power cut: the pod is back after {:.1} s",
        start.elapsed().as_secs_f64()
    );
    assert_ne!(second, boot_id()?);
    Ok(())
}

#[test]
fn a_reboot_leaves_nothing_of_the_old_network() -> Result<()> {
    let cluster = cluster()?;
    let edge2 = cluster.node("edge2").lock()?;
    edge2.exec_ok(["nft", "add", "table", "ip", "leftover"])?;
    edge2.exec_ok(["ip", "link", "add", "leftover", "type", "bridge"])?;
    edge2.cut()?;
    edge2.power_cut()?;
    edge2.wait_booted(BOOT_DEADLINE)?;
    let rules = edge2.exec_ok(["nft", "list", "tables"])?;
    let links = edge2.exec_ok(["ip", "-o", "link"])?;
    ensure!(
        !rules.contains("leftover") && !links.contains("leftover"),
        "{rules}\n{links}"
    );
    ensure!(!edge2.is_connected()?, "the cable was plugged in by the boot");
    Ok(())
}

#[test]
fn packets_vanish_in_a_black_hole_and_return_after_it() -> Result<()> {
    let cluster = cluster()?;
    let edge2 = cluster.node("edge2").lock()?;
    let reach = || edge2.exec(["curl", "-sk", "--max-time", "2", "https://10.99.0.10:6443/livez"]);
    wait_for("the apiserver", LINK_DEADLINE, || {
        Ok((reach()?.text() == "ok").then_some(()))
    })?;
    edge2.blackhole()?;
    // 28: curl's own deadline passed; nothing told it that the way is closed.
    assert_eq!(reach()?.status.code(), Some(28));
    ensure!(edge2.is_connected()?, "the cable is out");
    edge2.unblackhole()?;
    wait_for("the apiserver", LINK_DEADLINE, || {
        Ok((reach()?.text() == "ok").then_some(()))
    })?;
    edge2.blackhole_to(&cluster.node("cloud1"))?;
    assert_eq!(reach()?.status.code(), Some(28));
    edge2.heal()?;
    wait_for("the apiserver", LINK_DEADLINE, || {
        Ok((reach()?.text() == "ok").then_some(()))
    })
}

#[test]
fn behind_nat_only_the_node_opens_connections() -> Result<()> {
    let cluster = cluster()?;
    let edge2 = cluster.node("edge2").lock()?;
    let (cloud1, kubelet) = (
        cluster.node("cloud1"),
        format!("https://{}:10250/healthz", edge2.ip()?),
    );
    let call = || cloud1.exec(["curl", "-sk", "--max-time", "2", "-o", "/dev/null", &kubelet]);
    wait_for("the kubelet", POD_DEADLINE, || {
        Ok(call()?.status.success().then_some(()))
    })?;
    edge2.nat()?;
    assert_eq!(call()?.status.code(), Some(28));
    let out = edge2.exec_ok(["curl", "-sk", "--max-time", "5", "https://10.99.0.10:6443/livez"])?;
    assert_eq!(out, "ok");
    edge2.unnat()?;
    wait_for("the kubelet", LINK_DEADLINE, || {
        Ok(call()?.status.success().then_some(()))
    })
}

#[test]
fn files_are_reached_whether_the_node_runs_or_not() -> Result<()> {
    let cluster = cluster()?;
    let edge2 = cluster.node("edge2").lock()?;
    edge2.push_file("/etc/yurt-test/running", b"one\0", 0o640)?;
    assert_eq!(
        edge2.exec_ok(["stat", "-c", "%a %U", "/etc/yurt-test/running"])?,
        "640 root"
    );
    edge2.power_off()?;
    ensure!(!edge2.is_up(), "it is up");
    assert_eq!(edge2.read_file("/etc/yurt-test/running")?, b"one\0");
    ensure!(
        edge2.read_file("/etc/debian_version")?.starts_with(b"12"),
        "not the file of the new disk"
    );
    edge2.push_file("/etc/yurt-test/off", b"two", 0o600)?;
    edge2.push_file("/var/lib/kubelet/yurt-test", b"three", 0o600)?;
    ensure!(
        edge2.exec(["true"]).is_err(),
        "a program ran on a node that is off"
    );
    edge2.power_on()?;
    edge2.wait_booted(BOOT_DEADLINE)?;
    assert_eq!(edge2.read_file("/etc/yurt-test/off")?, b"two");
    assert_eq!(edge2.read_file("/var/lib/kubelet/yurt-test")?, b"three");
    Ok(())
}

#[test]
fn a_folder_of_the_node_can_lie_elsewhere() -> Result<()> {
    let cluster = cluster()?;
    let edge2 = cluster.node("edge2").lock()?;
    let elsewhere = tempfile::tempdir_in(cluster.instance().state()).context("make a folder")?;
    edge2.bind(elsewhere.path(), "/var/lib/yurt-test")?;
    edge2.power_cut()?;
    edge2.wait_booted(BOOT_DEADLINE)?;
    edge2.push_file("/var/lib/yurt-test/file", b"here", 0o600)?;
    assert_eq!(std::fs::read(elsewhere.path().join("file"))?, b"here");
    edge2.power_off()?;
    assert_eq!(edge2.read_file("/var/lib/yurt-test/file")?, b"here");
    edge2.unbind_all()?;
    Ok(())
}
