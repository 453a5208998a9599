//! The loop of every controller: take the name of a node or a pool, look at it, try again later where that fails.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::failure::Failure;
use crate::metrics::ControllerMetrics;
use crate::queue::{Key, Queue};

/// What looks at nodes, or pools.
pub trait Reconcile: Send + Sync + 'static {
    /// Looks at one and does what is to be done. Returns after how long it must be looked at again by itself.
    fn reconcile(&self, node: &Key) -> impl Future<Output = Result<Option<Duration>, Failure>> + Send;
}

/// Looks at what comes out of `queue` with so many workers, until `stop`; what is under way then is finished.
pub async fn run(
    reconciler: Arc<impl Reconcile>,
    queue: Arc<Queue>,
    workers: usize,
    metrics: ControllerMetrics,
    stop: CancellationToken,
) {
    let mut running = JoinSet::new();
    for _ in 0..workers {
        let (reconciler, queue) = (Arc::clone(&reconciler), Arc::clone(&queue));
        let (metrics, stop) = (metrics.clone(), stop.clone());
        running.spawn(async move {
            while let Some((key, waited)) = stop.run_until_cancelled(queue.next()).await {
                metrics.begin(waited, queue.len());
                look(&*reconciler, &queue, &key, &metrics).await;
                queue.done(&key);
            }
        });
    }
    while running.join_next().await.is_some() {}
}

async fn look(reconciler: &impl Reconcile, queue: &Queue, key: &Key, metrics: &ControllerMetrics) {
    let start = Instant::now();
    let result = reconciler.reconcile(key).await;
    metrics.end(start.elapsed());
    match result {
        Ok(again) => {
            queue.forget(key);
            if let Some(delay) = again {
                queue.add_after(key, delay);
            }
        }
        Err(failure) => {
            metrics.fail(failure.reason());
            let delay = queue.add_failed(key);
            let controller = metrics.controller();
            if failure.is_usual() {
                debug!(controller, key = &**key, %failure, ?delay, "again");
            } else {
                warn!(controller, key = &**key, %failure, ?delay, "failed; trying again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::metrics::Metrics;

    /// Fails twice for each node.
    #[derive(Default)]
    struct Flaky(Mutex<Vec<String>>);

    impl Reconcile for Flaky {
        async fn reconcile(&self, node: &Key) -> Result<Option<Duration>, Failure> {
            let mut seen = self.0.lock().unwrap();
            seen.push(node.to_string());
            let count = seen.iter().filter(|name| **name == **node).count();
            if count <= 2 {
                Err(Failure::Conflict)
            } else {
                Ok(None)
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again_until_it_does_not() {
        let (reconciler, queue) = (Arc::new(Flaky::default()), Arc::new(Queue::default()));
        let metrics = Arc::new(Metrics::default());
        let stop = CancellationToken::new();
        for name in ["a", "b"] {
            queue.add(&name.into());
        }
        let running = tokio::spawn(run(
            Arc::clone(&reconciler),
            Arc::clone(&queue),
            2,
            metrics.of_controller("test"),
            stop.clone(),
        ));
        tokio::time::sleep(Duration::from_secs(10)).await;
        stop.cancel();
        running.await.unwrap();
        let mut seen = reconciler.0.lock().unwrap().clone();
        seen.sort();
        assert_eq!(seen, ["a", "a", "a", "b", "b", "b"]);
        assert!(queue.is_empty());
        let text = metrics.text();
        assert!(
            text.contains(r#"yurt_controller_manager_failures_total{controller="test",reason="conflict"} 4"#),
            "{text}"
        );
    }
}
