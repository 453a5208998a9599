//! What the tunnel adds to a round trip of 64 bytes, and how long a dial takes. Dials come when all round trips are done: the
//! ends of connections keep a tunnel busy for a while, rathole for long enough to be seen in the round trips of the next.

use std::time::Instant;

use anyhow::Result;

use crate::experiment::{Experiment, Reading, at_most};
use crate::rathole::Rathole;
use crate::samples::{Samples, micros};
use crate::target;
use crate::tunnel::{Stand, Tunnel};
use crate::way::{Echo, Way};

/// Round trips, and dials, of one way before it is another one's turn.
const TURN: usize = 200;

pub(crate) const LATENCY: Experiment = Experiment {
    figures: &[
        at_most("rtt_p50_added_us", "us", 50.0),
        at_most("rtt_p99_added_us", "us", 300.0),
        at_most("dial_p50_us", "us", 500.0),
    ],
    measure: |stand| Box::pin(measure(stand)),
};

async fn measure(stand: &Stand) -> Result<Vec<Reading>> {
    let target = target::start().await?;
    let rathole = Rathole::start(stand, target).await?;
    let quic = Tunnel::start(stand, target, &["--transport", "quic"]).await?;
    let tcp = Tunnel::start(stand, target, &["--transport", "tcp"]).await?;
    let ways = [Way::Tcp(target), rathole.way(), quic.way(), tcp.way()];
    let mut trips = ways.each_ref().map(|_| Samples::default());
    let mut dials = ways.each_ref().map(|_| Samples::default());
    let mut echoes = Vec::new();
    for way in &ways {
        echoes.push(Echo::open(way).await?);
    }
    for _ in 0..stand.rounds(20, 2) {
        for (echo, trips) in echoes.iter_mut().zip(&mut trips) {
            echo.times(TURN, trips).await?;
        }
    }
    for _ in 0..stand.rounds(20, 2) {
        for (way, dials) in ways.iter().zip(&mut dials) {
            for _ in 0..TURN / 4 {
                let begun = Instant::now();
                let stream = way.open().await?;
                dials.push(micros(begun.elapsed()));
                drop(stream);
            }
        }
    }
    let p50 = trips.each_ref().map(Samples::p50);
    let p99 = trips.each_ref().map(Samples::p99);
    let told = |name, values: [f64; 4]| {
        Reading::new(name, values[2] - values[0])
            .beside(values[0], values[2] / values[0])
            .with("rathole_added_us", values[1] - values[0])
            .with("tunnel_tcp_added_us", values[3] - values[0])
    };
    Ok(vec![
        told("rtt_p50_added_us", p50),
        told("rtt_p99_added_us", p99),
        Reading::new("dial_p50_us", dials[2].p50())
            .beside(dials[0].p50(), dials[2].p50() / dials[0].p50())
            .with("p99_us", dials[2].p99())
            .with("tunnel_tcp_us", dials[3].p50()),
    ])
}
