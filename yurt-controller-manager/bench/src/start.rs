//! From the start of the process until it leads and all nodes are as they shall be: in a cluster that another replica has
//! left in order, and in one that never had a manager. There all pods of autonomous nodes are written, at the default pace
//! of 300 writes a second: 20 s more, which is why its goal is another one.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use yurt_testkit::figure::{Figure, Reading};

use crate::replica::Replica;
use crate::size::{Size, float};
use crate::stand::Stand;

/// Three times the goal, on a machine that is busy with the apiserver, too.
const DEADLINE: Duration = Duration::from_mins(3);

pub(crate) const FIGURES: [Figure; 2] = [
    Figure {
        name: "cold_start_s",
        unit: "s",
        goal: 20.0,
    },
    Figure {
        name: "first_start_s",
        unit: "s",
        goal: 40.0,
    },
];

pub(crate) async fn measure(stand: &mut Stand) -> Result<Vec<Reading>> {
    let size = stand.size;
    let start = Instant::now();
    let mut replica = stand.replica("first")?;
    let leading = leads(&mut replica, start).await?;
    replica
        .wait("every pod and node written", DEADLINE, async |one| {
            all_written(one, size).await
        })
        .await?;
    let first = start.elapsed().as_secs_f64();
    // Each condition is told in an event after it was written.
    let all = size.kept_pods() + 2 * size.autonomous;
    replica
        .wait("every event written", DEADLINE, async |_| {
            stand.audit.writes().is_ok_and(|writes| writes >= all)
        })
        .await?;
    let conflicts = replica.metric("failures_total", "conflict").await;
    let failures = replica.metric("failures_total", "").await;

    let written = stand.audit.writes()?;
    let start = Instant::now();
    replica.process.restart()?;
    replica
        .wait("all objects known", DEADLINE, async |one| one.ready().await)
        .await?;
    let known = start.elapsed().as_secs_f64();
    let again = leads(&mut replica, start).await?;
    let nodes = size.nodes;
    replica
        .wait("every node looked at", DEADLINE, async |one| {
            one.metric("look_seconds_count", "").await >= nodes
        })
        .await?;
    let cold = start.elapsed().as_secs_f64();
    let needless = stand.audit.writes()? - written;
    ensure!(
        needless == 0,
        "a replica that found all in order wrote {needless} times"
    );
    stand.leader = Some(replica);
    Ok(vec![
        Reading::new("cold_start_s", cold)
            .with("known_s", known)
            .with("leads_s", again),
        Reading::new("first_start_s", first)
            .with("leads_s", leading)
            .with("writes", float(size.kept_pods() + size.autonomous))
            .with("conflicts", float(conflicts))
            .with("failures", float(failures)),
    ])
}

async fn leads(replica: &mut Replica, start: Instant) -> Result<f64> {
    replica
        .wait("a leader", DEADLINE, async |one| {
            one.metric("leading", "").await == 1
        })
        .await?;
    Ok(start.elapsed().as_secs_f64())
}

async fn all_written(replica: &Replica, size: Size) -> bool {
    replica.metric("writes_total", "tolerations").await >= size.kept_pods()
        && replica.metric("writes_total", "condition").await >= size.autonomous
}
