//! Binds all listeners, and keeps what they verify clients with.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use yurt_common::status_server;

use crate::admin::{self, Overview};
use crate::config::Config;
use crate::forward::Body;
use crate::identity::node_cert::NodeCredentials;
use crate::identity::{KubeletVerifier, Peer};
use crate::listener::{Door, Listener, local_ca};
use crate::network;
use crate::tasks::Tasks;

/// How often the CA of client certificates is compared with its file.
const CA_POLL: Duration = Duration::from_secs(5);
/// Until the address for pods is tried again.
const PODS_RETRY: Duration = Duration::from_secs(5);

/// Where yurthub listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The API, for the kubelet.
    pub api: SocketAddr,
    /// The API, for pods, where they are served.
    pub pods: Option<SocketAddr>,
    /// Health and metrics.
    pub status: SocketAddr,
}

/// Binds all listeners and starts serving.
pub(super) async fn start(
    config: &Config,
    (credentials, verifier): (&Arc<NodeCredentials>, &Arc<KubeletVerifier>),
    overview: &Arc<Overview>,
    tasks: &Tasks,
) -> anyhow::Result<Addresses> {
    let hub = Arc::clone(&overview.hub);
    let pods = config.listen.pods.map(|address| address.ip());
    let serving = local_ca::load_or_create(&config.data_dir.join("pki"), pods)?;
    let door = Door::new(
        (config.listen.clone(), hub.metrics.door.clone()),
        serving,
        verifier,
        &format!("system:node:{}", hub.node),
    )?;
    let listener = Listener::bind(config.listen.api, &door).await?;
    let address = listener.address()?;
    let status_socket = TcpListener::bind(config.listen.health)
        .await
        .with_context(|| format!("failed to listen on {}", config.listen.health))?;
    let status_address = status_socket.local_addr()?;
    let admin_socket = admin::bind(&config.listen.admin_socket).with_context(|| {
        format!(
            "failed to listen on the admin socket `{}`",
            config.listen.admin_socket.display()
        )
    })?;
    let handler = Arc::new(move |peer, request| {
        let hub = Arc::clone(&hub);
        async move { hub.serve(peer, request).await }
    });
    let draining = overview.hub.draining.clone();
    let mut pods_address = None;
    if let Some(address) = config.listen.pods {
        let door = door.for_pods();
        let bound = bind_for_pods(address, &door).await;
        pods_address = bound.as_ref().and_then(|listener| listener.address().ok());
        tasks.spawn("address for pods", network::keep(address.ip()));
        let serve = serve_pods((address, bound), door, Arc::clone(&handler), draining.clone());
        tasks.spawn_draining("listener for pods", serve);
    }
    tasks.spawn_draining("listener", listener.serve(handler, draining));
    tasks.spawn(
        "status server",
        status_server::serve(status_socket, Arc::clone(overview)),
    );
    tasks.spawn("admin server", admin::serve(admin_socket, Arc::clone(overview)));
    let (config, credentials) = (config.clone(), Arc::clone(credentials));
    let verifier = Arc::clone(verifier);
    tasks.spawn("client CA", async move {
        follow_client_ca(&config, &credentials, &verifier).await;
    });
    Ok(Addresses {
        api: address,
        pods: pods_address,
        status: status_address,
    })
}

/// The listener for pods; `None` where the address cannot be had now.
async fn bind_for_pods(address: SocketAddr, door: &Door) -> Option<Listener> {
    let attempt = async {
        network::ensure(address.ip()).await?;
        anyhow::Ok(Listener::bind(address, door).await?)
    };
    let bound = attempt.await;
    bound
        .inspect_err(|problem| {
            warn!(
                error = format!("{problem:#}"),
                "pods of this node are not served; trying again"
            );
        })
        .ok()
}

/// Serves pods. The kubelet is served whatever becomes of this: an address that cannot be had is tried again.
async fn serve_pods<H, F>(
    (address, mut bound): (SocketAddr, Option<Listener>),
    door: Door,
    handler: Arc<H>,
    shutdown: CancellationToken,
) where
    H: Fn(Peer, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    loop {
        if let Some(listener) = bound {
            info!(%address, "pods are served");
            return listener.serve(handler, shutdown).await;
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PODS_RETRY) => {}
        }
        bound = bind_for_pods(address, &door).await;
    }
}

/// The CA of client certificates, as its file is now.
pub(super) fn client_ca(config: &Config, credentials: &NodeCredentials) -> anyhow::Result<Vec<u8>> {
    match &config.client_ca {
        Some(path) => std::fs::read(path).with_context(|| format!("failed to read `{}`", path.display())),
        None => Ok(credentials.current().ca_pem().to_vec()),
    }
}

async fn follow_client_ca(config: &Config, credentials: &NodeCredentials, verifier: &KubeletVerifier) {
    let mut poll = tokio::time::interval(CA_POLL);
    loop {
        poll.tick().await;
        let replaced = client_ca(config, credentials).and_then(|pem| Ok(verifier.replace(pem)?));
        match replaced {
            Ok(true) => info!("CA of client certificates changed"),
            Ok(false) => {}
            Err(problem) => warn!(
                error = format!("{problem:#}"),
                "keeping the present CA of client certificates"
            ),
        }
    }
}
