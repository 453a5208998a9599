//! Which of the replicas acts: the one that holds a Lease.
//!
//! [`decide`] is pure; here is what reads and writes. As in client-go's `leaderelection`, a Lease runs out when nobody has
//! seen it change for its duration by his own clock: clocks of replicas may differ. Invariant: who could not renew in time
//! stops to act before another one may begin.

pub mod decide;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use decide::{Observation, Record, Step};

/// The name of the Lease.
pub const LEASE: &str = "yurt-controller-manager";

/// How long things take; each shorter than the one before it.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// A Lease that did not change for so long is free.
    pub lease: Duration,
    /// Who could not renew for so long stops to act.
    pub renew: Duration,
    /// Time between two looks.
    pub retry: Duration,
}

impl Default for Times {
    /// A replica that dies is followed after at most 12 s.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            renew: Duration::from_secs(7),
            retry: Duration::from_secs(1),
        }
    }
}

/// A candidate, and the leader at times.
pub struct Candidate {
    leases: Api<Lease>,
    name: String,
    times: Times,
    seen: Option<Observation>,
}

impl Candidate {
    /// Who is called `name` among the replicas.
    pub fn new(leases: Api<Lease>, name: String, times: Times) -> Self {
        Self {
            leases,
            name,
            times,
            seen: None,
        }
    }

    /// Waits until this replica leads. Whoever is told to stop meanwhile is dropped.
    pub async fn win(&mut self) {
        loop {
            match self.step().await {
                Ok(true) => {
                    info!(name = self.name, "this replica leads");
                    return;
                }
                Ok(false) => {}
                Err(error) => debug!(%error, "no word from the Lease"),
            }
            tokio::time::sleep(self.pause()).await;
        }
    }

    /// Renews until that fails for too long, or somebody else leads; then `over` is cancelled.
    pub async fn hold(&mut self, over: &CancellationToken) {
        let mut renewed = Instant::now();
        while !over.is_cancelled() {
            let step = tokio::time::timeout(self.times.renew, self.step()).await;
            match step {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => {
                    warn!("another replica leads; stopping to act");
                    break;
                }
                Ok(Err(error)) => warn!(%error, "cannot renew the Lease"),
                Err(_) => warn!("cannot renew the Lease: no answer"),
            }
            let left = self.times.renew.saturating_sub(renewed.elapsed());
            if left.is_zero() {
                warn!(
                    "could not renew the Lease for {:?}; stopping to act",
                    self.times.renew
                );
                break;
            }
            let pause = self.pause().min(left);
            let ended = over
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_none();
            if ended {
                break;
            }
        }
        over.cancel();
    }

    /// Gives the Lease up, so that another replica need not wait.
    pub async fn release(&mut self) {
        let Some(seen) = self.seen.take().filter(|seen| seen.record.holder == self.name) else {
            return;
        };
        let record = Record {
            holder: String::new(),
            ..seen.record
        };
        let lease = self.lease(&record, Some(seen.version));
        match self.leases.replace(LEASE, &PostParams::default(), &lease).await {
            Ok(_) => info!("gave the Lease up"),
            Err(error) => warn!(%error, "could not give the Lease up; it runs out by itself"),
        }
    }

    fn pause(&self) -> Duration {
        self.times.retry.mul_f64(0.8 + 0.4 * fastrand::f64())
    }

    /// Looks, and acts on it. Returns whether this replica leads.
    async fn step(&mut self) -> Result<bool, kube::Error> {
        let found = match self.leases.get(LEASE).await {
            Ok(lease) => Some(lease),
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        self.seen = found.map(|lease| Observation::of(&lease, self.seen.take(), now));
        let step = decide::decide(self.seen.as_ref(), &self.name, now);
        let record = match step {
            Step::Wait => return Ok(false),
            Step::Create => Record::new(&self.name, self.times.lease, 0),
            Step::Take { transitions } => Record::new(&self.name, self.times.lease, transitions),
            Step::Renew => Record::new(
                &self.name,
                self.times.lease,
                self.seen.as_ref().map_or(0, |seen| seen.record.transitions),
            ),
        };
        let version = self.seen.as_ref().map(|seen| seen.version.clone());
        let lease = self.lease(&record, version.clone());
        let params = PostParams::default();
        let written = match version {
            None => self.leases.create(&params, &lease).await,
            // By its version: of two that find it free, one succeeds.
            Some(_) => self.leases.replace(LEASE, &params, &lease).await,
        };
        match written {
            Ok(lease) => {
                self.seen = Some(Observation::of(&lease, None, Instant::now()));
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {
                // Whoever it was, the next look tells.
                Ok(matches!(step, Step::Renew) && self.still_held().await?)
            }
            Err(error) => Err(error),
        }
    }

    async fn still_held(&mut self) -> Result<bool, kube::Error> {
        let lease = self.leases.get(LEASE).await?;
        let seen = Observation::of(&lease, None, Instant::now());
        let ours = seen.record.holder == self.name;
        self.seen = Some(seen);
        Ok(ours)
    }

    fn lease(&self, record: &Record, version: Option<String>) -> Lease {
        let now = MicroTime(Timestamp::now());
        let acquired = match &self.seen {
            Some(seen) if seen.record.holder == record.holder => seen.acquired.clone(),
            _ => None,
        };
        Lease {
            metadata: ObjectMeta {
                name: Some(LEASE.to_owned()),
                resource_version: version,
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(record.holder.clone()),
                lease_duration_seconds: Some(record.seconds),
                lease_transitions: Some(record.transitions),
                acquire_time: Some(acquired.unwrap_or_else(|| now.clone())),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        }
    }
}
