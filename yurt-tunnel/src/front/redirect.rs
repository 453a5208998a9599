//! Front door A: connections to kubelets' addresses, which nftables sends here.
//!
//! The client keeps believing that it talks to the kubelet's address, and TLS is between these two. Connections of this
//! machine arrive at 127.0.0.1 or `::1`, those that pass through it at an address of the interface they came in by; the
//! kernel knows where each wanted to go (`SO_ORIGINAL_DST`).
//!
//! Nothing loops: the set holds no address of this machine, a connection that was not redirected is reset, and a server
//! never dials a kubelet's address itself.
//!
//! Invariant: only a destination that is in the set right now is carried.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use super::{Dial, Known, Target, accept, carry, reset};
use crate::kubelets::Kubelets;

pub mod joined;
pub mod keeper;

/// Connections at this door: `kubectl logs -f` and metrics of 1,000 nodes, and room.
pub const MAX_CONNECTIONS: usize = 16_384;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Where redirected connections arrive.
#[derive(Debug)]
pub struct Listeners {
    v4: TcpListener,
    /// None where the machine has no IPv6.
    v6: Option<TcpListener>,
    port: NonZeroU16,
}

/// The door has no place.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at port {port} for redirected connections; choose another one by --redirect-port")]
pub struct CannotListen {
    port: u16,
    #[source]
    source: io::Error,
}

impl Listeners {
    /// Listens at `port` on all addresses, because a connection that passes through arrives at any; 0: at one that is free.
    /// To be called in a tokio runtime.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn bind(port: u16) -> Result<Self, CannotListen> {
        let error = |source| CannotListen { port, source };
        let v4 = listen((Ipv4Addr::UNSPECIFIED, port).into()).map_err(error)?;
        let bound = v4.local_addr().map_err(error)?.port();
        let v6 = match listen((Ipv6Addr::UNSPECIFIED, bound).into()) {
            Ok(v6) => Some(v6),
            Err(source) if source.kind() == io::ErrorKind::AddrInUse => return Err(error(source)),
            Err(source) => {
                warn!(error = %source, "no IPv6 here: kubelets are redirected by their IPv4 addresses only");
                None
            }
        };
        let port = NonZeroU16::new(bound).ok_or_else(|| error(io::ErrorKind::AddrNotAvailable.into()))?;
        Ok(Self { v4, v6, port })
    }

    /// The port, for the rules.
    pub const fn port(&self) -> NonZeroU16 {
        self.port
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // IPv4 has a socket of its own, and thereby the kernel's question for it.
        socket.set_only_v6(true)?;
    }
    // So that a server that is started again need not wait for connections of the one before.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Carries what arrives, for ever. Dropped, it ends all connections.
pub async fn serve<D: Dial>(listeners: Listeners, known: Known, dial: Arc<D>, limit: usize) {
    let each = |client: TcpStream| {
        let (known, dial) = (known.clone(), Arc::clone(&dial));
        async move { one(&*dial, &known, client).await }
    };
    let Listeners { v4, v6, .. } = listeners;
    let v6 = async {
        match v6 {
            Some(v6) => accept(v6, limit, each).await,
            None => std::future::pending().await,
        }
    };
    tokio::join!(accept(v4, limit, each), v6);
}

async fn one<D: Dial>(dial: &D, known: &Known, client: TcpStream) {
    let kubelets = known.borrow().clone();
    match judge(destination(&client), kubelets.as_deref()) {
        Verdict::Carry(target) => carry(dial, &target, client, Vec::new()).await,
        Verdict::Reset(reason) => {
            debug!(?reason, from = ?client.peer_addr(), "a connection was reset");
            reset(client);
        }
    }
}

/// Where a connection that arrived here wanted to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// There.
    Of(SocketAddr),
    /// Here: nobody has redirected it.
    Here,
    /// The kernel does not know: it does not track this connection, so that nobody has redirected it either.
    Unknown,
}

/// What becomes of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is carried.
    Carry(Target),
    /// It is reset.
    Reset(Reason),
}

/// Why a connection is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Somebody has dialled the listener itself.
    NotRedirected,
    /// The nodes are not known yet.
    NothingKnown,
    /// The address was taken out of the set meanwhile.
    NoKubelet,
}

/// Decides about a connection.
pub fn judge(destination: Destination, kubelets: Option<&Kubelets>) -> Verdict {
    let Destination::Of(destination) = destination else {
        return Verdict::Reset(Reason::NotRedirected);
    };
    let Some(kubelets) = kubelets else {
        return Verdict::Reset(Reason::NothingKnown);
    };
    let Some(node) = kubelets.node_at(destination) else {
        return Verdict::Reset(Reason::NoKubelet);
    };
    Verdict::Carry(Target {
        node: Arc::clone(node),
        port: destination.port(),
    })
}

fn destination(client: &TcpStream) -> Destination {
    let Ok(local) = client.local_addr() else {
        return Destination::Unknown;
    };
    let socket = SockRef::from(client);
    let found = if local.is_ipv4() {
        socket.original_dst_v4()
    } else {
        socket.original_dst_v6()
    };
    match found.ok().and_then(|found| found.as_socket()) {
        // Without flow information and scope, which are no part of what was dialled.
        Some(found) if (found.ip(), found.port()) == (local.ip(), local.port()) => Destination::Here,
        Some(found) => Destination::Of((found.ip(), found.port()).into()),
        None => Destination::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubelets::{KUBELET_PORT, NodeView, Rules};

    #[test]
    fn only_what_is_in_the_set_is_carried() {
        let node = NodeView {
            name: "edge".into(),
            edge: true,
            addresses: vec![[192, 0, 2, 7].into()],
            other_addresses: Vec::new(),
            kubelet_port: KUBELET_PORT,
            pod_networks: Vec::new(),
        };
        let kubelets = Kubelets::of([&node], &Rules::default());
        let to = |address: &str| judge(Destination::Of(address.parse().unwrap()), Some(&kubelets));
        let target = Target {
            node: "edge".into(),
            port: 10250,
        };
        assert_eq!(to("192.0.2.7:10250"), Verdict::Carry(target));
        assert_eq!(to("192.0.2.7:22"), Verdict::Reset(Reason::NoKubelet));
        assert_eq!(to("192.0.2.8:10250"), Verdict::Reset(Reason::NoKubelet));
        for nowhere in [Destination::Here, Destination::Unknown] {
            assert_eq!(
                judge(nowhere, Some(&kubelets)),
                Verdict::Reset(Reason::NotRedirected)
            );
        }
        let early = judge(Destination::Of("192.0.2.7:10250".parse().unwrap()), None);
        assert_eq!(early, Verdict::Reset(Reason::NothingKnown));
    }
}
