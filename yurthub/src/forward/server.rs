//! One apiserver: its address, the connections to it, and what they tell of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::uri::Authority;
use http::{Request, Uri};
use tracing::{debug, warn};

use super::UpstreamError;
use super::connection::Connection;
use super::dial::{Dialled, Dialler, Purpose};
use super::patience::Pace;
use super::pool::{Pool, Reserved, STREAMS_PER_CONNECTION, Sender};
use super::resolve::Resolver;
use super::target::Target;
use super::transport::Lane;
use crate::health::{Evidence, Monitor, Origin, ServerId, Standing};
use crate::identity::Identity;
use crate::identity::node_cert::Credentials;
use crate::telemetry::ErrorChain;

/// See the module.
pub(super) struct Server {
    pub(super) report: Reporter,
    pub(super) origin: Origin,
    pub(super) dialler: Dialler,
    pools: [Pool; 6],
    idle: Duration,
    /// It was said that the certificate does not fit.
    said_unfit: AtomicBool,
    /// It has no HTTP/2, and so no connections that could be watched.
    plain: AtomicBool,
}

/// Tells the monitor what was seen of one server.
#[derive(Clone)]
pub(super) struct Reporter {
    pub(super) cloud: Arc<Monitor>,
    pub(super) id: ServerId,
}

impl Reporter {
    pub(super) fn seen(&self, evidence: Evidence) {
        self.cloud.report(self.id, evidence);
    }

    pub(super) fn standing(&self) -> Standing {
        self.cloud.standing(self.id)
    }

    pub(super) fn set_doubt(&self, doubt: Duration) {
        self.cloud.set_doubt(self.id, doubt);
    }
}

impl Server {
    /// A server that the monitor learns to know here; no connection is made yet.
    pub(super) fn new(
        authority: Authority,
        (origin, worked): (Origin, bool),
        idle: Duration,
        cloud: &Arc<Monitor>,
    ) -> Self {
        let report = Reporter {
            cloud: Arc::clone(cloud),
            id: cloud.add(origin, worked),
        };
        let target = Target::new(authority);
        Self {
            dialler: Dialler {
                resolver: Resolver::new(target.host(), target.port()),
                target,
                pace: Pace::default(),
                report: report.clone(),
                greeted: Mutex::default(),
            },
            report,
            origin,
            // Node and bearers, requests and watches: by the first the server is watched.
            pools: [true, false, false, false, false, false].map(|sentinel| Pool::new(idle, sentinel)),
            idle,
            said_unfit: AtomicBool::new(false),
            plain: AtomicBool::new(false),
        }
    }

    pub(super) fn authority(&self) -> &Authority {
        self.dialler.target.authority()
    }

    /// A place for a request. Ends early where the server turns out to be away, or another one to be better.
    pub(super) async fn reserve(
        &self,
        credentials: &Credentials,
        identity: &Identity,
        lane: Lane,
    ) -> Result<Reserved, UpstreamError> {
        let pool = &self.pools[place(identity, lane)];
        if let Some(reserved) = pool.reserve(credentials.generation) {
            return Ok(reserved);
        }
        tokio::select! {
            reserved = self.make_room(pool, credentials, identity) => reserved,
            () = self.superseded() => Err(UpstreamError::Superseded { server: self.authority().clone() }),
        }
    }

    async fn make_room(
        &self,
        pool: &Pool,
        credentials: &Credentials,
        identity: &Identity,
    ) -> Result<Reserved, UpstreamError> {
        let _turn = pool.dialling.lock().await;
        // Whoever held the turn before may have made room.
        if let Some(reserved) = pool.reserve(credentials.generation) {
            return Ok(reserved);
        }
        if pool.is_full() {
            return Err(UpstreamError::Exhausted);
        }
        match self.dial(credentials, identity, pool.purpose()).await {
            Ok(Dialled::Http1(sender)) => Ok((None, Sender::Http1(sender))),
            Ok(Dialled::Http2(connection)) => {
                pool.add(&connection);
                match connection.reserve(STREAMS_PER_CONNECTION) {
                    Some((stream, sender)) => Ok((Some(stream), Sender::Http2(sender))),
                    None => Err(UpstreamError::Exhausted),
                }
            }
            Err(error) => {
                self.report.seen(error.evidence());
                Err(error)
            }
        }
    }

    async fn superseded(&self) {
        let mut news = self.report.cloud.news();
        while !self.report.cloud.is_superseded(self.report.id) {
            if news.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// A connection of its own for a request that asks to upgrade.
    pub(super) async fn dial_for_upgrade(
        &self,
        credentials: &Credentials,
        identity: &Identity,
    ) -> Result<Sender, UpstreamError> {
        let purpose = Purpose {
            upgrade: true,
            idle: self.idle,
            sentinels: None,
        };
        match self.dial(credentials, identity, purpose).await? {
            Dialled::Http1(sender) => Ok(Sender::Http1(sender)),
            Dialled::Http2(_) => Err(UpstreamError::Exhausted), // cannot be: HTTP/2 was not offered
        }
    }

    /// Makes one fresh connection and asks the apiserver whether it is ready. The connection joins its pool when it has
    /// answered and is wanted: an attempt that another one makes superfluous leaves nothing behind.
    pub(super) async fn probe(&self, credentials: &Credentials) {
        let pool = &self.pools[place(&Identity::Node, Lane::Request)];
        let (evidence, connection) = match self.dial(credentials, &Identity::Node, pool.purpose()).await {
            Ok(Dialled::Http2(connection)) => {
                let evidence = match connection.reserve(usize::MAX) {
                    Some((_stream, sender)) => self.is_ready(Sender::Http2(sender)).await,
                    None => Evidence::ConnectionLost,
                };
                (evidence, Some(connection))
            }
            Ok(Dialled::Http1(sender)) => {
                self.plain.store(true, Ordering::Relaxed);
                (self.is_ready(Sender::Http1(sender)).await, None)
            }
            Err(error) => {
                debug!(error = %ErrorChain(&error), "probe failed");
                if self.is_unfit(&error) {
                    return self.report.cloud.dismiss(self.report.id);
                }
                (error.evidence(), None)
            }
        };
        let keep = self.report.cloud.attempted(self.report.id, evidence);
        match connection {
            Some(connection) if keep => pool.replace_by(&connection),
            Some(connection) => connection.kill(),
            None => {}
        }
    }

    async fn is_ready(&self, sender: Sender) -> Evidence {
        let mut request = Request::new(super::empty_body());
        *request.uri_mut() = Uri::from_static("/readyz");
        let limit = self.dialler.pace.patience().answer();
        match tokio::time::timeout(limit, sender.send(&self.dialler.target, request)).await {
            // An apiserver that is starting or stopping says so; it would refuse what it cannot judge yet.
            Ok(Ok(response)) if !response.status().is_server_error() => Evidence::Answer,
            Ok(_) => Evidence::ConnectFailed,
            Err(_) => Evidence::Silence,
        }
    }

    /// Whether a learned address has nothing to do with this cluster, or its certificate not with this address: said once.
    fn is_unfit(&self, error: &UpstreamError) -> bool {
        let unfit = self.origin == Origin::Learned && error.is_of_certificate();
        if unfit && !self.said_unfit.swap(true, Ordering::Relaxed) {
            warn!(
                server = %self.authority(),
                error = %ErrorChain(error),
                "an apiserver of which the cluster told is not used: its certificate is not for this address"
            );
        }
        unfit
    }

    async fn dial(
        &self,
        credentials: &Credentials,
        identity: &Identity,
        purpose: Purpose,
    ) -> Result<Dialled, UpstreamError> {
        let tls = match identity {
            Identity::Node => &credentials.as_node,
            Identity::Bearer | Identity::Account(_) => &credentials.without_certificate,
        };
        self.dialler.dial((tls, credentials.generation), purpose).await
    }

    /// Whether the server's end would be noticed.
    pub(super) fn is_watched(&self) -> bool {
        self.pools[place(&Identity::Node, Lane::Request)].is_watched() || self.plain.load(Ordering::Relaxed)
    }

    /// Gives no more requests to the present connections; each ends with the last one on it.
    pub(super) fn retire(&self) {
        self.pools.iter().for_each(|pool| pool.each(Connection::retire));
    }

    /// Closes every connection at once, with all that is on it.
    pub(super) fn close(&self) {
        self.pools.iter().for_each(Pool::close);
    }

    /// Open connections.
    pub(super) fn connections(&self) -> usize {
        self.pools.iter().map(Pool::len).sum()
    }

    /// Closes the connections of `lane` that nobody uses.
    pub(super) fn close_idle(&self, lane: Lane) {
        for identity in [Identity::Node, Identity::Bearer] {
            self.pools[place(&identity, lane)].close_idle();
        }
    }
}

/// The pool of a credential and a lane.
fn place(identity: &Identity, lane: Lane) -> usize {
    let lane = match lane {
        Lane::Request => 0,
        Lane::Watch => 1,
        Lane::Bulk => 2,
    };
    match identity {
        Identity::Node => lane,
        Identity::Bearer | Identity::Account(_) => 3 + lane,
    }
}
