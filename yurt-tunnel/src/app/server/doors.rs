//! The doors that the flags ask for.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use yurt_tunnel_nft::Layout;

use crate::args;
use crate::files::{self, Files};
use crate::front::connect::{self, Door};
use crate::front::redirect::{self, joined, keeper};
use crate::front::{Destination, Known, Nodes, sni};
use crate::protocol::Target;
use crate::server::Server;

/// Opens them; each is a task of `background`. `known`: what the cluster says of nodes.
pub(super) async fn open(
    args: &args::Server,
    server: &Arc<Server>,
    known: Option<Known>,
    background: &mut JoinSet<()>,
) -> Result<()> {
    match &known {
        Some(known) => by_words(args, server, known.clone(), background).await?,
        None => by_words(args, server, Listed::of(&args.nodes), background).await?,
    }
    let dial = Arc::new(server.dialer());
    let Some(known) = known else {
        if args.redirect_port.is_some() || args.sni_listen.is_some() {
            bail!("--redirect-port and --sni-listen need the cluster's Nodes: leave --cert-file out");
        }
        return Ok(());
    };
    if let Some(port) = args.redirect_port {
        let listeners = redirect::Listeners::bind(port)?;
        let layout = Layout {
            port: listeners.port(),
            forwarded: !args.redirect_own_only,
        };
        let metrics = Arc::clone(server.dialer().metrics());
        let (joined, redirected) = watch::channel(None);
        let dialer = server.dialer();
        let is_connected = move |node: &str| dialer.is_connected(node);
        background.spawn(joined::follow(known.clone(), is_connected, joined));
        let tell = move |done: Result<keeper::Done, &_>| metrics.redirected(done.is_ok());
        background.spawn(keeper::keep(layout, redirected, keeper::LOOK_EVERY, tell));
        let serve = redirect::serve(
            listeners,
            known.clone(),
            Arc::clone(&dial),
            redirect::MAX_CONNECTIONS,
        );
        background.spawn(serve);
    }
    if let Some(address) = args.sni_listen {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("failed to listen at {address} for names in TLS greetings"))?;
        background.spawn(sni::serve(listener, known, dial, sni::MAX_CONNECTIONS));
    }
    Ok(())
}

/// HTTP `CONNECT`.
async fn by_words(
    args: &args::Server,
    server: &Arc<Server>,
    nodes: impl Nodes,
    background: &mut JoinSet<()>,
) -> Result<()> {
    let door = Door::new(server.dialer(), Arc::new(nodes));
    if let Some(path) = &args.connect_socket {
        let listener =
            connect::bind(path).with_context(|| format!("failed to listen at {}", path.display()))?;
        background.spawn(door.clone().unix(listener));
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
        let (acceptor, follow) = connect::tls::acceptor(files, files::LOOK)
            .with_context(|| format!("failed to prepare TLS for CONNECT at {address}"))?;
        background.spawn(door.tls(listener, acceptor));
        background.spawn(follow);
    }
    Ok(())
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
