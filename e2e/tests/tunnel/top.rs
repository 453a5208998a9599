//! `kubectl top`: the real metrics-server, a pod in the cloud, asks kubelets that nobody can dial.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use e2e::progress::say;
use e2e::{Cluster, Namespace, builds, image, pod, wait_for};

use crate::site::{DEADLINE, Site};

const MANIFEST: &str = include_str!("metrics-server.yaml");
/// As `METRICS_SERVER_IMAGE` in `cluster/env.sh`.
const IMAGE: &str = "testbed.local/metrics-server:0.9.0";
/// What it has outside its namespace; while the first is there and nobody answers, the cluster deletes no namespace.
const OUTSIDE: [&[&str]; 5] = [
    &["apiservice", "v1beta1.metrics.k8s.io"],
    &["clusterrole", "yurt-e2e:metrics-server"],
    &["clusterrolebinding", "yurt-e2e:metrics-server"],
    &["clusterrolebinding", "yurt-e2e:metrics-server:auth-delegator"],
    &[
        "rolebinding",
        "--namespace=kube-system",
        "yurt-e2e:metrics-server",
    ],
];

/// metrics-server, until it is dropped.
struct MetricsServer<'c>(&'c Cluster);

impl<'c> MetricsServer<'c> {
    fn start(cluster: &'c Cluster, namespace: &Namespace) -> Result<Self> {
        image::import(
            &cluster.node("cloud1"),
            &builds::metrics_server(cluster.instance()),
        )?;
        let started = Self(cluster);
        let manifest = MANIFEST
            .replace("NAMESPACE", namespace.name())
            .replace("IMAGE", IMAGE);
        cluster.apply_yaml(&manifest)?;
        let rollout = ["rollout", "status", "deployment/metrics-server", "--timeout=150s"];
        namespace.kubectl_cmd(rollout).deadline(DEADLINE).run_ok()?;
        Ok(started)
    }
}

impl Drop for MetricsServer<'_> {
    fn drop(&mut self) {
        for object in OUTSIDE {
            let delete = [&["delete", "--ignore-not-found"], object].concat();
            if let Err(error) = self.0.kubectl(delete) {
                say(format_args!("metrics-server leaves {object:?}: {error}"));
            }
        }
    }
}

/// The numbers before `m` and `Mi` in a line of `kubectl top`.
fn figures(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_whitespace();
    let cpu = words.find_map(|word| word.strip_suffix('m')?.parse().ok())?;
    let memory = words.find_map(|word| word.strip_suffix("Mi")?.parse().ok())?;
    Some((cpu, memory))
}

#[test]
fn kubectl_top_shows_nodes_and_pods_that_nobody_can_dial() -> Result<()> {
    let site = Site::begin()?;
    let namespace = site.cluster.namespace("tunnel-top")?;
    namespace.apply([pod("busy")
        .on(site.edges[0].name())
        .running("while :; do :; done")])?;
    namespace.wait_ready("busy", DEADLINE)?;
    let server = MetricsServer::start(&site.cluster, &namespace)?;
    let begin = Instant::now();
    for edge in &site.edges {
        let (cpu, memory) = wait_for("what a node uses", DEADLINE, || {
            let line = site
                .cluster
                .kubectl(["top", "node", edge.name(), "--no-headers"])?;
            Ok(Some(
                figures(&line).with_context(|| format!("{}: {line}", edge.name()))?,
            ))
        })?;
        ensure!(cpu > 0 && memory > 0, "{}: {cpu} m, {memory} Mi", edge.name());
    }
    let shown = begin.elapsed();
    let used = wait_for("what a pod uses", DEADLINE, || {
        let line = namespace.kubectl(["top", "pod", "busy", "--no-headers"])?;
        Ok(Some(figures(&line).context(line)?.0))
    })?;
    ensure!(used > 10, "a pod that never rests uses {used} m");
    drop(server);
    say(format_args!(
        "tunnel top: both nodes {:.1} s after metrics-server was ready, and a pod with {used} m",
        shown.as_secs_f64()
    ));
    Ok(())
}
