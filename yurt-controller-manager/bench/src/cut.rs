//! A region is cut off: all autonomous nodes fall silent at once, and nothing is left to be done for any of them.
//!
//! What the node lifecycle controller writes first (the node's status, the taint for the scheduler, its pods) is written
//! before time is taken: nothing follows from it. Time is taken from the first taint that evicts until the manager has
//! looked at the last node that has one. So the time that the taints themselves take is in it, which the node lifecycle
//! controller would take; it stands beside the figure, and so does what came after the last taint.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;
use yurt_testkit::figure::{Figure, Reading};

use crate::objects::{LABEL, NAMESPACE, node_name, pod_name, pod_not_ready, status, taints};
use crate::replica::Replica;
use crate::size::float;
use crate::stand::{Stand, now};

const DEADLINE: Duration = Duration::from_mins(1);
const EVICTS: &str = "NoExecute";
const SCHEDULER: &str = "NoSchedule";
/// The controller that keeps pods.
const AUTONOMY: &str = "controller=\"autonomy\"";

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
    let looks_before = looks(stand.leader()?).await;
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

    let leader = stand.leader()?;
    leader
        .wait("all that came before looked at", DEADLINE, async |one| {
            one.metric("queued", AUTONOMY).await == 0 && looks(one).await >= looks_before + size.autonomous
        })
        .await?;
    let (server_before, written) = (stand.server_cpu().await?, stand.audit.writes()?);
    let leader = stand.leader()?;
    let spent_before = leader.process.cpu_time()?;
    let looks_before = looks(leader).await;
    let start = Instant::now();
    let evicting = silent().map(|number| (node(number), taints(&[SCHEDULER, EVICTS], &then)));
    // The manager acts meanwhile.
    let marked = async {
        writers.patch_all(evicting).await?;
        Ok::<_, anyhow::Error>(start.elapsed())
    };
    let (marked, decided) = tokio::join!(
        marked,
        leader.wait("every silent node looked at", DEADLINE, async |one| {
            looks(one).await >= looks_before + size.autonomous
        })
    );
    decided?;
    let (all, marked) = (start.elapsed(), marked?);
    let spent = leader.process.cpu_time()?.saturating_sub(spent_before);
    let server = stand.server_cpu().await?.saturating_sub(server_before);
    let writes = stand.audit.writes()? - written;
    let path = format!("/api/v1/nodes?labelSelector={}", LABEL.replace('/', "%2F"));
    let found = writers.count(&path, keeps_its_pods).await?;
    ensure!(found == size.autonomous, "{found} nodes say that their pods stay");
    Ok(vec![
        Reading::new("cut_1000_nodes_s", all.as_secs_f64())
            .with("tainting_s", marked.as_secs_f64())
            .with("after_last_taint_s", all.saturating_sub(marked).as_secs_f64())
            .with("manager_cpu_s", spent.as_secs_f64())
            .with("apiserver_and_etcd_cpu_s", server.as_secs_f64())
            .with("nodes", float(size.autonomous))
            .with("writes", float(writes)),
    ])
}

async fn looks(replica: &Replica) -> usize {
    replica.metric("look_seconds_count", AUTONOMY).await
}

/// What holds of a silent node, too, and was said before.
fn keeps_its_pods(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|one| {
        one["type"] == "NodeAutonomy" && (one["reason"] == "ForEver" || one["reason"] == "ForDuration")
    })
}
