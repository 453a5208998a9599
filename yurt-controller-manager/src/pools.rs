//! Pools of nodes that look after each other: the controller `pools`.
//!
//! A node that the cloud does not hear may be alive: its peers see it ([`ballot`]: what they say). Of that, and of what
//! operators want, follows what is held of it ([`verdict`]), and what a pool's ConfigMaps say ([`state`]); [`decide`] puts it
//! together for a pool. All of these are pure. [`apply`] writes the ConfigMaps; what becomes of pods stands in [`rulings`]:
//! the controller `autonomy` keeps them, [`failover`] evicts them. What Nodes say is read in [`said`], and [`roster`] knows
//! who is in which pool and who speaks still.
//!
//! Invariants: nothing is deleted for what one voter says, nor for what was said of another silence, nor by a replica that
//! has not heard the voters speak itself; where it is unclear it is Kubernetes' own way.

pub mod apply;
pub mod ballot;
pub mod decide;
pub mod failover;
pub mod roster;
pub mod rulings;
pub mod said;
pub mod state;
pub mod verdict;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use yurt_common::pool::{Shown, Silence, config_maps};

use crate::cache::{NodeView, PodView, Shelf, Standing, Touched};
use crate::controller::Reconcile;
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::queue::{Key, Queue};
use apply::{WHAT, Writer};
use decide::{Look, Picture, PodsOf};
use roster::Roster;
use rulings::{Rulings, Word};
use verdict::{Now, Remembered, Verdict};

/// Its name.
pub const NAME: &str = "pools";
/// The name of what evicts, in metrics.
pub const FAILOVER: &str = "failover";
/// The key that is no pool: look whether the ConfigMaps are as they were written.
const REVIEW: &str = "";
/// Time between two reviews.
const REVIEW_EVERY: Duration = Duration::from_mins(5);
/// Changes of a pool that come within so long are looked at together: at least, for each of its nodes, and at most.
const GATHER: (Duration, Duration, Duration) = (
    Duration::from_millis(100),
    Duration::from_millis(1),
    Duration::from_secs(1),
);
/// Bytes in a second that all nodes of a pool may have to read of it together, and the longest pause that follows.
const BYTES_PER_SECOND: u64 = 25_000_000;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What pools share with the rest of the manager, kept up by every replica.
#[derive(Default)]
pub struct Desk {
    /// Who is in which pool.
    pub roster: Roster,
    /// What is held of silent nodes.
    pub rulings: Arc<Rulings>,
    /// Pools that wait to be looked at.
    pub pools: Arc<Queue>,
    /// Nodes whose pods are to be evicted.
    pub dead: Arc<Queue>,
}

impl Desk {
    /// Nodes have changed.
    pub fn nodes_changed(&self, touched: &Touched, nodes: &Shelf<NodeView>) {
        let first = !nodes.is_complete();
        for name in &touched.nodes {
            let view = nodes.of_node(name).pop();
            for pool in self.roster.note(name, view.as_ref(), Instant::now(), first) {
                self.look_soon(&pool);
            }
        }
    }

    /// Pods have changed: of a node that is heard that makes no difference here.
    pub fn pods_changed(&self, touched: &Touched, nodes: &Shelf<NodeView>) {
        for name in &touched.nodes {
            let silent = |node: &NodeView| node.readiness.silent_since().and_then(|_| node.pool.clone());
            let pool = nodes.select(name, silent).pop();
            if let Some(pool) = pool.or_else(|| self.rulings.of(name).map(|entry| entry.pool)) {
                self.look_soon(&pool);
            }
        }
    }

    fn look_soon(&self, pool: &Arc<str>) {
        let (least, each, most) = GATHER;
        let size = u32::try_from(self.roster.size(pool)).unwrap_or(u32::MAX);
        let pause = least.saturating_add(each.saturating_mul(size)).min(most);
        self.pools.add_after(pool, pause);
    }

    /// Begins to rule: nothing is held of anybody, and all is looked at.
    pub fn begin(&self) {
        self.rulings.begin(true);
        self.pools.reclaim();
        self.dead.reclaim();
        self.pools.add(&REVIEW.into());
        self.roster.pools().iter().for_each(|pool| self.pools.add(pool));
    }
}

/// The controller.
pub struct Pools {
    /// Nodes.
    pub nodes: Arc<Shelf<NodeView>>,
    /// Pods.
    pub pods: Arc<Shelf<PodView>>,
    /// What is shared.
    pub desk: Arc<Desk>,
    /// Has the pods of nodes looked at by the controller `autonomy`.
    pub wake: Arc<Queue>,
    /// What writes.
    pub writer: Writer,
    /// Where it tells how pools are.
    pub metrics: Arc<Metrics>,
    /// What it remembers.
    pub memory: Memory,
}

/// What is remembered from one look to the next, while this replica leads.
#[derive(Default)]
pub struct Memory {
    /// What was there when it began.
    found: OnceCell<apply::Found>,
    pools: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<OfPool>>>>,
    sizes: Mutex<HashMap<Key, Size>>,
}

/// How large a pool is.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    members: usize,
    left_out: usize,
}

#[derive(Default)]
struct OfPool {
    silences: HashMap<Arc<str>, Remembered>,
    /// What its ConfigMaps say.
    written: [Option<String>; 2],
    /// When each may be written again.
    next: [Option<Instant>; 2],
    complained: bool,
}

impl Reconcile for Pools {
    async fn reconcile(&self, pool: &Key) -> Result<Option<Duration>, Failure> {
        if **pool == *REVIEW {
            return self.review().await.map(|()| Some(REVIEW_EVERY));
        }
        let memory = self.remembered(pool).await?;
        // Nobody else has it: the queue gives a key to one worker at a time.
        let mut memory = memory.lock().await;
        let names = self.desk.roster.nodes(pool);
        let nodes: Vec<_> = names
            .iter()
            .filter_map(|name| self.nodes.of_node(name).pop())
            .collect();
        if nodes.is_empty() {
            self.rule(pool, &Picture::default());
            self.forget(pool, &mut memory).await?;
            return Ok(None);
        }
        let now = Now {
            own: Instant::now(),
            wall: Timestamp::now(),
        };
        let picture = decide::decide(&Look {
            pool,
            nodes: &nodes,
            heard: &|node| self.desk.roster.heard(node),
            pods: &|node| self.pods_of(node),
            before: &memory.silences,
            now,
        });
        memory.silences.clone_from(&picture.remember);
        // Pods first: they may be evicted any moment.
        self.rule(pool, &picture);
        self.tell_too_large(pool, &picture, &mut memory).await;
        let size = nodes.len();
        let members = self.write((pool, size), 0, &picture.members, &mut memory).await;
        let silence = self.write((pool, size), 1, &picture.silence, &mut memory).await;
        Ok([picture.again, members?, silence?].into_iter().flatten().min())
    }
}

impl Pools {
    fn pods_of(&self, node: &str) -> PodsOf {
        let (mut unready, mut marked) = (Vec::new(), false);
        self.pods.select(node, |pod| {
            match pod.standing {
                Standing::Unready => unready.push(pod.uid.clone()),
                Standing::Marked => marked = true,
                Standing::Ready | Standing::Ending => {}
            }
            None::<()>
        });
        PodsOf { unready, marked }
    }

    /// Puts down what is held of the nodes of a pool, and wakes up those who act on it.
    fn rule(&self, pool: &Key, picture: &Picture) {
        for node in self.desk.rulings.set(pool, picture.entries.clone()) {
            self.wake.add(&node);
        }
        let dead = picture
            .entries
            .iter()
            .filter(|(_, entry)| matches!(entry.word, Word::Dead(_)));
        dead.for_each(|(node, _)| self.desk.dead.add(node));
        let mut sizes = self.memory.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        let size = Size {
            members: picture.members.members.len(),
            left_out: picture.left_out,
        };
        if picture.members.pool.is_empty() {
            sizes.remove(pool);
        } else {
            sizes.insert(Arc::clone(pool), size);
        }
        let sum = |of: fn(&Size) -> usize| sizes.values().map(of).sum();
        self.metrics
            .set_pools(sizes.len(), sum(|size| size.members), sum(|size| size.left_out));
        self.metrics.set_silent(&self.desk.rulings.counts());
    }

    /// Writes one of a pool's ConfigMaps, where it says something else than before. Returns after how long it may be
    /// written, where it is too soon.
    async fn write(
        &self,
        (pool, readers): (&Key, usize),
        which: usize,
        content: &(impl Serialize + Sync),
        memory: &mut OfPool,
    ) -> Result<Option<Duration>, Failure> {
        let text = serde_json::to_string(content).map_err(|error| Failure::Refused(error.to_string()))?;
        if memory.written[which].as_ref() == Some(&text) {
            return Ok(None);
        }
        let now = Instant::now();
        if let Some(next) = memory.next[which].filter(|next| *next > now) {
            return Ok(Some(next - now));
        }
        let name = &config_maps(pool)[which];
        self.writer.write(pool, name, WHAT[which], &text).await?;
        memory.next[which] = Some(now + pause(text.len(), readers));
        memory.written[which] = Some(text);
        Ok(None)
    }

    /// Takes away what is there of a pool that is gone. That it was taken away is remembered.
    async fn forget(&self, pool: &Key, memory: &mut OfPool) -> Result<(), Failure> {
        memory.silences.clear();
        for (name, written) in config_maps(pool).iter().zip(&mut memory.written) {
            if written.is_some() {
                self.writer.remove(name).await?;
                *written = None;
            }
        }
        Ok(())
    }

    async fn tell_too_large(&self, pool: &Key, picture: &Picture, memory: &mut OfPool) {
        let too_large = picture.left_out > 0;
        if too_large && !memory.complained {
            let name = &config_maps(pool)[1];
            self.writer.complain(pool, name, picture.left_out).await;
        }
        memory.complained = too_large;
    }

    /// What is remembered of a pool; at first, what the leader before has written.
    async fn remembered(&self, pool: &Key) -> Result<Arc<tokio::sync::Mutex<OfPool>>, Failure> {
        let found = self.memory.found.get_or_try_init(async || {
            let (found, pools) = self.writer.list().await?;
            // Those that are gone by now.
            for pool in pools {
                self.desk.pools.add(&pool);
            }
            Ok::<_, Failure>(found)
        });
        let found = found.await?;
        let mut pools = self.memory.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let of_pool = pools.entry(Arc::clone(pool)).or_insert_with(|| {
            let written =
                config_maps(pool).map(|name| found.get(&name).map(|text| text.clone().unwrap_or_default()));
            let silences = written[1].as_deref().map(known).unwrap_or_default();
            let of_pool = OfPool {
                silences,
                written,
                ..OfPool::default()
            };
            Arc::new(tokio::sync::Mutex::new(of_pool))
        });
        Ok(Arc::clone(of_pool))
    }

    /// Looks whether somebody else has changed or removed what was written.
    async fn review(&self) -> Result<(), Failure> {
        let (found, pools) = self.writer.list().await?;
        let known: Vec<_> = {
            let known = self.memory.pools.lock().unwrap_or_else(PoisonError::into_inner);
            known
                .iter()
                .map(|(pool, memory)| (Arc::clone(pool), Arc::clone(memory)))
                .collect()
        };
        for (pool, memory) in known {
            let mut memory = memory.lock().await;
            for (name, written) in config_maps(&pool).iter().zip(&mut memory.written) {
                let there = found.get(name).cloned().flatten();
                if written.is_some() && *written != there {
                    *written = there;
                    self.desk.pools.add(&pool);
                }
            }
        }
        // A pool that is not known is looked at, and its objects go.
        for pool in pools {
            self.desk.pools.add(&pool);
        }
        Ok(())
    }
}

/// What the leader before held of silent nodes, by what it has written (pure).
fn known(text: &str) -> HashMap<Arc<str>, Remembered> {
    let silence: Silence = serde_json::from_str(text).unwrap_or_default();
    let remembered = silence.silent.into_iter().filter_map(|(node, said)| {
        let remembered = Remembered {
            since: said.since.parse().ok()?,
            verdict: match said.endpoints {
                Shown::Kept => Verdict::Awaited,
                Shown::AsInCloud => Verdict::Undecided,
            },
            endpoints: said.endpoints,
            open: None,
            returned: None,
        };
        Some((node.into(), remembered))
    });
    remembered.collect()
}

/// For how long a ConfigMap of so many bytes is not written again, as all nodes of the pool read it each time (pure).
fn pause(bytes: usize, readers: usize) -> Duration {
    let all = u64::try_from(bytes.saturating_mul(readers)).unwrap_or(u64::MAX);
    Duration::from_millis(all.saturating_mul(1000) / BYTES_PER_SECOND).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
