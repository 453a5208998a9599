//! How much anybody may take of a server.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::dial::DialError;

/// Streams of one session at a time.
pub const STREAMS_OF_A_NODE: usize = 1024;
/// Dials that wait for their answers, of one session.
pub const DIALS_OF_A_NODE: usize = 128;
/// Dials that wait for their answers, of all nodes.
pub const DIALS: usize = 4096;
/// Handshakes at a time, of each transport: those of TCP that somebody does not finish keep nobody out who comes over QUIC.
pub const HANDSHAKES: usize = 512;
/// Handshakes at a time of one address over TCP. Over QUIC addresses are proved, and cost nothing before.
pub const HANDSHAKES_OF_AN_ADDRESS: usize = 128;
/// With more handshakes than this, addresses are proved first.
pub const HANDSHAKES_UNPROVED: usize = 128;
/// Connections of one address in a second, on average. A whole site may be behind one.
const RATE: f64 = 200.0;
/// And at once.
const BURST: f64 = 1000.0;
/// Addresses that are remembered.
const SOURCES: usize = 16_384;
/// What a stream counts for in the budget: the buffers of a relay, and what usually waits in the stream.
pub const STREAM_COST: usize = 256 << 10;

/// Places that are shared by all nodes.
#[derive(Debug)]
pub struct Limits {
    streams: Arc<Semaphore>,
    dials: Arc<Semaphore>,
    /// Places for handshakes over QUIC.
    pub handshakes: Arc<Semaphore>,
    tcp_handshakes: Arc<Semaphore>,
    shaking: Arc<Mutex<HashMap<IpAddr, usize>>>,
    sources: Mutex<HashMap<IpAddr, Bucket>>,
}

/// A place for a handshake over TCP.
#[derive(Debug)]
pub struct Shaking {
    source: IpAddr,
    all: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Shaking {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = all.entry(self.source) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

impl Limits {
    /// With `budget` bytes for all streams.
    pub fn new(budget: usize) -> Self {
        Self {
            streams: Arc::new(Semaphore::new((budget / STREAM_COST).max(1))),
            dials: Arc::new(Semaphore::new(DIALS)),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
            tcp_handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
            shaking: Arc::default(),
            sources: Mutex::default(),
        }
    }

    /// A place in the budget, for as long as a stream lives.
    pub fn stream(&self) -> Result<OwnedSemaphorePermit, DialError> {
        place(&self.streams, "streams for this server's memory")
    }

    /// A place among the dials that wait.
    pub fn dial(&self) -> Result<OwnedSemaphorePermit, DialError> {
        place(&self.dials, "dials that wait for their answers")
    }

    /// A place for a handshake over TCP with this address.
    pub fn tcp_handshake(&self, source: IpAddr) -> Option<Shaking> {
        let place = Arc::clone(&self.tcp_handshakes).try_acquire_owned().ok()?;
        let mut all = self.shaking.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(source).or_insert(0);
        if *count >= HANDSHAKES_OF_AN_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Shaking {
            source,
            all: Arc::clone(&self.shaking),
            _place: place,
        })
    }

    /// Whether one more connection of this address is taken.
    pub fn source(&self, source: IpAddr, now: Instant) -> bool {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= SOURCES {
            sources.retain(|_, bucket| bucket.level(now) < BURST);
        }
        if sources.len() >= SOURCES && !sources.contains_key(&source) {
            return false;
        }
        let bucket = sources.entry(source).or_insert(Bucket {
            level: BURST,
            at: now,
        });
        bucket.take(now)
    }
}

/// Places of one session.
#[derive(Debug)]
pub struct Places {
    streams: Arc<Semaphore>,
    dials: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            streams: Arc::new(Semaphore::new(STREAMS_OF_A_NODE)),
            dials: Arc::new(Semaphore::new(DIALS_OF_A_NODE)),
        }
    }
}

impl Places {
    /// A place for a stream.
    pub fn stream(&self) -> Result<OwnedSemaphorePermit, DialError> {
        place(&self.streams, "streams of this node")
    }

    /// A place among the dials that wait.
    pub fn dial(&self) -> Result<OwnedSemaphorePermit, DialError> {
        place(&self.dials, "dials of this node that wait for their answers")
    }

    /// Streams now.
    pub fn taken(&self) -> usize {
        STREAMS_OF_A_NODE - self.streams.available_permits()
    }

    /// Waits until there are no streams, and lets no more in.
    pub async fn empty(&self) {
        if let Ok(all) = self.streams.acquire_many(STREAMS_OF_A_NODE as u32).await {
            all.forget();
        }
    }
}

fn place(places: &Arc<Semaphore>, what: &'static str) -> Result<OwnedSemaphorePermit, DialError> {
    Arc::clone(places)
        .try_acquire_owned()
        .map_err(|_| DialError::TooMany(what))
}

#[derive(Debug)]
struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    fn level(&self, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        since.mul_add(RATE, self.level).min(BURST)
    }

    fn take(&mut self, now: Instant) -> bool {
        let level = self.level(now);
        self.at = now;
        self.level = if level >= 1.0 { level - 1.0 } else { level };
        level >= 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_address_that_connects_too_often_waits_and_others_do_not() {
        let (limits, now) = (Limits::new(1 << 30), Instant::now());
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert!((0..1000).all(|_| limits.source(a, now)));
        assert!(!limits.source(a, now));
        assert!(limits.source(b, now));
        assert!(limits.source(a, now + Duration::from_millis(10)));
    }

    #[test]
    fn an_address_that_finishes_no_handshake_leaves_places_for_others() {
        let limits = Limits::new(1 << 30);
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut taken: Vec<_> = (0..HANDSHAKES_OF_AN_ADDRESS)
            .map(|_| limits.tcp_handshake(a).unwrap())
            .collect();
        assert!(limits.tcp_handshake(a).is_none());
        assert!(limits.tcp_handshake(b).is_some());
        taken.pop();
        assert!(limits.tcp_handshake(a).is_some());
        taken.clear();
        assert!(limits.shaking.lock().unwrap().is_empty());
    }

    #[test]
    fn the_budget_of_memory_limits_streams() {
        let limits = Limits::new(2 * STREAM_COST);
        let taken = [limits.stream().unwrap(), limits.stream().unwrap()];
        assert!(matches!(limits.stream(), Err(DialError::TooMany(_))));
        drop(taken);
        assert!(limits.stream().is_ok());
    }
}
