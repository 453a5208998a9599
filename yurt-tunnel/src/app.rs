//! Puts both ends together from flags, and runs them until SIGTERM or SIGINT.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tracing::{error, info, warn};
use yurt_common::status_server::{self, Status};
use yurt_common::telemetry;

use crate::agent::servers;
use crate::agent::targets::Targets;
use crate::agent::{self, Agent};
use crate::args::{self, Args, End};
use crate::files::{self, Files};
use crate::front::connect::{self, Door};
use crate::front::{Destination, Nodes};
use crate::protocol::{Member, Target};
use crate::server::listen::Listeners;
use crate::server::visitors::Visitors;
use crate::server::{self, Server};
use crate::transport::race::Dialling;
use crate::transport::tls;

/// How often folders are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// From the word that this server ends to its end: agents find another one meanwhile.
const DRAIN: Duration = Duration::from_secs(3);

/// Runs what was asked for.
pub fn main(args: Args) -> ExitCode {
    let common = match &args.end {
        End::Agent(agent) => &agent.common,
        End::Server(server) => &server.common,
    };
    let _logs = telemetry::install(common.log_format, &common.log);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let outcome = runtime
        .enable_all()
        .build()
        .context("failed to start the runtime")
        .and_then(|runtime| {
            runtime.block_on(async {
                match args.end {
                    End::Agent(args) => run_agent(args, stop()?).await,
                    End::Server(args) => run_server(args, stop()?).await,
                }
            })
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{failure:#}");
            ExitCode::FAILURE
        }
    }
}

fn stop() -> Result<impl Future<Output = ()> + Send> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

/// Runs an agent until `stop`.
pub async fn run_agent(args: args::Agent, stop: impl Future<Output = ()> + Send) -> Result<()> {
    let files = args.common.files();
    let material = files.read()?;
    let (identity, trust) = files::channels(&material);
    let mut dialling =
        Dialling::new(identity.subscribe(), trust.subscribe()).context("failed to open a UDP socket")?;
    (dialling.congestion, dialling.ways, dialling.proxy) =
        (args.common.congestion, args.transport, args.proxy);
    let agent = Agent::new(agent::Settings {
        node: args.node_name,
        dialling,
        targets: Targets {
            kubelet: args.kubelet_port,
            allowed: args.allow_ports.into_iter().collect(),
        },
        bootstrap: args.servers,
        folder: args.servers_dir,
        sessions: args.sessions.into(),
        metrics: Arc::default(),
    });
    let status = status_listener(args.status_listen).await?;
    let follow = files.follow(|material| {
        identity.send_replace(Some(Arc::clone(&material.identity)));
        trust.send_replace(Arc::clone(&material.roots));
    });
    info!("the agent runs");
    tokio::select! {
        () = agent.run() => {}
        () = follow => {}
        () = status_server::serve(status, Arc::new(AgentStatus(Arc::clone(&agent)))) => {}
        () = stop => {}
    }
    info!("the agent ends");
    agent.told_all().await;
    Ok(())
}

/// Runs a server until `stop`.
pub async fn run_server(args: args::Server, stop: impl Future<Output = ()> + Send) -> Result<()> {
    let files = args.common.files();
    let material = files.read()?;
    let (identity, trust) = files::channels(&material);
    let visitors = Arc::new(Visitors::default());
    visitors
        .trust(&material.trust)
        .context("failed to trust the authorities")?;
    let members = watch::Sender::default();
    read_folders(&args, &members, &visitors)?;
    let server = Server::new(server::Settings {
        identity: identity.subscribe(),
        visitors: Arc::clone(&visitors),
        members: members.clone(),
        budget: args.memory_budget as usize * (1 << 20),
        congestion: args.common.congestion,
        metrics: Arc::default(),
    });
    let listeners = Listeners::bind(&server, args.listen, true).await;
    let listeners = listeners.with_context(|| format!("failed to listen at {} for agents", args.listen))?;
    let mut dialling =
        Dialling::new(identity.subscribe(), trust.subscribe()).context("failed to open a UDP socket")?;
    dialling.congestion = args.common.congestion;
    open_doors(&args, &server).await?;
    let status = status_listener(args.status_listen).await?;
    info!(server = server.id(), address = %listeners.address()?, "the server runs");
    let follow = files.follow(|material| {
        identity.send_replace(Some(Arc::clone(&material.identity)));
        trust.send_replace(Arc::clone(&material.roots));
        if let Err(error) = visitors.trust(&material.trust) {
            warn!(%error, "the authorities are not taken; whoever was trusted is trusted still");
        }
    });
    tokio::spawn(server::outgoing::run(Arc::clone(&server), Arc::new(dialling)));
    let serving = tokio::spawn(listeners.serve(Arc::clone(&server)));
    tokio::select! {
        () = follow => {}
        () = follow_folders(&args, &members, &visitors) => {}
        () = status_server::serve(status, Arc::new(ServerStatus(Arc::clone(&server)))) => {}
        () = stop => {}
    }
    info!("the server ends; agents are told");
    server.drain();
    sleep(DRAIN).await;
    server.end();
    serving.await.context("a listener failed")
}

async fn status_listener(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen at {address} for health and metrics"))
}

async fn open_doors(args: &args::Server, server: &Arc<Server>) -> Result<()> {
    let door = Door::new(server.dialer(), Arc::new(Listed::of(&args.nodes)));
    if let Some(path) = &args.connect_socket {
        let listener =
            connect::bind(path).with_context(|| format!("failed to listen at {}", path.display()))?;
        tokio::spawn(door.clone().unix(listener));
    }
    if let (Some(address), Some(certificate), Some(key), Some(trust)) = (
        args.connect_listen,
        &args.connect_cert_file,
        &args.connect_key_file,
        &args.connect_client_ca_file,
    ) {
        let files = Files {
            certificate: certificate.clone(),
            key: key.clone(),
            trust: trust.clone(),
        };
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("failed to listen at {address}"))?;
        tokio::spawn(door.tls(listener, connect_tls(&files)?));
    }
    Ok(())
}

/// TLS of the CONNECT port: clients must show a certificate.
fn connect_tls(files: &Files) -> Result<TlsAcceptor> {
    let material = files.read()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(material.roots, provider).build()?;
    let identity = watch::Sender::new(Some(material.identity));
    let tls = tls::server(identity.subscribe(), verifier, b"http/1.1")?;
    Ok(TlsAcceptor::from(Arc::new(tls)))
}

fn read_folders(
    args: &args::Server,
    members: &watch::Sender<Vec<Member>>,
    visitors: &Visitors,
) -> Result<()> {
    if let Some(folder) = &args.servers_dir {
        let all = read_members(folder).with_context(|| format!("failed to read {}", folder.display()))?;
        members.send_if_modified(|now| {
            let changed = *now != all;
            *now = all;
            changed
        });
    }
    match &args.forgotten_dir {
        Some(folder) => visitors.forget(&files::folder(folder)?),
        None if visitors.is_ready() => {}
        None => visitors.forget(&std::collections::BTreeMap::new()),
    }
    Ok(())
}

fn read_members(folder: &Path) -> std::io::Result<Vec<Member>> {
    let servers = servers::of_folder(folder)?;
    Ok(servers
        .into_iter()
        .map(|(id, addresses)| Member { id, addresses })
        .collect())
}

async fn follow_folders(args: &args::Server, members: &watch::Sender<Vec<Member>>, visitors: &Visitors) {
    let followed: Vec<&PathBuf> = args.servers_dir.iter().chain(&args.forgotten_dir).collect();
    if followed.is_empty() {
        return std::future::pending().await;
    }
    loop {
        sleep(LOOK).await;
        if let Err(error) = read_folders(args, members, visitors) {
            warn!(error = format!("{error:#}"), "what was read before counts still");
        }
    }
}

/// Nodes that were named on the command line.
struct Listed {
    by_host: HashMap<String, (String, u16)>,
}

impl Listed {
    fn of(nodes: &[args::NodeAddress]) -> Self {
        let each = nodes.iter().flat_map(|node| {
            let to = (node.node.clone(), node.port);
            [(node.address.clone(), to.clone()), (node.node.clone(), to)]
        });
        Self {
            by_host: each.collect(),
        }
    }
}

impl Nodes for Listed {
    fn find(&self, host: &str, port: u16) -> Option<Destination> {
        let (node, kubelet) = self.by_host.get(host)?;
        let target = if port == *kubelet {
            Target::Kubelet
        } else {
            Target::Port(port)
        };
        Some(Destination {
            node: node.clone(),
            target,
        })
    }
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

struct ServerStatus(Arc<Server>);

impl Status for ServerStatus {
    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    fn metrics_text(&self) -> String {
        self.0.dialer().metrics().text()
    }
}
