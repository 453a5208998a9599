//! The connections of one credential and one lane.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};

use super::Body;
use super::connection::{Connection, Stream};
use super::dial::Purpose;
use super::target::Target;

/// Streams on one connection: the apiserver's limit is 100; some room is left for what is being torn down.
pub(super) const STREAMS_PER_CONNECTION: usize = 90;
/// Connections of one pool. 16 carry 1,440 watches.
const CONNECTIONS_PER_POOL: usize = 16;
/// How much more seldom the kernel asks for a sign of life on connections by which the cloud is not watched.
const UNHURRIED: u32 = 10;

/// See the module.
pub(super) struct Pool {
    purpose: Purpose,
    connections: Mutex<Vec<Arc<Connection>>>,
    /// Requests that wait for a connection share one attempt.
    pub(super) dialling: tokio::sync::Mutex<()>,
}

/// A place for one request; the first part holds it.
pub(super) type Reserved = (Option<Stream>, Sender);

/// Takes one request.
pub(super) enum Sender {
    Http2(http2::SendRequest<Body>),
    Http1(http1::SendRequest<Body>),
}

impl Sender {
    /// Sends `request` to `target`, at whose end this is; returns when the head of the answer is there.
    pub(super) async fn send(
        self,
        target: &Target,
        mut request: Request<Body>,
    ) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http2(mut sender) => {
                target.address(&mut request, Version::HTTP_2);
                sender.send_request(request).await
            }
            Self::Http1(mut sender) => {
                target.address(&mut request, Version::HTTP_11);
                sender.send_request(request).await
            }
        }
    }
}

impl Pool {
    /// `idle`: after so long without a sign of life the kernel asks for one, where the connection watches the cloud
    /// (`sentinel`); elsewhere ten times later.
    pub(super) fn new(idle: Duration, sentinel: bool) -> Self {
        Self {
            purpose: Purpose {
                upgrade: false,
                idle: if sentinel { idle } else { idle * UNHURRIED },
                sentinels: sentinel.then(Arc::<AtomicUsize>::default),
            },
            connections: Mutex::default(),
            dialling: tokio::sync::Mutex::default(),
        }
    }

    /// Whether the cloud is watched by a connection of this pool.
    pub(super) fn is_watched(&self) -> bool {
        let sentinels = self.purpose.sentinels.as_ref();
        sentinels.is_some_and(|count| count.load(Ordering::Acquire) > 0)
    }

    /// What its connections are made for.
    pub(super) fn purpose(&self) -> Purpose {
        self.purpose.clone()
    }

    /// A place on a connection that was made with the credentials of `generation`.
    pub(super) fn reserve(&self, generation: u64) -> Option<Reserved> {
        let mut connections = self.lock();
        connections.retain(|connection| {
            if connection.generation != generation {
                connection.retire();
            }
            !connection.is_spent()
        });
        let (stream, sender) = connections
            .iter()
            .find_map(|connection| connection.reserve(STREAMS_PER_CONNECTION))?;
        Some((Some(stream), Sender::Http2(sender)))
    }

    /// Whether there may be no more connections.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= CONNECTIONS_PER_POOL
    }

    /// Connections that are not over.
    pub(super) fn len(&self) -> usize {
        let mut connections = self.lock();
        connections.retain(|connection| !connection.is_spent());
        connections.len()
    }

    /// Does `what` with every connection.
    pub(super) fn each(&self, what: impl Fn(&Connection)) {
        self.lock().iter().for_each(|connection| what(connection));
    }

    pub(super) fn add(&self, connection: &Arc<Connection>) {
        self.lock().push(Arc::clone(connection));
    }

    /// Gives new requests to `fresh` only; the others end with what is on them.
    pub(super) fn replace_by(&self, fresh: &Arc<Connection>) {
        let mut connections = self.lock();
        connections.retain(|connection| {
            connection.retire();
            !connection.is_spent()
        });
        connections.push(Arc::clone(fresh));
    }

    /// Closes all connections at once.
    pub(super) fn close(&self) {
        for connection in self.lock().drain(..) {
            connection.kill();
        }
    }

    /// Forgets connections without requests; they end in order.
    pub(super) fn close_idle(&self) {
        self.lock().retain(|connection| {
            connection.retire();
            !connection.is_spent()
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
