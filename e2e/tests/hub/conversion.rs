//! yurtctl: nodes become edge nodes under their pods and clients, and ordinary ones again without a trace.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::conversion::{self, yurtctl};
use e2e::hub::guard::{lock_plain, lock_two_plain};
use e2e::progress::say;
use e2e::{Background, Cluster, Node, containers, hub, image, wait_for};
use serde_json::Value;

use crate::setup::{POD_DEADLINE, wait_agreed};
use crate::trace::{assert_unknown, difference, snapshot};
use crate::workload::Workload;

/// The plan, which nobody carries out, has `action` for each node.
fn assert_planned(cluster: &Cluster, args: &[&str], action: &str) -> Result<()> {
    let shown = ["--dry-run", "-o", "json", "--system-clients="];
    let plan = yurtctl(cluster, args.iter().chain(&shown))?.run_ok()?;
    let plan: Value = serde_json::from_str(&plan).context("read the plan")?;
    for node in plan["nodes"].as_array().context("a plan without nodes")? {
        assert_eq!(node["action"], action, "{plan:#}");
        assert_eq!(node["layout"], "kubeadm");
    }
    Ok(())
}

/// The kubelet and kube-proxy are clients of yurthub, and the cloud hears of it.
fn assert_served(cluster: &Cluster, node: &Node) -> Result<()> {
    assert!(hub::metric(node, "yurthub_mirror_watchers")? > 0.0);
    wait_told(cluster, node)?;
    assert!(
        hub::clients::kube_proxy_watches(node)?.is_some(),
        "kube-proxy is no client"
    );
    Ok(())
}

/// Until `yurtctl status` knows of it from its yurthub.
fn wait_told(cluster: &Cluster, node: &Node) -> Result<()> {
    wait_for("yurthub to tell of itself", POD_DEADLINE, || {
        let rows: Value = serde_json::from_str(&yurtctl(cluster, ["status", "-o", "json"])?.run()?.text())?;
        let mut of_node = rows.as_array().into_iter().flatten();
        let row = of_node.find(|row| row["node"] == node.name());
        let row = row.with_context(|| format!("{rows}"))?;
        ensure!(row["state"] == "fine", "{row}");
        Ok(Some(()))
    })
}

#[test]
fn two_nodes_are_converted_under_their_pods_and_reverted_without_a_trace() -> Result<()> {
    let cluster = crate::setup::cluster()?;
    let nodes = lock_two_plain(&cluster)?;
    let names = nodes.each_ref().map(|node| node.name()).join(",");
    let image = image::built()?;
    image::load(&cluster.node("cloud1"), &image)?; // for those in the cloud, whom the nodes' pods wait for
    let mut loads = Vec::new();
    for node in &nodes {
        image::load(node, &image)?;
        loads.push(Workload::place(&cluster, node)?);
    }
    let _turn = conversion::turn(&cluster)?;
    let (mut before, mut pods) = (Vec::new(), Vec::new());
    for (node, load) in nodes.iter().zip(&loads) {
        load.wait_running()?;
        before.push(snapshot(node)?);
        pods.push(load.born()?);
        ensure!(pods.iter().all(|pods| pods.len() >= 8), "{pods:?}");
    }
    let born = || loads.iter().map(Workload::born).collect::<Result<Vec<_>>>();
    let assert_as_before = |when| -> Result<()> {
        for (node, before) in nodes.iter().zip(&before) {
            assert_eq!(difference(before, &snapshot(node)?), "", "{} {when}", node.name());
        }
        Ok(())
    };

    let args = |verb| conversion::args(verb, &names, &image);
    assert_planned(&cluster, &args("convert"), "convert")?;
    assert_as_before("by a dry run")?;

    let clients = loads.iter().map(Workload::clients).collect::<Result<Vec<_>>>()?;
    let start = Instant::now();
    yurtctl(&cluster, args("convert"))?.run_ok()?;
    let converted = start.elapsed();
    assert_eq!(born()?, pods, "a conversion has restarted a container");
    assert_planned(&cluster, &args("convert"), "nothing")?;
    for (node, load) in nodes.iter().zip(&loads) {
        assert_served(&cluster, node)?;
        load.be_born_late()?;
        assert_eq!(load.api_of_late()?, "169.254.2.1");
    }

    let start = Instant::now();
    // Both at once, as nobody is surprised by a second one.
    let together = ["--canary=0", "--max-unavailable=2"];
    yurtctl(&cluster, args("revert").iter().chain(&together))?.run_ok()?;
    let reverted = start.elapsed();
    assert_eq!(born()?, pods, "a revert has restarted a container from before");
    assert_as_before("by a revert")?;
    let (mut answered, mut listed) = (0, 0);
    for ((node, load), clients) in nodes.iter().zip(&loads).zip(clients) {
        wait_agreed(&cluster, node, load.namespace(), POD_DEADLINE)?;
        assert_eq!(load.api_of_late()?, "10.96.0.1", "it was not restarted");
        load.wait_followed()?;
        let (requests, lists) = clients.end().with_context(|| node.name().to_owned())?;
        answered += requests;
        listed += lists;
        assert_unknown(&cluster, node)?;
    }
    say(format_args!(
        "hub conversion: two nodes converted in {:.1} s and reverted in {:.1} s, {} containers as before, none of {answered} requests and {listed} lists lost",
        converted.as_secs_f64(),
        reverted.as_secs_f64(),
        pods.iter().map(BTreeMap::len).sum::<usize>(),
    ));
    Ok(())
}

#[test]
fn what_would_not_work_is_told_before_anything_is_changed() -> Result<()> {
    let cluster = crate::setup::cluster()?;
    let node = lock_plain(&cluster)?;
    let image = image::built()?;
    image::load(&node, &image)?;
    let _turn = conversion::turn(&cluster)?;
    let refused = |args: &[&str]| -> Result<String> {
        let output = yurtctl(&cluster, ["convert", "--yes"].iter().chain(args))?.run()?;
        ensure!(!output.status.success(), "it was not refused: {}", output.text());
        Ok(format!("{}{}", output.text(), output.errors()))
    };
    let before = snapshot(&node)?;
    let name = node.name();
    let unknown = refused(&["--edge-nodes", "egde1"])?;
    assert!(
        unknown.contains("there is no node egde1; the cluster has cloud1"),
        "{unknown}"
    );
    let control = refused(&["--edge-nodes", "cloud1", "--image", &image.reference])?;
    assert!(control.contains("control-plane"), "{control}");
    let missing = refused(&["--edge-nodes", name, "--image", "testbed.local/nothing:1"])?;
    assert!(
        missing.contains("cannot be pulled") && missing.contains("--image"),
        "{missing}"
    );

    node.push_file(
        "/etc/systemd/system/kubelet.service.d/99-site.conf",
        b"[Service]\nEnvironment=\"KUBELET_KUBECONFIG_ARGS=\"\n",
        0o644,
    )?;
    node.exec_ok(["mkdir", "-p", "/var/lib/openyurt"])?;
    let listener =
        Background::start(&node.cmd(["systemd-socket-activate", "-l", "127.0.0.1:10267", "sleep", "9"])?)?;
    wait_for("the port to be taken", POD_DEADLINE, || {
        let taken = node.exec(["sh", "-c", "ss -ltn | grep -q :10267"])?;
        Ok(taken.status.success().then_some(()))
    })?;
    node.exec_ok(["systemctl", "daemon-reload"])?;
    let said = refused(&["--edge-nodes", name, "--image", &image.reference])?;
    drop(listener);
    node.exec(["pkill", "-f", "systemd-socket-activate"])?;
    node.exec_ok([
        "rm",
        "-r",
        "/etc/systemd/system/kubelet.service.d/99-site.conf",
        "/var/lib/openyurt",
    ])?;
    node.exec_ok(["systemctl", "daemon-reload"])?;
    for finding in [
        "later-drop-in",
        "leftovers",
        "port-taken",
        "99-site.conf",
        "/var/lib/openyurt",
        "10267",
    ] {
        assert!(said.contains(finding), "no {finding} in {said}");
    }
    assert!(said.contains("Nothing was changed"), "{said}");
    assert_eq!(difference(&before, &snapshot(&node)?), "");
    Ok(())
}
#[test]
fn a_node_that_is_cut_off_is_reverted_on_its_own_console() -> Result<()> {
    let cluster = crate::setup::cluster()?;
    let node = lock_plain(&cluster)?;
    let before = snapshot(&node)?;
    let namespace = cluster.namespace("console")?;
    namespace.apply([e2e::pod("web").on(node.name())])?;
    namespace.wait_ready("web", POD_DEADLINE)?;
    conversion::convert(&node, hub::built()?)?;
    let running = containers::running(&node, namespace.name())?;

    node.cut()?;
    hub::wait_offline(&node)?;
    let said = node.exec_ok(["yurtctl", "node", "revert", "--local"])?;
    assert!(said.contains("yurtctl revert --edge-nodes"), "{said}");
    assert_eq!(difference(&before, &snapshot(&node)?), "");
    assert_eq!(containers::running(&node, namespace.name())?, running);
    node.join()?;
    wait_agreed(&cluster, &node, &namespace, POD_DEADLINE)?;
    // A kubelet that was started while cut is not Ready before it has read its CSINode.
    let ready = format!("node/{}", node.name());
    cluster.kubectl(["wait", "--for=condition=Ready", "--timeout=90s", &ready])?;
    // The cloud still believes it is an edge node.
    conversion::revert(&node)?;
    assert_unknown(&cluster, &node)
}
