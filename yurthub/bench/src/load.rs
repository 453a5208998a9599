//! Clients that behave like a node's: informers, and many watchers of one resource.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::Method;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use yurt_testkit::ApiServer;
use yurt_testkit::objects::{ensure_namespace, service};

use crate::client::{Connection, Door, STRATEGIC, Watch};
use crate::hub::Hub;
use crate::samples::{Samples, float, micros};
use crate::stand::{NAMESPACE, NODE, Stand};

const DELIVERY_DEADLINE: Duration = Duration::from_secs(30);
/// Watchers of one resource.
pub(crate) const WATCHERS: usize = 50;

/// The collections of the 2,000 objects, as the node's clients ask for them.
pub(crate) fn collections() -> [String; 3] {
    [
        "/api/v1/services".to_owned(),
        "/api/v1/configmaps".to_owned(),
        format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{NODE}"),
    ]
}

/// Lists `collection` from anywhere, and watches it from now on, as an informer does.
pub(crate) async fn inform(door: &Door, server: &ApiServer, collection: &str) -> Result<Watch> {
    let separator = if collection.contains('?') { '&' } else { '?' };
    let mut connection = door.connect().await?;
    connection
        .get(&format!("{collection}{separator}resourceVersion=0"))
        .await?;
    door.watch(collection, server.revision().await?).await
}

/// Merge-patches an annotation of `size` bytes into object `path`.
pub(crate) async fn annotate(
    admin: &mut Connection,
    path: &str,
    (round, size): (usize, usize),
) -> Result<()> {
    let filler = "y".repeat(size.saturating_sub(8));
    let body = format!(r#"{{"metadata":{{"annotations":{{"bench/change":"{round:08}{filler}"}}}}}}"#);
    admin.send(Method::PATCH, path, (STRATEGIC, body)).await.map(drop)
}

/// Many watchers of one resource, each with a connection of its own, of which each says when it got an event.
pub(crate) struct Watchers {
    /// The object that they watch for changes.
    path: String,
    arrivals: mpsc::UnboundedReceiver<Instant>,
    tasks: JoinSet<()>,
}

impl Watchers {
    /// Lets one of them watch through each of `doors` the services of `namespace`, in which `service` is.
    async fn start(doors: &[Door], server: &ApiServer, (namespace, service): (&str, &str)) -> Result<Self> {
        let collection = format!("/api/v1/namespaces/{namespace}/services");
        let (sender, arrivals) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        for door in doors {
            let mut watch = inform(door, server, &collection).await?;
            let sender = sender.clone();
            tasks.spawn(async move {
                while let Ok(Some(_)) = watch.event().await {
                    if sender.send(Instant::now()).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self {
            path: format!("{collection}/{service}"),
            arrivals,
            tasks,
        })
    }

    /// Changes the object and waits until everyone got the event; the times from the beginning of the change.
    pub(crate) async fn round(
        &mut self,
        admin: &mut Connection,
        round: usize,
        samples: &mut Samples,
    ) -> Result<()> {
        ensure!(self.arrivals.is_empty(), "an event came that nobody caused");
        let start = Instant::now();
        let arrivals = &mut self.arrivals;
        let deliveries = async {
            for _ in 0..WATCHERS {
                let arrival = arrivals.recv().await.context("a watch has ended")?;
                samples.push(arrival.saturating_duration_since(start));
            }
            Ok(())
        };
        let delivered = tokio::time::timeout(DELIVERY_DEADLINE, deliveries);
        let (changed, delivered) = tokio::join!(annotate(admin, &self.path, (round, 64)), delivered);
        changed?;
        ensure!(self.tasks.len() == WATCHERS, "a watch has ended");
        delivered.context("not everyone got the event")?
    }
}

/// What fifty watchers cost, and how long they wait.
pub(crate) struct Fifty {
    /// CPU time of yurthub for one event delivered to one watcher.
    pub(crate) cpu_us_per_event: f64,
    pub(crate) hub: Samples,
    pub(crate) direct: Samples,
    /// Still connected.
    pub(crate) watchers: Watchers,
}

/// Fifty watchers as the kubelet through the hub, and fifty past it.
pub(crate) async fn fifty(stand: &Stand, hub: &Hub, rounds: usize) -> Result<Fifty> {
    let doors = [hub.door()?, hub.direct().clone()].map(|door| vec![door; WATCHERS]);
    fifty_through(stand, hub, doors, rounds).await
}

/// Pairs of rounds: fifty watchers through the hub and fifty past it, each group with a namespace of its own, in turn.
pub(crate) async fn fifty_through(
    stand: &Stand,
    hub: &Hub,
    [hub_doors, direct_doors]: [Vec<Door>; 2],
    rounds: usize,
) -> Result<Fifty> {
    let server = stand.server().await?;
    let namespaces = ["watched-by-hub", "watched-directly"];
    for namespace in namespaces {
        ensure_namespace(server.admin(), namespace).await?;
        let changing = service("changing").in_namespace(namespace);
        changing.ensure(server.admin()).await?;
    }
    let mut admin = stand.admin().await?.connect().await?;
    let mut through = Watchers::start(&hub_doors, server, (namespaces[0], "changing")).await?;
    let mut past = Watchers::start(&direct_doors, server, (namespaces[1], "changing")).await?;
    let mut warm_up = Samples::default();
    for round in 0..10 {
        through.round(&mut admin, round, &mut warm_up).await?;
        past.round(&mut admin, round, &mut warm_up).await?;
    }
    let (mut hub_samples, mut direct_samples) = (Samples::default(), Samples::default());
    let before = hub.process.cpu_time()?;
    for round in 10..10 + rounds {
        through.round(&mut admin, round, &mut hub_samples).await?;
        past.round(&mut admin, round, &mut direct_samples).await?;
    }
    let spent = hub.process.cpu_time()?.saturating_sub(before);
    let events = float((rounds * WATCHERS) as u64);
    Ok(Fifty {
        cpu_us_per_event: micros(spent) / events,
        hub: hub_samples,
        direct: direct_samples,
        watchers: through,
    })
}

/// A pod of the node.
pub(crate) fn pod_path(name: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}")
}
