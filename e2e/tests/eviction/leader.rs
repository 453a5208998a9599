//! Which replica of the controller manager leads, and how it is killed.

use anyhow::{Result, bail};
use e2e::{Cluster, Node, containers};

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

/// The process that leads.
pub(crate) struct Leader {
    name: String,
    cloud: Node,
    container: String,
}

impl Leader {
    pub(crate) fn find(cluster: &Cluster) -> Result<Self> {
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
}
