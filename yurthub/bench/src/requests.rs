//! Single requests over one warm connection, through the hub and past it in turn.

use std::time::Instant;

use anyhow::Result;

use crate::client::Connection;
use crate::figure::{Experiment, Figure, Place, Reading};
use crate::hub::{Hub, Setup};
use crate::load::{collections, inform, pod_path};
use crate::samples::{Samples, float, micros};
use crate::stand::{Stand, worker};

const WARM_UP: usize = 200;

pub(crate) const FORWARDED: Experiment = Experiment {
    place: Place::Loopback,
    figures: &[
        Figure {
            name: "get_forwarded_p50_added_us",
            unit: "us",
            goal: 150.0,
        },
        Figure {
            name: "get_forwarded_cpu_us",
            unit: "us",
            goal: 150.0,
        },
    ],
    measure: |stand| Box::pin(forwarded(stand)),
};

pub(crate) const MIRRORED: Experiment = Experiment {
    place: Place::Loopback,
    figures: &[Figure {
        name: "get_mirrored_ratio",
        unit: "of direct",
        goal: 0.2,
    }],
    measure: |stand| Box::pin(mirrored(stand)),
};

pub(crate) const LIST: Experiment = Experiment {
    place: Place::Loopback,
    figures: &[Figure {
        name: "list_1000_services_ratio",
        unit: "of direct",
        goal: 0.2,
    }],
    measure: |stand| Box::pin(list(stand)),
};

/// One connection each.
struct Pair {
    hub: Connection,
    direct: Connection,
}

impl Pair {
    async fn open(hub: &Hub) -> Result<Self> {
        Ok(Self {
            hub: hub.door()?.connect().await?,
            direct: hub.direct().connect().await?,
        })
    }

    /// Times of `(hub, direct)`, in turn.
    async fn compare(&mut self, path: &str, (warm_up, rounds): (usize, usize)) -> Result<(Samples, Samples)> {
        for _ in 0..warm_up {
            self.hub.get(path).await?;
            self.direct.get(path).await?;
        }
        let (mut hub, mut direct) = (Samples::default(), Samples::default());
        for _ in 0..rounds {
            for (connection, samples) in [(&mut self.hub, &mut hub), (&mut self.direct, &mut direct)] {
                let start = Instant::now();
                connection.get(path).await?;
                samples.push(start.elapsed());
            }
        }
        Ok((hub, direct))
    }
}

/// A pod of the node, as the kubelet reads it before it patches its status.
async fn forwarded(stand: &Stand) -> Result<Vec<Reading>> {
    let path = changing_pod(stand).await?;
    let hub = Hub::start(stand, Setup::Plain).await?;
    let mut pair = Pair::open(&hub).await?;
    let (through, past) = pair.compare(&path, (WARM_UP, stand.rounds(3000, 300))).await?;
    let requests = stand.rounds(10_000, 2000);
    let before = hub.process.cpu_time()?;
    for _ in 0..requests {
        pair.hub.get(&path).await?;
    }
    let spent = hub.process.cpu_time()?.saturating_sub(before);
    Ok(vec![
        Reading::new("get_forwarded_p50_added_us", through.p50_us() - past.p50_us())
            .beside(past.p50_us(), through.p50_us() / past.p50_us())
            .with("hub_p50_us", through.p50_us())
            .with("hub_p99_us", through.p99_us())
            .with("direct_p99_us", past.p99_us()),
        Reading::new("get_forwarded_cpu_us", micros(spent) / float(requests as u64)),
    ])
}

async fn mirrored(stand: &Stand) -> Result<Vec<Reading>> {
    let path = format!("{}?resourceVersion=0", changing_pod(stand).await?);
    let hub = Hub::start(stand, Setup::Plain).await?;
    let [_, _, pods] = collections();
    let _informer = inform(&hub.door()?, stand.server().await?, &pods).await?;
    let mut pair = Pair::open(&hub).await?;
    let times = pair.compare(&path, (WARM_UP, stand.rounds(3000, 300))).await?;
    Ok(vec![ratio("get_mirrored_ratio", &times)])
}

async fn list(stand: &Stand) -> Result<Vec<Reading>> {
    let server = stand.filled_server().await?;
    let hub = Hub::start(stand, Setup::Plain).await?;
    let [services, ..] = collections();
    let _informer = inform(&hub.door()?, server, &services).await?;
    let mut pair = Pair::open(&hub).await?;
    let path = format!("{services}?resourceVersion=0");
    let times = pair.compare(&path, (5, stand.rounds(100, 20))).await?;
    let bytes = float(pair.hub.get(&path).await? as u64);
    let compressed = float(pair.direct.get(&path).await? as u64);
    let reading = ratio("list_1000_services_ratio", &times);
    Ok(vec![
        reading.with("hub_bytes", bytes).with("direct_bytes", compressed),
    ])
}

fn ratio(name: &'static str, (hub, direct): &(Samples, Samples)) -> Reading {
    let ratio = hub.p50_us() / direct.p50_us();
    Reading::new(name, ratio)
        .beside(direct.p50_us(), ratio)
        .with("hub_p50_us", hub.p50_us())
        .with("hub_p99_us", hub.p99_us())
        .with("direct_p99_us", direct.p99_us())
}

/// The path of a pod on the node, which is made.
async fn changing_pod(stand: &Stand) -> Result<String> {
    worker("read").ensure(stand.server().await?.admin()).await?;
    Ok(pod_path("read"))
}
