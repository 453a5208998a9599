//! The link goes and comes back: how soon that is noticed, and what catching up costs.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use yurt_testkit::ApiServer;

use crate::client::{Door, Watch};
use crate::figure::{Experiment, Figure, Place, Reading};
use crate::hub::{Hub, Setup};
use crate::load::{annotate, collections, inform};
use crate::samples::float;
use crate::stand::{NAMESPACE, Stand, name};

/// How long any of it may take.
const DEADLINE: Duration = Duration::from_mins(1);
/// Time for what is still under way: one ping, one commit.
const SETTLE: Duration = Duration::from_secs(2);
/// Changes during an outage, and the size of each.
const CHANGES: usize = 100;
const CHANGE_SIZE: usize = 2000;

pub(crate) const NOTICED: Experiment = Experiment {
    place: Place::Loopback,
    figures: &[
        Figure {
            name: "outage_noticed_s",
            unit: "s",
            goal: 5.0,
        },
        Figure {
            name: "return_noticed_s",
            unit: "s",
            goal: 2.0,
        },
    ],
    measure: |stand| Box::pin(noticed(stand)),
};

pub(crate) const CUT: Experiment = Experiment {
    place: Place::Loopback,
    figures: &[Figure {
        name: "cut100s_bytes_ratio",
        unit: "of the changes",
        goal: 2.0,
    }],
    measure: |stand| Box::pin(cut(stand)),
};

pub(crate) const RESTART: Experiment = Experiment {
    place: Place::Loopback,
    figures: &[Figure {
        name: "restart_bytes_ratio",
        unit: "of the changes",
        goal: 2.0,
    }],
    measure: |stand| Box::pin(restart(stand)),
};

/// The slowest of several black holes, with one scope that is watched.
async fn noticed(stand: &Stand) -> Result<Vec<Reading>> {
    let server = stand.server().await?;
    let hub = Hub::start(stand, Setup::OverLink).await?;
    let [services, ..] = collections();
    let _informer = inform(&hub.door()?, server, &services).await?;
    let (mut gone, mut back) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..stand.rounds(5, 2) {
        tokio::time::sleep(SETTLE).await;
        hub.link()?.blackhole().await;
        gone = gone.max(hub.notices(false, DEADLINE).await?);
        tokio::time::sleep(SETTLE).await;
        hub.link()?.join().await;
        back = back.max(hub.notices(true, DEADLINE).await?);
    }
    Ok(vec![
        Reading::new("outage_noticed_s", gone.as_secs_f64()),
        Reading::new("return_noticed_s", back.as_secs_f64()),
    ])
}

async fn cut(stand: &Stand) -> Result<Vec<Reading>> {
    let server = stand.filled_server().await?;
    let hub = Hub::start(stand, Setup::OverLink).await?;
    let mut local = informers(&hub.door()?, server).await?;
    let mut direct = informers(hub.direct(), server).await?;
    tokio::time::sleep(SETTLE).await;
    hub.link()?.cut().await;
    hub.notices(false, DEADLINE).await?;
    let round = change_all(stand, 0).await?;
    tokio::time::sleep(stand.outage).await;
    let before = hub.link()?.bytes();
    hub.link()?.join().await;
    let changes = all_changes(&mut direct).await.context("past the hub")?;
    all_changes(&mut local).await.context("through the hub")?;
    tokio::time::sleep(SETTLE).await;
    let after = hub.link()?.bytes();
    let reading = bytes_ratio("cut100s_bytes_ratio", after.down - before.down, changes);
    Ok(vec![
        reading
            .with("bytes_up", float(after.up - before.up))
            .with("changes", float(round as u64))
            .with("outage_s", stand.outage.as_secs_f64()),
    ])
}

async fn restart(stand: &Stand) -> Result<Vec<Reading>> {
    let server = stand.filled_server().await?;
    let mut hub = Hub::start(stand, Setup::OverLink).await?;
    let mut direct = informers(hub.direct(), server).await?;
    let local = informers(&hub.door()?, server).await?;
    tokio::time::sleep(SETTLE).await;
    let version = server.revision().await?;
    hub.process.kill()?;
    drop(local);
    change_all(stand, 1).await?;
    let before = hub.link()?.bytes();
    hub.restart().await?;
    // The clients go on from where they were.
    let door = hub.door()?;
    let mut local = Vec::new();
    for collection in collections() {
        local.push(door.watch(&collection, version).await?);
    }
    let changes = all_changes(&mut direct).await.context("past the hub")?;
    all_changes(&mut local).await.context("through the hub")?;
    tokio::time::sleep(SETTLE).await;
    let after = hub.link()?.bytes();
    let reading = bytes_ratio("restart_bytes_ratio", after.down - before.down, changes);
    Ok(vec![reading.with("bytes_up", float(after.up - before.up))])
}

fn bytes_ratio(name: &'static str, down: u64, changes: u64) -> Reading {
    let ratio = float(down) / float(changes);
    Reading::new(name, ratio)
        .beside(float(changes), ratio)
        .with("bytes_down", float(down))
}

/// One informer for each collection.
async fn informers(door: &Door, server: &ApiServer) -> Result<Vec<Watch>> {
    let collections = collections();
    try_join_all(
        collections
            .iter()
            .map(|collection| inform(door, server, collection)),
    )
    .await
}

/// Changes a hundred `ConfigMap`s by 2 KB each.
async fn change_all(stand: &Stand, round: usize) -> Result<usize> {
    let mut admin = stand.admin().await?.connect().await?;
    for number in 0..CHANGES {
        let path = format!(
            "/api/v1/namespaces/{NAMESPACE}/configmaps/{}",
            name("config", number)
        );
        annotate(&mut admin, &path, (round, CHANGE_SIZE)).await?;
    }
    Ok(CHANGES)
}

/// Waits for the changes in the informer of `ConfigMap`s; their size as the apiserver sends them.
async fn all_changes(informers: &mut [Watch]) -> Result<u64> {
    let config_maps = informers.get_mut(1).context("no informer of ConfigMaps")?;
    config_maps.events(CHANGES, DEADLINE).await
}
