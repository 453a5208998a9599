//! Whether a service account may read what the clients of this node share: the cloud's word, kept for a bounded time.
//!
//! Asked by `SubjectAccessReview`, which a node may create. While the cloud is away what it allowed last stands for
//! the length of the outage, up to a bound; what it never allowed is refused. The same bound holds where the cloud is
//! there and its reviews fail.

mod decision;
mod review;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::time::Instant;
use tracing::{debug, warn};
use yurthub_store::{Batch, Protection, Store, StoreError};

use crate::forward::Upstream;
use crate::health::Monitor;
use crate::identity::Account;
use crate::telemetry::ErrorChain;
pub use decision::{Access, Decision};
use decision::{Step, next_step, without_review};
pub use review::Attributes;

/// Decisions that are kept; the oldest goes first.
const MAX_DECISIONS: usize = 4096;
const PREFIX: u8 = b'a';
/// How long the cloud may take to decide.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers whether an account may do something.
pub struct Authorizer {
    upstream: Arc<Upstream>,
    cloud: Arc<Monitor>,
    store: Store,
    /// How long into an outage what was allowed stays allowed.
    memory: Duration,
    known: Mutex<HashMap<Bytes, Decision>>,
}

impl Authorizer {
    /// Finds what the store holds.
    pub fn open(
        upstream: Arc<Upstream>,
        cloud: Arc<Monitor>,
        store: Store,
        memory: Duration,
    ) -> Result<Self, StoreError> {
        let mut known = HashMap::new();
        store.snapshot()?.scan(&[PREFIX], None, &mut |key, value| {
            if let Some(decision) = Decision::decode(&value) {
                known.insert(Bytes::copy_from_slice(key), decision);
            }
            ControlFlow::Continue(())
        })?;
        Ok(Self {
            upstream,
            cloud,
            store,
            memory,
            known: Mutex::new(known),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Bytes, Decision>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `account` may do what `attributes` say.
    pub async fn check(&self, account: &Account, attributes: &Attributes<'_>) -> Access {
        let key = key_of(account, attributes);
        let known = self.lock().get(&key).copied();
        let away = self.cloud.state().away(Instant::now(), SystemTime::now());
        match next_step(known, unix_now(), away, self.memory) {
            Step::Answer(access) => access,
            Step::Ask => self.ask(key, known, account, attributes).await,
        }
    }

    async fn ask(
        &self,
        key: Bytes,
        known: Option<Decision>,
        account: &Account,
        attributes: &Attributes<'_>,
    ) -> Access {
        let asked = review::ask(&self.upstream, account, attributes);
        match tokio::time::timeout(REVIEW_TIMEOUT, asked).await {
            Ok(Ok(allowed)) => {
                let decision = Decision {
                    allowed,
                    at: unix_now(),
                };
                self.keep(key, decision);
                decision.access()
            }
            outcome => {
                let why = match outcome {
                    Ok(Err(error)) => ErrorChain(&error).to_string(),
                    _ => format!("the cloud did not decide within {REVIEW_TIMEOUT:?}"),
                };
                debug!(why, "falling back to the last decision about an account");
                without_review(known, unix_now(), self.memory)
            }
        }
    }

    fn keep(&self, key: Bytes, decision: Decision) {
        let mut batch = Batch::new();
        let mut known = self.lock();
        if known.len() >= MAX_DECISIONS && !known.contains_key(&key) {
            let oldest = known
                .iter()
                .min_by_key(|(_, decision)| decision.at)
                .map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                known.remove(&oldest);
                batch.delete(oldest);
            }
        }
        let before = known.insert(key.clone(), decision);
        drop(known);
        // The same answer again moves only its time; flash is spared most of these.
        if before.is_some_and(|before| before.allowed == decision.allowed && !before.is_worn(decision.at)) {
            return;
        }
        batch.put(key, decision.encode(), Protection::Plain);
        if let Err(error) = self.store.write(batch) {
            warn!(error = %ErrorChain(&error), "failed to keep what the cloud allowed an account");
        }
    }
}

/// Everything that the decision depends on, in one key. An account that was deleted and made anew has another UID.
fn key_of(account: &Account, attributes: &Attributes<'_>) -> Bytes {
    let mut key = BytesMut::new();
    key.put_u8(PREFIX);
    key.put_slice(account.user.uid.as_bytes());
    for part in [
        attributes.verb,
        attributes.group,
        attributes.resource,
        attributes.namespace,
        attributes.name,
    ] {
        key.put_u8(0);
        key.put_slice(part.as_bytes());
    }
    key.freeze()
}

fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_secs())
}
