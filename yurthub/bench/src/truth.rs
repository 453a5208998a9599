//! How soon a node tells the truth of its own pods without the cloud: on the cluster of [`crate::cluster`].

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::progress::say;
use e2e::{BrokenNode, Namespace, Node, containers, hub, pod, wait_for};
use serde_json::json;

use crate::cluster::{POD_DEADLINE, REBOOT_DEADLINE, cluster, median};
use crate::figure::{Experiment, Figure, Place, Reading};
use crate::samples::float;
use crate::stand::Stand;

const PODS: usize = 3;
/// Until a pod that has just begun is looked at: long enough to be seen unready.
const FIRST_LOOK_S: u32 = 5;

pub(crate) const TRUTH: Experiment = Experiment {
    place: Place::Cluster,
    figures: &[
        Figure {
            name: "services_after_reboot_s",
            unit: "s",
            goal: 5.0,
        },
        Figure {
            name: "local_event_to_endpoint_s",
            unit: "s",
            goal: 2.0,
        },
    ],
    measure: |stand| Box::pin(async { truth(stand) }),
};

fn truth(stand: &Stand) -> Result<Vec<Reading>> {
    let cluster = cluster()?;
    let namespace = cluster.namespace("truth")?;
    let edge1 = cluster.node("edge1").lock()?;
    hub::put_in_front_of_kubelet(&edge1, stand.binary())?;
    hub::clients::lead_pods_here(&cluster, &edge1)?;
    let address = start(&edge1, &namespace)?;
    ensure!(
        ready(&edge1, &namespace)? == PODS,
        "the slices do not name all pods"
    ); // mirrored in JSON from here on
    edge1.cut()?;
    hub::wait_offline(&edge1)?;
    let followed = crashes(&edge1, &namespace)?;
    let rounds = stand.rounds(3, 1);
    let mut right = Vec::new();
    for _ in 0..rounds {
        right.push(reboot(&edge1, &namespace, &address)?);
    }
    edge1.join()?;
    hub::take_away(&edge1)?;
    let worst = right.iter().copied().fold(f64::NAN, f64::max);
    Ok(vec![
        Reading::new("services_after_reboot_s", median(right))
            .with("worst_s", worst)
            .with("rounds", float(rounds as u64)),
        Reading::new("local_event_to_endpoint_s", median(followed)).with("crashes", float(PODS as u64)),
    ])
}

/// Pods behind a Service; returns its address.
fn start(node: &Node, namespace: &Namespace) -> Result<String> {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"part": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    namespace.apply_yaml(&service.to_string())?;
    for number in 0..PODS {
        let mut pod = pod(&format!("web{number}")).on(node.name()).to_json();
        pod["metadata"]["labels"]["part"] = "web".into();
        pod["spec"]["containers"][0]["readinessProbe"] = json!({
            "tcpSocket": {"port": 8080}, "initialDelaySeconds": FIRST_LOOK_S, "periodSeconds": 1,
        });
        namespace.apply_yaml(&pod.to_string())?;
    }
    for number in 0..PODS {
        namespace.wait_ready(&format!("web{number}"), POD_DEADLINE)?;
    }
    let address = namespace.kubectl(["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"])?;
    wait_for("the Service to reach its pods", POD_DEADLINE, || {
        Ok(all_reached(node, &address)?.then_some(()))
    })?;
    Ok(address)
}

fn all_reached(node: &Node, address: &str) -> Result<bool> {
    let script = format!("for i in $(seq 30); do curl -sS -m 1 http://{address}/ || echo LOST; done");
    let text = node.exec(["sh", "-c", &script])?.text();
    let names: BTreeSet<&str> = text.lines().collect();
    Ok(names.len() == PODS && !names.contains("LOST"))
}

/// How many endpoints the slices of the Service call ready.
fn ready(node: &Node, namespace: &Namespace) -> Result<usize> {
    let slices = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?resourceVersion=0",
        namespace.name()
    );
    let list = hub::client::get(node, &slices)?;
    let slices = list["items"].as_array().context("a list of slices")?;
    let endpoints = slices.iter().filter_map(|slice| slice["endpoints"].as_array());
    Ok(endpoints
        .flatten()
        .filter(|endpoint| endpoint["conditions"]["ready"] == true)
        .count())
}

/// From the crash of each pod's container until the slices of the Service call the pod unready.
fn crashes(node: &Node, namespace: &Namespace) -> Result<Vec<f64>> {
    let ready = || ready(node, namespace);
    let mut times = Vec::new();
    for number in 0..PODS {
        wait_for("all pods to be ready", POD_DEADLINE, || {
            Ok((ready()? == PODS).then_some(()))
        })?;
        let running = containers::running(node, namespace.name())?;
        let name = format!("{}/web{number}/main", namespace.name());
        let id = running
            .get(&name)
            .with_context(|| format!("{name} does not run"))?;
        let start = Instant::now();
        containers::crash(node, id)?;
        wait_for("the slices to follow the crash", POD_DEADLINE, || {
            Ok((ready()? < PODS).then_some(()))
        })?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(times)
}

/// From the moment at which all pods run and are ready again until the Service reaches each of them.
fn reboot(node: &BrokenNode, namespace: &Namespace, address: &str) -> Result<f64> {
    node.reboot()?;
    node.wait_booted(REBOOT_DEADLINE)?;
    let began = wait_for("all pods to run again", REBOOT_DEADLINE, || {
        let running = containers::running(node, namespace.name())?.len();
        ensure!(running == PODS, "{running} of {PODS}");
        Ok(Some(Instant::now()))
    })?;
    wait_for("the Service to reach its pods", REBOOT_DEADLINE, || {
        Ok(all_reached(node, address)?.then_some(()))
    })?;
    // The kubelet calls a pod ready no sooner than its probe's first look.
    let unready = Duration::from_secs(FIRST_LOOK_S.into());
    let seconds = began.elapsed().saturating_sub(unready).as_secs_f64();
    say(format_args!(
        "the Service reaches its pods {seconds:.1} s after they were ready"
    ));
    Ok(seconds)
}
