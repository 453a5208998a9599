//! Fifty watchers of one resource.

use anyhow::Result;

use crate::figure::{Experiment, Figure, Place, Reading};
use crate::hub::{Hub, Setup};
use crate::load::fifty;
use crate::stand::Stand;

pub(crate) const FIFTY_WATCHERS: Experiment = Experiment {
    place: Place::Loopback,
    figures: &[
        Figure {
            name: "watch50_cpu_us_per_event",
            unit: "us",
            goal: 15.0,
        },
        Figure {
            name: "watch50_p50_added_us",
            unit: "us",
            goal: 1000.0,
        },
    ],
    measure: |stand| Box::pin(fifty_watchers(stand)),
};

async fn fifty_watchers(stand: &Stand) -> Result<Vec<Reading>> {
    let hub = Hub::start(stand, Setup::Plain).await?;
    let fifty = fifty(stand, &hub, stand.rounds(400, 60)).await?;
    let (through, past) = (fifty.hub.p50_us(), fifty.direct.p50_us());
    Ok(vec![
        Reading::new("watch50_cpu_us_per_event", fifty.cpu_us_per_event),
        Reading::new("watch50_p50_added_us", through - past)
            .beside(past, through / past)
            .with("hub_p50_us", through)
            .with("hub_p99_us", fifty.hub.p99_us())
            .with("direct_p99_us", fifty.direct.p99_us()),
    ])
}
