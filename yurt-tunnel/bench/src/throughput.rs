//! Bytes a second, from the node to the cloud: plain TCP, rathole with noise, and the tunnel over QUIC and over TCP.

use std::time::Duration;

use anyhow::Result;

use crate::experiment::{Experiment, Reading, at_least};
use crate::rathole::Rathole;
use crate::samples::Samples;
use crate::target;
use crate::tunnel::{Stand, Tunnel};
use crate::way::Way;

/// Until windows are open.
const WARM_UP: Duration = Duration::from_millis(300);

pub(crate) const ONE: Experiment = Experiment {
    figures: &[at_least("throughput_1_ratio", "times rathole", 1.1)],
    measure: |stand| Box::pin(measure(stand, "throughput_1_ratio", 1)),
};

pub(crate) const EIGHT: Experiment = Experiment {
    figures: &[at_least("throughput_8_ratio", "times rathole", 1.3)],
    measure: |stand| Box::pin(measure(stand, "throughput_8_ratio", 8)),
};

async fn measure(stand: &Stand, name: &'static str, streams: usize) -> Result<Vec<Reading>> {
    let target = target::start().await?;
    let rathole = Rathole::start(stand, target).await?;
    let quic = Tunnel::start(stand, target, &["--transport", "quic"]).await?;
    let tcp = Tunnel::start(stand, target, &["--transport", "tcp"]).await?;
    let ways = [Way::Tcp(target), rathole.way(), quic.way(), tcp.way()];
    let mut rates = ways.each_ref().map(|_| Samples::default());
    let mut ratios = Samples::default();
    let time = Duration::from_millis(if stand.quick { 500 } else { 2000 });
    for _ in 0..stand.rounds(7, 2) {
        let mut turn = [0.0; 4];
        for (index, way) in ways.iter().enumerate() {
            turn[index] = way.rate(streams, WARM_UP, time).await? / f64::from(1 << 20);
            rates[index].push(turn[index]);
        }
        ratios.push(turn[2] / turn[1]);
    }
    let [raw, rathole, quic, tcp] = rates.map(|rates| rates.p50());
    Ok(vec![
        Reading::new(name, ratios.p50())
            .with("raw_tcp_mib_s", raw)
            .with("rathole_noise_mib_s", rathole)
            .with("tunnel_quic_mib_s", quic)
            .with("tunnel_tcp_mib_s", tcp)
            .with("tunnel_tcp_ratio", tcp / rathole),
    ])
}
