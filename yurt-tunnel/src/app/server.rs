//! The server, put together.

mod doors;
mod folders;

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use yurt_common::node_certificates::Role;
use yurt_common::node_certificates::verifier::{Verifier, follow};
use yurt_common::status_server::{self, Status};

use super::{client, health_listener};
use crate::args;
use crate::files::{self, Files};
use crate::front::Known;
use crate::identity::{self, Keeper};
use crate::kubelets::Rules;
use crate::members::{self, Times};
use crate::nodes;
use crate::protocol::{Member, VERSIONS};
use crate::server::listen::Listeners;
use crate::server::{self, Server};
use crate::transport::race::Dialling;
use crate::transport::tls::{Identity, Trust};

/// From the word that this server ends to its end: agents find another one meanwhile.
const DRAIN: Duration = Duration::from_secs(3);

/// What a server knows of itself, of others and of nodes.
struct Knowledge {
    identity: Identity,
    trust: Trust,
    verifier: Arc<Verifier>,
    members: watch::Sender<Vec<Member>>,
    /// Nothing where nodes are named on the command line.
    nodes: Option<Known>,
}

/// Runs a server until `stop`.
pub async fn run(args: args::Server, stop: impl Future<Output = ()> + Send) -> Result<()> {
    // What keeps knowledge and doors up ends with this function.
    let mut background = JoinSet::new();
    let farewell = CancellationToken::new();
    let knowledge = match args.common.files() {
        Some(files) => by_files(&args, files, &mut background)?,
        None => by_cluster(&args, client(&args.common).await?, &farewell, &mut background),
    };
    let server = Server::new(server::Settings {
        identity: knowledge.identity.clone(),
        verifier: knowledge.verifier,
        members: knowledge.members,
        budget: args.memory_budget as usize * (1 << 20),
        congestion: args.common.congestion,
        versions: VERSIONS,
        metrics: Arc::default(),
    });
    let listeners = listen(&server, args.listen).await?;
    let mut dialling =
        Dialling::new(knowledge.identity, knowledge.trust).context("failed to open a UDP socket")?;
    dialling.congestion = args.common.congestion;
    doors::open(&args, &server, knowledge.nodes, &mut background).await?;
    let health = health_listener(args.health_listen).await?;
    info!(server = args.common.node_name, address = %listeners.address()?, "the server runs");
    background.spawn(server::outgoing::run(Arc::clone(&server), Arc::new(dialling)));
    let serving = tokio::spawn(listeners.serve(Arc::clone(&server)));
    tokio::select! {
        () = status_server::serve(health, Arc::new(ServerStatus(Arc::clone(&server)))) => {}
        () = stop => {}
    }
    info!("the server ends; agents are told");
    farewell.cancel();
    server.drain();
    sleep(DRAIN).await;
    server.end();
    serving.await.context("a listener failed")
}

/// Listens for agents. All addresses are those of IPv4 where the kernel has no IPv6.
async fn listen(server: &Server, address: SocketAddr) -> Result<Listeners> {
    let bound = match Listeners::bind(server, address, true).await {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && error.kind() != io::ErrorKind::AddrInUse => {
            warn!(%error, %address, "no IPv6 here: agents are heard by IPv4 only");
            let address = (Ipv4Addr::UNSPECIFIED, address.port());
            Listeners::bind(server, address.into(), true).await
        }
        bound => bound,
    };
    bound.with_context(|| format!("failed to listen at {address} for agents"))
}

/// All from files and flags, for a server without a cluster.
fn by_files(args: &args::Server, files: Files, background: &mut JoinSet<()>) -> Result<Knowledge> {
    let material = files.read()?;
    let (identity, trust) = files::channels(&material);
    let verifier = Arc::new(Verifier::new(&[Role::TunnelAgent, Role::TunnelServer]));
    verifier
        .trust(&material.trust)
        .context("failed to trust the authorities")?;
    let members = watch::Sender::default();
    let folders = folders::Folders {
        servers: args.servers_dir.clone(),
        forgotten: args.forgotten_dir.clone(),
    };
    folders.read(&members, &verifier)?;
    let knowledge = Knowledge {
        identity: identity.subscribe(),
        trust: trust.subscribe(),
        verifier: Arc::clone(&verifier),
        members: members.clone(),
        nodes: None,
    };
    background.spawn(folders.follow(members, Arc::clone(&verifier)));
    background.spawn(files.follow(files::LOOK, move |material| {
        identity.send_replace(Some(Arc::clone(&material.identity)));
        trust.send_replace(Arc::clone(&material.roots));
        if let Err(error) = verifier.trust(&material.trust) {
            warn!(%error, "the authorities are not taken; whoever was trusted is trusted still");
        }
    }));
    Ok(knowledge)
}

/// All from the cluster.
fn by_cluster(
    args: &args::Server,
    client: Client,
    farewell: &CancellationToken,
    background: &mut JoinSet<()>,
) -> Knowledge {
    let common = &args.common;
    let verifier = Arc::new(Verifier::new(&[Role::TunnelAgent, Role::TunnelServer]));
    let (judge, namespace, api) = (Arc::clone(&verifier), common.namespace.clone(), client.clone());
    background.spawn(async move { follow::follow(api, &namespace, &judge).await });

    let trust = verifier.roots();
    let settings = identity::Settings {
        role: Role::TunnelServer,
        node: common.node_name.clone(),
        folder: common.state_dir.clone(),
    };
    let (keeper, identity) = Keeper::new(client.clone(), settings, trust.clone());
    background.spawn(keeper.run());

    let members = watch::Sender::default();
    let api = client.clone();
    let member = members::Member::new(
        api,
        &common.namespace,
        &common.node_name,
        &args.addresses,
        Times::default(),
    );
    let (known, told) = (member.members(), members.clone());
    let farewell = farewell.clone();
    background.spawn(async move { member.run(&farewell).await });
    background.spawn(tell(known, told));

    let (nodes, known) = watch::channel(None);
    let rules = Rules {
        ports: args.kubelet_ports.iter().copied().collect(),
        reserved: args.reserved.clone(),
    };
    background.spawn(nodes::follow(client, rules, nodes));
    Knowledge {
        identity: identity.certificate,
        trust,
        verifier,
        members,
        nodes: Some(known),
    }
}

/// Tells who the servers are in the words of the protocol.
async fn tell(mut known: watch::Receiver<Arc<members::Members>>, told: watch::Sender<Vec<Member>>) {
    loop {
        let now = Arc::clone(&known.borrow_and_update());
        let all = now.iter().map(|(id, addresses)| Member {
            id: id.clone(),
            addresses: addresses.clone(),
        });
        told.send_replace(all.collect());
        if known.changed().await.is_err() {
            return;
        }
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
