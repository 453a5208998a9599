//! Which replica of the controller manager leads, and how it is killed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use e2e::{Cluster, Node, containers};

use crate::autonomy::wait_managed;

/// A replica that is killed is followed after at most so long.
pub(crate) const FOLLOWED: Duration = Duration::from_secs(12);

/// Held by whoever is about to kill the leader, until he has seen what follows: two who do it at a time would not know whom.
static KILLER: Mutex<()> = Mutex::new(());

/// Who leads: the name that stands in the Lease, which begins with that of its pod.
fn leader(cluster: &Cluster) -> Result<String> {
    let lease = [
        "--namespace=yurt-system",
        "get",
        "lease",
        "yurt-controller-manager",
        "-o",
        "jsonpath={.spec.holderIdentity}",
    ];
    Ok(cluster.kubectl(lease)?)
}

/// The process that leads. Nobody else kills it meanwhile.
pub(crate) struct Leader {
    name: String,
    cloud: Node,
    container: String,
    _killer: MutexGuard<'static, ()>,
}

impl Leader {
    /// Finds it, when there is another one that can follow.
    pub(crate) fn find(cluster: &Cluster) -> Result<Self> {
        let killer = KILLER.lock().unwrap_or_else(PoisonError::into_inner);
        wait_managed(cluster)?;
        let name = leader(cluster)?;
        for cloud in cluster.nodes() {
            // One that another test has switched off runs nothing.
            let Ok(running) = containers::running(&cloud, "yurt-system") else {
                continue;
            };
            let its = running.into_iter().find(|(container, _)| {
                let pod = container.split('/').nth(1).unwrap_or_default();
                !pod.is_empty() && name.starts_with(pod)
            });
            if let Some((_, container)) = its {
                return Ok(Self {
                    name,
                    cloud,
                    container,
                    _killer: killer,
                });
            }
        }
        bail!("{name} leads, and runs nowhere")
    }

    /// Kills it without a word to it, for good: started anew it would go on under its own name.
    pub(crate) fn kill(&self) -> Result<()> {
        containers::crash(&self.cloud, &self.container)?;
        let delete = ["--namespace=yurt-system", "delete", "pod", &self.name];
        let at_once = ["--force", "--grace-period=0", "--wait=false"];
        self.cloud
            .cluster()
            .kubectl([delete.as_slice(), &at_once].concat())?;
        Ok(())
    }

    /// Sees that another one leads by now, so that what was done since was done by that one.
    pub(crate) fn is_followed(&self) -> Result<()> {
        let name = leader(&self.cloud.cluster())?;
        ensure!(name != self.name && !name.is_empty(), "{name} leads still");
        Ok(())
    }
}
