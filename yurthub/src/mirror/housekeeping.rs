//! What is done for all scopes now and then: versions of bookmarks are written, and scopes that nobody uses forgotten.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tracing::{info, warn};
use yurthub_store::{Batch, Protection};

use super::scope::{Scope, ScopeId};
use super::{Mirror, record};

/// How many intervals versions of bookmarks may wait to be written with something else.
const BOOKMARK_PATIENCE: u32 = 3;

/// How long an unused scope is kept while the cloud is there.
const FORGET_AFTER: Duration = Duration::from_hours(24);

impl Mirror {
    /// Writes what bookmarks have brought, and forgets scopes that nobody has used for long.
    pub(super) async fn housekeeping(&self) {
        let mut rounds = tokio::time::interval(self.context.config.bookmark_interval);
        let mut written = HashMap::new();
        loop {
            rounds.tick().await;
            let versions: HashMap<ScopeId, u64> = self
                .scopes()
                .iter()
                .map(|scope| (scope.id, scope.version()))
                .collect();
            if versions != written {
                let mut batch = Batch::new();
                let value = record::bookmarks_value(&versions);
                batch.put(Bytes::from_static(record::BOOKMARKS), value, Protection::Plain);
                // A commit costs flash tens of kilobytes whatever is in it: this one waits for company.
                let wait = self.context.config.bookmark_interval * BOOKMARK_PATIENCE;
                match self.store.write_within(batch, wait) {
                    Ok(()) => written = versions,
                    Err(error) => warn!(%error, "failed to keep the versions of bookmarks"),
                }
            }
            self.forget_unused(FORGET_AFTER);
            self.forget(usize::MAX, Scope::is_left_over);
        }
    }

    /// Forgets scopes that nobody has used for `idle`, while the cloud could give them again.
    pub fn forget_unused(&self, idle: Duration) {
        if !self.context.cloud.state().reachable() {
            return;
        }
        self.forget(usize::MAX, |scope, now| scope.idle(now) >= idle);
    }

    /// Forgets the scope that was unused for longest. Returns whether there was one.
    pub fn forget_oldest(&self) -> bool {
        self.forget(1, |_, _| true) > 0
    }

    /// Forgets at most `limit` scopes that nobody follows and that are of no use, the longest unused first.
    fn forget(&self, limit: usize, is_useless: impl Fn(&Scope, Instant) -> bool) -> usize {
        let now = Instant::now();
        let mut candidates = self.scopes();
        candidates.sort_by_key(|scope| std::cmp::Reverse(scope.idle(now)));
        let mut forgotten = 0;
        for scope in candidates {
            if forgotten >= limit {
                break;
            }
            let mut scopes = self.lock();
            if scopes.running.contains(&scope.id) || !is_useless(&scope, now) {
                continue;
            }
            scopes.remove(&scope);
            drop(scopes);
            info!(
                scope = scope.key.describe(),
                "forgetting a scope that nobody uses"
            );
            let mut batch = Batch::new();
            batch.delete_prefix(record::scope_prefix(scope.id));
            if let Err(error) = self.store.write(batch) {
                warn!(%error, "failed to forget a scope");
            }
            forgotten += 1;
        }
        forgotten
    }
}
