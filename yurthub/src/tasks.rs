//! Long-lived tasks with a name and a way to end: nothing in this crate is spawned without an owner.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info_span};

/// A set of tasks that end together.
#[derive(Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

impl Tasks {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `task` until it ends or the set shuts down, whichever is first.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        let bounded = async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = task => {}
            }
        };
        self.tracker.spawn(bounded.instrument(info_span!("task", name)));
    }

    /// Runs `task`, which watches [`Tasks::shutdown`] itself and needs time to finish its work.
    pub fn spawn_draining(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task.instrument(info_span!("task", name)));
    }

    /// Resolves when the set shuts down.
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Asks all tasks to end and waits for them, at most `grace`. Returns whether all have ended.
    pub async fn close(&self, grace: Duration) -> bool {
        self.shutdown.cancel();
        self.tracker.close();
        tokio::time::timeout(grace, self.tracker.wait()).await.is_ok()
    }
}
