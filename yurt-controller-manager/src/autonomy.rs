//! Autonomous nodes keep their pods: the controller `autonomy`.
//!
//! A node asks for it by a label or an annotation ([`wish`], durations as in Go: [`go_duration`]). Kubernetes evicts the
//! pods of a silent node by taints, after the time for which they tolerate them; so their tolerations are widened
//! ([`tolerations`]), and the Node says so ([`condition`]). All of these are pure; [`apply`] writes. A node that asks for
//! nothing is treated like that, too, while its pool vouches for it ([`effective`]). What was written a moment ago is not
//! written again ([`recent`]).
//!
//! What this does not need: a webhook (a pod that comes to a node has 300 s before it could be evicted), flags of
//! kube-controller-manager, or the nodes' Leases.

pub mod apply;
pub mod condition;
pub mod effective;
pub mod go_duration;
pub mod recent;
pub mod tolerations;
pub mod wish;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use crate::cache::{NodeView, PodView, Shelf};
use crate::controller::Reconcile;
use crate::failure::Failure;
use crate::pools::rulings::Rulings;
use crate::queue::Key;
use apply::Writer;
use effective::combine;
use recent::Recent;
use tolerations::Change;

/// Its name.
pub const NAME: &str = "autonomy";

/// The controller.
pub struct Autonomy {
    /// Nodes.
    pub nodes: Arc<Shelf<NodeView>>,
    /// Pods.
    pub pods: Arc<Shelf<PodView>>,
    /// What is held of silent nodes.
    pub rulings: Arc<Rulings>,
    /// What writes.
    pub writer: Writer,
    /// What it has written and the watch has not brought yet.
    pub recent: Mutex<Recent>,
}

impl Reconcile for Autonomy {
    async fn reconcile(&self, name: &Key) -> Result<Option<Duration>, Failure> {
        // A Node that is gone takes its pods along; that is Kubernetes' own work.
        let Some(node) = self.nodes.of_node(name).pop() else {
            self.recent().forget(name);
            return Ok(None);
        };
        let now = Timestamp::now();
        let effective = combine(&node.wish, self.rulings.word(&node));
        let for_seconds = node
            .tainted
            .map(|since| since.map(|since| seconds_between(since, now)));
        let (mut failed, mut restarts) = (None, Vec::new());
        for pod in self.pods.of_node(&node.name) {
            let Some((tolerations, held)) = &pod.evictable else {
                continue;
            };
            let Some(wish) = effective.for_pod(tolerations, held) else {
                continue;
            };
            match tolerations::decide(tolerations, held, wish, for_seconds) {
                Change::Nothing => {}
                Change::Restart { first, then } => restarts.push((pod, first, then)),
                Change::Set(outfit) => {
                    let written = self.writer.dress(&pod, &outfit, &pod.version).await;
                    // One pod that cannot be written must not keep the others from it.
                    failed = written.err().or(failed);
                }
            }
        }
        failed = self.writer.restart(&restarts).await.err().or(failed);
        let mut again = None;
        if let Some(wish) = effective.for_node() {
            let silent_since = node.tainted[1];
            let (held, unsure) = self.recent().condition(&node, Instant::now());
            let (say, after) = condition::decide(wish, silent_since, held.as_ref(), now);
            again = [after, unsure].into_iter().flatten().min();
            if self.writer.say(&node, &say).await? {
                self.recent().note(&node, &say, Instant::now());
            }
        }
        match failed {
            Some(failure) => Err(failure),
            None => Ok(again),
        }
    }
}

impl Autonomy {
    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seconds_between(since: Timestamp, now: Timestamp) -> u64 {
    // Clocks differ: what is in the future was a moment ago.
    u64::try_from(now.as_second().saturating_sub(since.as_second())).unwrap_or_default()
}
