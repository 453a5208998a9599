//! The composition root: builds every part, starts every long-lived task, and ends them in order.

mod cloud;
mod foundation;
mod listen;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use yurthub_store::Store;

pub use listen::Addresses;

use foundation::Foundation;

use crate::admin::Overview;
use crate::args::{Cli, Command, Settings};
use crate::ask;
use crate::authorize::Authorizer;
use crate::config::{self, Config};
use crate::damage;
use crate::discovery::DiscoveryKeeper;
use crate::filters::{self, NodeFilters, arming};
use crate::forward::Upstream;
use crate::health::{Monitor, memory};
use crate::limits::Limits;
use crate::mirror::Mirror;
use crate::mirror::context::ReplayTrigger;
use crate::offline::events::Events;
use crate::offline::events::replay::EventReplay;
use crate::offline::journal::Journal;
use crate::offline::lease::LeaseKeeper;
use crate::offline::replay::Replay;
use crate::offline::reviews::Reviews;
use crate::offline::token::Tokens;
use crate::peers::prober::Prober;
use crate::peers::{self, told};
use crate::pool::follow;
use crate::proxy::Hub;
use crate::quota::QuotaKeeper;
use crate::reality::boot;
use crate::reality::keeper::Keeper;
use crate::remembered::Remembered;
use crate::service_manager::ServiceManager;
use crate::summary::Teller;
use crate::tasks::Tasks;
use crate::telemetry::{self, LogControl};

/// One thread does all that waits; a second would only hand requests to and fro (measured: 15 % more processor time
/// for each forwarded request). What blocks has threads of its own.
const WORKERS: usize = 1;
/// Threads for what blocks: more than the large lists that may be sent at a time ([`crate::mirror::Mirror::view`]).
const MOST_BLOCKING: usize = 16;
/// How long tasks get to end.
const CLOSE_GRACE: Duration = Duration::from_secs(5);
/// How long a goodbye takes to reach local clients.
const GOODBYE: Duration = Duration::from_millis(100);

/// Runs the command; prints what went wrong to stderr.
pub fn main(cli: &Cli) -> ExitCode {
    let command = cli.command.clone().unwrap_or(Command::Run);
    let (settings, command) = match (read_settings(cli), ask::Question::of(command)) {
        (Ok(settings), Ok(question)) => return ask::main(&settings, &question),
        (Ok(settings), Err(command)) => (settings, command),
        (Err(problem), _) => return complain(&problem),
    };
    let config = match Config::resolve(settings) {
        Ok(config) => config,
        Err(problem) => return complain(&problem.into()),
    };
    if matches!(command, Command::CheckConfig) {
        print(&format!("{config:#?}"));
        return ExitCode::SUCCESS;
    }
    let log = telemetry::install(config.log_format, &config.log);
    match serve(config, log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            error!(error = format!("{problem:#}"), "yurthub ends");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the output of check-config")]
fn print(text: &str) {
    println!("{text}");
}

#[expect(
    clippy::print_stderr,
    reason = "logging is not set up when the configuration is wrong"
)]
fn complain(problem: &anyhow::Error) -> ExitCode {
    eprintln!("yurthub: {problem:#}");
    ExitCode::FAILURE
}

fn read_settings(cli: &Cli) -> anyhow::Result<Settings> {
    let file = match &cli.config {
        Some(path) => config::read_file(path)?,
        None => Settings::default(),
    };
    Ok(cli.settings.clone().or(file))
}

fn serve(config: Config, log: LogControl) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(MOST_BLOCKING)
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let outcome = runtime.block_on(run(config, log));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn run(config: Config, log: LogControl) -> anyhow::Result<()> {
    let manager = Arc::new(ServiceManager::from_environment());
    let app = App::build(config, log).await?;
    manager.ready();
    let beat = Arc::clone(&manager);
    // A beat proves that the runtime turns and that nobody holds the mirror's lock for ever.
    let mirror = Arc::clone(&app.mirror);
    app.tasks.spawn("watchdog", async move {
        beat.keep_alive(|| mirror.scopes().len() < usize::MAX).await;
    });
    info!(version = env!("CARGO_PKG_VERSION"), address = %app.addresses.api, "yurthub serves");
    let outcome = tokio::select! {
        signal = wait_for_signal() => signal,
        () = damage::noticed(&app.store, &app.cloud) => {
            Err(anyhow!("the database is damaged; the next start rebuilds it"))
        }
    };
    info!("yurthub ends: draining");
    manager.stopping();
    // What made it end is worth more than what follows from it.
    let closed = app.close().await;
    outcome.and(closed)
}

async fn wait_for_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// A running yurthub.
pub struct App {
    /// Where yurthub listens.
    pub addresses: Addresses,
    tasks: Tasks,
    /// What follows the cloud.
    followers: Tasks,
    /// Stops accepting connections and new watches.
    draining: CancellationToken,
    /// Ends local watches.
    streams: CancellationToken,
    store: Store,
    cloud: Arc<Monitor>,
    upstream: Arc<Upstream>,
    mirror: Arc<Mirror>,
}

impl App {
    /// Builds and starts everything; returns when the listeners accept.
    pub async fn build(config: Config, log: LogControl) -> anyhow::Result<Self> {
        let (tasks, followers) = (Tasks::new(), Tasks::new());
        let (draining, streams) = (CancellationToken::new(), CancellationToken::new());
        let base = Foundation::lay(config, &followers)?;
        let Foundation {
            config,
            credentials,
            store,
            cloud,
            upstream,
            mirror,
            metrics,
            ..
        } = &base;
        let filters = base.filters()?;
        let journal = Arc::new(Journal::open(
            store.clone(),
            Arc::clone(mirror),
            base.trigger.clone(),
        )?);
        // After the journal: endpoints follow from the statuses that it shows.
        let reality = follow_reality(&base).await?;
        let hub = Arc::new(Hub {
            filters: filters.clone(),
            journal,
            boot: reality.as_ref().map(|keeper| Arc::clone(keeper.boot())),
            remembered: Arc::new(Remembered::open(store.clone(), config.store.remembered_quota)?),
            accounts: Arc::new(base.accounts()?),
            authorizer: Authorizer::open(
                Arc::clone(upstream),
                Arc::clone(cloud),
                store.clone(),
                config.mirror.authorization_memory,
            )?,
            tokens: Tokens::new(store.clone()),
            events: Arc::new(Events::open(store, config.events.bounds, &metrics.events)?),
            reviews: Reviews::open(store.clone(), config.mirror.authorization_memory)?,
            lease: Arc::new(LeaseKeeper::default()),
            limits: Limits::new(config.listen.max_in_flight, config.listen.max_watches_per_client),
            draining: draining.clone(),
            shutdown: streams.clone(),
            config: config.cloud.clone(),
            mirror: Arc::clone(mirror),
            upstream: Arc::clone(upstream),
            cloud: Arc::clone(cloud),
            node: Arc::clone(&base.node),
            pool: Arc::clone(&base.pool),
            peers: Arc::default(),
            metrics: metrics.clone(),
        });
        let overview = Arc::new(Overview::new(
            Arc::clone(&hub),
            (store.clone(), config.store.quota),
            log,
        ));
        let addresses = listen::start(config, (credentials, &base.verifier), &overview, &tasks).await?;
        cloud::follow(config, (cloud, upstream), store, &tasks)?;
        tasks.spawn("credentials", Arc::clone(credentials).follow());
        start_keepers(config, &hub, store, base.trigger.clone(), &tasks);
        start_summary(&base, &hub, &tasks);
        follow_filters(config, (filters, mirror), store, &tasks)?;
        tasks.spawn("keys of tokens", Arc::clone(&hub.accounts).follow_keys());
        if let Some(keeper) = reality {
            start_reality(&base, keeper, &tasks)?;
        }
        mirror.start();
        follow_pool(&base, &tasks);
        follow_peers(&base, &overview, &tasks)?;
        overview.set_ready();
        Ok(Self {
            addresses,
            tasks,
            followers,
            draining,
            streams,
            store: store.clone(),
            cloud: Arc::clone(cloud),
            upstream: Arc::clone(upstream),
            mirror: Arc::clone(mirror),
        })
    }

    /// Ends watches, lets requests in flight finish, and makes everything durable.
    pub async fn close(self) -> anyhow::Result<()> {
        // Nothing new comes in while watches tell what is left: a client that comes back has seen all that is stored.
        let followers_ended = self.followers.close(CLOSE_GRACE).await;
        // Connections say goodbye first: a client that still took one for good would watch again on it, in vain.
        self.draining.cancel();
        tokio::time::sleep(GOODBYE).await;
        self.streams.cancel();
        if !self.tasks.close(CLOSE_GRACE).await || !followers_ended {
            warn!("some tasks did not end in time");
        }
        self.upstream.close_all();
        self.store
            .flush()
            .await
            .context("failed to write the last changes")?;
        self.store.close().context("failed to close the store")
    }
}

/// Shows endpoints as this node's pods are, where that is wanted.
async fn follow_reality(base: &Foundation) -> anyhow::Result<Option<Keeper>> {
    if !base.config.endpoint_reality {
        boot::forget(&base.store)?;
        return Ok(None);
    }
    let known = (
        Arc::clone(&base.mirror),
        Arc::clone(&base.local),
        Arc::clone(&base.pool),
    );
    let (cloud, store) = (Arc::clone(&base.cloud), base.store.clone());
    let keeper = Keeper::open(known, cloud, store, &base.config.boot_id_file).await?;
    Ok(Some(keeper))
}

/// Follows what is said of this node's pool, where somebody acts on it.
fn follow_pool(base: &Foundation, tasks: &Tasks) {
    if base.config.endpoint_reality || base.config.peers.is_some() {
        let wanted = follow::Wanted {
            members: base.config.peers.is_some(),
            park_after: base.config.mirror.park_after,
        };
        let news = base.local.pool_news();
        tasks.spawn("pool", follow::run(Arc::clone(&base.pool), news, wanted));
    }
}

/// Probes the other members of the pool and answers them, where that is wanted; tells the cloud of it, or that it ended.
fn follow_peers(base: &Foundation, overview: &Arc<Overview>, tasks: &Tasks) -> anyhow::Result<()> {
    let (pool, node) = (&base.pool, &base.node);
    let findings = &overview.hub.peers;
    let teller = told::Teller {
        pool: Arc::clone(pool),
        findings: Arc::clone(findings),
        upstream: Arc::clone(&base.upstream),
        cloud: Arc::clone(&base.cloud),
        node: Arc::clone(node),
        answers: base.config.peers.is_some(),
    };
    tasks.spawn("votes", teller.run(base.local.pool_news()));
    let Some(peers) = base.config.peers else {
        return Ok(());
    };
    let door = peers::Door {
        pool: Arc::clone(pool),
        credentials: Arc::clone(&base.credentials),
        verifier: Arc::clone(&base.verifier),
        findings: Arc::clone(findings),
        overview: Arc::clone(overview),
    };
    tasks.spawn(
        "listener for peers",
        door.run(peers.listen, base.local.pool_news()),
    );
    let prober = Prober::open(
        (Arc::clone(pool), Arc::clone(node)),
        (Arc::clone(&base.verifier), Arc::clone(&base.credentials)),
        (Arc::clone(findings), base.metrics.peers.clone()),
        base.store.clone(),
    )?;
    tasks.spawn("peers", prober.run(base.local.pool_news()));
    Ok(())
}

/// Follows what endpoints are shown by.
fn start_reality(base: &Foundation, keeper: Keeper, tasks: &Tasks) -> anyhow::Result<()> {
    tasks.spawn("endpoints", keeper.run());
    if base.config.endpoint_probes {
        tasks.spawn("neighbours", base.neighbours()?.run());
    }
    Ok(())
}

/// Leads pods to yurthub in time, or back where they are no longer served.
fn follow_filters(
    config: &Config,
    (filters, mirror): (Option<Arc<NodeFilters>>, &Arc<Mirror>),
    store: &Store,
    tasks: &Tasks,
) -> anyhow::Result<()> {
    match filters {
        Some(filters) => {
            let arming = arming::run(filters, Arc::clone(mirror), config.kubelet_dir.clone());
            tasks.spawn("arming of filters", arming);
        }
        None if filters::forget(store)? => arming::tell_again(mirror),
        None => {}
    }
    Ok(())
}

/// Tells the cloud how this yurthub is, where that is wanted.
fn start_summary(base: &Foundation, hub: &Arc<Hub>, tasks: &Tasks) {
    let Some(interval) = base.config.summary else {
        return;
    };
    let teller = Teller {
        hub: Arc::clone(hub),
        credentials: Arc::clone(&base.credentials),
        store: (base.store.clone(), base.config.store.quota),
        interval,
    };
    tasks.spawn("summary", teller.run());
}

/// Starts what works in the background on what the hub holds.
fn start_keepers(config: &Config, hub: &Arc<Hub>, store: &Store, trigger: ReplayTrigger, tasks: &Tasks) {
    let replay = Replay {
        journal: Arc::clone(&hub.journal),
        lease: Arc::clone(&hub.lease),
        upstream: Arc::clone(&hub.upstream),
        cloud: Arc::clone(&hub.cloud),
        trigger,
        node: hub.node.clone(),
        metrics: hub.metrics.replay.clone(),
    };
    tasks.spawn("replay", replay.run());
    let events = EventReplay {
        events: Arc::clone(&hub.events),
        mirror: Arc::clone(&hub.mirror),
        upstream: Arc::clone(&hub.upstream),
        cloud: Arc::clone(&hub.cloud),
        tokens: Arc::clone(&hub.accounts.tokens),
        rate: config.events.replay_rate,
    };
    tasks.spawn("replay of events", events.run());
    let discovery = DiscoveryKeeper {
        upstream: Arc::clone(&hub.upstream),
        cloud: Arc::clone(&hub.cloud),
        turns: hub.mirror.turns(),
        remembered: Arc::clone(&hub.remembered),
        store: store.clone(),
    };
    tasks.spawn("discovery", discovery.run());
    let keeper = QuotaKeeper {
        hub: Arc::clone(hub),
        store: store.clone(),
        quota: config.store.quota,
    };
    tasks.spawn("quota", keeper.run());
    tasks.spawn(
        "memory of the cloud",
        memory::keep(store.clone(), Arc::clone(&hub.cloud)),
    );
}
