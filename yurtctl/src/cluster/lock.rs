//! One change of the cluster at a time: a Lease that whoever changes nodes holds and renews.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams, Preconditions};
use tokio::task::JoinHandle;

use super::{Cluster, is_missing};

const NAME: &str = "yurtctl";
/// After so long without renewal the lock counts as left behind by a run that was killed.
const SECONDS: i32 = 30;
const RENEW: Duration = Duration::from_secs(10);

/// Questions whether the lock is still held, where the apiserver does not answer.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// Held from [`Lock::take`] to [`Lock::release`]; renewed meanwhile.
pub struct Lock {
    hold: Hold,
    renewal: JoinHandle<()>,
}

/// Says whether the lock is still held.
#[derive(Clone)]
pub struct Hold {
    leases: Api<Lease>,
    holder: String,
}

impl Hold {
    /// An error where somebody else has taken the lock over, or nobody can say. To be asked before each change: a run that
    /// was stopped for long (a laptop that slept) must not go on beside the one that took its place.
    pub async fn check(&self) -> Result<()> {
        for attempt in 1.. {
            match self.leases.get(NAME).await {
                Ok(lease) => return self.judge(lease).await,
                Err(error) if is_missing(&error) => bail!("the lock of this run is gone; {STOPPED}"),
                Err(error) if attempt >= ATTEMPTS => {
                    return Err(error).context("find out whether this run still holds the lock");
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        Ok(())
    }

    async fn judge(&self, lease: Lease) -> Result<()> {
        let holder = holder_of(&lease);
        if holder != Some(self.holder.as_str()) {
            bail!(
                "another yurtctl ({}) has taken the lock over, as this run did not renew it in time; {STOPPED}",
                holder.unwrap_or("nobody")
            );
        }
        // Ours, but anybody may take it at this moment: by its version one of two succeeds.
        if is_over(&lease, Timestamp::now()) {
            self.renew(lease).await.context("renew the lock of this run")?;
        }
        Ok(())
    }

    async fn renew(&self, mut lease: Lease) -> Result<(), kube::Error> {
        lease.spec = Some(spec(&self.holder));
        self.leases.replace(NAME, &PostParams::default(), &lease).await?;
        Ok(())
    }
}

const STOPPED: &str = "it has stopped before its next change; run it again when the other one is done";

fn holder_of(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub async fn take(cluster: &Cluster) -> Result<Self> {
        let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        let holder = format!("{}-{:08x}", host(), fastrand::u32(..));
        match leases.get(NAME).await {
            Ok(held) if !is_over(&held, Timestamp::now()) => {
                let who = held
                    .spec
                    .and_then(|spec| spec.holder_identity)
                    .unwrap_or_default();
                bail!(
                    "another yurtctl ({who}) changes this cluster; wait for it, or, if it was killed, {SECONDS} seconds"
                );
            }
            Ok(mut left) => {
                left.spec = Some(spec(&holder));
                // By its version: of two that find it left behind one succeeds.
                leases
                    .replace(NAME, &PostParams::default(), &left)
                    .await
                    .context("take over the lock of a run that was killed")?;
            }
            Err(error) if is_missing(&error) => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(NAME.to_owned()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(spec(&holder)),
                };
                leases
                    .create(&PostParams::default(), &lease)
                    .await
                    .context("take the lock: is another yurtctl beginning at this moment?")?;
            }
            Err(error) => return Err(error).context("look at the lock"),
        }
        let hold = Hold { leases, holder };
        let renewal = tokio::spawn(renew(hold.clone()));
        Ok(Self { hold, renewal })
    }

    /// Says later whether it is still held.
    pub fn hold(&self) -> Hold {
        self.hold.clone()
    }

    /// Gives it back.
    pub async fn release(self) -> Result<()> {
        self.renewal.abort();
        let leases = &self.hold.leases;
        let lease = match leases.get(NAME).await {
            Err(error) if is_missing(&error) => return Ok(()),
            lease => lease.context("look at the lock")?,
        };
        let ours = holder_of(&lease) == Some(self.hold.holder.as_str());
        if ours {
            let precondition = DeleteParams {
                preconditions: Some(Preconditions {
                    resource_version: lease.metadata.resource_version,
                    uid: None,
                }),
                ..DeleteParams::default()
            };
            match leases.delete(NAME, &precondition).await {
                // A renewal that was on its way: the lock ends by itself.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                deleted => {
                    deleted.context("give the lock back; it ends by itself")?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

async fn renew(hold: Hold) {
    loop {
        tokio::time::sleep(RENEW).await;
        let Ok(lease) = hold.leases.get(NAME).await else {
            continue;
        };
        if holder_of(&lease) != Some(hold.holder.as_str()) {
            return;
        }
        // What fails is tried again well before the lock ends.
        drop(hold.renew(lease).await);
    }
}

fn spec(holder: &str) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(SECONDS),
        renew_time: Some(MicroTime(Timestamp::now())),
        ..LeaseSpec::default()
    }
}

fn is_over(lease: &Lease, now: Timestamp) -> bool {
    let spec = lease.spec.as_ref();
    let renewed = spec.and_then(|spec| spec.renew_time.as_ref());
    let seconds = spec
        .and_then(|spec| spec.lease_duration_seconds)
        .unwrap_or(SECONDS);
    renewed.is_none_or(|renewed| now.as_second() - renewed.0.as_second() > i64::from(seconds))
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "yurtctl".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_not_renewed_ends() {
        let lease = Lease {
            metadata: ObjectMeta::default(),
            spec: Some(spec("me")),
        };
        let now = Timestamp::now().as_second();
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(!is_over(&lease, at(now + 29)));
        assert!(is_over(&lease, at(now + 32)));
        assert!(is_over(&Lease::default(), at(now)));
    }
}
