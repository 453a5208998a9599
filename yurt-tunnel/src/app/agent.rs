//! The agent, put together.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;
use tracing::info;
use yurt_common::node_certificates::Role;
use yurt_common::status_server::{self, Status};

use super::{client, health_listener};
use crate::agent::policy::{self, Policy};
use crate::agent::targets::Targets;
use crate::agent::{Agent, Settings, Times};
use crate::args;
use crate::files;
use crate::identity::{self, Keeper};
use crate::metrics::Metrics;
use crate::protocol::VERSIONS;
use crate::transport::race::Dialling;
use crate::transport::tls::{Identity, Trust};
use crate::trust::{self, TrustFile};

/// Runs an agent until `stop`.
pub async fn run(args: args::Agent, stop: impl Future<Output = ()> + Send) -> Result<()> {
    // What keeps the identity up ends with this function.
    let mut background = JoinSet::new();
    let (identity, trust) = proof(&args, &mut background).await?;
    let mut dialling = Dialling::new(identity, trust).context("failed to open a UDP socket")?;
    (dialling.congestion, dialling.ways, dialling.proxy) =
        (args.common.congestion, args.transport, args.proxy);
    let policy = args.policy_dir.map(|folder| {
        let policy = Policy::open(&folder, &args.common.node_name);
        let ports = policy.ports();
        background.spawn(policy.follow(policy::INTERVAL));
        ports
    });
    let agent = Agent::new(Settings {
        node: args.common.node_name,
        dialling,
        targets: Targets {
            kubelet: args.kubelet_port,
            allowed: args.allow_ports.into_iter().collect(),
            policy,
        },
        bootstrap: args.servers,
        folder: args.servers_dir,
        sessions: args.sessions.into(),
        times: Times {
            ping: Duration::from_secs(args.ping_interval.into()),
            ..Times::default()
        },
        versions: VERSIONS,
        metrics: Arc::new(Metrics::default()),
    });
    let health = health_listener(args.health_listen).await?;
    info!("the agent runs");
    tokio::select! {
        () = agent.run() => {}
        () = status_server::serve(health, Arc::new(AgentStatus(Arc::clone(&agent)))) => {}
        () = stop => {}
    }
    info!("the agent ends");
    agent.told_all().await;
    Ok(())
}

/// Who this agent is and whom it trusts: by files, or by the cluster.
async fn proof(args: &args::Agent, background: &mut JoinSet<()>) -> Result<(Identity, Trust)> {
    if let Some(files) = args.common.files() {
        let material = files.read()?;
        let (identity, trust) = files::channels(&material);
        let read = (identity.subscribe(), trust.subscribe());
        background.spawn(files.follow(files::LOOK, move |material| {
            identity.send_replace(Some(Arc::clone(&material.identity)));
            trust.send_replace(Arc::clone(&material.roots));
        }));
        return Ok(read);
    }
    let path = args.common.trust_file.clone();
    let path = path.context("--trust-file is missing: the authorities that vouch for servers")?;
    let file = TrustFile::open(path);
    let trust = file.roots();
    background.spawn(file.follow(trust::INTERVAL));
    let settings = identity::Settings {
        role: Role::TunnelAgent,
        node: args.common.node_name.clone(),
        folder: args.common.state_dir.clone(),
    };
    let (keeper, identity) = Keeper::new(client(&args.common).await?, settings, trust.clone());
    background.spawn(keeper.run());
    Ok((identity.certificate, trust))
}

struct AgentStatus(Arc<Agent>);

impl Status for AgentStatus {
    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    fn metrics_text(&self) -> String {
        self.0.metrics().text()
    }
}
