//! What happens to pods while the cable is out is told at once on the node, and in the cloud afterwards, with its times.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use e2e::hub::clients::lead_pods_here;
use e2e::progress::say;
use e2e::{Caller, Cluster, Namespace, Node, containers, hub, wait_for};
use serde_json::{Value, json};

use crate::setup::{POD_DEADLINE, alone, items, wait_agreed};

/// The goal is two seconds; a probe that fails is noticed within one.
const FOLLOW_DEADLINE: Duration = Duration::from_secs(9);
/// The goal is two seconds from when the pod is ready, which its first probe says one or two seconds after it runs.
const SUCCEED_DEADLINE: Duration = Duration::from_secs(6);
const EVENTS_DEADLINE: Duration = Duration::from_mins(1);
const MANIFEST: &str = "/etc/kubernetes/manifests/steady.yaml";

/// A pod of the Service `web` that is ready unless the file `/tmp/unready` is there, and not in its first seconds.
fn member(name: &str, first_look: u32) -> Value {
    let mut pod = e2e::pod(name).to_json();
    pod["metadata"]["labels"]["app"] = "web".into();
    pod["spec"]["containers"][0]["readinessProbe"] = json!({
        "exec": {"command": ["test", "!", "-e", "/tmp/unready"]},
        "initialDelaySeconds": first_look, "periodSeconds": 1, "failureThreshold": 1,
    });
    pod
}

fn container(node: &Node, namespace: &Namespace, pod: &str) -> Result<String> {
    let running = containers::running(node, namespace.name())?;
    let name = format!("{}/{pod}/main", namespace.name());
    running
        .get(&name)
        .cloned()
        .with_context(|| format!("{name} does not run"))
}

/// Puts a static pod of the Service on the node; another `version` is another pod.
fn put_static(node: &Node, namespace: &Namespace, version: usize) -> Result<()> {
    let mut pod = member("steady", 1);
    pod["metadata"]["namespace"] = namespace.name().into();
    pod["metadata"]["annotations"] = json!({"version": version.to_string()});
    // A static pod has no account, and its manifest no taints to tolerate.
    node.push_file(MANIFEST, pod.to_string().as_bytes(), 0o600)
}

/// Waits until the cloud has the mirror pod of the manifest's `version`, and knows it to be ready.
fn wait_mirrored(namespace: &Namespace, pod: &str, version: &str) -> Result<()> {
    let what = format!("the cloud to have version {version} of the static pod");
    wait_for(&what, POD_DEADLINE, || {
        let mirror = namespace.pod(pod)?;
        let found = &mirror["metadata"]["annotations"]["version"];
        ensure!(found == version, "version {found}");
        Ok(Some(()))
    })?;
    namespace.wait_ready(pod, POD_DEADLINE)
}

/// Reasons and seconds since 1970 of the namespace's events about `pod`.
fn events_about(cluster: &Cluster, namespace: &Namespace, pod: &str) -> Result<Vec<(String, f64)>> {
    let list = cluster.get_json(["--namespace", namespace.name(), "events"])?;
    let about = items(&list)
        .iter()
        .filter(|event| event["involvedObject"]["name"] == pod);
    let event = |event: &Value| {
        let time = event["lastTimestamp"]
            .as_str()
            .or_else(|| event["eventTime"].as_str());
        let time = humantime::parse_rfc3339(time.context("an event without time")?)?;
        let reason = event["reason"].as_str().unwrap_or_default().to_owned();
        Ok((reason, seconds(time)))
    };
    about.map(event).collect()
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0.0, |age| age.as_secs_f64())
}

#[test]
fn what_happens_while_cut_is_told_here_at_once_and_there_with_its_time() -> Result<()> {
    let (cluster, node) = alone()?;
    lead_pods_here(&cluster, &node)?;
    let namespace = cluster.namespace("truth")?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    namespace.apply_yaml(&service.to_string())?;
    for (name, first_look) in [("fickle", 0), ("frail", 4)] {
        let mut pod = member(name, first_look);
        pod["spec"]["nodeName"] = node.name().into();
        namespace.apply_yaml(&pod.to_string())?;
    }
    put_static(&node, &namespace, 1)?;
    let steady = format!("steady-{}", node.name());
    wait_for("the static pod to be known in the cloud", POD_DEADLINE, || {
        Ok(namespace.pod(&steady).ok().map(drop))
    })?;
    for pod in ["fickle", "frail", &steady] {
        namespace.wait_ready(pod, POD_DEADLINE)?;
    }
    let address = namespace.kubectl(["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"])?;
    let caller = Caller::start(&node, &address)?;
    let all = ["fickle", "frail", &*steady];
    caller.wait_settled(&all, SystemTime::now(), POD_DEADLINE)?;

    node.cut()?;
    hub::wait_offline(&node)?;
    let cut = SystemTime::now();
    let fickle = container(&node, &namespace, "fickle")?;
    let from = SystemTime::now();
    containers::exec(&node, &fickle, &["touch", "/tmp/unready"])?;
    let unready = caller.wait_settled(&["frail", &steady], from, FOLLOW_DEADLINE)?;
    let from = SystemTime::now();
    containers::exec(&node, &fickle, &["rm", "/tmp/unready"])?;
    let ready = caller.wait_settled(&all, from, FOLLOW_DEADLINE)?;

    let frail = container(&node, &namespace, "frail")?;
    let from = SystemTime::now();
    containers::crash(&node, &frail)?;
    let crashed = caller.wait_settled(&["fickle", &steady], from, FOLLOW_DEADLINE)?;
    caller.wait_settled(&all, SystemTime::now(), POD_DEADLINE)?;

    let old = container(&node, &namespace, &steady)?;
    put_static(&node, &namespace, 2)?;
    wait_for("the static pod's successor to run", POD_DEADLINE, || {
        Ok(container(&node, &namespace, &steady).ok().filter(|id| *id != old))
    })?;
    let succeeded = caller.wait_settled(&all, SystemTime::now(), SUCCEED_DEADLINE)?;

    let joining = SystemTime::now();
    node.join()?;
    wait_for("the cloud to be told", EVENTS_DEADLINE, || {
        for (pod, reason) in [
            ("fickle", "Unhealthy"),
            ("frail", "Started"),
            (&steady, "Started"),
        ] {
            let events = events_about(&cluster, &namespace, pod)?;
            let told = events.iter().any(|(found, time)| {
                // Times of events are whole seconds.
                found == reason && *time >= seconds(cut) - 1.0 && *time <= seconds(joining)
            });
            ensure!(told, "no {reason} of {pod} while cut: {events:?}");
        }
        Ok(Some(()))
    })?;
    wait_mirrored(&namespace, &steady, "2")?;
    let agreed = caller.wait_settled(&all, joining, POD_DEADLINE)?;
    node.exec_ok(["rm", MANIFEST])?;
    wait_for("the static pod to go", POD_DEADLINE, || {
        Ok(container(&node, &namespace, &steady).is_err().then_some(()))
    })?;
    wait_agreed(&cluster, &node, &namespace, POD_DEADLINE)?;
    say(format_args!(
        "while cut the Service followed a failing probe after {:.1} s, its end after {:.1} s, a crash after {:.1} s, another static pod {:.1} s after it ran; the cloud was told with the true times, and calls went right from {:.1} s after its return",
        unready.as_secs_f64(),
        ready.as_secs_f64(),
        crashed.as_secs_f64(),
        succeeded.as_secs_f64(),
        agreed.as_secs_f64()
    ));
    Ok(())
}
