//! Ordinary life: kubelets write, and there is nothing to do for the manager.

use std::time::Instant;

use anyhow::Result;
use e2e::progress::say;
use yurt_testkit::figure::{Figure, Reading};

use crate::load;
use crate::size::float;
use crate::stand::Stand;

pub(crate) const FIGURES: [Figure; 3] = [
    Figure {
        name: "steady_cpu_pct",
        unit: "% of a core",
        goal: 5.0,
    },
    Figure {
        name: "rss_mb",
        unit: "MB",
        goal: 150.0,
    },
    Figure {
        name: "needless_writes",
        unit: "writes",
        goal: 0.0,
    },
];

pub(crate) async fn measure(stand: &mut Stand) -> Result<Vec<Reading>> {
    let leader = stand.leader()?;
    let (cpu, events) = (
        leader.process.cpu_time()?,
        leader.metric("cache_events_total", "").await,
    );
    let (written, start) = (stand.audit.writes()?, Instant::now());
    say(format_args!("ordinary life for {:?}", stand.size.steady));
    let load = load::kubelets(stand, stand.size.steady).await?;
    let elapsed = start.elapsed();
    let needless = stand.audit.writes()? - written;
    let leader = stand.leader()?;
    let spent = leader.process.cpu_time()?.saturating_sub(cpu);
    let seen = leader.metric("cache_events_total", "").await - events;
    Ok(vec![
        Reading::new(
            "steady_cpu_pct",
            100.0 * spent.as_secs_f64() / elapsed.as_secs_f64(),
        )
        .with("leases_per_s", load.leases)
        .with("node_statuses_per_s", load.statuses)
        .with("events_seen", float(seen)),
        Reading::new("rss_mb", megabytes(leader.peak()?)).with("steady_mb", megabytes(leader.process.rss()?)),
        Reading::new("needless_writes", float(needless)).with("events_seen", float(seen)),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "memory stays far below 2^52 bytes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
