//! What every reflector needs.

use std::sync::Arc;

use tokio::sync::Notify;

use super::history::History;
use super::scope::Scope;
use super::turns::Turns;
use crate::config::MirrorConfig;
use crate::forward::{Lane, Upstream};
use crate::health::Monitor;
use crate::identity::AccountTokens;
use crate::metrics::MirrorMetrics;
use crate::reality::Local;

/// Shared by all reflectors.
pub struct Context {
    /// The way to the apiserver.
    pub upstream: Arc<Upstream>,
    /// Whether it is there.
    pub cloud: Arc<Monitor>,
    /// By what the cloud is asked for what an account follows.
    pub tokens: Arc<AccountTokens>,
    /// What this node knows of endpoints.
    pub local: Arc<Local>,
    /// Bounds.
    pub config: MirrorConfig,
    /// Who may list now.
    pub turns: Arc<Turns>,
    /// Counters.
    pub metrics: MirrorMetrics,
    /// Wakes the replay of what the kubelet wrote while the cloud was away.
    pub replay: ReplayTrigger,
    /// Whether the cloud is the one that the mirror knows.
    pub history: History,
}

impl Context {
    /// A list begins; it ends when the guard is dropped.
    pub(super) fn list_begins(&self) -> ListUnderWay<'_> {
        self.turns.begin();
        ListUnderWay(self)
    }
}

/// A list is under way. With the last one the connections for lists are closed: idle ones would be pinged.
pub(super) struct ListUnderWay<'a>(&'a Context);

impl Drop for ListUnderWay<'_> {
    fn drop(&mut self) {
        if self.0.turns.end() {
            self.0.upstream.close_idle(Lane::Bulk);
        }
    }
}

/// Tells the replay that there may be something to do.
#[derive(Clone, Default)]
pub struct ReplayTrigger(Arc<Notify>);

impl ReplayTrigger {
    /// A scope follows the cloud again.
    pub(super) fn scope_is_live(&self, scope: &Scope) {
        if scope.figures().written > 0 {
            self.0.notify_one();
        }
    }

    /// What the mirror holds may be compared with the cloud.
    pub(super) fn history_is_known(&self) {
        self.0.notify_one();
    }

    /// Something was written to the journal.
    pub fn journal_grew(&self) {
        self.0.notify_one();
    }

    /// Resolves when there may be something to do.
    pub async fn wait(&self) {
        self.0.notified().await;
    }
}
