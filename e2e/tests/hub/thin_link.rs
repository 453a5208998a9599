//! The first sync of a node over a link as thin as a modem's, with breaks: slow, but to the end and without time-outs.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::hub::first_sync;
use e2e::link_emulator::{Flap, Quality};
use e2e::progress::say;
use e2e::{Background, containers, hub, rounds, wait_for};

use crate::setup::{POD_DEADLINE, alone, wait_kubelet_healthy};

const DEADLINE: Duration = Duration::from_mins(15);
/// None on a machine that has nothing else to do; `bench hub` judges that. What is built beside the tests takes the
/// processor from the node for seconds.
const MOST_TIMEOUTS: f64 = 5.0;
/// As above: usually none. Before clients waited through breaks it was some hundreds.
const AGAIN: usize = 150;
const SERVICES: &str = "services";
const SLICES: &str = "endpointslices.discovery.k8s.io";

/// A client that lists with patience. Not as curl: the apiserver would lay its answer out for a person.
fn client(node: &e2e::Node, path: &str) -> Result<Background> {
    let (_, ca) = hub::client::AS_KUBELET[1];
    let (_, certificate) = hub::client::AS_KUBELET[2];
    let url = format!("{}{path}", hub::client::SERVER);
    let accept = "accept: application/vnd.kubernetes.protobuf";
    let script = format!(
        "until code=$(curl -sS -m 900 -A e2e --cacert {ca} -E {certificate} --key {certificate} -H '{accept}' \
         -o /dev/null -w ' %{{http_code}}' '{url}' 2>&1) && [ \"$code\" = ' 200' ]; do echo \"again:$code\"; done; \
         echo done; exec sleep 3600"
    );
    Background::start(&node.cmd(["sh", "-c", &script])?)
}

#[test]
fn thin_link_carries_a_first_sync_to_its_end_over_breaks() -> Result<()> {
    let (cluster, node) = alone()?;
    let namespace = cluster.namespace("many")?;
    // Each with its slice: 2,000 objects in `soak`.
    let each = rounds(150, 1000);
    first_sync::fill(&namespace, each)?;
    let before = containers::running(&node, "kube-system")?;
    // At moments that have nothing to do with its pages.
    let flap = Flap {
        up: Duration::from_secs(11),
        down: Duration::from_secs(2),
    };
    node.degrade(Quality {
        rate: Some(50_000),
        delay: Duration::from_millis(50),
        flap: Some(flap),
        ..Quality::default()
    })?;
    let start = first_sync::begin(&node)?;
    let slices = client(
        &node,
        "/apis/discovery.k8s.io/v1/endpointslices?resourceVersion=0",
    )?;
    first_sync::wait_mirrored(&node, &[SERVICES, SLICES], each, DEADLINE)?;
    let took = start.elapsed();
    wait_for("the client to have its list", POD_DEADLINE, || {
        Ok(slices.lines().iter().any(|line| line == "done").then_some(()))
    })?;
    let lines = slices.lines();
    let again: Vec<_> = lines.iter().filter(|line| line.starts_with("again")).collect();
    let metric = |name: &str| hub::metric(&node, name);
    let (timeouts, pages) = (
        metric("yurthub_mirror_timeouts")?,
        metric("yurthub_mirror_pages")?,
    );
    let page_bytes = metric("yurthub_mirror_page_bytes")?;
    wait_kubelet_healthy(&node)?;
    let report = node.clear_link()?.unwrap_or_default();
    ensure!(
        containers::running(&node, "kube-system")? == before,
        "containers were touched"
    );
    say(format_args!(
        "hub thin link: {} objects in {:.0} s over 50 kbit/s, {} bytes down and {} up, {page_bytes} of them in {pages} \
         pages, {} packets lost in breaks, {} for want of room; {timeouts} time-outs, {} lists begun again by the client",
        2 * each,
        took.as_secs_f64(),
        report.down.passed_bytes,
        report.up.passed_bytes,
        report.up.lost_down + report.down.lost_down,
        report.up.lost_full + report.down.lost_full,
        again.len(),
    ));
    ensure!(timeouts <= MOST_TIMEOUTS, "{timeouts} time-outs");
    ensure!(again.len() <= AGAIN, "the client had to begin again: {again:?}");
    Ok(())
}
