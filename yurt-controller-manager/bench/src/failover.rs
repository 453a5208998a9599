//! The leader dies, and a change waits: until the other replica has written it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use yurt_testkit::figure::{Figure, Reading};

use crate::objects::{DURATION, NAMESPACE, node_name};
use crate::size::float;
use crate::stand::Stand;

const DEADLINE: Duration = Duration::from_mins(3);

pub(crate) const FIGURES: [Figure; 1] = [Figure {
    name: "failover_s",
    unit: "s",
    goal: 15.0,
}];

pub(crate) async fn measure(stand: &mut Stand) -> Result<Vec<Reading>> {
    let (size, writers) = (stand.size, stand.writers.clone());
    let mut second = stand.replica("second")?;
    second
        .wait("all objects known", DEADLINE, async |one| one.ready().await)
        .await?;
    let written = stand.audit.writes()?;
    // One that has asked for nothing yet.
    let node = node_name(size.nodes - 1);
    stand.leader()?.process.kill()?;
    let start = Instant::now();
    let wish = json!({"metadata": {"annotations": {DURATION: "0"}}});
    writers.patch(0, &format!("/api/v1/nodes/{node}"), &wish).await?;
    second
        .wait("a new leader", DEADLINE, async |one| {
            one.metric("leading", "").await == 1
        })
        .await?;
    let leads = start.elapsed().as_secs_f64();
    second
        .wait("what had waited to be written", DEADLINE, async |one| {
            one.metric("writes_total", "tolerations").await >= size.pods_per_node
                && one.metric("writes_total", "condition").await >= 1
        })
        .await?;
    let all = start.elapsed().as_secs_f64();
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?fieldSelector=spec.nodeName%3D{node}");
    let kept = writers
        .count(&path, |pod| {
            pod["metadata"]["annotations"]["yurt.openyurt.io/tolerates-for"] == "for-ever"
        })
        .await?;
    ensure!(kept == size.pods_per_node, "{kept} pods of {node} stay");
    second
        .wait("every node looked at", DEADLINE, async |one| {
            one.metric("look_seconds_count", "").await >= size.nodes
        })
        .await?;
    // The pods, the condition, and the event about it.
    let needless = stand.audit.writes()? - written - (size.pods_per_node + 2);
    ensure!(needless == 0, "the new leader wrote {needless} times too often");
    stand.leader = Some(second);
    Ok(vec![
        Reading::new("failover_s", all)
            .with("leads_s", leads)
            .with("needless_writes", float(needless)),
    ])
}
