//! Tells the cloud how this yurthub is: a small JSON in the annotation `yurthub.openyurt.io/summary` of its Node.
//!
//! `content` says what (pure), `due` when (pure); here it is told. The link is not to be kept busy by it: nothing
//! is written while nothing changes, and at most once a minute.

mod content;
mod due;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::{debug, warn};
use yurthub_store::Store;

use crate::annotate::{AnnotateError, annotate};
use crate::identity::node_cert::NodeCredentials;
use crate::proxy::Hub;
use crate::telemetry::ErrorChain;
use content::{Lagging, Lags, Report, StoreState, Summary};
use due::{Due, Past};

/// The annotation.
const ANNOTATION: &str = "yurthub.openyurt.io/summary";

/// How often it is looked whether there is something to tell, in parts of the interval.
const LOOKS: u32 = 6;

/// See the module.
pub struct Teller {
    /// Whose state.
    pub hub: Arc<Hub>,
    /// Whose certificate.
    pub credentials: Arc<NodeCredentials>,
    /// Its store, and its size in bytes from which on it is full.
    pub store: (Store, u64),
    /// The shortest time between two writes.
    pub interval: Duration,
}

impl Teller {
    /// Tells what there is to tell, until cancelled.
    pub async fn run(self) {
        let started = SystemTime::now();
        let mut cloud = self.hub.cloud.subscribe();
        let mut looks = tokio::time::interval(self.interval / LOOKS);
        let (mut lags, mut past) = (Lags::default(), Past::default());
        let mut connection: Option<(SystemTime, Instant)> = None;
        loop {
            let is_there = cloud.borrow_and_update().reachable();
            connection = connection.filter(|_| is_there).or_else(|| {
                // Scopes resume first, and nodes that come back together do not tell together.
                let settling = self.interval.mul_f64(0.25 + 0.25 * fastrand::f64());
                is_there.then(|| (SystemTime::now(), Instant::now() + settling))
            });
            if let Some((connected, settled)) = connection {
                let summary = content::of(&self.report((started, connected), &mut lags));
                let now = Instant::now();
                if due::decide(&past, &summary, (now, Some(settled)), self.interval) == Due::Now {
                    past.tried = Some(now);
                    let outcome = self.tell(&summary).await;
                    self.hub.metrics.summary.count(outcome.is_ok());
                    match outcome {
                        Ok(()) => {
                            debug!(?summary, "told the cloud how this node's yurthub is");
                            past.told = Some(summary);
                            past.failures = 0;
                        }
                        Err(error) => {
                            complain(&error, past.failures);
                            past.failures = past.failures.saturating_add(1);
                        }
                    }
                }
            }
            tokio::select! {
                _ = looks.tick() => {}
                changed = cloud.changed() => if changed.is_err() { return },
            }
        }
    }

    /// What there is to say now.
    fn report(&self, (started, connected): (SystemTime, SystemTime), lags: &mut Lags) -> Report {
        let now = SystemTime::now();
        let scopes = self.hub.mirror.scopes();
        let states = scopes.iter().map(|scope| (scope.id, scope.state()));
        let (live, lagging) = lags.look(states, now);
        let lagging = lagging.into_iter().filter_map(|(id, state, since)| {
            let scope = scopes.iter().find(|scope| scope.id == id)?;
            Some(Lagging {
                scope: scope.key.describe(),
                state,
                since,
            })
        });
        // One that several scopes hold is one.
        let mut written = BTreeSet::new();
        for scope in &scopes {
            let keys = scope.written().into_iter();
            written.extend(keys.map(|key| (&scope.key.group, &scope.key.resource, key)));
        }
        Report {
            now,
            started,
            connected,
            live,
            lagging: lagging.collect(),
            statuses: written.len(),
            events: self.hub.events.size().0,
            certificate: self.credentials.current().expires,
            store: self.store_state(),
            led: self
                .hub
                .filters
                .as_ref()
                .is_some_and(|filters| filters.is_armed()),
        }
    }

    fn store_state(&self) -> StoreState {
        let (store, quota) = &self.store;
        let stats = store.stats();
        if stats.suspect {
            StoreState::Damaged
        } else if stats.failures_in_a_row > 0 {
            StoreState::Failing
        } else if stats.disk.total.saturating_sub(stats.disk.reusable) > *quota {
            StoreState::Full
        } else if stats.corrupt > 0 {
            StoreState::Corrupt
        } else {
            StoreState::Fine
        }
    }

    async fn tell(&self, summary: &Summary) -> Result<(), AnnotateError> {
        let text = serde_json::to_string(summary).unwrap_or_default();
        let annotations = [(ANNOTATION.to_owned(), text.into())].into_iter().collect();
        annotate(&self.hub.upstream, &self.hub.node, annotations).await
    }
}

/// One line for what does not work, however often it is repeated.
fn complain(error: &AnnotateError, failures: u32) {
    let error = ErrorChain(error);
    if failures == 0 {
        warn!(
            %error,
            "failed to write the summary of this yurthub to its Node; it is tried again, ever more seldom; \
             publishSummary: false ends it"
        );
    } else {
        debug!(%error, "failed to write the summary of this yurthub to its Node");
    }
}
