//! Follows the kubelet's pods and what is known of other nodes and of the pool, and has the endpoints compared that a change concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use yurthub_store::{Store, StoreError};

use super::Local;
use super::boot::{self, Boot};
use super::facts::{Concerns, Facts};
use super::pods::Pods;
use super::services::Services;
use crate::health::{Monitor, Phase};
use crate::mirror::Mirror;
use crate::mirror::scope::endpoints::Which;
use crate::pool::Pool;

/// How long changes are gathered before they are looked at: a kubelet that starts reports its pods one by one.
const GATHER: Duration = Duration::from_millis(20);
/// Objects that are compared without a pause, and the pause.
const AT_ONCE: usize = 64;
const BREATH: Duration = Duration::from_millis(5);

/// See the module.
pub struct Keeper {
    mirror: Arc<Mirror>,
    local: Arc<Local>,
    cloud: Arc<Monitor>,
    boot: Arc<Boot>,
    pods: Pods,
    services: Services,
    pool: Arc<Pool>,
}

impl Keeper {
    /// Shows endpoints as they are, before there are clients; `boot_id` is the kernel's file with the name of the boot.
    pub async fn open(
        (mirror, local, pool): (Arc<Mirror>, Arc<Local>, Arc<Pool>),
        cloud: Arc<Monitor>,
        store: Store,
        boot_id: &Path,
    ) -> Result<Self, StoreError> {
        let mut pods = Pods::default();
        // What is in the store was true when this node last ran, whether the cloud is there or not.
        let found = pods.read(&mirror, true);
        let boot = Arc::new(Boot::open((store, Arc::clone(&local)), boot::id(boot_id), found).await?);
        let mut keeper = Self {
            mirror,
            local,
            cloud,
            boot,
            pods,
            services: Services::default(),
            pool,
        };
        let facts = keeper.facts();
        keeper.local.learn(facts);
        for scope in keeper.mirror.scopes() {
            for key in scope.endpoints_to_compare(Which::All) {
                scope.compare_endpoints(&key);
            }
        }
        Ok(keeper)
    }

    /// Which pods wait for a report.
    pub fn boot(&self) -> &Arc<Boot> {
        &self.boot
    }

    /// Runs until cancelled.
    pub async fn run(mut self) {
        let mut cloud = self.cloud.subscribe();
        loop {
            tokio::select! {
                () = self.local.changed.notified() => {}
                changed = cloud.changed() => if changed.is_err() { return },
            }
            tokio::time::sleep(GATHER).await;
            let facts = self.facts();
            match self.local.learn(facts) {
                Concerns::Nothing => {}
                Concerns::Near => compare(&self.mirror, Which::Near).await,
                Concerns::All => compare(&self.mirror, Which::All).await,
            }
        }
    }

    fn facts(&mut self) -> Facts {
        let away = self.cloud.state().phase == Phase::Down;
        let found = self.pods.read(&self.mirror, away);
        let reported = found.map(|found| self.boot.settle(found));
        let pods = reported.map(|reported| {
            let pods = self.pods.of_endpoints();
            pods.map(|(uid, found)| (uid.to_owned(), found.reported(&reported)))
                .collect::<BTreeMap<_, _>>()
        });
        Facts {
            pods,
            publishing: self.services.publishing(&self.mirror),
            // With the cloud there its word counts at once, whoever still looks.
            unreachable: if away {
                BTreeSet::clone(&self.local.unreachable.load())
            } else {
                BTreeSet::new()
            },
            kept: self.pool.known().kept(),
        }
    }
}

/// Has all scopes compare objects with what is known, a few at a time: a watcher that had to take in all of a large
/// cluster's at once would fall behind the ring, and its watch end.
pub(super) async fn compare(mirror: &Mirror, which: Which) {
    let mut compared = 0_usize;
    for scope in mirror.scopes() {
        for key in scope.endpoints_to_compare(which) {
            scope.compare_endpoints(&key);
            compared += 1;
            if compared.is_multiple_of(AT_ONCE) {
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}
