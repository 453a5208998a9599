//! Sends what the kubelet wrote while the cloud was away, as soon as the cloud is there: by state, not by deltas.
//!
//! For each entry the cloud's present object is taken (the scope follows the cloud again), the fields and conditions
//! that the kubelet owns are put into it, and the result is written with the cloud's version as precondition. What
//! the cloud already says is not sent. An object that is gone, or another one of the same name, ends its entry.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tracing::{debug, info, warn};
use yurthub_object::status::Status;
use yurthub_object::{Encoding, lease, meta, single};
use yurthub_patch::owned::{Merged, merge_status};

use super::journal::Journal;
use super::lease::LeaseKeeper;
use super::overlay::{Over, kind_of};
use crate::forward::{Upstream, full_body};
use crate::health::{CloudState, Monitor};
use crate::metrics::ReplayMetrics;
use crate::mirror::context::ReplayTrigger;
use crate::mirror::key::{Escaped, Priority};
use crate::mirror::scope::{Scope, State};

/// Attempts at one entry when the cloud's object changes meanwhile.
const ATTEMPTS: usize = 5;
/// Largest answer that is read.
const MAX_ANSWER: usize = 8 << 20;
/// How long an answer may take: while one is awaited the kubelet's own writes wait, too.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long after a failure the rest is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The cloud has taken it.
    Sent,
    /// The cloud already said the same.
    Unchanged,
    /// The object is gone, or another one has its name.
    Gone,
    /// The cloud refuses it for good.
    Refused,
    /// To be tried again.
    Later,
}

impl Outcome {
    /// Name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Unchanged => "unchanged",
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::Later => "later",
        }
    }
}

/// Sends heartbeats and journal whenever the cloud is there.
pub struct Replay {
    /// The entries.
    pub journal: Arc<Journal>,
    /// The heartbeat.
    pub lease: Arc<LeaseKeeper>,
    /// The way to the apiserver.
    pub upstream: Arc<Upstream>,
    /// Whether it is there.
    pub cloud: Arc<Monitor>,
    /// Wakes the replay.
    pub trigger: ReplayTrigger,
    /// Name of this node.
    pub node: Arc<str>,
    /// Counters.
    pub metrics: ReplayMetrics,
}

impl Replay {
    /// Runs until cancelled.
    pub async fn run(self) {
        let mut cloud = self.cloud.subscribe();
        loop {
            if cloud.wait_for(CloudState::reachable).await.is_err() {
                return;
            }
            self.send_lease().await;
            let left = self.send_journal().await;
            tokio::select! {
                () = self.trigger.wait() => {}
                _ = cloud.changed() => {}
                () = tokio::time::sleep(RETRY), if left => {}
            }
        }
    }

    /// The node lives: that goes first, so that the cloud stops counting its pods as lost.
    async fn send_lease(&self) {
        let Some(kept) = self.lease.take_unsent() else {
            return;
        };
        let path = format!(
            "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{}",
            Escaped(&self.node)
        );
        // A patch without version: what the kubelet knows of the Lease may be older than the cloud's.
        let renewed = lease::renew_time(kept.encoding, &kept.body);
        let Some(patch) = renewed.ok().flatten().and_then(renewal) else {
            return;
        };
        let mut request = Request::new(full_body(patch.to_string().into()));
        *request.method_mut() = Method::PATCH;
        *request.uri_mut() = path.parse().unwrap_or_default();
        let merge_patch = HeaderValue::from_static("application/merge-patch+json");
        request.headers_mut().insert(header::CONTENT_TYPE, merge_patch);
        match self.send_request(request).await {
            Ok((status, _)) => debug!(%status, "sent the last heartbeat from the time without cloud"),
            // The kubelet's next one does as well.
            Err(error) => debug!(error, "failed to send the last heartbeat"),
        }
    }

    /// Sends all entries whose scope follows the cloud again. Returns whether some are left.
    async fn send_journal(&self) -> bool {
        let mut scopes = self.journal.mirror().scopes();
        scopes.retain(|scope| scope.figures().written > 0);
        // The node first: the cloud judges its pods by it.
        scopes.sort_by_key(|scope| (scope.key.priority() != Priority::Node, scope.id));
        let mut left = false;
        for scope in scopes {
            for key in scope.written() {
                let ready = scope.state() == State::Live && self.journal.mirror().is_of_this_history(&scope);
                let outcome = if ready {
                    self.send(&scope, &key).await
                } else {
                    Outcome::Later
                };
                self.metrics.count(outcome);
                left |= outcome == Outcome::Later;
            }
        }
        if !left {
            self.sweep().await;
        }
        left
    }

    /// Tidies the journal; what is gone because the watch brought it first counts as what the replay found gone.
    async fn sweep(&self) {
        let _turn = self.journal.turn().await;
        match self.journal.sweep() {
            Ok(gone) => {
                for key in gone {
                    info!(
                        key,
                        outcome = Outcome::Gone.as_str(),
                        "dropping what the kubelet wrote meanwhile"
                    );
                    self.metrics.count(Outcome::Gone);
                }
            }
            Err(error) => warn!(%error, "failed to tidy the journal"),
        }
    }

    async fn send(&self, scope: &Scope, key: &str) -> Outcome {
        let _turn = self.journal.turn().await;
        match self.settle(scope, key).await {
            Ok(Outcome::Later) => Outcome::Later,
            // The entry stays until the watch has brought the cloud's new object: local readers never see the old one.
            Ok(Outcome::Sent) => {
                info!(key, "the cloud has taken what the kubelet wrote meanwhile");
                Outcome::Sent
            }
            Ok(outcome) => {
                info!(
                    key,
                    outcome = outcome.as_str(),
                    "dropping what the kubelet wrote meanwhile"
                );
                if let Err(error) = self.journal.drop_entry(scope, key) {
                    warn!(key, %error, "failed to forget a journal entry; it will be compared again");
                }
                outcome
            }
            Err(error) => {
                debug!(key, error, "failed to send a journal entry");
                Outcome::Later
            }
        }
    }

    async fn settle(&self, scope: &Scope, key: &str) -> Result<Outcome, String> {
        let Some(overlay) = scope.overlay(key) else {
            return Ok(Outcome::Unchanged);
        };
        let Over::Status { sent } = overlay.over else {
            return Ok(Outcome::Unchanged);
        };
        let Some(kind) = kind_of(&scope.key) else {
            return Ok(Outcome::Refused);
        };
        let Some(wire) = scope.wire() else {
            return Ok(Outcome::Later);
        };
        let Some(mut cloud) = scope.stored(key).map_err(text)? else {
            return Ok(Outcome::Gone);
        };
        if meta::key(wire.encoding, &cloud).map_err(text)?.resource_version < sent {
            return Ok(Outcome::Later); // sent; the watch will bring it
        }
        let mut fresh = false;
        for _ in 0..ATTEMPTS {
            if meta::read(wire.encoding, &cloud).map_err(text)?.uid != overlay.uid {
                return Ok(Outcome::Gone);
            }
            let merged = match merge_status(wire.encoding, kind, &cloud, &overlay.item) {
                Ok(Merged::Changed(merged)) => merged,
                Ok(Merged::Unchanged) => return Ok(Outcome::Unchanged),
                Err(error) => {
                    warn!(key, %error, "failed to merge a journal entry");
                    return Ok(Outcome::Refused);
                }
            };
            let path = object_path(scope, key);
            let body = Scope::single(&wire, &merged);
            let (status, answer) = self
                .exchange(&format!("{path}/status"), wire.encoding, body)
                .await?;
            match status {
                StatusCode::OK | StatusCode::CREATED => {
                    let (_, item) = single::split(wire.encoding, &answer).map_err(text)?;
                    scope.overlay_sent(
                        key,
                        meta::key(wire.encoding, &item).map_err(text)?.resource_version,
                    );
                    return Ok(Outcome::Sent);
                }
                StatusCode::NOT_FOUND => return Ok(Outcome::Gone),
                // The cloud's object has changed, and the watch has not brought it yet. Admission sees the old one
                // before its version is checked, and may take the difference for a forbidden change (taints).
                StatusCode::CONFLICT | StatusCode::FORBIDDEN | StatusCode::UNPROCESSABLE_ENTITY
                    if status == StatusCode::CONFLICT || !fresh =>
                {
                    fresh = true;
                    match self.get(&path, wire.encoding).await? {
                        Some(item) => cloud = item,
                        None => return Ok(Outcome::Gone),
                    }
                }
                StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN | StatusCode::UNPROCESSABLE_ENTITY => {
                    warn!(key, %status, answer = %Status::decode(wire.encoding, &answer).unwrap_or_default().message, "the cloud refuses what the kubelet wrote meanwhile");
                    return Ok(Outcome::Refused);
                }
                other => return Err(format!("the apiserver answered {other}")),
            }
        }
        Ok(Outcome::Later)
    }

    async fn get(&self, path: &str, encoding: Encoding) -> Result<Option<Bytes>, String> {
        let mut request = Request::new(crate::forward::empty_body());
        *request.uri_mut() = path.parse().map_err(|_| "the object has no path".to_owned())?;
        request
            .headers_mut()
            .insert(header::ACCEPT, HeaderValue::from_static(encoding.content_type()));
        match self.send_request(request).await? {
            (StatusCode::OK, body) => Ok(Some(single::split(encoding, &body).map_err(text)?.1)),
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (other, _) => Err(format!("the apiserver answered {other}")),
        }
    }

    async fn exchange(
        &self,
        path: &str,
        encoding: Encoding,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), String> {
        let mut request = Request::new(full_body(body));
        *request.method_mut() = Method::PUT;
        *request.uri_mut() = path.parse().map_err(|_| "the object has no path".to_owned())?;
        let content_type = HeaderValue::from_static(encoding.content_type());
        request.headers_mut().insert(header::CONTENT_TYPE, content_type);
        // Of what was written only the version is news here: on a thin link a Node takes a second.
        let metadata = HeaderValue::from_static(metadata_in(encoding));
        request.headers_mut().insert(header::ACCEPT, metadata);
        self.send_request(request).await
    }

    async fn send_request(
        &self,
        mut request: Request<crate::forward::Body>,
    ) -> Result<(StatusCode, Bytes), String> {
        let name = HeaderValue::from_static(crate::mirror::USER_AGENT);
        request.headers_mut().insert(header::USER_AGENT, name);
        let answer = tokio::time::timeout(PATIENCE, self.upstream.exchange(request, MAX_ANSWER)).await;
        let answer = answer.map_err(|_| format!("no answer in {} s", PATIENCE.as_secs()))?;
        let answer = answer.map_err(text)?;
        Ok((answer.status(), answer.into_body()))
    }
}

/// The merge patch of a Lease that was renewed so many microseconds after 1970. `None` for times that RFC 3339 cannot
/// write: a clock so wrong has nothing to tell.
fn renewal(micros: i64) -> Option<Value> {
    const LAST: u64 = 253_402_300_799_999_999;
    let micros = u64::try_from(micros).ok().filter(|micros| *micros <= LAST)?;
    let renewed = humantime::format_rfc3339_micros(UNIX_EPOCH + Duration::from_micros(micros));
    Some(json!({"spec": {"renewTime": renewed.to_string()}}))
}

/// Asks for the metadata of an object alone, or the object where the server cannot give that.
fn metadata_in(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Json => "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json",
        Encoding::Protobuf => {
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,\
             application/vnd.kubernetes.protobuf"
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn object_path(scope: &Scope, key: &str) -> String {
    let (namespace, name) = key
        .rsplit_once('/')
        .map_or((None, key), |(namespace, name)| (Some(namespace), name));
    let base = if scope.key.group.is_empty() {
        format!("/api/{}", scope.key.version)
    } else {
        format!("/apis/{}/{}", scope.key.group, scope.key.version)
    };
    let namespace = namespace
        .map(|name| format!("/namespaces/{}", Escaped(name)))
        .unwrap_or_default();
    format!("{base}{namespace}/{}/{}", scope.key.resource, Escaped(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_of_any_clock_are_sent_or_left_out() {
        for (micros, expected) in [
            (0, Some("1970-01-01T00:00:00.000000Z")),
            (1_795_269_600_123_456, Some("2026-11-21T14:00:00.123456Z")),
            (253_402_300_799_999_999, Some("9999-12-31T23:59:59.999999Z")),
            (253_402_300_800_000_000, None),
            (i64::MAX, None),
            (-1, None),
            (i64::MIN, None),
        ] {
            let patch = renewal(micros);
            let time = patch
                .as_ref()
                .and_then(|patch| patch["spec"]["renewTime"].as_str());
            assert_eq!(time, expected, "{micros}");
        }
    }
}
