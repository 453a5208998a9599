//! The server: holds the sessions of agents, and dials over them.
//!
//! Who connects is judged by a [`Verifier`], counted by [`limits`], greeted by [`sessions`], and found by [`registry`] or,
//! where another server holds it, by [`peers`]. Front doors use a [`Dialer`].
//!
//! Invariants: a node is who its certificate says; a dial has a deadline, and goes to one other server at most.

pub mod limits;
pub mod listen;
pub mod outgoing;
pub mod peers;
pub mod registry;
pub mod sessions;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use yurt_common::node_certificates::verifier::Verifier;

use crate::dial::{self, DialError};
use crate::metrics::Metrics;
use crate::protocol::{Dial, Member, Target, Versions};
use crate::transport::quic::Congestion;
use crate::transport::stream::TunnelStream;
use crate::transport::tls::Identity;
use limits::Limits;
use peers::Peers;
use registry::Registry;
use sessions::Session;

/// Changes of nodes that a slow peer may be behind with, before it is told all of them anew.
const CHANGES: usize = 4096;

/// Arrivals of other servers that may wait to be heard; whoever misses one tries again a little later anyhow.
const ARRIVALS: usize = 16;

/// Ways to a node that one dial tries: sessions of this server's own, and other servers.
const MOST_WAYS: usize = 4;

/// What a server is made of.
pub struct Settings {
    /// Its certificate.
    pub identity: Identity,
    /// Whom it lets in.
    pub verifier: Arc<Verifier>,
    /// All servers, itself included; may change.
    pub members: watch::Sender<Vec<Member>>,
    /// Bytes for all streams.
    pub budget: usize,
    /// How fast is sent.
    pub congestion: Congestion,
    /// What it speaks.
    pub versions: Versions,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// A running server.
pub struct Server {
    pub(crate) identity: Identity,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) members: watch::Sender<Vec<Member>>,
    pub(crate) congestion: Congestion,
    pub(crate) versions: Versions,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    pub(crate) peers: Peers,
    pub(crate) changes: broadcast::Sender<(String, bool)>,
    /// Ids of other servers that have just connected: they can be connected to.
    pub(crate) arrivals: broadcast::Sender<String>,
    /// Agents are told to find another server.
    pub(crate) draining: CancellationToken,
    /// Everything ends.
    pub(crate) ending: CancellationToken,
    registry: Mutex<Registry<Arc<Session>>>,
    ids: AtomicU64,
}

impl Server {
    /// A server that does not listen yet.
    pub fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            identity: settings.identity,
            verifier: settings.verifier,
            members: settings.members,
            congestion: settings.congestion,
            versions: settings.versions,
            metrics: settings.metrics,
            limits: Limits::new(settings.budget),
            peers: Peers::default(),
            changes: broadcast::channel(CHANGES).0,
            arrivals: broadcast::channel(ARRIVALS).0,
            draining: CancellationToken::new(),
            ending: CancellationToken::new(),
            registry: Mutex::default(),
            ids: AtomicU64::new(1),
        })
    }

    /// What front doors dial with.
    pub fn dialer(self: &Arc<Self>) -> Dialer {
        Dialer(Arc::clone(self))
    }

    /// Tells agents to find another server. Streams go on.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Ends everything.
    pub fn end(&self) {
        self.ending.cancel();
    }

    /// Whether agents can be let in.
    pub fn is_ready(&self) -> bool {
        self.identity.borrow().is_some() && self.verifier.is_ready()
    }

    /// Its id, from its certificate; empty until there is one.
    pub fn id(&self) -> String {
        let identity = self.identity.borrow();
        let leaf = identity.as_ref().and_then(|key| key.cert.first().cloned());
        drop(identity);
        leaf.and_then(|leaf| common_name(&leaf)).unwrap_or_default()
    }

    fn members(&self) -> Vec<Member> {
        self.members.borrow().clone()
    }

    fn registry(&self) -> MutexGuard<'_, Registry<Arc<Session>>> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }
}

/// The common name of a certificate, whatever it is for.
pub fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next()?;
    name.as_str().ok().map(ToOwned::to_owned)
}

/// Dials nodes. Clones are the same one.
#[derive(Clone)]
pub struct Dialer(Arc<Server>);

impl Dialer {
    /// Dials `target` on `node`, here or through the server that holds it. Fails at once where nobody does.
    pub async fn dial(
        &self,
        node: &str,
        target: Target,
        deadline: Duration,
    ) -> Result<TunnelStream, DialError> {
        let begun = Instant::now();
        let outcome = self.attempt(node, target, deadline, true).await;
        match &outcome {
            Ok((_, rtt)) => self.0.metrics.dialled(begun.elapsed(), *rtt),
            Err(error) => self.0.metrics.dial_failed(error.label()),
        }
        outcome.map(|(stream, _)| stream)
    }

    /// Dials for another server: only what this one holds.
    pub(crate) async fn dial_for_peer(
        &self,
        node: &str,
        target: Target,
        deadline: Duration,
    ) -> Result<TunnelStream, DialError> {
        self.attempt(node, target, deadline, false)
            .await
            .map(|(stream, _)| stream)
    }

    /// Whether somebody holds a node.
    pub fn is_connected(&self, node: &str) -> bool {
        !self.0.registry().of(node).is_empty() || !self.0.peers.holding(node).is_empty()
    }

    /// Where streams are counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    async fn attempt(
        &self,
        node: &str,
        target: Target,
        deadline: Duration,
        may_hop: bool,
    ) -> Result<(TunnelStream, Option<Duration>), DialError> {
        let server = &self.0;
        let mut local = server.registry().of(node);
        local.retain(|session| !session.drained.is_cancelled());
        let peers = if may_hop {
            server.peers.holding(node)
        } else {
            Vec::new()
        };
        let last_seen = server.registry().last_seen(node, Instant::now());
        let mut last = DialError::NotConnected {
            node: node.to_owned(),
            last_seen,
        };
        let ways = local.into_iter().map(|session| (session, false));
        let ways = ways.chain(peers.into_iter().map(|session| (session, true)));
        // Those of which nothing was heard at the last dial come last.
        let (deaf, mut ways): (Vec<_>, Vec<_>) = ways.partition(|(session, _)| session.is_deaf());
        ways.extend(deaf);
        ways.truncate(MOST_WAYS);
        let (begun, count) = (Instant::now(), ways.len());
        for (number, (session, hop)) in ways.into_iter().enumerate() {
            let left = deadline.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(last);
            }
            let theirs = dial::their_part(left).as_millis();
            let dial = Dial {
                version: session.version,
                id: server.next_id(),
                target,
                deadline_ms: u32::try_from(theirs).unwrap_or(u32::MAX),
                hop: hop.then(|| node.to_owned()),
            };
            match self.over(&session, &dial, left, number + 1 < count).await {
                Ok(stream) => return Ok((stream, session.connection.rtt())),
                // Another way may do.
                Err(
                    error @ (DialError::Lost(_)
                    | DialError::Unheard
                    | DialError::Refused {
                        reason: crate::protocol::Reason::NotConnected,
                        ..
                    }),
                ) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    async fn over(
        &self,
        session: &Session,
        dial: &Dial,
        within: Duration,
        other_ways: bool,
    ) -> Result<TunnelStream, DialError> {
        let budget = self.0.limits.stream()?;
        let place = session.places.stream()?;
        let waiting = (self.0.limits.dial()?, session.places.dial()?);
        let outcome = dial::over(&session.connection, dial, within, other_ways).await;
        session.set_deaf(matches!(outcome, Err(DialError::Unheard)));
        let mut stream = outcome?;
        drop(waiting);
        tracing::debug!(stream = dial.id, session = session.id, to = %dial.target, "dialled");
        stream.hold((budget, place, self.0.metrics.stream()));
        Ok(stream)
    }
}
