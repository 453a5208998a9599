//! Asks the cloud where other nodes are, one at a time and seldom, and tries each address once: whether its kubelet
//! answers this node at all is known before its silence counts.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use thiserror::Error;
use tokio::time::Instant;
use tracing::{debug, warn};
use yurthub_object::{Encoding, Malformed, single};

use super::attempt::attempt;
use super::book::{Entry, Step};
use super::{Neighbours, address, unix_time};
use crate::forward::exchange::{ExchangeError, get};
use crate::health::{CloudState, Phase};
use crate::mirror::scope::endpoints::Which;
use crate::reality::keeper::compare;
use crate::telemetry::ErrorChain;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// Largest Node that is read.
const MAX_NODE: usize = 1 << 20;
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Shortest pause between two nodes. A slow link gets four times what one took: no more than a fifth of it is used.
const PACE: Duration = Duration::from_secs(1);
const SHARE: u32 = 4;
/// The first pause after the cloud gave no answer; it doubles up to the longest.
const SHORTEST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(1);
/// How often all endpoints are looked at anew, so that nodes that none names any more are not followed for ever.
const SWEEP: Duration = Duration::from_hours(1);

/// Why the cloud did not say where a node is.
#[derive(Debug, Error)]
enum ReadError {
    #[error("the answer took longer than {TIMEOUT:?}")]
    Timeout,
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error("the apiserver answered {0}")]
    Status(StatusCode),
}

impl Neighbours {
    /// Reads what is not known or old, for as long as the cloud is there.
    pub(super) async fn read(&self) {
        let mut states = self.cloud.subscribe();
        if states.wait_for(|state| state.phase == Phase::Up).await.is_err() {
            return;
        }
        tokio::time::sleep(jittered(self.courtesy)).await;
        let (mut failures, mut swept) = (0_u32, Instant::now());
        loop {
            if swept.elapsed() >= SWEEP {
                swept = Instant::now();
                self.local.named.begin();
                compare(&self.mirror, Which::All).await;
                self.local.named.finish();
            }
            self.count(&BTreeSet::new());
            let step = self.book().next(&self.local.named.followed(), unix_time());
            let began = Instant::now();
            match step {
                Step::Wait(time) => {
                    // Either way what comes next is decided anew.
                    let _ = tokio::time::timeout(time, self.local.named.news()).await;
                    continue;
                }
                Step::Forget(name) => {
                    self.book().forget(&name);
                    continue;
                }
                Step::Try(name, address) => {
                    let outcome = attempt(address).await;
                    self.metrics.count(outcome);
                    debug!(node = name, %address, outcome = outcome.as_str(), "tried another node, with the cloud there");
                    let mut book = self.book();
                    if let Some(entry) = book.get(&name) {
                        book.keep(&name, entry.tried_at(unix_time(), outcome.is_answer()));
                    }
                }
                Step::Read(name) => match self.ask(&name).await {
                    Ok(()) => failures = 0,
                    Err(error) => {
                        complain(&name, &error, failures);
                        failures = failures.saturating_add(1);
                        tokio::time::sleep(jittered(backoff(failures))).await;
                    }
                },
            }
            tokio::time::sleep(jittered(PACE.max(began.elapsed() * SHARE))).await;
            if states.wait_for(CloudState::reachable).await.is_err() {
                return;
            }
        }
    }

    /// Asks the cloud for a node, and keeps where it is.
    async fn ask(&self, name: &str) -> Result<(), ReadError> {
        let asked = tokio::time::timeout(TIMEOUT, self.get(name)).await;
        let address = match asked.map_err(|_| ReadError::Timeout)?? {
            Some(body) => address_of(&body).unwrap_or_else(|error| {
                warn!(node = name, error = %ErrorChain(&error), "another node cannot be read; its endpoints are shown as in the cloud");
                None
            }),
            None => None,
        };
        let mut book = self.book();
        let before = book.get(name);
        book.keep(name, Entry::read_at(address, unix_time(), before));
        Ok(())
    }

    /// The Node as it came; `None`: there is none.
    async fn get(&self, name: &str) -> Result<Option<Bytes>, ReadError> {
        let request = get(&format!("/api/v1/nodes/{name}"), PROTOBUF);
        let (parts, body) = self.upstream.exchange(request, MAX_NODE).await?.into_parts();
        match parts.status {
            StatusCode::OK => Ok(Some(body)),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(ReadError::Status(status)),
        }
    }
}

fn address_of(body: &Bytes) -> Result<Option<SocketAddr>, Malformed> {
    let (_, item) = single::split(Encoding::Protobuf, body)?;
    address::of_kubelet(&item)
}

/// One line for a refusal, however often it is repeated.
fn complain(name: &str, error: &ReadError, failures: u32) {
    let refused = matches!(error, ReadError::Status(StatusCode::FORBIDDEN));
    if refused && failures == 0 {
        warn!(
            node = name,
            "this node may not read other nodes: endpoints on nodes that cannot be reached in an outage are shown as in \
             the cloud; apply manifests/yurt.yaml or upgrade the chart, or set endpointProbes to false"
        );
    } else {
        debug!(node = name, error = %ErrorChain(error), "failed to read another node");
    }
}

fn backoff(failures: u32) -> Duration {
    SHORTEST
        .saturating_mul(1 << failures.saturating_sub(1).min(8))
        .min(LONGEST)
}

/// A quarter more or less: nodes that come back together do not ask together.
fn jittered(time: Duration) -> Duration {
    time.mul_f64(0.75 + 0.5 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_tried_again_ever_more_seldom() {
        for (failures, minutes) in [(1, 1), (2, 2), (6, 32), (7, 60), (u32::MAX, 60)] {
            assert_eq!(backoff(failures), Duration::from_mins(minutes), "{failures}");
        }
    }

    #[test]
    fn a_body_that_is_no_node_is_an_error() {
        assert!(address_of(&Bytes::from_static(b"{}")).is_err());
    }
}
