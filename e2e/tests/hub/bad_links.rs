//! Links that are bad, not gone: slow, lossy, thin, or up and down every few seconds. Pods and watches do not notice.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::link_emulator::{Flap, Quality};
use e2e::progress::say;
use e2e::{Informer, Namespace, Node, containers, hub, pod, wait_for};

use crate::setup::{POD_DEADLINE, alone, wait_kubelet_healthy};

const PODS: usize = 3;
/// Changes in the cloud while the link is bad.
const CHANGES: usize = 4;
/// How long the link stays bad at least: several periods of all schedules, half of the grace of a silent node.
const BAD_FOR: Duration = Duration::from_secs(20);
/// Within which a change must arrive.
const ARRIVAL: Duration = Duration::from_secs(20);

/// Lets `quality` rule the link of a node with pods while the cloud changes things.
fn endure(name: &str, quality: Quality) -> Result<()> {
    let (cluster, node) = alone()?;
    let namespace = cluster.namespace(name)?;
    namespace.apply((0..PODS).map(|number| pod(&format!("pod{number}")).on(node.name())))?;
    for number in 0..PODS {
        namespace.wait_ready(&format!("pod{number}"), POD_DEADLINE)?;
    }
    let ready_since = || {
        let path =
            r#"jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.lastTransitionTime}{end}"#;
        cluster.kubectl(["get", "node", node.name(), "-o", path])
    };
    let of_node = format!("--field-selector=spec.nodeName={}", node.name());
    let flags = [&of_node[..], "--protobuf"];
    let informer = Informer::start(cluster.instance(), &node, hub::client::AS_KUBELET, &flags)?;
    let (before, ready) = (containers::running(&node, namespace.name())?, ready_since()?);
    ensure!(ready.starts_with("True"), "the node is not Ready: {ready}");

    let start = Instant::now();
    node.degrade(quality)?;
    let slowest = change_things((&namespace, &node), &informer, start)?;
    let disturbances = informer.disturbances()?;
    ensure!(
        disturbances.is_empty(),
        "the local watch was disturbed: {disturbances:?}"
    );
    wait_kubelet_healthy(&node)?;
    let now = containers::running(&node, namespace.name())?;
    ensure!(
        now == before,
        "containers were touched: {before:?} became {now:?}"
    );
    for number in 0..PODS {
        let pod = format!("pod{number}");
        ensure!(namespace.restarts(&pod)? == 0, "{pod} was restarted");
    }
    ensure!(ready_since()? == ready, "the node was not Ready all the time");
    let timeouts = hub::metric(&node, "yurthub_mirror_timeouts")?;
    let report = node.clear_link()?.unwrap_or_default();
    say(format_args!(
        "hub bad links: {name} for {:.0} s, {} packets lost, slowest change {:.1} s, {timeouts} time-outs",
        start.elapsed().as_secs_f64(),
        report.up.lost() + report.down.lost(),
        slowest.as_secs_f64(),
    ));
    Ok(())
}

/// Changes a pod now and then, and sees each change arrive once; how long the slowest took.
fn change_things(
    (namespace, node): (&Namespace, &Node),
    informer: &Informer,
    start: Instant,
) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    let mut versions = Vec::new();
    for change in 1..=CHANGES {
        let changed = Instant::now();
        let number = format!("number={change}");
        let path = "jsonpath={.metadata.resourceVersion}";
        let version = namespace.kubectl(["annotate", "--overwrite", "pod", "pod0", &number, "-o", path])?;
        let version: u64 = version.parse().with_context(|| format!("read {version:?}"))?;
        versions.push(version);
        wait_for("the change to arrive", ARRIVAL, || {
            let events = informer.events()?;
            ensure!(
                events.iter().any(|event| event.version == version),
                "{version} is not among {events:?}"
            );
            Ok(Some(()))
        })?;
        slowest = slowest.max(changed.elapsed());
        // So that changes meet the link at different moments of its schedule.
        let until = BAD_FOR * change as u32 / CHANGES as u32;
        wait_for("the next change's time", BAD_FOR, || {
            let (code, _) = hub::ask(node, "/api/v1/services?resourceVersion=0&limit=1", &[])?;
            assert_eq!(code, 200, "what yurthub answers from the mirror");
            Ok((start.elapsed() >= until).then_some(()))
        })?;
    }
    let events = informer.events()?;
    for version in &versions {
        let count = events.iter().filter(|event| event.version == *version).count();
        ensure!(count == 1, "version {version} arrived {count} times: {events:?}");
    }
    Ok(slowest)
}

#[test]
fn a_link_with_a_long_way_and_losses_is_not_noticed() -> Result<()> {
    endure(
        "lossy",
        Quality {
            delay: Duration::from_millis(300),
            loss: 0.05,
            ..Quality::default()
        },
    )
}

#[test]
fn a_thin_link_is_not_noticed() -> Result<()> {
    endure(
        "thin",
        Quality {
            rate: Some(50_000),
            delay: Duration::from_millis(50),
            ..Quality::default()
        },
    )
}

#[test]
fn a_link_that_flaps_is_not_noticed() -> Result<()> {
    let flap = Flap {
        up: Duration::from_secs(4),
        down: Duration::from_secs(3),
    };
    endure(
        "flapping",
        Quality {
            flap: Some(flap),
            ..Quality::default()
        },
    )
}
