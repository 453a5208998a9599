//! Figures of a whole cluster: bytes on an idle node's cable, and a reboot without the cloud.
//!
//! The cluster is the instance `bench`: brought up by the first experiment that needs it, used as it is where it
//! runs already, and left for the caller to take down. Invariant: the nodes are measured with the kubelet's default
//! frequencies, which the cluster's own configuration shortens.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::progress::say;
use e2e::{Cluster, Instance, Namespace, Node, Profile, pod, up, wait_for};

use crate::figure::{Experiment, Figure, Place, Reading};
use crate::samples::float;
use crate::stand::Stand;

/// The instance's name; `cargo xtask bench` takes it down.
const INSTANCE: &str = "bench";
/// Pods on each node.
const PODS: usize = 10;
pub(crate) const POD_DEADLINE: Duration = Duration::from_mins(2);
pub(crate) const REBOOT_DEADLINE: Duration = Duration::from_mins(3);
/// Until a restarted kubelet is idle, or a mirror is complete and on disk.
const SETTLE: Duration = Duration::from_secs(30);

pub(crate) const UPLINK: Experiment = Experiment {
    place: Place::Cluster,
    figures: &[Figure {
        name: "idle_uplink_ratio",
        unit: "of direct",
        goal: 0.6,
    }],
    measure: |stand| Box::pin(async { uplink(stand) }),
};

pub(crate) const REBOOT: Experiment = Experiment {
    place: Place::Cluster,
    figures: &[Figure {
        name: "reboot_offline_added_s",
        unit: "s",
        goal: 1.0,
    }],
    measure: |stand| Box::pin(async { reboot(stand) }),
};

/// Two nodes side by side with the same pods: edge1 with yurthub, edge2 without.
fn uplink(stand: &Stand) -> Result<Vec<Reading>> {
    let cluster = cluster()?;
    let namespace = cluster.namespace("uplink")?;
    let (edge1, edge2) = (cluster.node("edge1"), cluster.node("edge2"));
    for node in [&edge1, &edge2] {
        use_default_frequencies(node)?;
        run_pods(&namespace, node)?;
    }
    e2e::hub::put_in_front_of_kubelet(&edge1, stand.binary())?;
    std::thread::sleep(SETTLE);
    let period = Duration::from_secs(stand.rounds(300, 60) as u64);
    say(format_args!("counting bytes for {} s", period.as_secs()));
    let before = (edge1.link_bytes()?, edge2.link_bytes()?);
    std::thread::sleep(period);
    let after = (edge1.link_bytes()?, edge2.link_bytes()?);
    e2e::hub::take_away(&edge1)?;
    let rate = |after: u64, before: u64| float(after - before) / period.as_secs_f64();
    let with = (rate(after.0.0, before.0.0), rate(after.0.1, before.0.1));
    let without = (rate(after.1.0, before.1.0), rate(after.1.1, before.1.1));
    let (total, baseline) = (with.0 + with.1, without.0 + without.1);
    Ok(vec![
        Reading::new("idle_uplink_ratio", total / baseline)
            .beside(baseline, total / baseline)
            .with("down_bytes_per_s", with.0)
            .with("up_bytes_per_s", with.1)
            .with("direct_down_bytes_per_s", without.0)
            .with("direct_up_bytes_per_s", without.1)
            .with("measured_s", period.as_secs_f64()),
    ])
}

/// The same node, first online without yurthub, then with yurthub and its cable out. The worst round is told beside
/// the median: a kubelet that starts before containerd answers exits, and is started again 2 s later.
fn reboot(stand: &Stand) -> Result<Vec<Reading>> {
    let cluster = cluster()?;
    let namespace = cluster.namespace("reboot")?;
    let edge1 = cluster.node("edge1").lock()?;
    run_pods(&namespace, &edge1)?;
    let rounds = stand.rounds(3, 1);
    let mut online = Vec::new();
    for _ in 0..rounds {
        std::thread::sleep(SETTLE);
        online.push(reboot_once(&edge1)?);
    }
    e2e::hub::put_in_front_of_kubelet(&edge1, stand.binary())?;
    let mut offline = Vec::new();
    for _ in 0..rounds {
        std::thread::sleep(SETTLE);
        edge1.cut()?;
        offline.push(reboot_once(&edge1)?);
        edge1.join()?;
    }
    e2e::hub::take_away(&edge1)?;
    let worst = |times: &[f64]| times.iter().copied().fold(f64::NAN, f64::max);
    let worst = (worst(&online), worst(&offline));
    let (baseline, value) = (median(online), median(offline));
    Ok(vec![
        Reading::new("reboot_offline_added_s", value - baseline)
            .beside(baseline, value / baseline)
            .with("offline_s", value)
            .with("worst_offline_s", worst.1)
            .with("worst_online_s", worst.0)
            .with("rounds", float(rounds as u64)),
    ])
}

/// Until all pods of the node run again, in seconds.
fn reboot_once(node: &Node) -> Result<f64> {
    let boots = node.boots();
    let start = Instant::now();
    node.reboot()?;
    wait_for("all pods to run again", REBOOT_DEADLINE, || {
        ensure!(node.boots() > boots, "its last life has not ended");
        let running = node.exec(["pgrep", "-xc", "httpd"])?.text();
        ensure!(running == PODS.to_string(), "{running} of {PODS} pods run");
        Ok(Some(()))
    })?;
    let seconds = start.elapsed().as_secs_f64();
    say(format_args!("{PODS} pods run again after {seconds:.1} s"));
    Ok(seconds)
}

pub(crate) fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(crate) fn cluster() -> Result<Cluster> {
    let instance = Instance::new(INSTANCE, Profile::Default)?;
    if instance.is_up() {
        up::attach(instance)
    } else {
        up::up(instance, &up::DEFAULT_NODES)
    }
}

fn run_pods(namespace: &Namespace, node: &Node) -> Result<()> {
    let names: Vec<String> = (0..PODS)
        .map(|number| format!("{}-{number}", node.name()))
        .collect();
    namespace.apply(names.iter().map(|name| pod(name).on(node.name())))?;
    names
        .iter()
        .try_for_each(|name| namespace.wait_ready(name, POD_DEADLINE))
}

/// The cluster's kubelets report every 3 s so that tests need not wait; nodes in the field do not.
pub(crate) fn use_default_frequencies(node: &Node) -> Result<()> {
    let config = "/var/lib/kubelet/config.yaml";
    node.exec_ok(["sed", "-i", "/^nodeStatusUpdateFrequency:/d", config])
        .context("set the kubelet's frequencies")?;
    node.exec_ok(["systemctl", "restart", "kubelet"])?;
    Ok(())
}
