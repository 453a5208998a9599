//! Resident memory with 2,000 objects in the mirror, before and after fifty watchers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::figure::{Experiment, Figure, Place, Reading};
use crate::hub::{Hub, Setup};
use crate::load::{collections, fifty, inform};
use crate::samples::{float, megabytes};
use crate::stand::{CONFIG_MAPS, PODS, SERVICES, Stand};

/// How long nothing happens before memory is looked at.
const IDLE: Duration = Duration::from_secs(5);

pub(crate) const TWO_THOUSAND_OBJECTS: Experiment = Experiment {
    place: Place::Loopback,
    figures: &[
        Figure {
            name: "rss_idle_2000_mb",
            unit: "MB",
            goal: 15.0,
        },
        Figure {
            name: "rss_after_watch_mb",
            unit: "MB",
            goal: 25.0,
        },
    ],
    measure: |stand| Box::pin(two_thousand_objects(stand)),
};

async fn two_thousand_objects(stand: &Stand) -> Result<Vec<Reading>> {
    let server = stand.filled_server().await?;
    let mut hub = Hub::start(stand, Setup::Plain).await?;
    tokio::time::sleep(IDLE).await;
    let empty = rss(&hub)?;
    let mut informers = Vec::new();
    for collection in collections() {
        informers.push(inform(&hub.door()?, server, &collection).await?);
    }
    let objects = hub.metric("yurthub_mirror_objects").await?;
    ensure!(
        objects >= float((SERVICES + CONFIG_MAPS + PODS) as u64),
        "the mirror has {objects} objects only"
    );
    tokio::time::sleep(IDLE).await;
    let (idle, anonymous) = (rss(&hub)?, anonymous(&hub)?);
    let fifty = fifty(stand, &hub, stand.rounds(400, 60)).await?;
    let after = rss(&hub)?;
    drop((fifty.watchers, informers));
    tokio::time::sleep(IDLE).await;
    let left_alone = rss(&hub)?;
    hub.restart().await?;
    tokio::time::sleep(IDLE).await;
    Ok(vec![
        Reading::new("rss_idle_2000_mb", idle)
            .with("of_it_anonymous_mb", anonymous)
            .with("objects", objects)
            .with("empty_mirror_mb", empty)
            .with("restarted_without_clients_mb", rss(&hub)?),
        Reading::new("rss_after_watch_mb", after).with("without_watchers_mb", left_alone),
    ])
}

/// What is not backed by a file (the binary, above all), and so cannot be dropped by the kernel (`RssAnon`, proc(5)).
fn anonymous(hub: &Hub) -> Result<f64> {
    let path = format!("/proc/{}/status", hub.process.pid());
    let status = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(megabytes(kib.context("no RssAnon")? * 1024))
}

fn rss(hub: &Hub) -> Result<f64> {
    Ok(megabytes(hub.process.rss()?))
}
