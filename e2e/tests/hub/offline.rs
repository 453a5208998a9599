//! The cable is out: the node does not notice, whatever is restarted on it, up to the node itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::containers::{self, Containers};
use e2e::hub::guard::lock_in_silence;
use e2e::progress::say;
use e2e::{Background, BrokenNode, Namespace, Node, hub, pod, wait_for};
use serde_json::{Value, json};

use crate::setup::{POD_DEADLINE, alone, cluster, in_the_cloud, wait_agreed, wait_kubelet_healthy};

const PODS: usize = 10;
/// The goal is one second.
const ADDED_DEADLINE: Duration = Duration::from_secs(3);
/// The goal is ten seconds.
const AGREED_DEADLINE: Duration = Duration::from_secs(30);

fn pods(node: &Node, count: usize) -> impl Iterator<Item = e2e::Pod> {
    (0..count).map(|number| pod(&format!("pod{number}")).on(node.name()))
}

/// Creates `count` pods on the node and waits until the cloud knows that they run.
fn start_pods(
    cluster: &e2e::Cluster,
    node: &Node,
    namespace: &Namespace,
    count: usize,
) -> Result<Containers> {
    namespace.apply(pods(node, count))?;
    wait_for("the pods to run", POD_DEADLINE, || {
        let known = in_the_cloud(cluster, namespace)?.len();
        ensure!(known == count, "{known} of {count}");
        Ok(Some(()))
    })?;
    wait_agreed(cluster, node, namespace, POD_DEADLINE)
}

/// The kubelet works: it is healthy, and starts again a container that crashes; nothing else has changed.
fn assert_works(node: &Node, namespace: &Namespace, before: &Containers, victim: &str) -> Result<Containers> {
    wait_kubelet_healthy(node)?;
    assert_eq!(
        &containers::running(node, namespace.name())?,
        before,
        "containers were touched"
    );
    let victim = format!("{}/{victim}/main", namespace.name());
    containers::crash(node, &before[&victim])?;
    let after = wait_for("the kubelet to start the container again", POD_DEADLINE, || {
        let now = containers::running(node, namespace.name())?;
        let new = now.get(&victim).is_some_and(|id| id != &before[&victim]);
        Ok(new.then_some(now))
    })?;
    let others = |all: &Containers| {
        let mut others = all.clone();
        others.remove(&victim);
        others
    };
    assert_eq!(others(&after), others(before), "other containers were touched");
    Ok(after)
}

#[test]
fn while_cut_a_kubelet_restart_and_a_killed_hub_leave_a_working_node() -> Result<()> {
    let (cluster, node) = alone()?;
    let namespace = cluster.namespace("cut")?;
    let mut running = start_pods(&cluster, &node, &namespace, 3)?;
    node.cut()?;
    hub::wait_offline(&node)?;
    running = assert_works(&node, &namespace, &running, "pod0")?;

    node.exec_ok(["systemctl", "restart", "kubelet"])?;
    let start = Instant::now();
    running = assert_works(&node, &namespace, &running, "pod1")?;
    let kubelet = start.elapsed().as_secs_f64();

    let pid = ["systemctl", "show", "-P", "MainPID", "yurthub"];
    let first = node.exec_ok(pid)?;
    node.exec_ok(["kill", "-9", &first])?;
    let start = Instant::now();
    wait_for("another yurthub", POD_DEADLINE, || {
        let now = node.exec_ok(pid)?;
        Ok((now != first && now != "0").then_some(()))
    })?;
    hub::wait_ready(&node)?;
    let hub_back = start.elapsed().as_secs_f64();
    running = assert_works(&node, &namespace, &running, "pod2")?;

    // Both at once.
    node.exec_ok(["sh", "-c", "kill -9 $(systemctl show -P MainPID yurthub kubelet)"])?;
    hub::wait_ready(&node)?;
    running = assert_works(&node, &namespace, &running, "pod0")?;

    node.join()?;
    let start = Instant::now();
    let agreed = wait_agreed(&cluster, &node, &namespace, AGREED_DEADLINE)?;
    assert_eq!(
        agreed, running,
        "containers were restarted by the return of the cloud"
    );
    say(format_args!(
        "hub offline: restarted kubelet restarts a container after {kubelet:.1} s, killed yurthub is ready after {hub_back:.1} s, the cloud's view is right {:.1} s after the join",
        start.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// `resourceVersion` of what kubectl printed as JSON.
fn version(json: &str) -> Result<String> {
    let object: Value = serde_json::from_str(json).context("parse what kubectl printed")?;
    let version = object["metadata"]["resourceVersion"]
        .as_str()
        .context("an object without version")?;
    Ok(version.to_owned())
}

/// Type and version of the events that a watch has printed so far.
fn events(watch: &Background) -> Result<Vec<(String, String)>> {
    let parse = |line: &String| {
        let event: Value = serde_json::from_str(line).with_context(|| format!("parse the event {line}"))?;
        let text = |pointer: &str| {
            event
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Ok((text("/type"), text("/object/metadata/resourceVersion")))
    };
    watch.lines().iter().map(parse).collect()
}

#[test]
fn a_local_watch_outlives_cuts_and_tells_each_change_once_in_order() -> Result<()> {
    let (cluster, node) = alone()?;
    let namespace = cluster.namespace("watch")?;
    let change = |number: usize| {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"number": number.to_string()}});
        version(
            &namespace
                .kubectl_cmd(["apply", "-o", "json", "-f", "-"])
                .stdin(object.to_string())
                .run_ok()?,
        )
    };
    change(0)?;
    // A node may watch what its pods use.
    let mut user = pod("user").on(node.name()).to_json();
    user["spec"]["volumes"] = json!([{"name": "conf", "configMap": {"name": "conf"}}]);
    user["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "conf", "mountPath": "/conf"}]);
    namespace.apply_yaml(&user.to_string())?;
    namespace.wait_ready("user", POD_DEADLINE)?;

    let path = format!(
        "/api/v1/namespaces/{}/configmaps?fieldSelector=metadata.name=conf&resourceVersion=",
        namespace.name()
    );
    let list = hub::client::get(&node, &format!("{path}0"))?;
    let first = list["metadata"]["resourceVersion"]
        .as_str()
        .context("a list without version")?;
    let path = format!("{path}{first}&watch=1&timeoutSeconds=3600");
    let mut watch = Background::start(&hub::client::curl(&node, &path, &[])?)?;
    let mut done = Vec::new();
    let mut latest = Duration::ZERO;
    let mut wait_told = |watch: &Background, done: &[String]| {
        let start = Instant::now();
        wait_for("the changes in the watch", POD_DEADLINE, || {
            let told = events(watch)?.len();
            ensure!(told >= done.len(), "{told} of {}", done.len());
            Ok(Some(()))
        })?;
        latest = latest.max(start.elapsed());
        anyhow::Ok(())
    };
    done.push(change(1)?);
    wait_told(&watch, &done)?;
    for (round, break_link) in [Node::cut, Node::blackhole, Node::cut].iter().enumerate() {
        break_link(&node)?;
        // The cloud changes before and after yurthub has noticed.
        done.push(change(10 * round + 11)?);
        hub::wait_offline(&node)?;
        done.push(change(10 * round + 12)?);
        done.push(change(10 * round + 13)?);
        ensure!(
            watch.is_running()?,
            "the cut has ended the watch: {} {:#?}",
            watch.errors(),
            watch.lines()
        );
        node.join()?;
        node.unblackhole()?;
        wait_told(&watch, &done)?;
    }
    done.push(change(50)?);
    namespace.kubectl(["delete", "configmap", "conf"])?;
    let deletion = wait_for("the deletion in the watch", POD_DEADLINE, || {
        Ok(events(&watch)?.into_iter().find(|(kind, _)| kind == "DELETED"))
    })?;
    let mut expected: Vec<_> = done
        .into_iter()
        .map(|version| ("MODIFIED".to_owned(), version))
        .collect();
    expected.push(deletion);
    assert_eq!(events(&watch)?, expected);
    ensure!(watch.is_running()?, "the watch has ended: {}", watch.errors());
    say(format_args!(
        "hub offline: one watch through 3 outages told {} changes, each once, in order, at most {:.1} s after the join",
        expected.len(),
        latest.as_secs_f64()
    ));
    Ok(())
}

/// Reboots the node; returns how long it took until new containers of all pods ran, and these.
fn reboot(node: &BrokenNode, namespace: &Namespace, before: &Containers) -> Result<(Duration, Containers)> {
    let start = Instant::now();
    node.reboot()?;
    let after = wait_for("all pods to run after the reboot", POD_DEADLINE, || {
        let now = containers::running(node, namespace.name())?;
        let new: BTreeMap<_, _> = now
            .iter()
            .filter(|(name, id)| before.get(*name) != Some(*id))
            .collect();
        ensure!(new.len() == before.len(), "{} of {}", new.len(), before.len());
        Ok(Some(now))
    })?;
    Ok((start.elapsed(), after))
}

#[test]
fn an_offline_reboot_brings_all_pods_back_as_fast_as_an_online_one_without_yurthub() -> Result<()> {
    let cluster = cluster()?;
    // Tests on the other node would be in the figures.
    let (node, _silence) = lock_in_silence(&cluster)?;
    let namespace = cluster.namespace("reboot")?;
    let before = start_pods(&cluster, &node, &namespace, PODS)?;
    node.cut()?;
    hub::wait_offline(&node)?;
    let (offline, running) = reboot(&node, &namespace, &before)?;
    node.join()?;
    let start = Instant::now();
    let agreed = wait_agreed(&cluster, &node, &namespace, AGREED_DEADLINE)?;
    let right = start.elapsed().as_secs_f64();
    assert_eq!(
        agreed, running,
        "containers were restarted by the return of the cloud"
    );
    for number in 0..PODS {
        let name = format!("pod{number}");
        assert_eq!(namespace.kubectl(["exec", &name, "--", "hostname"])?, name);
    }

    hub::take_away(&node)?;
    let same = wait_agreed(&cluster, &node, &namespace, POD_DEADLINE)?;
    assert_eq!(
        same, running,
        "containers were restarted by the return of the cloud, or as yurthub went"
    );
    let (without, _) = reboot(&node, &namespace, &running)?;
    let added = offline.as_secs_f64() - without.as_secs_f64();
    say(format_args!(
        "hub offline: reboot to {PODS} pods running: {:.1} s offline behind yurthub, {:.1} s online without it ({added:+.1} s); the cloud's view is right {right:.1} s after the join",
        offline.as_secs_f64(),
        without.as_secs_f64(),
    ));
    ensure!(
        offline <= without + ADDED_DEADLINE,
        "{added:.1} s more than without yurthub"
    );
    Ok(())
}
