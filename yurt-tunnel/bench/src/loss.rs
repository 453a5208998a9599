//! What is left of a link of 50 Mbit/s and 100 ms that loses packets, with either way to decide how fast is sent.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::experiment::{Experiment, Reading, at_least};
use crate::samples::float;
use crate::site::{PORT, RATE, SERVER, Site};
use crate::tunnel::{Ends, Place, Stand, Tunnel};

const FIGURES: [(&str, f64); 2] = [("loss1_share", 0.01), ("loss5_share", 0.05)];
/// The default of yurt-tunnel, which is what the goals are for, and the other one.
const CONGESTION: [&str; 2] = ["bbr", "cubic"];

pub(crate) const LOSS: Experiment = Experiment {
    figures: &[
        at_least(FIGURES[0].0, "of the link", 0.7),
        at_least(FIGURES[1].0, "of the link", 0.4),
    ],
    measure: |stand| Box::pin(measure(stand)),
};

async fn measure(stand: &Stand) -> Result<Vec<Reading>> {
    let site = Site::start(stand).await?;
    let seconds = |usual, quick| Duration::from_secs(if stand.quick { quick } else { usual });
    let (warm_up, time) = (seconds(3, 2), seconds(12, 3));
    let mut readings = Vec::new();
    for (name, loss) in FIGURES {
        let mut shares = [0.0; 2];
        for (index, congestion) in CONGESTION.iter().enumerate() {
            // Whoever connects should not need luck.
            site.lose(0.0)?;
            let args = ["--congestion".to_owned(), (*congestion).to_owned()];
            let quic = ["--transport".to_owned(), "quic".to_owned()];
            let ends = Ends {
                listen: SERVER.parse().context("read an address")?,
                server: Place {
                    namespace: Some(&site.cloud),
                    args: &args,
                },
                agent: Place {
                    namespace: Some(&site.node),
                    args: &[&args[..], &quic].concat(),
                },
            };
            let tunnel = Tunnel::between(stand, PORT, ends).await?;
            site.lose(loss)?;
            shares[index] = share(tunnel.way().rate(1, warm_up, time).await?);
        }
        site.lose(loss)?;
        let plain = share(site.plain(warm_up, time)?);
        readings.push(
            Reading::new(name, shares[0])
                .beside(plain, shares[0] / plain)
                .with("cubic_share", shares[1])
                .with("plain_tcp_share", plain),
        );
    }
    Ok(readings)
}

/// Of the link's bandwidth.
fn share(bytes_a_second: f64) -> f64 {
    bytes_a_second * 8.0 / float(RATE)
}
