//! Whether the cloud still has the history that the mirror knows, or was restored from an older backup.
//!
//! An apiserver accepts a watch from a version that its store has not reached, and keeps back all that is not above it,
//! bookmarks too (`k8s.io/apiserver/pkg/storage/cacher`, `cache_watcher.go`): after a restore such a watch looks alive
//! and tells nothing. So each time that watches are resumed the cloud is asked once, for all scopes, which version it is
//! at. The answer is a consistent read: an apiserver whose cache lags waits until it has caught up with the store, or
//! asks the store itself, and is never taken for a restored one. What the mirror knows was in the store before; a
//! version below that can only come from another past.
//!
//! Not noticed, because versions do not tell it: a restored cloud that has come past everything that the mirror knows
//! before yurthub asks.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Notify;
use tracing::{debug, warn};
use yurthub_object::list;
use yurthub_object::{Encoding, Malformed};

use super::key::Escaped;
use super::reflector::ReflectError;
use super::scope::Scope;
use super::{Mirror, listing};
use crate::forward::exchange::{self, ExchangeError};
use crate::health::CloudState;
use crate::telemetry::ErrorChain;

/// Least time between two questions. Watches that are resumed meanwhile share the next one.
const PAUSE: Duration = Duration::from_secs(2);
/// How long an answer may take: a connection that is dead without a word must not hold up what waits for it.
const PATIENCE: Duration = Duration::from_mins(1);
/// Largest answer that is read.
const MAX_ANSWER: usize = 1 << 20;
/// Most resources of other stores that are asked for their own version at a time.
const MAX_WITNESSES: usize = 8;

/// Which watches were resumed, and for which of them the cloud's history is known.
pub struct History {
    /// The list whose version is asked for: this node's Node, which one key of the store answers, and which no label
    /// makes part of the answer.
    path: String,
    resumed: AtomicU64,
    known: AtomicU64,
    due: Notify,
    /// A scope whose list was older than what it had.
    contradicted: Mutex<Option<Held>>,
}

/// Why the cloud's version is not known.
#[derive(Debug, thiserror::Error)]
enum HistoryError {
    #[error("failed to ask for the cloud's version")]
    Exchange(#[from] ExchangeError),
    #[error("the apiserver refuses to tell its version with {0}")]
    Denied(StatusCode),
    #[error("the apiserver answered {0} when it was asked for its version")]
    Refused(StatusCode),
    #[error("failed to read the cloud's version")]
    Malformed(#[from] Malformed),
    #[error("failed to ask for the version of a resource")]
    Witness(#[from] ReflectError),
    #[error("the apiserver has not told its version in {} s", PATIENCE.as_secs())]
    Silent,
}

/// What a scope says of the cloud's past.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    resource: (String, String),
    version: u64,
}

impl Held {
    fn of(scope: &Scope, version: u64) -> Self {
        let (group, resource) = scope.key.group_resource();
        Self {
            resource: (group.to_owned(), resource.to_owned()),
            version,
        }
    }
}

impl History {
    /// Of a mirror on the node `node`.
    pub fn new(node: &str) -> Self {
        let path = format!(
            "/api/v1/nodes?fieldSelector=metadata.name%3D{}&labelSelector=yurthub.openyurt.io%2Fversion-only",
            Escaped(node)
        );
        Self {
            path,
            resumed: AtomicU64::new(0),
            known: AtomicU64::new(0),
            due: Notify::new(),
            contradicted: Mutex::default(),
        }
    }

    /// A watch goes on at an old version, and has just been opened. Gives what [`History::is_known`] is asked with.
    pub(super) fn resumed(&self) -> u64 {
        let number = self.resumed.fetch_add(1, Ordering::AcqRel) + 1;
        self.due.notify_one();
        number
    }

    /// A list of `scope` was older than `version`, which the scope had before.
    pub(super) fn contradicted(&self, scope: &Scope, version: u64) {
        let held = Held::of(scope, version);
        *self.contradicted.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        self.due.notify_one();
    }

    fn take_contradicted(&self) -> Option<Held> {
        self.contradicted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// The question that was `asked` for was answered.
    fn answered(&self, asked: u64) {
        self.known.fetch_max(asked, Ordering::AcqRel);
    }

    /// It was not, and has to be asked again: nobody else may ever ask, as watches may outlive the outage in which it failed.
    fn unanswered(&self, held: Option<Held>) {
        let mut contradicted = self.contradicted.lock().unwrap_or_else(PoisonError::into_inner);
        *contradicted = contradicted.take().or(held);
        drop(contradicted);
        self.due.notify_one();
    }

    /// Whether the cloud's history has been looked at since that watch was opened.
    pub(super) fn is_known(&self, resumed: u64) -> bool {
        self.known.load(Ordering::Acquire) >= resumed
    }
}

impl Mirror {
    /// Looks at the cloud's version whenever watches were resumed. Runs until cancelled.
    pub(super) async fn follow_history(&self) {
        let history = &self.context.history;
        let mut cloud = self.context.cloud.subscribe();
        loop {
            history.due.notified().await;
            if cloud.wait_for(CloudState::reachable).await.is_err() {
                return;
            }
            // What is opened from now on needs another look: the cloud may be restored between two questions.
            let asked = history.resumed.load(Ordering::Acquire);
            let contradicted = history.take_contradicted();
            let answer = tokio::time::timeout(PATIENCE, self.is_restored(contradicted.clone())).await;
            match answer.unwrap_or(Err(HistoryError::Silent)) {
                Ok(restored) => {
                    if restored {
                        self.doubt_everything();
                    }
                    history.answered(asked);
                    self.context.replay.history_is_known();
                }
                Err(error @ HistoryError::Denied(_)) => {
                    warn!(error = %ErrorChain(&error), "a cloud that was restored from a backup would not be noticed");
                    history.answered(asked);
                    self.context.replay.history_is_known();
                }
                Err(error) => {
                    debug!(error = %ErrorChain(&error), "the cloud's version is not known; asking again");
                    history.unanswered(contradicted);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether the watch of a scope goes on from a history that the cloud has: nothing that is compared with its
    /// objects means anything before.
    pub fn is_of_this_history(&self, scope: &Scope) -> bool {
        self.context.history.is_known(scope.resumption()) && !scope.is_doubted()
    }

    /// The cloud is another one than the mirror knows: every scope is listed again.
    pub(super) fn doubt_everything(&self) {
        self.context.metrics.restores.inc();
        for scope in self.scopes() {
            if let Err(error) = scope.doubt() {
                warn!(scope = scope.key.describe(), error = %ErrorChain(&error), "failed to note on disk that a scope must be listed again");
            }
        }
    }

    async fn is_restored(&self, contradicted: Option<Held>) -> Result<bool, HistoryError> {
        // Before the question: whatever is known by now, the cloud's answer is not older.
        let scopes = self.scopes();
        let known = scopes.iter().filter(|scope| !scope.is_doubted());
        let mut held: Vec<_> = known.map(|scope| Held::of(scope, scope.version())).collect();
        held.extend(contradicted);
        let now = self.version_of_cloud().await?;
        for witness in ahead(held, now) {
            let (group, resource) = (witness.resource.0.as_str(), witness.resource.1.as_str());
            let is_asked = (group, resource) == ("", "nodes");
            // Another resource may lie in a store of its own, whose versions are no measure.
            let scope = scopes.iter().find(|scope| {
                scope.key.group_resource() == (group, resource) && scope.version() >= witness.version
            });
            let version = match scope {
                Some(scope) if !is_asked => listing::version_now(scope, &self.context).await?,
                _ => now,
            };
            if version < witness.version {
                warn!(
                    cloud = version,
                    mirror = witness.version,
                    resource,
                    "the cloud is older than this node's mirror: it was restored from a backup; listing everything again"
                );
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn version_of_cloud(&self) -> Result<u64, HistoryError> {
        let request = exchange::get(&self.context.history.path, "application/json");
        let answer = self.context.upstream.exchange(request, MAX_ANSWER).await?;
        match answer.status() {
            StatusCode::OK => Ok(list::decode(Encoding::Json, answer.body())?.resource_version),
            code @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => {
                Err(HistoryError::Denied(code))
            }
            other => Err(HistoryError::Refused(other)),
        }
    }
}

/// Who knows more than a cloud that is at version `now`: the newest of each resource, nodes first, then by version.
fn ahead(mut held: Vec<Held>, now: u64) -> Vec<Held> {
    held.retain(|held| held.version > now);
    held.sort_by_key(|held| (held.resource.1 != "nodes", Reverse(held.version)));
    let mut seen = HashSet::new();
    held.retain(|held| seen.insert(held.resource.clone()));
    held.truncate(MAX_WITNESSES);
    held
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn held(resource: &str, version: u64) -> Held {
        Held {
            resource: (String::new(), resource.to_owned()),
            version,
        }
    }

    #[test]
    fn a_question_that_failed_is_asked_again_though_no_watch_is_resumed() {
        let history = History::new("edge1");
        let is_due = || history.due.notified().now_or_never().is_some();
        let resumed = history.resumed();
        assert!(is_due() && !history.is_known(resumed));
        history.unanswered(Some(held("pods", 7)));
        assert!(is_due() && !history.is_known(resumed));
        assert_eq!(history.take_contradicted(), Some(held("pods", 7)));
        history.answered(resumed);
        assert!(!is_due() && history.is_known(resumed));
    }

    #[test]
    fn only_what_is_newer_than_the_cloud_speaks_against_it() {
        let all = || {
            vec![
                held("pods", 90),
                held("secrets", 120),
                held("secrets", 130),
                held("nodes", 110),
            ]
        };
        for (now, expected) in [
            (130, vec![]),
            (129, vec![held("secrets", 130)]),
            (100, vec![held("nodes", 110), held("secrets", 130)]),
            (
                10,
                vec![held("nodes", 110), held("secrets", 130), held("pods", 90)],
            ),
        ] {
            assert_eq!(ahead(all(), now), expected, "{now}");
        }
    }

    #[test]
    fn witnesses_are_bounded() {
        let many = (0..100)
            .map(|number| held(&format!("r-{number}"), 100 + number))
            .collect();
        let asked = ahead(many, 50);
        assert_eq!((asked.len(), asked[0].version), (MAX_WITNESSES, 199));
    }

    #[test]
    fn a_look_covers_what_was_resumed_before_it_and_nothing_else() {
        let history = History::new("edge");
        let first = history.resumed();
        assert!(history.is_known(0) && !history.is_known(first));
        history.known.fetch_max(first, Ordering::AcqRel);
        let second = history.resumed();
        assert!(history.is_known(first) && !history.is_known(second));
    }
}
