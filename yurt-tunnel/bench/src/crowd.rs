//! Many agents in this process, each with a certificate of its own; they share a few UDP sockets, as nodes share routers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use quinn::Endpoint;
use tokio::task::JoinSet;
use tokio::time::timeout;
use yurt_tunnel::agent::targets::Targets;
use yurt_tunnel::agent::{self, Agent};
use yurt_tunnel::files::{self, Files};
use yurt_tunnel::protocol::VERSIONS;
use yurt_tunnel::transport::race::Dialling;

use crate::tunnel::Stand;

/// UDP sockets of all agents, each at an address of its own.
const SOCKETS: u8 = 16;
/// Three times what it takes until all are connected, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Agents that run.
pub(crate) struct Crowd {
    agents: Vec<Arc<Agent>>,
    _tasks: JoinSet<()>,
}

/// The name of one node.
pub(crate) fn node(number: usize) -> String {
    format!("edge{number}")
}

/// The address of one node in the cluster.
pub(crate) fn address(number: usize) -> String {
    format!("10.200.{}.{}", number / 250, number % 250 + 1)
}

/// Flags that tell a server of `count` nodes, whose kubelets are at `port`.
pub(crate) fn flags(count: usize, port: u16) -> Vec<String> {
    let flags = (0..count).flat_map(|number| {
        [
            "--node".to_owned(),
            format!("{}={}:{port}", address(number), node(number)),
        ]
    });
    flags.collect()
}

impl Crowd {
    /// Starts `count` agents, each with `sessions` sessions to the servers of the folder `servers`.
    pub(crate) fn start(
        stand: &Stand,
        (count, sessions): (usize, usize),
        servers: &Path,
        port: u16,
    ) -> Result<Self> {
        let folder = stand.new_folder("crowd")?;
        let sockets: Vec<_> = (1..=SOCKETS)
            .map(|last| Endpoint::client(SocketAddr::from((Ipv4Addr::new(127, 0, 1, last), 0))))
            .collect::<Result<_, _>>()
            .context("open UDP sockets")?;
        let mut agents = Vec::with_capacity(count);
        let mut tasks = JoinSet::new();
        let mut runs = Vec::with_capacity(count);
        for number in 0..count {
            let (certificate, key) = stand.agent_files(&folder, &node(number))?;
            let files = Files {
                certificate,
                key,
                trust: stand.trust(),
            };
            let (identity, trust) = files::channels(&files.read()?);
            let socket = sockets[number % sockets.len()].clone();
            let agent = Agent::new(agent::Settings {
                node: node(number),
                dialling: Dialling::over(socket, identity.subscribe(), trust.subscribe()),
                targets: Targets {
                    kubelet: port,
                    allowed: [].into(),
                    policy: None,
                },
                bootstrap: Vec::new(),
                folder: Some(servers.to_owned()),
                sessions,
                times: agent::Times::default(),
                versions: VERSIONS,
                metrics: Arc::default(),
            });
            agents.push(Arc::clone(&agent));
            runs.push(async move {
                let _kept = (identity, trust);
                agent.run().await;
            });
        }
        for run in runs {
            tasks.spawn(run);
        }
        Ok(Self {
            agents,
            _tasks: tasks,
        })
    }

    /// Waits until each holds as many sessions.
    pub(crate) async fn each_holds(&self, sessions: usize) -> Result<()> {
        let all = async {
            for agent in &self.agents {
                // An agent that ended would be a panic.
                agent
                    .held()
                    .wait_for(|held| held.len() == sessions)
                    .await
                    .context("an agent has ended")?;
            }
            Ok(())
        };
        let missing = || {
            self.agents
                .iter()
                .filter(|agent| agent.held().borrow().len() != sessions)
                .count()
        };
        timeout(PATIENCE, all).await.with_context(|| {
            format!(
                "{} agents do not hold {sessions} sessions in {PATIENCE:?}",
                missing()
            )
        })?
    }
}
