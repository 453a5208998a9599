//! One HTTP/2 connection to the apiserver, and how many requests are on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hyper::client::conn::http2::SendRequest;
use tokio_util::sync::CancellationToken;

use super::Body;

/// A connection of a pool.
pub(super) struct Connection {
    sender: SendRequest<Body>,
    streams: Arc<AtomicUsize>,
    /// Set when the connection must get no more requests (rotated certificate, a fresher one): its end is no news then.
    retired: Arc<AtomicBool>,
    /// Ends the connection at once, whatever is on it.
    kill: CancellationToken,
    /// Which credentials it was made with.
    pub(super) generation: u64,
}

/// A place on a connection for one request; given back when dropped.
pub(super) struct Stream {
    count: Arc<AtomicUsize>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Release);
    }
}

impl Connection {
    /// `kill` and `retired` are known to the task that runs the connection, too.
    pub(super) fn new(
        sender: SendRequest<Body>,
        generation: u64,
        (kill, retired): (CancellationToken, Arc<AtomicBool>),
    ) -> Self {
        Self {
            sender,
            streams: Arc::default(),
            retired,
            kill,
            generation,
        }
    }

    /// Whether the connection can be forgotten: closed, or retired and idle.
    pub(super) fn is_spent(&self) -> bool {
        let idle = self.streams.load(Ordering::Acquire) == 0;
        self.sender.is_closed() || self.retired.load(Ordering::Acquire) && idle
    }

    /// Gives the connection no more requests.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// Ends the connection at once: a half-open one would hold its requests for minutes.
    pub(super) fn kill(&self) {
        self.kill.cancel();
    }

    /// A place for one more request, where fewer than `limit` are on the connection. The caller holds the pool's
    /// lock, so that two cannot take the last one.
    pub(super) fn reserve(&self, limit: usize) -> Option<(Stream, SendRequest<Body>)> {
        let full = self.streams.load(Ordering::Acquire) >= limit;
        if full || self.sender.is_closed() || self.retired.load(Ordering::Acquire) {
            return None;
        }
        self.streams.fetch_add(1, Ordering::AcqRel);
        Some((
            Stream {
                count: Arc::clone(&self.streams),
            },
            self.sender.clone(),
        ))
    }
}
