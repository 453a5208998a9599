//! The cluster, and the leading replica in it.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use e2e::progress::say;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::Method;
use serde_json::Value;
use yurt_testkit::api::Raw;
use yurt_testkit::objects::{ensure_namespace, lease};
use yurt_testkit::process::cpu_time;
use yurt_testkit::scratch::Scratch;
use yurt_testkit::{Api, ApiServer};

use crate::audit::Audit;
use crate::objects::{NAMESPACE, edge_node, worker};
use crate::replica::{self, Replica, USER};
use crate::size::Size;

/// Connections of the writers: one carries some hundred requests at a time.
const CONNECTIONS: usize = 4;
/// Requests at a time, of all writers.
pub(crate) const PARALLEL: usize = 64;
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// See the module's header.
pub(crate) struct Stand {
    pub(crate) size: Size,
    pub(crate) audit: Audit,
    pub(crate) writers: Writers,
    /// The replica that leads, once there is one.
    pub(crate) leader: Option<Replica>,
    server: ApiServer,
    binary: PathBuf,
    _folder: Scratch,
}

impl Stand {
    /// Starts a cluster and fills it.
    pub(crate) async fn start(binary: PathBuf, size: Size) -> Result<Self> {
        let folder = Scratch::new()?;
        let (audit, flags) = Audit::of(USER, folder.path())?;
        let [policy, log] = flags;
        let server = ApiServer::builder().arg(policy).arg(log).start().await?;
        let admin = server.admin();
        for namespace in [NAMESPACE, "kube-node-lease", replica::NAMESPACE] {
            ensure_namespace(admin, namespace).await?;
        }
        replica::grant(admin).await?;
        let writers = Writers::of(&server)?;
        let begun = Instant::now();
        writers.fill(size).await?;
        say(format_args!(
            "{} nodes, as many leases and {} pods made in {:.0} s",
            size.nodes,
            size.nodes * size.pods_per_node,
            begun.elapsed().as_secs_f64()
        ));
        Ok(Self {
            size,
            audit,
            writers,
            leader: None,
            server,
            binary,
            _folder: folder,
        })
    }

    /// Starts a further replica.
    pub(crate) fn replica(&self, name: &str) -> Result<Replica> {
        Replica::start(&self.binary, &self.server, name)
    }

    /// Processor time that etcd and the apiserver have spent.
    pub(crate) async fn server_cpu(&self) -> Result<Duration> {
        let pids = self.server.pids().await;
        pids.into_iter().map(cpu_time).sum()
    }

    /// The replica that leads.
    pub(crate) fn leader(&mut self) -> Result<&mut Replica> {
        self.leader
            .as_mut()
            .context("no replica leads: an earlier measurement failed")
    }
}

/// Those who write as fast as the server takes it: administrators, who are not sorted among others.
#[derive(Clone)]
pub(crate) struct Writers(Vec<Api>);

impl Writers {
    fn of(server: &ApiServer) -> Result<Self> {
        let connect = |_| server.as_identity(server.admin_identity());
        Ok(Self((0..CONNECTIONS).map(connect).collect::<Result<_>>()?))
    }

    /// One of them.
    pub(crate) fn turn(&self, number: usize) -> &Api {
        &self.0[number % self.0.len()]
    }

    async fn fill(&self, size: Size) -> Result<()> {
        let make = |number: usize| async move {
            let writer = self.turn(number);
            edge_node(number, number < size.autonomous).create(writer).await?;
            lease(&crate::objects::node_name(number)).create(writer).await?;
            for index in 0..size.pods_per_node {
                worker(number, index).create(writer).await?;
            }
            Ok::<_, anyhow::Error>(())
        };
        stream::iter(0..size.nodes)
            .map(make)
            .buffer_unordered(PARALLEL)
            .try_collect::<()>()
            .await
    }

    /// Patches objects as Kubernetes' own components do, many at a time: by their paths.
    pub(crate) async fn patch_all(&self, patches: impl Iterator<Item = (String, Value)>) -> Result<()> {
        stream::iter(patches.enumerate())
            .map(|(number, (path, patch))| async move { self.patch(number, &path, &patch).await })
            .buffer_unordered(PARALLEL)
            .try_collect::<()>()
            .await
    }

    /// Patches one, by a strategic merge patch.
    pub(crate) async fn patch(&self, number: usize, path: &str, patch: &Value) -> Result<()> {
        let request = Raw::new(Method::PATCH, path).body(STRATEGIC, patch.to_string());
        let reply = self.turn(number).send(request).await?;
        ensure!(
            reply.status == 200,
            "patching {path} was answered with {}",
            reply.status
        );
        Ok(())
    }

    /// Objects of a list that `is` finds.
    pub(crate) async fn count(&self, path: &str, is: impl Fn(&Value) -> bool) -> Result<usize> {
        let (code, list) = self.turn(0).get(path).await?;
        let Some(items) = list["items"].as_array().filter(|_| code == 200) else {
            bail!("listing {path} was answered with {code}");
        };
        Ok(items.iter().filter(|item| is(item)).count())
    }
}

/// The time as the API writes it.
pub(crate) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// The same, as Leases have it.
pub(crate) fn now_micros() -> String {
    humantime::format_rfc3339_micros(SystemTime::now()).to_string()
}
