//! Keeps one scope true: list, then watch, for as long as somebody on the node wants it.
//!
//! One task for each scope. It never asks whether the cloud is there: it tries, waits, and tries again; a cut ends
//! nothing but its own connection. Local watchers do not notice any of it.

mod watch;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;
use tracing::{debug, warn};
use yurthub_object::Malformed;
use yurthub_object::status::Status;
use yurthub_store::StoreError;

use super::context::Context;
use super::key::Priority;
use super::listing::{LIST_ATTEMPTS, Progress};
use super::relist;
use super::scope::{Scope, State};
use crate::forward::{BoxError, UpstreamError};
use crate::health::Phase;
use crate::metrics::Timeout;
use crate::telemetry::ErrorChain;
use watch::Ended;

/// Waiting times after failures: full jitter below a bound that doubles.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LAST_BACKOFF: Duration = Duration::from_secs(30);

/// Why a scope is not live.
#[derive(Debug, Error)]
pub(super) enum ReflectError {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("the connection broke in the middle of an answer")]
    Body(#[source] BoxError),
    #[error("the apiserver sent something that is not an answer")]
    Malformed(#[from] Malformed),
    #[error("the apiserver answered {}: {}", .0.code, .0.message)]
    Refused(Box<Status>),
    #[error("failed to write to the store")]
    Store(#[from] StoreError),
    #[error("no pod of this account has shown a token since yurthub started; the scope waits for one")]
    NoToken,
    #[error("the snapshot of a list ran out before its last page")]
    SnapshotGone(String),
    #[error("the snapshot of a list ran out {LIST_ATTEMPTS} times before its last page")]
    ListTooSlow,
}

/// What one round leaves to the next.
struct Course {
    /// A list must be compared before the next watch.
    expired: bool,
    /// What has come of a list that broke off.
    progress: Progress,
    /// How often the scope had been doubted when that began.
    doubts: u32,
    /// The last watch went on to its end: its server has been there all the time.
    seamless: bool,
    backoff: Duration,
}

/// Keeps `scope` true until it is unwanted. Runs again when somebody wants it again.
pub(super) async fn run(scope: Arc<Scope>, context: Arc<Context>) {
    let mut course = Course {
        expired: false,
        progress: Progress::default(),
        doubts: scope.doubts(),
        seamless: false,
        backoff: FIRST_BACKOFF,
    };
    let mut denied_since = None;
    loop {
        wait_for_cloud(&scope, &context).await;
        let listing = course.expired || !scope.is_complete();
        let outcome = round(&scope, &context, &mut course).await;
        scope.attempt_ended();
        course.seamless = matches!(outcome, Ok(Ended::InTime));
        match outcome {
            Ok(Ended::Unwanted) => {
                scope.set_state(State::Parked);
                drop(scope.save_record(true));
                return;
            }
            Ok(Ended::InTime | Ended::Early) => continue,
            Ok(Ended::Expired) => course.expired = true,
            Err(ReflectError::Refused(status)) if is_denial(status.code) => {
                deny(&scope, &context, &status);
                let since = *denied_since.get_or_insert_with(Instant::now);
                if since.elapsed() > context.config.denied_grace
                    && let Err(error) = scope.forget_objects()
                {
                    warn!(%error, "failed to forget what the cloud denies");
                }
                let now = Instant::now();
                if !scope.is_wanted(now, context.config.park_after) || scope.is_left_over(now) {
                    return;
                }
                pause(&scope, LAST_BACKOFF).await;
                continue;
            }
            Err(error) => {
                debug!(scope = scope.key.describe(), error = %ErrorChain(&error), "scope is not live");
                context.metrics.scope_failures.inc();
                if let Some(timeout) = timeout(&error) {
                    context.metrics.timed_out(timeout);
                }
            }
        }
        if scope.state() != State::Denied {
            scope.set_state(if scope.is_complete() {
                State::Detached
            } else {
                State::Syncing
            });
        }
        if !scope.is_wanted(Instant::now(), context.config.park_after) {
            scope.set_state(if scope.is_complete() {
                State::Parked
            } else {
                State::Syncing
            });
            return;
        }
        // A version that the cloud has forgotten is followed by a list at once; a list that came to nothing is not.
        if !course.expired || listing {
            pause(&scope, course.backoff).await;
            course.backoff = (course.backoff * 2).min(LAST_BACKOFF);
        }
        denied_since = None;
    }
}

/// Waits before the next attempt; a client that asks makes it come at once, but not more often than the shortest
/// back-off allows.
async fn pause(scope: &Scope, limit: Duration) {
    let rest = jittered(limit).saturating_sub(FIRST_BACKOFF);
    tokio::time::sleep(FIRST_BACKOFF.min(limit)).await;
    drop(tokio::time::timeout(rest, scope.demanded()).await);
}

/// One round: a list where it is needed, then a watch until it ends.
async fn round(
    scope: &Arc<Scope>,
    context: &Arc<Context>,
    course: &mut Course,
) -> Result<Ended, ReflectError> {
    let doubts = scope.doubts();
    if course.doubts != doubts {
        // Pages of a past that the cloud does not have.
        course.progress.forget();
        course.doubts = doubts;
    }
    let lists = course.expired || !scope.is_complete() || scope.is_doubted();
    if lists {
        scope.set_state(if scope.is_complete() {
            State::Relisting
        } else {
            State::Syncing
        });
        let list = context.list_begins();
        relist::run(scope, context, &mut course.progress).await?;
        drop(list);
        course.progress = Progress::default();
        course.expired = false;
    } else {
        scope.set_state(State::Resuming);
    }
    let resumes = !lists && !course.seamless;
    watch::watch(scope, context, (resumes, &mut course.backoff)).await
}

/// Whose patience ran out, where that was why a round failed.
fn timeout(error: &ReflectError) -> Option<Timeout> {
    match error {
        ReflectError::Upstream(UpstreamError::ConnectTimeout { .. }) => Some(Timeout::Connect),
        ReflectError::Refused(status) if matches!(status.code, 408 | 504) => Some(Timeout::Apiserver),
        _ => None,
    }
}

/// Refusals that mean this resource, not this moment.
fn is_denial(code: u16) -> bool {
    matches!(code, 400 | 401 | 403 | 404 | 405 | 406 | 422)
}

fn deny(scope: &Scope, context: &Context, status: &Status) {
    if scope.state() != State::Denied {
        warn!(
            scope = scope.key.describe(),
            code = status.code,
            message = status.message,
            "the apiserver denies a scope"
        );
        context.metrics.denials.inc();
    }
    scope.deny(status);
}

/// Waits while the cloud is away. After an outage own pods go on at once, the node's own objects soon, all others
/// spread over some seconds, so that a fleet does not come back in one moment.
async fn wait_for_cloud(scope: &Scope, context: &Context) {
    let mut cloud = context.cloud.subscribe();
    if cloud.borrow().phase != Phase::Down {
        return;
    }
    debug!(scope = scope.key.describe(), "waiting for the cloud");
    if cloud.wait_for(|state| state.phase != Phase::Down).await.is_err() {
        return;
    }
    let spread = context.config.resume_spread;
    let delay = match scope.key.priority() {
        Priority::Pods => Duration::ZERO,
        Priority::Node => jittered(spread / 10),
        Priority::Rest => spread / 10 + jittered(spread * 9 / 10),
    };
    if delay > Duration::ZERO {
        tokio::time::sleep(delay).await;
    }
    debug!(
        scope = scope.key.describe(),
        version = scope.version(),
        "resuming"
    );
}

fn jittered(bound: Duration) -> Duration {
    bound.mul_f64(fastrand::f64())
}
