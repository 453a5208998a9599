//! A first sync over 50 kbit/s: the bytes that it takes with yurthub, and with kubelet and kube-proxy alone.
//!
//! Two nodes of the same cluster, one after the other, over the same bad link. Invariant: both sides begin with nothing
//! and end when kube-proxy knows the last Service and the link has fallen quiet.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::hub::{clients, first_sync};
use e2e::link_emulator::Quality;
use e2e::progress::say;
use e2e::{Node, containers, wait_for};

use crate::cluster::{cluster, use_default_frequencies};
use crate::figure::{Experiment, Figure, Place, Reading};
use crate::samples::float;
use crate::stand::Stand;

/// In bits per second.
const RATE: u64 = 50_000;
const DEADLINE: Duration = Duration::from_mins(20);
/// The link is quiet when it carries less than a tenth of what it could in that time.
const QUIET_FOR: Duration = Duration::from_secs(10);
const QUIET_BYTES: u64 = RATE / 8 * QUIET_FOR.as_secs() / 10;

pub(crate) const SYNC: Experiment = Experiment {
    place: Place::Cluster,
    figures: &[
        Figure {
            name: "thin_link_sync_bytes_ratio",
            unit: "of direct",
            goal: 0.5,
        },
        Figure {
            name: "thin_link_timeouts",
            unit: "time-outs",
            goal: 0.0,
        },
    ],
    measure: |stand| Box::pin(async { sync(stand) }),
};

/// What a first sync took.
struct Took {
    seconds: f64,
    down: u64,
    up: u64,
}

fn sync(stand: &Stand) -> Result<Vec<Reading>> {
    let cluster = cluster()?;
    let (edge1, edge2) = (cluster.node("edge1").lock()?, cluster.node("edge2").lock()?);
    e2e::hub::put_in_front_of_kubelet(&edge1, stand.binary())?;
    clients::lead_pods_here(&cluster, &edge1)?;
    let namespace = cluster.namespace("thin")?;
    // Each has its slice.
    let services = stand.rounds(1000, 100);
    first_sync::fill(&namespace, services)?;
    for node in [&edge1, &edge2] {
        use_default_frequencies(node)?;
    }
    let without = measure(&edge2, services, |node| {
        let start = Instant::now();
        node.exec_ok(["systemctl", "start", "--no-block", "kubelet.service"])?;
        Ok(start)
    })?;
    let with = measure(&edge1, services, first_sync::begin)?;
    let count = |name: &str| e2e::hub::metric(&edge1, name);
    let (timeouts, pages) = (count("yurthub_mirror_timeouts")?, count("yurthub_mirror_pages")?);
    let page_bytes = count("yurthub_mirror_page_bytes")?;
    e2e::hub::take_away(&edge1)?;
    let (total, baseline) = (float(with.down + with.up), float(without.down + without.up));
    Ok(vec![
        Reading::new("thin_link_sync_bytes_ratio", total / baseline)
            .beside(baseline, total / baseline)
            .with("objects", float(2 * services as u64))
            .with("bytes_down", float(with.down))
            .with("bytes_up", float(with.up))
            .with("direct_bytes_down", float(without.down))
            .with("direct_bytes_up", float(without.up))
            .with("page_bytes", page_bytes)
            .with("seconds", with.seconds)
            .with("direct_seconds", without.seconds),
        Reading::new("thin_link_timeouts", timeouts).with("pages", pages),
    ])
}

/// Begins a first sync on `node` with the link made thin, and waits for its end. kube-proxy begins anew, too.
fn measure(node: &Node, services: usize, begin: impl Fn(&Node) -> Result<Instant>) -> Result<Took> {
    let pods = containers::running(node, "kube-system")?;
    let proxy = pods.iter().find(|(name, _)| name.contains("/kube-proxy-"));
    let (_, proxy) = proxy.with_context(|| format!("find kube-proxy in {pods:?}"))?;
    node.degrade(Quality {
        rate: Some(RATE),
        delay: Duration::from_millis(50),
        ..Quality::default()
    })?;
    node.exec_ok(["systemctl", "stop", "kubelet.service"])?;
    containers::crash(node, proxy)?;
    // Rules that are left from before would look as if it knew already.
    node.exec_ok(["sh", "-c", "iptables -t nat -F && iptables -t nat -X"])?;
    let start = begin(node)?;
    let passed = || -> Result<(u64, u64)> {
        let report = node.link_report()?.context("the link emulator is gone")?;
        Ok((report.down.passed_bytes, report.up.passed_bytes))
    };
    let first = passed()?;
    let mut quiet = (Instant::now(), first);
    wait_for("the first sync to end", DEADLINE, || {
        let now = passed()?;
        let carried = now.0 + now.1 - quiet.1.0 - quiet.1.1;
        if carried >= QUIET_BYTES {
            quiet = (Instant::now(), now);
        }
        ensure!(quiet.0.elapsed() >= QUIET_FOR, "the link is busy: {now:?}");
        quiet = (Instant::now(), now);
        let chains = node.exec(["sh", "-c", "iptables-save -t nat | grep -c '^:KUBE-SVC-'"])?;
        let known = chains.text().parse().unwrap_or(0);
        ensure!(
            known >= services,
            "kube-proxy knows {known} of {services} Services"
        );
        Ok(Some(()))
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let last = passed()?;
    node.clear_link()?;
    let took = Took {
        seconds,
        down: last.0 - first.0,
        up: last.1 - first.1,
    };
    say(format_args!(
        "{}: {} bytes down, {} up in {seconds:.0} s",
        node.name(),
        took.down,
        took.up
    ));
    Ok(took)
}
