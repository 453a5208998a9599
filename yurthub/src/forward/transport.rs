//! Connections to the apiserver: who they speak for, how many there are, how a dead one is noticed.
//!
//! - Pools are kept apart by credential: the apiserver looks at the client certificate first, so a token on a
//!   connection that carries the node's certificate would *become the node*.
//! - Pools are kept apart by lane: the apiserver allows 100 streams on a connection, and a node with many Secrets
//!   watches more than that for ever. Watches open connections of their own; requests never wait behind them, nor
//!   behind lists, whose connections are closed when they are done.
//! - The kernel asks idle connections for a sign of life: the node's one for requests often, all others seldom, because
//!   each question costs some 100 bytes on a link that may be paid by the byte. Silence is evidence, and when the cloud
//!   counts as away all connections are closed at once.
//! - There may be several apiservers. A request goes to the best one by the monitor's order, and to the next where no
//!   connection can be made; connections move only as they are made anew.
//!
//! An apiserver that does not speak HTTP/2 (a proxy in front of it) gets a connection for each request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::uri::Authority;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use thiserror::Error;
use tokio::task::JoinSet;

use super::holding::Holding;
use super::server::Server;
use super::{Body, BoxError};
use crate::config::CloudConfig;
use crate::health::{Evidence, Monitor, Origin, Phase, ServerId, Standing};
use crate::identity::Identity;
use crate::identity::node_cert::NodeCredentials;

/// Servers that may be known at a time, learned ones with them.
const MAX_SERVERS: usize = 32;
/// How often it is looked whether connections to servers of second choice are over.
const ATTEND: Duration = Duration::from_secs(5);

/// Which connections a request travels on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Answered in a moment.
    Request,
    /// May stay open for hours.
    Watch,
    /// Lists, which may fill a thin link for minutes.
    Bulk,
}

/// Why a request got no answer from the apiserver.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// No connection could be made.
    #[error("failed to connect to the apiserver at {server}")]
    Connect {
        /// Host and port.
        server: Authority,
        /// Why.
        source: BoxError,
    },
    /// Connecting took too long.
    #[error("connecting to the apiserver at {server} took more than {limit:?}")]
    ConnectTimeout {
        /// Host and port.
        server: Authority,
        /// The bound.
        limit: Duration,
    },
    /// The connection broke before the answer came.
    #[error("lost the connection to the apiserver while waiting for its answer")]
    Lost(#[source] hyper::Error),
    /// The server turned out to be away, or another one to be better, while a connection was made.
    #[error("gave up connecting to the apiserver at {server}: another one is there")]
    Superseded {
        /// Host and port.
        server: Authority,
    },
    /// Every connection that may be made is full.
    #[error("all connections to the apiserver are in use")]
    Exhausted,
}

impl UpstreamError {
    /// What it says of the cloud. An attempt that took too long is no proof: a packet may have been lost.
    pub(super) fn evidence(&self) -> Evidence {
        match self {
            Self::ConnectTimeout { .. } => Evidence::Silence,
            _ => Evidence::ConnectFailed,
        }
    }

    /// Whether the server's certificate was refused.
    pub(super) fn is_of_certificate(&self) -> bool {
        let Self::Connect { source, .. } = self else {
            return false;
        };
        let cause = source
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        let refused = cause.and_then(|cause| cause.downcast_ref::<rustls::Error>());
        matches!(refused, Some(rustls::Error::InvalidCertificate(_)))
    }
}

/// The way to the cloud.
pub struct Upstream {
    servers: ArcSwap<Vec<Arc<Server>>>,
    credentials: Arc<NodeCredentials>,
    cloud: Arc<Monitor>,
    idle: Duration,
    /// Held while servers are added.
    adding: Mutex<()>,
}

/// What is known of a server, for people.
pub struct ServerView {
    /// Host and port.
    pub server: Authority,
    /// How it came to be known.
    pub origin: Origin,
    /// What is believed of it.
    pub standing: Standing,
    /// Open connections.
    pub connections: usize,
    /// The round trip to it, or what is assumed.
    pub round_trip: Duration,
}

impl Upstream {
    /// The way to `servers`, the most preferred first; no connection is made yet.
    pub fn new(
        servers: &[Authority],
        config: &CloudConfig,
        credentials: Arc<NodeCredentials>,
        cloud: Arc<Monitor>,
    ) -> Self {
        let upstream = Self {
            servers: ArcSwap::default(),
            credentials,
            cloud,
            idle: config.keepalive_interval,
            adding: Mutex::default(),
        };
        for server in servers {
            upstream.add(server, (Origin::Configured, false));
        }
        upstream
    }

    /// Makes a server known; `None` where it is already, or too many are.
    pub fn add(&self, server: &Authority, known: (Origin, bool)) -> Option<ServerId> {
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let servers = self.servers.load_full();
        if servers.len() >= MAX_SERVERS || servers.iter().any(|known| known.authority() == server) {
            return None;
        }
        let server = Arc::new(Server::new(server.clone(), known, self.idle, &self.cloud));
        let id = server.report.id;
        let all = servers.iter().cloned().chain([server]).collect();
        self.servers.store(Arc::new(all));
        Some(id)
    }

    /// All servers, the most preferred first.
    pub fn ids(&self) -> Vec<ServerId> {
        self.servers
            .load()
            .iter()
            .map(|server| server.report.id)
            .collect()
    }

    /// Sends `request` for `identity`. Its URI holds path and query only. The answer's body streams.
    pub async fn send(
        &self,
        identity: &Identity,
        lane: Lane,
        request: Request<Body>,
    ) -> Result<Response<Body>, UpstreamError> {
        let credentials = self.credentials.current();
        let mut failure = UpstreamError::Exhausted;
        for server in self.candidates() {
            match server.reserve(&credentials, identity, lane).await {
                Ok((stream, sender)) => {
                    let sent = sender.send(&server.dialler.target, request).await;
                    let response = sent.map_err(UpstreamError::Lost)?;
                    server.report.seen(Evidence::Answer);
                    return Ok(response.map(|body| Holding::new(body, stream).boxed_unsync()));
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Sends a request that asks to upgrade, on a connection of its own.
    pub async fn send_upgrade(
        &self,
        identity: &Identity,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let credentials = self.credentials.current();
        let mut failure = UpstreamError::Exhausted;
        for server in self.candidates() {
            match server.dial_for_upgrade(&credentials, identity).await {
                Ok(sender) => {
                    let sent = sender.send(&server.dialler.target, request).await;
                    let response = sent.map_err(UpstreamError::Lost)?;
                    server.report.seen(Evidence::Answer);
                    return Ok(response);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// The servers that a request may be tried on, the best first.
    fn candidates(&self) -> Vec<Arc<Server>> {
        let servers = self.servers.load();
        let order = self.cloud.order().into_iter();
        order.filter_map(|id| servers.get(id.place()).cloned()).collect()
    }

    /// Makes one fresh connection to a server and asks whether it is ready; the monitor is told.
    pub async fn probe(&self, server: ServerId) {
        let server = self.servers.load().get(server.place()).cloned();
        if let Some(server) = server {
            server.probe(&self.credentials.current()).await;
        }
    }

    /// Whether a server was reached in this moment, and the rest may still be on its way.
    pub fn is_greeting(&self, server: ServerId) -> bool {
        let servers = self.servers.load();
        servers
            .get(server.place())
            .is_some_and(|server| server.dialler.is_greeting())
    }

    /// Keeps connections where they belong, until cancelled: those to a server that is away are closed at once, because
    /// half-open ones would hold their requests for minutes; those to one of second choice end with what is on them.
    pub async fn attend(&self) {
        let mut news = self.cloud.news();
        let mut probes = JoinSet::new();
        loop {
            news.mark_unchanged();
            let servers = self.servers.load_full();
            let is = |server: &Server, phase| server.report.standing() == Standing::Active(phase);
            for server in servers.iter().filter(|server| is(server, Phase::Down)) {
                server.close();
            }
            let best = self.candidates().into_iter().next();
            if let Some(best) = best.filter(|best| is(best, Phase::Up)) {
                // One that is preferred and came back is about to be the best.
                for server in servers.iter().skip(best.report.id.place() + 1) {
                    server.retire();
                    if is(server, Phase::Up) && server.connections() == 0 {
                        self.cloud.rest(server.report.id);
                    }
                }
                // Without a connection by which it is watched, nobody would notice that it dies.
                if !best.is_watched() && probes.is_empty() {
                    let credentials = self.credentials.current();
                    probes.spawn(async move { best.probe(&credentials).await });
                }
            }
            tokio::select! {
                _ = news.changed() => {}
                Some(_) = probes.join_next() => {}
                () = tokio::time::sleep(ATTEND) => {}
            }
        }
    }

    /// Closes every connection at once, with all that is on it.
    pub fn close_all(&self) {
        for server in self.servers.load().iter() {
            server.close();
        }
    }

    /// Closes the connections of `lane` that nobody uses.
    pub fn close_idle(&self, lane: Lane) {
        for server in self.servers.load().iter() {
            server.close_idle(lane);
        }
    }

    /// Open connections, for metrics.
    pub fn connections(&self) -> usize {
        self.servers
            .load()
            .iter()
            .map(|server| server.connections())
            .sum()
    }

    /// What is known of each server, the most preferred first.
    pub fn view(&self) -> Vec<ServerView> {
        let servers = self.servers.load();
        let view = |server: &Arc<Server>| ServerView {
            server: server.authority().clone(),
            origin: server.origin,
            standing: server.report.standing(),
            connections: server.connections(),
            round_trip: server.dialler.pace.patience().round_trip(),
        };
        servers.iter().map(view).collect()
    }

    /// Host and port of the server that requests go to.
    pub fn server(&self) -> Option<Authority> {
        self.candidates().first().map(|server| server.authority().clone())
    }
}
