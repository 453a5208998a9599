//! Front doors: each finds out which node a connection is for, and has it carried there.
//!
//! - [`redirect`]: by the address that was dialled, which nftables sends here.
//! - [`connect`]: by the words of HTTP `CONNECT`, for the apiserver's egress selector.
//! - [`sni`]: by the name in the greeting of TLS.
//!
//! What they know of nodes is [`Known`]. Not here: how a node is reached ([`Dial`], which a server's dialer is: [`tunnel`]).
//!
//! Invariant: a connection that is not carried is reset at once, so that nobody waits for a time-out; and no door holds
//! more connections than its limit.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::kubelets::Kubelets;
use crate::protocol;

pub mod connect;
pub mod redirect;
pub mod request;
pub mod sni;
pub mod tunnel;

/// What is known of the cluster's kubelets; none: nothing yet.
pub type Known = watch::Receiver<Option<Arc<Kubelets>>>;

/// Until a dial counts as failed. Dials through a tunnel that is up take a round trip.
pub const DIAL_DEADLINE: Duration = Duration::from_secs(10);
/// After an accept that failed: the process is out of descriptors, and others must end first.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Reaches nodes.
pub trait Dial: Send + Sync + 'static {
    /// A connection to a port of a node.
    type Stream: Send;
    /// Why there is none.
    type Error: Display + Send;

    /// Dials `port` on `node`. Fails at once where the node is not connected.
    fn dial(&self, node: &str, port: u16) -> impl Future<Output = Result<Self::Stream, Self::Error>> + Send;

    /// Sends `already`, which was read from `client`, then carries bytes both ways, with ends and resets as they come.
    fn relay(
        &self,
        client: TcpStream,
        already: Vec<u8>,
        stream: Self::Stream,
    ) -> impl Future<Output = ()> + Send;
}

/// Where a connection goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The node.
    pub node: Arc<str>,
    /// The port on it.
    pub port: u16,
}

/// Accepts for ever; hands each connection to `serve`, and resets those beyond `limit`. Dropped, it ends all of them.
pub(crate) async fn accept<F>(listener: TcpListener, limit: usize, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(limit));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((client, from)) => {
                let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                    warn!(%from, limit, "too many connections at this door; one was reset");
                    reset(client);
                    continue;
                };
                let served = serve(client);
                connections.spawn(async move {
                    served.await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection; trying again");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}

/// Dials `target`, and carries `client` there; resets it where that fails.
pub(crate) async fn carry<D: Dial>(dial: &D, target: &Target, client: TcpStream, already: Vec<u8>) {
    let (node, port) = (&*target.node, target.port);
    match tokio::time::timeout(DIAL_DEADLINE, dial.dial(node, port)).await {
        Ok(Ok(stream)) => dial.relay(client, already, stream).await,
        Ok(Err(error)) => {
            info!(node, port, %error, "a connection was reset: its node cannot be reached");
            reset(client);
        }
        Err(_) => {
            info!(
                node,
                port, "a connection was reset: its node did not answer the dial in time"
            );
            reset(client);
        }
    }
}

/// Ends a connection so that the other end gets an error at once.
pub(crate) fn reset(client: TcpStream) {
    // Only fails on a socket that is closed already.
    drop(SockRef::from(&client).set_linger(Some(Duration::ZERO)));
    drop(client);
}

/// Which addresses and names are those of nodes of the tunnel.
pub trait Nodes: Send + Sync + 'static {
    /// The node at `host` (an address, or a name of a node) and what `port` is on it; none where it is no node of the tunnel.
    fn find(&self, host: &str, port: u16) -> Option<Destination>;
}

/// Where somebody wants to go, if that is on a node of the tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The node.
    pub node: String,
    /// What on it.
    pub target: protocol::Target,
}
