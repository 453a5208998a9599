//! Puts the parts together: caches that are kept always, so that a replica that begins to lead knows all; controllers that
//! run while it leads.

use std::io::Write as _;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::api::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use yurt_common::status_server::{self, Status};
use yurt_common::telemetry;

use crate::args::Args;
use crate::autonomy::{self, Autonomy, apply::Writer};
use crate::cache::{NodeView, PodView, Shelf, Touched, feed};
use crate::certificates::answer::Answer;
use crate::certificates::keeper::Keeper;
use crate::certificates::rotation::Times as RotationTimes;
use crate::certificates::safe::{SECRET, Safe};
use crate::certificates::{self, Certificates, inbox};
use crate::leader::{Candidate, Times};
use crate::metrics::{ControllerMetrics, Metrics};
use crate::node_writer::NodeWriter;
use crate::pace::Pace;
use crate::pools::{self, Desk, Pools, failover::Failover};
use crate::queue::Queue;
use crate::tunnel::{self, Tunnel};
use crate::{MANAGER, controller, selection};

/// A controller at work, until its token is cancelled.
type Running = Pin<Box<dyn Future<Output = ()> + Send>>;
type Start = fn(&Parts, CancellationToken) -> Running;
/// The controllers that there are, and what starts each. `pools` is before `autonomy`, which leaves pods alone of which
/// that one has to say something.
const CONTROLLERS: [(&str, Start); 4] = [
    (pools::NAME, Parts::pools),
    (autonomy::NAME, Parts::autonomy),
    (certificates::NAME, Parts::certificates),
    (tunnel::NAME, Parts::tunnel),
];
/// An authority is replaced when it is so old.
const REPLACE_AFTER: Duration = Duration::from_hours(180 * 24);
/// What a leader that was told to stop may take to finish what is under way.
const GRACE: Duration = Duration::from_secs(2);

/// Runs until a signal ends it.
pub fn main(args: &Args) -> ExitCode {
    // Only fails where one is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
    telemetry::install(args.log_format, &args.log);
    let run = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.context("start the runtime")?.block_on(async {
            let stop = CancellationToken::new();
            stop_on_signals(stop.clone())?;
            let manager = Manager::connect(args).await?;
            manager.run(args, stop).await
        })
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "yurt-controller-manager: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn stop_on_signals(stop: CancellationToken) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("told to stop");
        stop.cancel();
    });
    Ok(())
}

/// All that one replica has.
pub struct Manager {
    client: Client,
    name: String,
    listener: TcpListener,
    nodes: Arc<Shelf<NodeView>>,
    pods: Arc<Shelf<PodView>>,
    metrics: Arc<Metrics>,
    queue: Arc<Queue>,
    tunnelled: Arc<Queue>,
    desk: Arc<Desk>,
}

impl Manager {
    /// Finds the cluster, and opens the port for health and metrics.
    pub async fn connect(args: &Args) -> Result<Self> {
        let config = match &args.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path)
                    .with_context(|| format!("read the kubeconfig `{}`", path.display()))?;
                Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?
            }
            None => Config::infer()
                .await
                .context("find the cluster: run as a pod with an account, or give --kubeconfig")?,
        };
        let client = Client::try_from(config).context("make a client of the kubeconfig")?;
        let listener = TcpListener::bind(args.listen)
            .await
            .with_context(|| format!("listen on {}", args.listen))?;
        Ok(Self {
            client,
            name: args.name.clone().unwrap_or_else(some_name),
            listener,
            nodes: Arc::default(),
            pods: Arc::default(),
            metrics: Arc::default(),
            queue: Arc::default(),
            tunnelled: Arc::default(),
            desk: Arc::default(),
        })
    }

    /// Runs until `stop`.
    pub async fn run(self, args: &Args, stop: CancellationToken) -> Result<()> {
        let chosen = selection::of(&args.controllers, &CONTROLLERS.map(|(name, _)| name))?;
        info!(name = self.name, controllers = ?chosen, "begins");
        let known = Known {
            nodes: Arc::clone(&self.nodes),
            pods: Arc::clone(&self.pods),
            metrics: Arc::clone(&self.metrics),
        };
        let nodes_changed = {
            let (queue, desk, nodes) = self.for_changes();
            let tunnelled = Arc::clone(&self.tunnelled);
            move |touched: &Touched| {
                touched.nodes.iter().for_each(|node| queue.add(node));
                touched.nodes.iter().for_each(|node| tunnelled.add(node));
                desk.nodes_changed(touched, &nodes);
            }
        };
        let pods_changed = {
            let (queue, desk, nodes) = self.for_changes();
            let tunnelled = Arc::clone(&self.tunnelled);
            move |touched: &Touched| {
                touched.nodes.iter().for_each(|node| tunnelled.add(node));
                if !touched.only_standing {
                    touched.nodes.iter().for_each(|node| queue.add(node));
                }
                desk.pods_changed(touched, &nodes);
            }
        };
        let (client, metrics) = (&self.client, &self.metrics);
        let nodes = feed::follow(
            client.clone(),
            Arc::clone(&self.nodes),
            metrics.of_cache("Node"),
            nodes_changed,
        );
        let pods = feed::follow(
            client.clone(),
            Arc::clone(&self.pods),
            metrics.of_cache("Pod"),
            pods_changed,
        );
        let leases = Api::namespaced(client.clone(), &args.namespace);
        let candidate = Candidate::new(leases, self.name.clone(), Times::default());
        let parts = self.parts(args, chosen);
        tokio::select! {
            () = nodes => {}
            () = pods => {}
            () = status_server::serve(self.listener, Arc::new(known)) => {}
            () = lead(candidate, &parts, &stop) => {}
        }
        Ok(())
    }

    /// What those need who are told of changes.
    fn for_changes(&self) -> (Arc<Queue>, Arc<Desk>, Arc<Shelf<NodeView>>) {
        (
            Arc::clone(&self.queue),
            Arc::clone(&self.desk),
            Arc::clone(&self.nodes),
        )
    }

    fn parts(&self, args: &Args, chosen: Vec<&'static str>) -> Parts {
        let reporter = Reporter {
            controller: MANAGER.to_owned(),
            instance: Some(self.name.clone()),
        };
        Parts {
            client: self.client.clone(),
            recorder: Recorder::new(self.client.clone(), reporter),
            nodes: Arc::clone(&self.nodes),
            pods: Arc::clone(&self.pods),
            metrics: Arc::clone(&self.metrics),
            queue: Arc::clone(&self.queue),
            tunnelled: Arc::clone(&self.tunnelled),
            desk: Arc::clone(&self.desk),
            namespace: args.namespace.clone(),
            tunnel_grace: args.tunnel_grace,
            workers: args.workers.into(),
            writes_per_second: args.writes_per_second,
            rotation: RotationTimes {
                replace_after: REPLACE_AFTER,
                delay: args.trust_delay,
                lifetime: args.certificate_lifetime,
            },
            chosen,
        }
    }
}

/// What controllers are made of.
struct Parts {
    client: Client,
    recorder: Recorder,
    nodes: Arc<Shelf<NodeView>>,
    pods: Arc<Shelf<PodView>>,
    metrics: Arc<Metrics>,
    queue: Arc<Queue>,
    /// Nodes to be looked at by `tunnel`.
    tunnelled: Arc<Queue>,
    desk: Arc<Desk>,
    namespace: String,
    tunnel_grace: Duration,
    workers: usize,
    writes_per_second: u32,
    rotation: RotationTimes,
    chosen: Vec<&'static str>,
}

/// Leads, again and again, until `stop`; gives the Lease up then.
async fn lead(mut candidate: Candidate, parts: &Parts, stop: &CancellationToken) {
    // Who knows nothing yet must not lead: it would only keep others from it.
    let known = async {
        parts.nodes.wait_complete().await;
        parts.pods.wait_complete().await;
    };
    if stop.run_until_cancelled(known).await.is_none() {
        return;
    }
    while stop.run_until_cancelled(candidate.win()).await.is_some() {
        parts.metrics.set_leading(true);
        let over = stop.child_token();
        let mut acting = parts.start(&over);
        candidate.hold(&over).await;
        parts.metrics.set_leading(false);
        let ended = async { while acting.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            warn!("what is under way takes too long; leaving it");
            acting.shutdown().await;
        }
        if stop.is_cancelled() {
            break;
        }
    }
    candidate.release().await;
}

impl Parts {
    /// Starts the controllers that were chosen.
    fn start(&self, over: &CancellationToken) -> JoinSet<()> {
        let chosen = CONTROLLERS.iter().filter(|(name, _)| self.chosen.contains(name));
        chosen.map(|(_, start)| start(self, over.clone())).collect()
    }

    fn pools(&self, over: CancellationToken) -> Running {
        self.desk.begin();
        let [of_pools, of_failover] =
            [pools::NAME, pools::FAILOVER].map(|name| self.metrics.of_controller(name));
        let pace = || Pace::new(self.writes_per_second, over.clone());
        let pools = Pools {
            nodes: Arc::clone(&self.nodes),
            pods: Arc::clone(&self.pods),
            desk: Arc::clone(&self.desk),
            wake: Arc::clone(&self.queue),
            writer: pools::apply::Writer {
                client: self.client.clone(),
                namespace: self.namespace.clone(),
                recorder: self.recorder.clone(),
                pace: pace(),
                metrics: of_pools.clone(),
            },
            metrics: Arc::clone(&self.metrics),
            memory: pools::Memory::default(),
        };
        let failover = Failover {
            nodes: Arc::clone(&self.nodes),
            pods: Arc::clone(&self.pods),
            rulings: Arc::clone(&self.desk.rulings),
            client: self.client.clone(),
            recorder: self.recorder.clone(),
            pace: pace(),
            metrics: of_failover.clone(),
        };
        let (desk, metrics, workers) = (Arc::clone(&self.desk), Arc::clone(&self.metrics), self.workers);
        Box::pin(async move {
            let (pools, failover) = (Arc::new(pools), Arc::new(failover));
            let (waiting, dead) = (Arc::clone(&desk.pools), Arc::clone(&desk.dead));
            tokio::join!(
                controller::run(pools, waiting, workers, of_pools, over.clone()),
                controller::run(failover, dead, workers, of_failover, over),
            );
            // Who does not rule knows of nobody.
            desk.rulings.begin(false);
            metrics.set_pools(0, 0, 0);
            metrics.set_silent(&desk.rulings.counts());
        })
    }

    fn autonomy(&self, over: CancellationToken) -> Running {
        self.queue.reclaim();
        // What changed while another one led may have been missed by it: all is looked at once.
        self.nodes.nodes().iter().for_each(|node| self.queue.add(node));
        let metrics = self.metrics.of_controller(autonomy::NAME);
        let autonomy = Autonomy {
            nodes: Arc::clone(&self.nodes),
            pods: Arc::clone(&self.pods),
            rulings: Arc::clone(&self.desk.rulings),
            writer: Writer(self.node_writer(&metrics, &over)),
            recent: Mutex::default(),
        };
        let queue = Arc::clone(&self.queue);
        Box::pin(controller::run(
            Arc::new(autonomy),
            queue,
            self.workers,
            metrics,
            over,
        ))
    }
}

impl Parts {
    fn node_writer(&self, metrics: &ControllerMetrics, over: &CancellationToken) -> NodeWriter {
        NodeWriter {
            client: self.client.clone(),
            recorder: self.recorder.clone(),
            pace: Pace::new(self.writes_per_second, over.clone()),
            metrics: metrics.clone(),
        }
    }

    fn tunnel(&self, over: CancellationToken) -> Running {
        self.tunnelled.reclaim();
        self.nodes
            .nodes()
            .iter()
            .for_each(|node| self.tunnelled.add(node));
        let metrics = self.metrics.of_controller(tunnel::NAME);
        let tunnel = Tunnel {
            nodes: Arc::clone(&self.nodes),
            pods: Arc::clone(&self.pods),
            namespace: self.namespace.clone(),
            grace: self.tunnel_grace,
            writer: self.node_writer(&metrics, &over),
            memory: tunnel::Memory::default(),
        };
        let queue = Arc::clone(&self.tunnelled);
        Box::pin(controller::run(
            Arc::new(tunnel),
            queue,
            self.workers,
            metrics,
            over,
        ))
    }

    fn certificates(&self, over: CancellationToken) -> Running {
        let metrics = self.metrics.of_controller(certificates::NAME);
        let safe = Safe::new(self.client.clone(), &self.namespace);
        let keeper = Arc::new(Keeper {
            client: self.client.clone(),
            namespace: self.namespace.clone(),
            safe: safe.clone(),
            times: self.rotation,
            recorder: self.recorder.clone(),
            pace: Pace::new(self.writes_per_second, over.clone()),
            metrics: metrics.clone(),
        });
        let certificates = Arc::new(Certificates {
            client: self.client.clone(),
            namespace: self.namespace.clone(),
            lifetime: self.rotation.lifetime,
            safe,
            answer: Answer {
                client: self.client.clone(),
                pace: Pace::new(self.writes_per_second, over.clone()),
                metrics: metrics.clone(),
            },
        });
        // All requests are listed anew by whoever begins to lead.
        let (requests, upkeep) = (Arc::new(Queue::default()), Arc::new(Queue::default()));
        upkeep.add(&SECRET.into());
        let cache = self.metrics.of_cache("CertificateSigningRequest");
        let inbox = inbox::follow(self.client.clone(), Arc::clone(&requests), cache);
        let workers = self.workers;
        Box::pin(async move {
            let kept = controller::run(keeper, upkeep, 1, metrics.clone(), over.clone());
            let signed = controller::run(certificates, requests, workers, metrics, over.clone());
            // Told to stop, the workers finish what is under way; nothing new comes.
            tokio::join!(kept, signed, over.run_until_cancelled(inbox));
        })
    }
}

/// What health and metrics are told from.
struct Known {
    nodes: Arc<Shelf<NodeView>>,
    pods: Arc<Shelf<PodView>>,
    metrics: Arc<Metrics>,
}

impl Status for Known {
    /// Once it knows the cluster it may lead.
    fn is_ready(&self) -> bool {
        self.nodes.is_complete() && self.pods.is_complete()
    }

    fn metrics_text(&self) -> String {
        self.metrics.text()
    }
}

fn some_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{:08x}", host.trim(), fastrand::u32(..))
}
