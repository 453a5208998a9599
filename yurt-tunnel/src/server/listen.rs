//! Accepts connections: QUIC over UDP and HTTP/2 on TLS over TCP, at one port.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::Endpoint;
use rustls::Error as TlsError;
use rustls::server::danger::ClientCertVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::Server;
use super::limits::{HANDSHAKES, HANDSHAKES_UNPROVED};
use crate::transport::tls::{ALPN_QUIC, ALPN_TCP};
use crate::transport::{Connection, h2, quic, tls};

/// A handshake may take so long.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Until accepting is tried again after it failed, for want of file descriptors mostly.
const AGAIN: Duration = Duration::from_millis(100);
/// How often a port is looked for that is free for both.
const TRIES: usize = 16;

/// Sockets of a server.
pub struct Listeners {
    /// For QUIC; none where it is switched off.
    pub udp: Option<Endpoint>,
    /// For TLS.
    pub tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listeners {
    /// Binds both at `address`; at port 0, at one that is free for both.
    pub async fn bind(server: &Server, address: SocketAddr, with_udp: bool) -> io::Result<Self> {
        let tls_for = |alpn| {
            let verifier = Arc::clone(&server.verifier) as Arc<dyn ClientCertVerifier>;
            tls::server(server.identity.clone(), verifier, alpn)
                .map_err(|error: TlsError| io::Error::other(error))
        };
        let acceptor = TlsAcceptor::from(Arc::new(tls_for(ALPN_TCP)?));
        let mut tries = 0;
        loop {
            tries += 1;
            let tcp = TcpListener::bind(address).await?;
            if !with_udp {
                return Ok(Self {
                    udp: None,
                    tcp,
                    acceptor,
                });
            }
            match quic::listen(tcp.local_addr()?, tls_for(ALPN_QUIC)?, server.congestion) {
                Ok(udp) => {
                    return Ok(Self {
                        udp: Some(udp),
                        tcp,
                        acceptor,
                    });
                }
                Err(error)
                    if error.kind() == io::ErrorKind::AddrInUse && address.port() == 0 && tries < TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Accepts until the server ends; then ends all connections.
    pub async fn serve(self, server: Arc<Server>) {
        let tasks = TaskTracker::new();
        let Self { udp, tcp, acceptor } = self;
        let quic = async {
            match &udp {
                Some(endpoint) => accept_quic(&server, endpoint, &tasks).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = quic => {}
            () = accept_tcp(&server, &tcp, &acceptor, &tasks) => {}
            () = server.ending.cancelled() => {}
        }
        server.ending.cancel();
        if let Some(endpoint) = udp {
            endpoint.close(0_u32.into(), b"the server ends");
            // Whoever does not hear it finds out by silence.
            let _ = timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
        }
        tasks.close();
        let _ = timeout(Duration::from_secs(1), tasks.wait()).await;
    }
}

async fn accept_quic(server: &Arc<Server>, endpoint: &Endpoint, tasks: &TaskTracker) {
    while let Some(incoming) = endpoint.accept().await {
        let busy = HANDSHAKES - server.limits.handshakes.available_permits();
        if busy >= HANDSHAKES_UNPROVED && !incoming.remote_address_validated() {
            // Only one that was proved already cannot be asked to prove itself.
            let _ = incoming.retry();
            continue;
        }
        if !server
            .limits
            .source(incoming.remote_address().ip(), Instant::now())
        {
            server.metrics.refused("rate");
            incoming.refuse();
            continue;
        }
        let Ok(place) = Arc::clone(&server.limits.handshakes).try_acquire_owned() else {
            server.metrics.refused("handshakes");
            incoming.refuse();
            continue;
        };
        let server = Arc::clone(server);
        tasks.spawn(async move {
            let handshake = async { incoming.accept()?.await };
            let outcome = timeout(HANDSHAKE, handshake).await;
            drop(place);
            match outcome {
                Ok(Ok(connection)) => server.visit(Connection::Quic(connection)).await,
                Ok(Err(error)) => failed(&server, &error),
                Err(_) => failed(&server, &"it took too long"),
            }
        });
    }
}

async fn accept_tcp(
    server: &Arc<Server>,
    listener: &TcpListener,
    acceptor: &TlsAcceptor,
    tasks: &TaskTracker,
) {
    loop {
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "failed to accept a connection");
                sleep(AGAIN).await;
                continue;
            }
        };
        if !server.limits.source(remote.ip(), Instant::now()) {
            server.metrics.refused("rate");
            continue;
        }
        let Some(place) = server.limits.tcp_handshake(remote.ip()) else {
            server.metrics.refused("handshakes");
            continue;
        };
        let (server, acceptor) = (Arc::clone(server), acceptor.clone());
        tasks.spawn(async move {
            let outcome = timeout(HANDSHAKE, handshake(stream, remote, &acceptor)).await;
            drop(place);
            match outcome {
                Ok(Ok(connection)) => server.visit(Connection::H2(connection)).await,
                Ok(Err(error)) => failed(&server, &error),
                Err(_) => failed(&server, &"it took too long"),
            }
        });
    }
}

async fn handshake(
    stream: TcpStream,
    remote: SocketAddr,
    acceptor: &TlsAcceptor,
) -> io::Result<h2::Connection> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let session = stream.get_ref().1;
    if session.alpn_protocol() != Some(ALPN_TCP) {
        return Err(io::Error::other("the other end does not speak HTTP/2"));
    }
    let certificates = session
        .peer_certificates()
        .map(|all| all.iter().map(|one| one.clone().into_owned()).collect());
    h2::accepted(stream, h2::Below { remote, certificates }).await
}

fn failed(server: &Server, error: &dyn std::fmt::Display) {
    server.metrics.refused("handshake");
    debug!(%error, "a handshake failed");
}
