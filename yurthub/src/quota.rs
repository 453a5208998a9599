//! Keeps the store below its quota: remembered answers go first, then scopes that nobody uses, the oldest first.
//! Tokens go with their pods. What the node runs on (scopes in use, journal, tokens) is never dropped for space.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, warn};
use yurthub_store::{Stats, Store};

use crate::mirror::key::object_key;
use crate::mirror::scope::State;
use crate::proxy::Hub;

/// How often the size is looked at.
const INTERVAL: Duration = Duration::from_mins(1);
/// How much is dropped in one round at most: the store needs a moment to reuse the space.
const SCOPES_A_ROUND: usize = 16;

/// See the module.
pub struct QuotaKeeper {
    /// Whose data.
    pub hub: Arc<Hub>,
    /// Its store.
    pub store: Store,
    /// In bytes.
    pub quota: u64,
}

/// What is to be dropped. Pure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There is room.
    Nothing,
    /// Remembered answers, down to this many bytes.
    ShrinkRemembered(u64),
    /// Scopes that nobody uses.
    ForgetScopes,
}

fn decide(stats: &Stats, remembered: u64, quota: u64) -> Step {
    let used = stats.disk.total.saturating_sub(stats.disk.reusable);
    match used.checked_sub(quota) {
        None | Some(0) => Step::Nothing,
        Some(excess) if remembered > 0 => Step::ShrinkRemembered(remembered.saturating_sub(excess)),
        Some(_) => Step::ForgetScopes,
    }
}

impl QuotaKeeper {
    /// Tokens of pods that the mirror, following the cloud, does not have.
    fn forget_tokens(&self) {
        let pods: Vec<_> = self.hub.mirror.scopes();
        let pods: Vec<_> = pods
            .iter()
            .filter(|scope| scope.key.group_resource() == ("", "pods"))
            .collect();
        if !pods.iter().any(|scope| scope.state() == State::Live) {
            return;
        }
        let is_here = |namespace: &str, pod: &str| {
            let key = object_key(namespace, pod);
            pods.iter().any(|scope| scope.contains(&key))
        };
        match self.hub.tokens.sweep(is_here) {
            Ok(0) => {}
            Ok(forgotten) => debug!(forgotten, "forgot tokens of pods that left this node"),
            Err(error) => warn!(%error, "failed to forget tokens"),
        }
    }

    /// Runs until cancelled.
    pub async fn run(self) {
        let mut rounds = tokio::time::interval(INTERVAL);
        loop {
            rounds.tick().await;
            self.forget_tokens();
            match decide(&self.store.stats(), self.hub.remembered.size().1, self.quota) {
                Step::Nothing => {}
                Step::ShrinkRemembered(bytes) => {
                    warn!(bytes, "the store is over its quota: dropping remembered answers");
                    if let Err(error) = self.hub.remembered.shrink_to(bytes) {
                        warn!(%error, "failed to drop remembered answers");
                    }
                }
                Step::ForgetScopes => {
                    let forgotten = (0..SCOPES_A_ROUND)
                        .take_while(|_| self.hub.mirror.forget_oldest())
                        .count();
                    warn!(
                        forgotten,
                        "the store is over its quota: dropping what nobody uses"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use yurthub_store::DiskBytes;

    use super::*;

    #[test]
    fn remembered_answers_go_before_scopes_and_only_above_the_quota() {
        for (total, reusable, remembered, expected) in [
            (100, 0, 50, Step::Nothing),
            (150, 50, 50, Step::Nothing),
            (130, 0, 50, Step::ShrinkRemembered(20)),
            (200, 0, 50, Step::ShrinkRemembered(0)),
            (200, 0, 0, Step::ForgetScopes),
        ] {
            let stats = Stats {
                disk: DiskBytes { total, reusable },
                ..Stats::default()
            };
            assert_eq!(
                decide(&stats, remembered, 100),
                expected,
                "{total} {reusable} {remembered}"
            );
        }
    }
}
