//! Asks the members of the pool that this yurthub is a voter of, and says what it sees.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info, warn};
use yurt_common::pool::Members;
use yurt_common::pool::votes::{Seen, Vote};
use yurthub_store::{Store, StoreError};

use super::answered::Answered;
use super::attempt::attempt;
use super::schedule::{Outcome, PARALLEL, Schedule, Target, probed_by};
use super::{Findings, proof};
use crate::identity::KubeletVerifier;
use crate::identity::node_cert::NodeCredentials;
use crate::metrics::PeerMetrics;
use crate::pool::Pool;

/// See the module.
pub struct Prober {
    pool: Arc<Pool>,
    node: Arc<str>,
    identity: (Arc<KubeletVerifier>, Arc<NodeCredentials>),
    findings: Arc<Findings>,
    metrics: PeerMetrics,
    answered: Answered,
    schedule: Schedule,
    /// The members that were last looked through, and those of them that are probed.
    mine: (Arc<Members>, BTreeSet<String>),
}

impl Prober {
    /// Finds in the store who has answered before.
    pub fn open(
        (pool, node): (Arc<Pool>, Arc<str>),
        identity: (Arc<KubeletVerifier>, Arc<NodeCredentials>),
        (findings, metrics): (Arc<Findings>, PeerMetrics),
        store: Store,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            pool,
            node,
            identity,
            findings,
            metrics,
            answered: Answered::open(store)?,
            schedule: Schedule::default(),
            mine: Default::default(),
        })
    }

    /// Runs until cancelled. `news` says that what is known of the pool may have changed.
    pub async fn run(mut self, mut news: watch::Receiver<()>) {
        let mut attempts = JoinSet::new();
        self.follow().await;
        loop {
            while let Some(target) = self.schedule.start(Instant::now()) {
                let tls = proof::client(&self.identity.0, &self.identity.1, &target.name);
                attempts.spawn(async move {
                    let outcome = match tls {
                        Ok(tls) => attempt(target.address, tls).await,
                        Err(error) => {
                            warn!(%error, "TLS towards a member of the pool cannot be set up");
                            Outcome::Unclear
                        }
                    };
                    (target, outcome)
                });
            }
            // With all attempts under way there is nothing to begin before one has ended.
            let due = self.schedule.due().filter(|_| attempts.len() < PARALLEL);
            tokio::select! {
                Some(Ok((target, outcome))) = attempts.join_next() => self.ended(&target, outcome),
                () = sleep_until(due) => continue,
                changed = news.changed() => match changed {
                    Ok(()) => self.follow().await,
                    Err(_) => return,
                },
            }
            self.tell();
        }
    }

    /// Looks whom to ask.
    async fn follow(&mut self) {
        let known = self.pool.known();
        if !Arc::ptr_eq(&self.mine.0, &known.members) {
            // Every pair of members is looked at: half a million in a pool of a thousand.
            let (node, members) = (Arc::clone(&self.node), Arc::clone(&known.members));
            let found = tokio::task::spawn_blocking(move || probed_by(&node, &members.members)).await;
            self.mine = (Arc::clone(&known.members), found.unwrap_or_default());
            let mine = &self.mine.1;
            if !known.members.members.is_empty() {
                self.answered.keep_only(|name| mine.contains(name));
            }
        }
        let target = |name: &String| {
            let address = *known.members.members.get(name)?;
            let silent = known.silence.silent.get(name);
            Some(Target {
                name: name.clone(),
                address,
                answered: self.answered.has(name, address),
                silent: silent.map(|silent| silent.since.clone()),
            })
        };
        let targets = self.mine.1.iter().filter_map(target).collect();
        self.schedule.follow(targets, Instant::now());
    }

    fn ended(&mut self, target: &Target, outcome: Outcome) {
        self.metrics.count(outcome);
        debug!(node = target.name, address = %target.address, outcome = outcome.as_str(), "asked a member of the pool");
        if outcome == Outcome::Answered {
            self.answered.note(&target.name, target.address);
        }
        self.schedule
            .ended(target, outcome, Instant::now(), fastrand::f64());
    }

    /// Says how members stand, and what is seen of silent ones.
    fn tell(&self) {
        let standings = self.schedule.standings();
        self.metrics.standings(&standings);
        self.findings.standings.store(Arc::new(standings));
        let votes = self.schedule.votes();
        self.findings.votes.send_if_modified(|before| {
            let changed = *before != votes;
            if changed {
                say(before, &votes);
                *before = votes;
            }
            changed
        });
    }
}

fn say(before: &BTreeMap<String, Vote>, now: &BTreeMap<String, Vote>) {
    for (node, vote) in now {
        if before.get(node) == Some(vote) {
            continue;
        }
        match vote.sees {
            Seen::Alive => info!(
                node,
                since = vote.since,
                "a member that the cloud does not hear of is alive"
            ),
            Seen::Dead => info!(
                node,
                since = vote.since,
                "a member that the cloud does not hear of is dead: nobody answers there"
            ),
        }
    }
    for node in before.keys().filter(|node| !now.contains_key(*node)) {
        info!(
            node,
            "nothing is seen any more of a member, or the cloud hears of it again"
        );
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => pending().await,
    }
}
