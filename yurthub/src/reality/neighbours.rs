//! Other nodes that endpoints name: where their kubelets are, learned while the cloud is there, and whether they answer,
//! looked at while it is away. What does not answer is shown unready by the rules of `yurthub-endpoints`.
//!
//! - [`names`]: which nodes; gathered where objects are judged.
//! - `book`: what is kept of them, and what to do next while the cloud is there.
//! - `reading`: asks the cloud for one node at a time, and tries it once.
//! - `address`: what a Node says of its kubelet.
//! - [`probes`]: which of them answer while the cloud is away, and when to try again.
//! - `attempt`: one connection.
//!
//! A kubelet stands for its node because all nodes have one, at an address that the cloud knows. An endpoint's own
//! address would not do: there a pod that is gone and a policy that drops the probe look like a node that is gone.
//!
//! Deliberately not here: what is shown ([`super::facts`]). Invariant: a kubelet that never answered this node is never
//! called unreachable, and while the cloud is there nobody is.

pub(crate) mod address;
mod attempt;
mod book;
pub mod names;
pub mod probes;
mod reading;

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info};
use yurthub_store::{Store, StoreError};

use super::Local;
use crate::forward::Upstream;
use crate::health::{Monitor, Phase};
use crate::metrics::NeighbourMetrics;
use crate::mirror::Mirror;
use book::Book;
use probes::{Outcome, Probes, Target};

/// See the module.
pub struct Neighbours {
    mirror: Arc<Mirror>,
    local: Arc<Local>,
    upstream: Arc<Upstream>,
    cloud: Arc<Monitor>,
    metrics: NeighbourMetrics,
    /// How long nothing is read after the cloud has come: the node's own watches and statuses go first.
    courtesy: Duration,
    book: Mutex<Book>,
}

/// What is believed of a node that endpoints name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its address is not known: as in the cloud.
    Unknown,
    /// Its kubelet has not answered this node for long: as in the cloud.
    Mute,
    /// It answers, or nobody has looked since the cloud went away.
    Reachable,
    /// It does not answer while the cloud is away: shown unready.
    Unreachable,
}

impl Standing {
    const ALL: [Self; 4] = [Self::Unknown, Self::Mute, Self::Reachable, Self::Unreachable];

    /// Name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Mute => "mute",
            Self::Reachable => "reachable",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Neighbours {
    /// Finds what the store holds. `courtesy`: how long nothing is read after the cloud has come.
    pub fn open(
        (mirror, local): (Arc<Mirror>, Arc<Local>),
        (upstream, cloud): (Arc<Upstream>, Arc<Monitor>),
        store: Store,
        metrics: NeighbourMetrics,
        courtesy: Duration,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            mirror,
            local,
            upstream,
            cloud,
            metrics,
            courtesy,
            book: Mutex::new(Book::open(store)?),
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs until cancelled.
    pub async fn run(self) {
        let mut states = self.cloud.subscribe();
        loop {
            self.count(&BTreeSet::new());
            let away = tokio::select! {
                () = self.read() => return, // never
                away = states.wait_for(|state| state.phase == Phase::Down) => away.is_ok(),
            };
            if !away {
                return;
            }
            let back = tokio::select! {
                () = self.probe() => return, // never
                back = states.wait_for(|state| state.phase != Phase::Down) => back.is_ok(),
            };
            if !back {
                return;
            }
            self.local.set_unreachable(BTreeSet::new());
        }
    }

    /// Tries the nodes whose addresses are known, as often as they need it, and says which ones do not answer.
    async fn probe(&self) {
        let (mut probes, mut attempts) = (Probes::default(), JoinSet::new());
        let mut unreachable = BTreeSet::new();
        probes.follow(self.targets(), Instant::now());
        loop {
            while let Some(target) = probes.start(Instant::now()) {
                attempts.spawn(async move {
                    let outcome = attempt::attempt(target.address).await;
                    (target, outcome)
                });
            }
            // With all attempts under way there is nothing to begin before one has ended.
            let due = probes.due().filter(|_| attempts.len() < probes::PARALLEL);
            tokio::select! {
                Some(Ok((target, outcome))) = attempts.join_next() => {
                    self.metrics.count(outcome);
                    debug!(node = target.name, address = %target.address, outcome = outcome.as_str(), "tried another node");
                    self.note_answer(&target, outcome);
                    probes.ended(&target, outcome, Instant::now(), fastrand::f64());
                }
                () = sleep_until(due) => {}
                () = self.local.named.news() => probes.follow(self.targets(), Instant::now()),
            }
            let now = probes.unreachable();
            if now != unreachable {
                tell(&unreachable, &now);
                self.count(&now);
                self.local.set_unreachable(now.clone());
                unreachable = now;
            }
        }
    }

    /// The nodes to try, the most important first.
    fn targets(&self) -> Vec<Target> {
        let book = self.book();
        let target = |name: String| {
            let entry = book.get(&name)?;
            Some(Target {
                name,
                address: entry.address?,
                answers: entry.answers(),
            })
        };
        self.local
            .named
            .followed()
            .into_iter()
            .filter_map(target)
            .collect()
    }

    /// A kubelet that answers at last is one whose silence will say something.
    fn note_answer(&self, target: &Target, outcome: Outcome) {
        let mut book = self.book();
        if let Some(entry) = book.get(&target.name)
            && outcome.is_answer()
            && !entry.answers()
            && entry.address == Some(target.address)
        {
            book.keep(&target.name, entry.answered_at(unix_time()));
        }
    }

    /// Shows in the metrics how the nodes stand, where these are unreachable.
    fn count(&self, unreachable: &BTreeSet<String>) {
        let book = self.book();
        let standing = |name: &String| match book.get(name) {
            _ if unreachable.contains(name) => Standing::Unreachable,
            Some(entry) if entry.answers() => Standing::Reachable,
            Some(entry) if entry.address.is_some() => Standing::Mute,
            _ => Standing::Unknown,
        };
        let nodes: Vec<_> = self.local.named.followed().iter().map(standing).collect();
        for standing in Standing::ALL {
            let count = nodes.iter().filter(|node| **node == standing).count();
            self.metrics.standing(standing, count as i64);
        }
    }
}

fn tell(before: &BTreeSet<String>, now: &BTreeSet<String>) {
    let lost: Vec<_> = now.difference(before).collect();
    let back: Vec<_> = before.difference(now).collect();
    if !lost.is_empty() {
        info!(nodes = ?lost, "nodes cannot be reached while the cloud is away; their endpoints are shown unready");
    }
    if !back.is_empty() {
        info!(nodes = ?back, "nodes can be reached again; their endpoints are shown as in the cloud");
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => pending().await,
    }
}

fn unix_time() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_secs())
}
