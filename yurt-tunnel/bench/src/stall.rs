//! One stream whose reader has stalled, in either direction, and how long a dial and an echo beside it take.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::experiment::{Experiment, Reading, at_most};
use crate::samples::{Samples, mib, micros};
use crate::target::{self, SOURCE, STALL};
use crate::tunnel::{Stand, Tunnel};
use crate::way::{Echo, Way};

/// Nothing is taken for so long: all buffers are full.
const FULL: Duration = Duration::from_millis(500);
/// Buffers are not larger than that.
const MOST: u64 = 256 << 20;

const FIGURE: &str = "stalled_reader_delay_ms";

pub(crate) const BESIDE: Experiment = Experiment {
    figures: &[at_most(FIGURE, "ms", 10.0)],
    measure: |stand| Box::pin(measure(stand)),
};

async fn measure(stand: &Stand) -> Result<Vec<Reading>> {
    let target = target::start().await?;
    let quic = Tunnel::start(stand, target, &["--transport", "quic"]).await?;
    let tcp = Tunnel::start(stand, target, &["--transport", "tcp"]).await?;
    let count = stand.rounds(300, 30);
    let before = beside(&quic.way(), count).await?;
    let mut taken = 0;
    let mut stalled = Vec::new();
    for way in [quic.way(), tcp.way()] {
        let mut writer = way.order(STALL).await?;
        let chunk = vec![0; 64 << 10];
        while let Ok(written) = timeout(FULL, writer.write(&chunk)).await {
            taken += written? as u64;
            ensure!(taken < MOST, "the stalled stream takes more and more");
        }
        // Nobody reads what comes by the second one.
        stalled.push((writer, way.order(SOURCE).await?));
    }
    // The last of them fills its buffers meanwhile.
    tokio::time::sleep(FULL).await;
    let after = beside(&quic.way(), count).await?;
    let over_tcp = beside(&tcp.way(), count).await?;
    drop(stalled);
    Ok(vec![
        Reading::new(FIGURE, after.p99() / 1e3)
            .beside(before.p99() / 1e3, after.p99() / before.p99())
            .with("p50_ms", after.p50() / 1e3)
            .with("tunnel_tcp_p99_ms", over_tcp.p99() / 1e3)
            .with("tunnel_tcp_p50_ms", over_tcp.p50() / 1e3)
            .with("taken_by_both_stalled_mib", mib(taken)),
    ])
}

async fn beside(way: &Way, count: usize) -> Result<Samples> {
    let mut samples = Samples::default();
    for _ in 0..count {
        let begun = Instant::now();
        Echo::open(way).await?.once().await?;
        samples.push(micros(begun.elapsed()));
    }
    Ok(samples)
}
