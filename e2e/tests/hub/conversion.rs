//! yurtctl: a node becomes an edge node under its pods and clients, and an ordinary one again without a trace.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::conversion::{self, yurtctl};
use e2e::hub::guard::lock_plain;
use e2e::progress::say;
use e2e::{Background, Cluster, Node, containers, hub, image, wait_for};
use serde_json::Value;

use crate::setup::{POD_DEADLINE, wait_agreed};
use crate::trace::{assert_unknown, difference, snapshot};
use crate::workload::{STATIC_POD, Workload, api_of, born, heard, workload};

/// The plan for the one node, which nobody carries out.
fn assert_planned(cluster: &Cluster, args: &[&str], action: &str) -> Result<()> {
    let shown = ["--dry-run", "-o", "json", "--system-clients="];
    let plan = yurtctl(cluster, args.iter().chain(&shown))?.run_ok()?;
    let plan: Value = serde_json::from_str(&plan).context("read the plan")?;
    assert_eq!(plan["nodes"][0]["action"], action, "{plan:#}");
    assert_eq!(plan["nodes"][0]["layout"], "kubeadm");
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
fn a_node_is_converted_under_its_pods_and_reverted_without_a_trace() -> Result<()> {
    let cluster = crate::setup::cluster()?;
    let node = lock_plain(&cluster)?;
    let namespace = cluster.namespace("conversion")?;
    let service = workload(&namespace, &node)?;
    let here = Workload {
        namespace: &namespace,
        service,
    };
    cluster.kubectl([
        "-n",
        namespace.name(),
        "wait",
        "--for=condition=Ready",
        "pod",
        "--all",
        "--timeout=120s",
    ])?;
    let image = image::built()?;
    image::load(&node, &image)?;
    let _turn = conversion::turn(&cluster)?;
    let before = snapshot(&node)?;
    let pods = born(here.namespace)?;
    ensure!(pods.len() >= 8, "{pods:?}");

    let args = |verb| conversion::args(verb, &node, &image);
    assert_planned(&cluster, &args("convert"), "convert")?;
    assert_eq!(difference(&before, &snapshot(&node)?), "", "by a dry run");

    let (client, lister) = (here.client(&node)?, here.lister(&node)?);
    let start = Instant::now();
    yurtctl(&cluster, args("convert"))?.run_ok()?;
    let converted = start.elapsed();
    assert_eq!(
        born(here.namespace)?,
        pods,
        "a conversion has restarted a container"
    );
    assert!(hub::metric(&node, "yurthub_mirror_watchers")? > 0.0);
    assert_planned(&cluster, &args("convert"), "nothing")?;
    wait_told(&cluster, &node)?;
    assert!(
        hub::clients::kube_proxy_watches(&node)?.is_some(),
        "kube-proxy is no client"
    );
    here.be_born_late(&node)?;
    assert_eq!(api_of("late", &namespace)?, "169.254.2.1");

    let start = Instant::now();
    yurtctl(&cluster, args("revert"))?.run_ok()?;
    let reverted = start.elapsed();
    assert_eq!(
        born(here.namespace)?,
        pods,
        "a revert has restarted a container from before"
    );
    assert_eq!(difference(&before, &snapshot(&node)?), "");
    wait_agreed(&cluster, &node, &namespace, POD_DEADLINE)?;
    assert_eq!(api_of("late", &namespace)?, "10.96.0.1", "it was not restarted");
    here.wait_followed(&node)?;
    let (answered, listed) = (heard(&client), heard(&lister));
    drop((client, lister));
    assert!(
        answered.1 == 0 && answered.0 > 100,
        "answers and losses: {answered:?}"
    );
    assert!(listed.1 == 0 && listed.0 > 5, "lists and losses: {listed:?}");
    assert_unknown(&cluster, &node)?;
    node.exec_ok(["rm", STATIC_POD])?;
    say(format_args!(
        "hub conversion: converted in {:.1} s and reverted in {:.1} s, {} containers as before, none of {} requests and {} lists lost",
        converted.as_secs_f64(),
        reverted.as_secs_f64(),
        pods.len(),
        answered.0,
        listed.0,
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
    // The cloud still believes it is an edge node.
    conversion::revert(&node)?;
    assert_unknown(&cluster, &node)
}
