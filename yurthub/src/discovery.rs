//! Reads ahead what kubectl and client-go ask before anything else: which groups the cluster has, and its version. So
//! kubectl on the node works offline although nobody ran it before.
//!
//! Once a day, because the link is idle otherwise; not `OpenAPI`, which is large, nor the documents of single groups.
//! What is read is kept as an answer to the same question of a client ([`Remembered`]).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, StatusCode};
use tracing::{debug, info, warn};
use yurthub_request::Request as ApiRequest;
use yurthub_store::{Batch, Lookup, Protection, Store};

use crate::forward::Upstream;
use crate::forward::exchange::get;
use crate::health::{CloudState, Monitor};
use crate::identity::Client;
use crate::mirror::turns::Turns;
use crate::remembered::{MAX_ANSWER, Question, Remembered};
use crate::telemetry::ErrorChain;

/// When it was last read, in seconds since 1970.
const KEY: &[u8] = b"d";
const DAY: Duration = Duration::from_hours(24);
/// Nodes that come back together do not ask together.
const SPREAD: Duration = Duration::from_secs(5);
/// The longest that lists are waited for.
const COURTESY: Duration = Duration::from_mins(10);
/// How much longer on a thin link, where it takes as long as a page of a list: pods start meanwhile.
const THIN_COURTESY: Duration = Duration::from_mins(5);
/// After a failure.
const RETRY: Duration = Duration::from_mins(10);

/// All groups in one document, as client-go asks since 1.26 (`discovery_client.go`, `acceptDiscoveryFormats`).
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
const PLAIN: &str = "application/json";

/// What is read.
const DOCUMENTS: [(&str, &str); 5] = [
    ("/version", PLAIN),
    ("/api", AGGREGATED),
    ("/apis", AGGREGATED),
    ("/api", PLAIN),
    ("/apis", PLAIN),
];

/// Reads discovery ahead.
pub struct DiscoveryKeeper {
    /// The way to the apiserver.
    pub upstream: Arc<Upstream>,
    /// Whether it is there.
    pub cloud: Arc<Monitor>,
    /// Whether lists are under way.
    pub turns: Arc<Turns>,
    /// Where answers are kept.
    pub remembered: Arc<Remembered>,
    /// Where the time of the last reading is kept.
    pub store: Store,
}

impl DiscoveryKeeper {
    /// Reads once a day while the cloud is there, until cancelled.
    pub async fn run(self) {
        let mut states = self.cloud.subscribe();
        let mut last = self.last();
        loop {
            let spread = SPREAD.mul_f64(fastrand::f64());
            tokio::time::sleep(wait(last, unix_time()) + spread).await;
            if states.wait_for(CloudState::reachable).await.is_err() {
                return;
            }
            // It may wait; what the node runs on may not. A scope that the cloud never gives is no reason, either.
            drop(tokio::time::timeout(COURTESY, self.turns.no_lists()).await);
            if self.turns.is_thin() {
                tokio::time::sleep(THIN_COURTESY).await;
            }
            match self.read().await {
                Ok(bytes) => {
                    info!(bytes, "discovery is kept for the time without cloud");
                    let now = unix_time();
                    last = Some(now);
                    self.keep_last(now);
                }
                Err(reason) => {
                    debug!(reason, "failed to read discovery ahead");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Reads all documents; what the cloud refuses is left out. Returns how many bytes came.
    async fn read(&self) -> Result<usize, String> {
        let mut bytes = 0;
        for (path, accept) in DOCUMENTS {
            let request = get(path, accept);
            let parsed = ApiRequest::parse(&Method::GET, request.uri(), request.headers());
            let parsed = parsed.map_err(|invalid| format!("{path}: {invalid}"))?;
            let question = Question::of(&Client::Node, &parsed, request.headers());
            let asked = self.upstream.exchange(request, MAX_ANSWER).await;
            let (parts, body) = asked
                .map_err(|error| format!("{path}: {}", ErrorChain(&error)))?
                .into_parts();
            bytes += body.len();
            if parts.status == StatusCode::OK {
                self.remembered.keep(&question, &parts.headers, &body);
            } else {
                warn!(path, status = %parts.status, "the cloud does not give discovery to this node");
            }
        }
        Ok(bytes)
    }

    fn last(&self) -> Option<u64> {
        match self.store.get(KEY) {
            Ok(Lookup::Found(value)) => value.as_ref().try_into().ok().map(u64::from_be_bytes),
            _ => None, // read once more
        }
    }

    fn keep_last(&self, now: u64) {
        let mut batch = Batch::new();
        batch.put(
            Bytes::from_static(KEY),
            Bytes::copy_from_slice(&now.to_be_bytes()),
            Protection::Plain,
        );
        if let Err(error) = self.store.write(batch) {
            warn!(%error, "failed to remember when discovery was read");
        }
    }
}

/// How long to wait before the next reading; times are seconds since 1970. A clock that was set back does not make
/// anybody wait for longer than a day.
fn wait(last: Option<u64>, now: u64) -> Duration {
    let Some(last) = last else {
        return Duration::ZERO;
    };
    let next = last.min(now).saturating_add(DAY.as_secs());
    Duration::from_secs(next.saturating_sub(now))
}

fn unix_time() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discovery_is_read_once_a_day() {
        let day = DAY.as_secs();
        for (last, now, expected) in [
            (None, 1_000_000, 0),
            (Some(1_000_000), 1_000_000, day),
            (Some(1_000_000), 1_000_000 + day - 1, 1),
            (Some(1_000_000), 1_000_000 + day, 0),
            (Some(1_000_000), 1_000_000 + 9 * day, 0),
            (Some(1_000_000), 500, day),
        ] {
            assert_eq!(wait(last, now), Duration::from_secs(expected), "{last:?} {now}");
        }
    }
}
