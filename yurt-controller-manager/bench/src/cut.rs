//! A region is cut off: all autonomous nodes fall silent at once, and each is told so.
//!
//! What the node lifecycle controller writes first (the node's status, the taint for the scheduler, its pods) is written
//! before time is taken: nothing follows from it. Time is taken from the first taint that evicts until the last condition is
//! written, so the time that the taints themselves take is in it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;
use yurt_testkit::figure::{Figure, Reading};

use crate::objects::{LABEL, NAMESPACE, node_name, pod_name, pod_not_ready, status, taints};
use crate::size::float;
use crate::stand::{Stand, now};

const DEADLINE: Duration = Duration::from_mins(1);
const EVICTS: &str = "NoExecute";
const SCHEDULER: &str = "NoSchedule";

pub(crate) const FIGURES: [Figure; 1] = [Figure {
    name: "cut_1000_nodes_s",
    unit: "s",
    goal: 5.0,
}];

pub(crate) async fn measure(stand: &mut Stand) -> Result<Vec<Reading>> {
    let size = stand.size;
    let silent = || 0..size.autonomous;
    let node = |number| format!("/api/v1/nodes/{}", node_name(number));
    let (then, writers) = (now(), stand.writers.clone());
    let unknown = silent().map(|number| (format!("{}/status", node(number)), status("Unknown", &then)));
    writers.patch_all(unknown).await?;
    let unschedulable = silent().map(|number| (node(number), taints(&[SCHEDULER], &then)));
    writers.patch_all(unschedulable).await?;
    let pods = silent().flat_map(|number| (0..size.pods_per_node).map(move |index| pod_name(number, index)));
    let pods = pods.map(|pod| {
        (
            format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}/status"),
            pod_not_ready(),
        )
    });
    writers.patch_all(pods).await?;

    let server_before = stand.server_cpu().await?;
    let leader = stand.leader()?;
    let spent_before = leader.process.cpu_time()?;
    let conditions = leader.metric("writes_total", "condition").await;
    let pods_before = leader.metric("writes_total", "tolerations").await;
    let start = Instant::now();
    let evicting = silent().map(|number| (node(number), taints(&[SCHEDULER, EVICTS], &then)));
    // The manager acts meanwhile.
    let marked = async {
        writers.patch_all(evicting).await?;
        Ok::<_, anyhow::Error>(start.elapsed())
    };
    let (marked, told) = tokio::join!(
        marked,
        leader.wait("every silent node told of", DEADLINE, async |one| {
            one.metric("writes_total", "condition").await >= conditions + size.autonomous
        })
    );
    told?;
    let (all, marked) = (start.elapsed(), marked?);
    let spent = leader.process.cpu_time()?.saturating_sub(spent_before);
    let pods = leader.metric("writes_total", "tolerations").await - pods_before;
    let conflicts = leader.metric("failures_total", "conflict").await;
    let server = stand.server_cpu().await?.saturating_sub(server_before);
    let path = format!("/api/v1/nodes?labelSelector={}", LABEL.replace('/', "%2F"));
    let found = writers.count(&path, is_told).await?;
    ensure!(found == size.autonomous, "{found} nodes say that they are silent");
    Ok(vec![
        Reading::new("cut_1000_nodes_s", all.as_secs_f64())
            .with("tainting_s", marked.as_secs_f64())
            .with("manager_cpu_s", spent.as_secs_f64())
            .with("apiserver_and_etcd_cpu_s", server.as_secs_f64())
            .with("nodes", float(size.autonomous))
            .with("pods_written", float(pods))
            .with("conflicts", float(conflicts)),
    ])
}

fn is_told(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|one| one["type"] == "NodeAutonomy" && one["reason"] == "Silent")
}
