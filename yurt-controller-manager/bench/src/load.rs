//! What kubelets write while nothing happens: their Leases, and once in a while the status of their node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::objects::{node_name, status};
use crate::size::{Size, float};
use crate::stand::{PARALLEL, Stand, Writers, now, now_micros};

/// Time between two groups of writes.
const TICK: Duration = Duration::from_millis(20);
const TICKS_PER_SECOND: usize = 50;

/// How much there was, in a second.
pub(crate) struct Load {
    pub(crate) leases: f64,
    pub(crate) statuses: f64,
}

/// Writes for `time` what kubelets write, or as much of it as the apiserver takes.
pub(crate) async fn kubelets(stand: &Stand, time: Duration) -> Result<Load> {
    let Size { nodes, .. } = stand.size;
    let (lease_rate, status_rate) = (stand.size.leases_per_second(), stand.size.statuses_per_second());
    let start = Instant::now();
    let renew = move |number: usize| {
        let name = node_name(number % nodes);
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}");
        (path, json!({"spec": {"renewTime": now_micros()}}))
    };
    // Other nodes than those of the first leases.
    let report = move |number: usize| {
        let name = node_name((number * 7) % nodes);
        (format!("/api/v1/nodes/{name}/status"), status("True", &now()))
    };
    let (leases, statuses) = tokio::try_join!(
        steadily(&stand.writers, lease_rate, time, renew),
        steadily(&stand.writers, status_rate, time, report),
    )?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Load {
        leases: float(leases) / seconds,
        statuses: float(statuses) / seconds,
    })
}

/// Sends what `patch` says, `rate` of them in a second. Returns how many there were.
async fn steadily(
    writers: &Writers,
    rate: usize,
    time: Duration,
    patch: impl Fn(usize) -> (String, serde_json::Value),
) -> Result<usize> {
    let mut ticks = tokio::time::interval(TICK);
    // What a slow moment has left is made up for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let room = Arc::new(Semaphore::new(PARALLEL));
    let (mut sent, mut tick, mut running) = (0, 0, JoinSet::new());
    let start = Instant::now();
    while start.elapsed() < time {
        ticks.tick().await;
        tick += 1;
        while sent * TICKS_PER_SECOND < rate * tick {
            let place = Arc::clone(&room)
                .acquire_owned()
                .await
                .context("wait for a writer")?;
            let (writers, number, (path, patch)) = (writers.clone(), sent, patch(sent));
            running.spawn(async move {
                let written = writers.patch(number, &path, &patch).await;
                drop(place);
                written
            });
            sent += 1;
        }
        while let Some(ended) = running.try_join_next() {
            ended.context("a writer panicked")??;
        }
    }
    while let Some(ended) = running.join_next().await {
        ended.context("a writer panicked")??;
    }
    Ok(sent)
}
