//! Accepts local connections: TLS, limits, and an orderly end.
//!
//! Knows nothing of requests; what it hands on is a request and what its connection's certificate proves. A connection
//! ends when a request on it is answered 401, when nobody uses it, or when others need its place (`roster`).

pub mod local_ca;
mod roster;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::config::ListenConfig;
use crate::forward::{Body, Holding};
use crate::identity::node_cert::provider;
use crate::identity::{KubeletVerifier, Peer};
use crate::metrics::{DoorMetrics, Farewell};
use local_ca::ServingCertificate;
use roster::{Bounds, Proof, Roster, Seat};

/// Streams that one client may have open on one connection. The kubelet watches each Secret and ConfigMap on one.
const STREAMS_PER_CONNECTION: u32 = 10_000;

/// Why the listener cannot start.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The address is taken, or not this machine's.
    #[error("failed to listen on {address}; is another yurthub running?")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The serving certificate cannot be used.
    #[error("failed to set up TLS for local clients")]
    Tls(#[from] rustls::Error),
}

/// How clients are let in: the same for every listener.
#[derive(Clone)]
pub struct Door {
    tls: TlsAcceptor,
    config: ListenConfig,
    node_user: Arc<str>,
    /// Connections of one address at a time; `None`: as many as of all.
    of_one: Option<usize>,
    metrics: DoorMetrics,
}

impl Door {
    /// TLS with `serving`, clients' certificates judged by `verifier`. `node_user` is the user name in this node's
    /// certificate.
    pub fn new(
        (config, metrics): (ListenConfig, DoorMetrics),
        serving: ServingCertificate,
        verifier: &Arc<KubeletVerifier>,
        node_user: &str,
    ) -> Result<Self, ListenError> {
        Ok(Self {
            tls: TlsAcceptor::from(Arc::new(tls_config(serving, Arc::clone(verifier))?)),
            of_one: None,
            config,
            node_user: node_user.into(),
            metrics,
        })
    }

    /// The same for pods: many addresses, of which none takes all places.
    #[must_use]
    pub fn for_pods(&self) -> Self {
        Self {
            of_one: Some(self.config.max_connections_per_source),
            ..self.clone()
        }
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            in_all: self.config.max_connections,
            of_one: self.of_one,
            unproved: self.config.header_timeout,
            idle: self.config.idle_timeout,
        }
    }
}

/// A bound listener for the API.
pub struct Listener {
    socket: TcpListener,
    door: Door,
}

/// TLS with a certificate of the node-local CA; clients may show a certificate, which is then verified.
fn tls_config(
    serving: ServingCertificate,
    verifier: Arc<KubeletVerifier>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(serving.chain, serving.key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A resumed session would skip the verifier, and with it the present CA and clock.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

impl Listener {
    /// Binds the address.
    pub async fn bind(address: SocketAddr, door: &Door) -> Result<Self, ListenError> {
        let socket = TcpListener::bind(address)
            .await
            .map_err(|source| ListenError::Bind { address, source })?;
        Ok(Self {
            socket,
            door: door.clone(),
        })
    }

    /// The address in use, where port 0 was asked for.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `shutdown`, then lets requests in flight end for at most the configured time.
    pub async fn serve<H, F>(self, handler: Arc<H>, shutdown: CancellationToken)
    where
        H: Fn(Peer, Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let (roster, tracker) = (Roster::new(self.door.bounds()), TaskTracker::new());
        let mut backoff = Duration::from_millis(5);
        let drain = self.door.config.drain;
        let acceptor = Arc::new(self);
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = acceptor.socket.accept() => accepted,
            };
            let (stream, source) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, or a client that went away: others must still get in, soon.
                    warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(Duration::from_secs(1));
                    continue;
                }
            };
            backoff = Duration::from_millis(5);
            let Some(seat) = roster.enter(source.ip(), Instant::now()) else {
                acceptor.door.metrics.count(Farewell::Refused);
                debug!(%source, "a connection is refused: all places are in use");
                continue;
            };
            let (acceptor, handler) = (Arc::clone(&acceptor), Arc::clone(&handler));
            let goodbye = shutdown.child_token();
            tracker.spawn(async move { acceptor.connection((stream, seat), handler, goodbye).await });
        }
        drop(acceptor);
        tracker.close();
        drop(tokio::time::timeout(drain, tracker.wait()).await);
    }

    /// Serves one connection. With `goodbye` it takes no more requests, and ends with those that it has.
    async fn connection<H, F>(
        &self,
        (stream, seat): (TcpStream, Arc<Seat>),
        handler: Arc<H>,
        goodbye: CancellationToken,
    ) where
        H: Fn(Peer, Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        drop(stream.set_nodelay(true));
        let accepted = tokio::select! {
            accepted = self.door.tls.accept(stream) => accepted,
            () = seat.idle() => return self.farewell(Farewell::Silent),
            () = seat.sent_away() => return self.farewell(Farewell::Crowded),
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => return debug!(%error, "TLS handshake failed"),
        };
        let peer = Peer::from_certificates(stream.get_ref().1.peer_certificates(), &self.door.node_user);
        if peer == Peer::Node {
            seat.proved(Proof::Node);
        }
        let guest = (Arc::clone(&seat), goodbye.clone());
        let service = service_fn(move |request| {
            let ((seat, goodbye), peer) = (guest.clone(), peer.clone());
            let busy = seat.begins(Instant::now());
            let answer = handler(peer.clone(), request);
            async move {
                let answer = answer.await;
                match verdict(&peer, answer.status()) {
                    Verdict::Proved => seat.proved(Proof::Somebody),
                    Verdict::Open => {}
                    Verdict::Refused => goodbye.cancel(),
                }
                Ok::<_, Infallible>(answer.map(|body| Holding::new(body, busy).boxed_unsync()))
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.door.config.header_timeout)
            .max_buf_size(128 << 10);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .max_header_list_size(64 << 10)
            .max_send_buf_size(64 << 10)
            .initial_stream_window_size(256 << 10)
            .initial_connection_window_size(4 << 20);
        let connection = builder
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .into_owned();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            // Boxed, because the compiler cannot see that a future over erased errors is `Send`.
            ended = connection.as_mut().boxed() => ended,
            () = goodbye.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut().boxed() => ended,
                    () = seat.sent_away() => return self.farewell(Farewell::Crowded),
                    () = seat.idle() => return,
                }
            }
            // hyper's own limit begins with the first bytes of a head, and never while it guesses the protocol.
            () = seat.idle() => {
                self.farewell(Farewell::Idle);
                connection.as_mut().graceful_shutdown();
                let end = connection.as_mut().boxed();
                match tokio::time::timeout(self.door.config.drain, end).await {
                    Ok(ended) => ended,
                    Err(_) => return,
                }
            }
            () = seat.sent_away() => return self.farewell(Farewell::Crowded),
        };
        if let Err(error) = ended {
            debug!(error = %error, "connection of a local client ended early");
        }
    }

    fn farewell(&self, why: Farewell) {
        debug!(why = why.as_str(), "a local connection is closed");
        self.door.metrics.count(why);
    }
}

/// What an answer says of the one who asked.
enum Verdict {
    /// Somebody stands behind the request.
    Proved,
    /// It does not tell.
    Open,
    /// Nobody does.
    Refused,
}

fn verdict(peer: &Peer, status: StatusCode) -> Verdict {
    match (peer, status) {
        (Peer::Node, _) => Verdict::Open, // its certificate has said it
        (Peer::Other(_), _) | (_, StatusCode::UNAUTHORIZED) => Verdict::Refused,
        (_, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => Verdict::Open,
        _ => Verdict::Proved,
    }
}
