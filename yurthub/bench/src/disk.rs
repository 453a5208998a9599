//! What is put on the node's disk: the binary, and the writes of an idle day.
//!
//! Writes are counted where they count: by the block device under the data folder, journal of the file system
//! included. The device is a loop device that only yurthub's process sees (a mount namespace of its own), so nobody
//! else writes to it, and it goes when that process ends.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use yurt_testkit::objects::{Object, config_map, lease, secret};

use crate::client::{Connection, STRATEGIC};
use crate::figure::{Experiment, Figure, Place, Reading};
use crate::hub::{Hub, Setup};
use crate::load::pod_path;
use crate::samples::{float, megabytes};
use crate::stand::{NAMESPACE, NODE, Stand, create_all, name, worker};

/// Size of the device; nothing of it is taken until it is written.
const IMAGE_SIZE: u64 = 512 << 20;
/// The unit of /proc/diskstats (Documentation/admin-guide/iostats.rst).
const SECTOR: u64 = 512;

const PODS: usize = 30;
/// The kubelet's nodeStatusUpdateFrequency and its renewal of the lease.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long the first lists take to reach the disk, writeback included.
const SETTLE: Duration = Duration::from_secs(40);
const DAY: f64 = 86_400.0;

pub(crate) const BINARY: Experiment = Experiment {
    place: Place::Loopback,
    figures: &[Figure {
        name: "binary_mb",
        unit: "MB",
        goal: 15.0,
    }],
    measure: |stand| Box::pin(async { binary(stand) }),
};

pub(crate) const IDLE_WRITES: Experiment = Experiment {
    place: Place::Loopback,
    figures: &[Figure {
        name: "disk_mb_per_day_idle",
        unit: "MB",
        goal: 60.0,
    }],
    measure: |stand| Box::pin(idle_writes(stand)),
};

fn binary(stand: &Stand) -> Result<Vec<Reading>> {
    let path = stand.binary();
    let size = std::fs::metadata(path)
        .with_context(|| format!("look at {}", path.display()))?
        .len();
    Ok(vec![Reading::new("binary_mb", megabytes(size))])
}

/// An ext4 file system in a new file in `folder`, without anything left to be initialized later.
pub(crate) fn image(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("device");
    let file = std::fs::File::create(&path).with_context(|| format!("create {}", path.display()))?;
    file.set_len(IMAGE_SIZE).context("size a device")?;
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"])
        .arg(&path)
        .output()
        .context("run mkfs.ext4")?;
    ensure!(
        made.status.success(),
        "mkfs.ext4: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    Ok(path)
}

/// The block device that holds yurthub's data folder, as `major:minor`.
fn device(hub: &Hub) -> Result<String> {
    let path = format!("/proc/{}/mountinfo", hub.process.pid());
    let mounts = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let data = hub.data().display().to_string();
    let device = mounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        (fields.get(4) == Some(&data.as_str())).then(|| fields.get(2).map(|device| (*device).to_owned()))?
    });
    device.with_context(|| format!("nothing is mounted at {data}"))
}

/// Bytes written to a block device since it was set up.
fn written(device: &str) -> Result<u64> {
    let stats = std::fs::read_to_string("/proc/diskstats").context("read /proc/diskstats")?;
    let sectors = stats.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [major, minor, _, _, _, _, _, _, _, sectors, ..] = fields[..] else {
            return None;
        };
        (format!("{major}:{minor}") == device).then(|| sectors.parse::<u64>().ok())?
    });
    Ok(sectors.with_context(|| format!("no block device {device}"))? * SECTOR)
}

async fn idle_writes(stand: &Stand) -> Result<Vec<Reading>> {
    let hub = Hub::start(stand, Setup::OnDevice).await?;
    let mut kubelet = Kubelet::start(stand, &hub).await?;
    let device = device(&hub)?;
    kubelet.idle(SETTLE).await?;
    let before = (written(&device)?, commits(&hub).await?);
    let period = Duration::from_secs(stand.rounds(300, 60) as u64);
    kubelet.report_status().await?;
    kubelet.idle(period).await?;
    let after = (written(&device)?, commits(&hub).await?);
    let bytes = after.0 - before.0;
    let commits = after.1 - before.1;
    let per_day = megabytes(bytes) * DAY / period.as_secs_f64();
    Ok(vec![
        Reading::new("disk_mb_per_day_idle", per_day)
            .with("measured_s", period.as_secs_f64())
            .with("bytes", float(bytes))
            .with("commits", commits)
            .with("bytes_per_commit", float(bytes) / commits)
            .with("watches", float(kubelet.watches.len() as u64)),
    ])
}

async fn commits(hub: &Hub) -> Result<f64> {
    hub.metric("yurthub_store_commits").await
}

/// The requests of a kubelet with 30 pods at which nothing happens, all over one connection. It renews its lease and
/// looks at its node every 10 s; status is reported every 5 minutes (nodeStatusReportFrequency).
struct Kubelet {
    connection: Connection,
    lease: Value,
    watches: JoinSet<()>,
}

impl Kubelet {
    async fn start(stand: &Stand, hub: &Hub) -> Result<Self> {
        let mut collections = node_collections();
        collections.extend(make_pods(stand).await?);
        let mut connection = hub.door()?.connect().await?;
        let mut watches = JoinSet::new();
        for collection in collections {
            follow(&mut connection, stand, &collection, &mut watches).await?;
        }
        let own = lease(NODE);
        let _ = stand.server().await?.admin().delete(&own.path()).await?;
        let lease = connection
            .json(Method::POST, &own.collection(), &own.into_value())
            .await?;
        Ok(Self {
            connection,
            lease,
            watches,
        })
    }

    /// Heartbeats for `period`.
    async fn idle(&mut self, period: Duration) -> Result<()> {
        let end = Instant::now() + period;
        let mut beat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let node = format!("/api/v1/nodes/{NODE}?resourceVersion=0");
        loop {
            tokio::select! {
                () = sleep_until(end) => return Ok(()),
                _ = beat.tick() => {}
            }
            self.renew().await?;
            self.connection.get(&node).await?;
            ensure!(self.watches.try_join_next().is_none(), "a watch has ended");
        }
    }

    async fn renew(&mut self) -> Result<()> {
        let path = lease(NODE).path();
        self.lease = self.connection.json(Method::PUT, &path, &self.lease).await?;
        Ok(())
    }

    /// Patches the status of the node, and of one pod.
    async fn report_status(&mut self) -> Result<()> {
        let ready = |kind: &str| json!({ "status": { "conditions": [{ "type": kind, "status": "True" }] } });
        let pod = format!("{}/status", pod_path(&name("idle", 0)));
        let node = format!("/api/v1/nodes/{NODE}/status");
        for (path, patch) in [(node, ready("Ready")), (pod, ready("Initialized"))] {
            self.connection
                .send(Method::PATCH, &path, (STRATEGIC, patch.to_string()))
                .await?;
        }
        Ok(())
    }
}

/// What every kubelet watches.
fn node_collections() -> Vec<String> {
    vec![
        format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{NODE}"),
        format!("/api/v1/nodes?fieldSelector=metadata.name%3D{NODE}"),
        "/api/v1/services".to_owned(),
        "/apis/node.k8s.io/v1/runtimeclasses".to_owned(),
        "/apis/storage.k8s.io/v1/csidrivers".to_owned(),
    ]
}

/// Thirty pods with a `ConfigMap` and a Secret each; what their kubelet watches for them.
async fn make_pods(stand: &Stand) -> Result<Vec<String>> {
    let admin = stand.server().await?.admin();
    let names: Vec<String> = (0..PODS).map(|number| name("idle", number)).collect();
    let with_data = |object: Object| object.in_namespace(NAMESPACE).data("key", &"v".repeat(500));
    let mounted = names
        .iter()
        .flat_map(|name| [with_data(config_map(name)), with_data(secret(name))]);
    create_all(admin, mounted).await?;
    let pods = names
        .iter()
        .map(|name| worker(name).mounting_config_map(name).mounting_secret(name));
    create_all(admin, pods).await?;
    let single = |name: &String| {
        ["configmaps", "secrets"].map(|resource| {
            format!("/api/v1/namespaces/{NAMESPACE}/{resource}?fieldSelector=metadata.name%3D{name}")
        })
    };
    Ok(names.iter().flat_map(single).collect())
}

/// Lists, and watches with bookmarks.
async fn follow(
    connection: &mut Connection,
    stand: &Stand,
    collection: &str,
    watches: &mut JoinSet<()>,
) -> Result<()> {
    let separator = if collection.contains('?') { '&' } else { '?' };
    let base = format!("{collection}{separator}resourceVersion=");
    let until = Instant::now() + Duration::from_secs(10);
    // The node authorizer learns of a new pod a moment after its creation.
    while let Err(refused) = connection.get(&format!("{base}0")).await {
        ensure!(Instant::now() < until, "{refused:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let version = stand.server().await?.revision().await?;
    let path = format!("{base}{version}&watch=true&allowWatchBookmarks=true&timeoutSeconds=3000");
    let mut watch = connection.watch(&path).await?;
    watches.spawn(async move { while let Ok(Some(_)) = watch.event().await {} });
    Ok(())
}
