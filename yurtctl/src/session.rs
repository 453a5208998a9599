//! One command's time with the cluster: the lock, what Jobs need in the cluster, and an end that leaves behind what shall
//! stay and nothing else. All of it under the lock: another run would lose its ground otherwise.

use anyhow::{Result, bail};

use yurt_common::node_certificates::FORGOTTEN;

use crate::MANAGER;
use crate::cluster::{Cluster, HubConfig, Lock, Purpose};
use crate::forget;
use crate::objects::{self, Owner};
use crate::progress::Progress;

/// The lock is held, and our objects are there.
pub struct Session {
    /// The cluster, which is changed only while the lock is held.
    pub cluster: Cluster,
    /// What nodes get.
    pub config: HubConfig,
    lock: Lock,
    before: Owner,
}

/// Which of our objects go at the end, where no node is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// What was there before.
    AsBefore,
    /// Nothing that is ours.
    Nothing,
}

impl Session {
    /// Takes the lock and puts our objects into the cluster. `image`: in the place of the one that is set there.
    pub async fn open(cluster: &Cluster, image: Option<&str>, progress: Progress) -> Result<Self> {
        // The lock is in our namespace.
        objects::make_namespace(cluster).await?;
        let lock = Lock::take(cluster).await?;
        let cluster = cluster.under(&lock);
        let opened = async {
            let before = objects::owner(&cluster).await?;
            let config = objects::install(&cluster, progress).await?;
            Ok::<_, anyhow::Error>((before, config))
        };
        match opened.await {
            Ok((before, config)) => Ok(Self {
                config: with_image(config, image),
                cluster,
                lock,
                before,
            }),
            Err(error) => {
                // Why it failed is told; the lock ends by itself.
                drop(lock.release().await);
                Err(error)
            }
        }
    }

    /// Takes away what shall not stay, and gives the lock back.
    pub async fn close(self, leave: Leave, progress: Progress) -> Result<()> {
        let cleared = self.clear(leave, progress).await;
        self.lock.release().await?;
        cleared
    }

    async fn clear(&self, leave: Leave, progress: Progress) -> Result<()> {
        let cluster = &self.cluster;
        if keeps_list(cluster, leave, progress).await? {
            return Ok(());
        }
        let now = objects::owner(cluster).await?;
        if goes(leave, self.before, now) && objects::bound_nodes(cluster).await?.is_empty() {
            let needing = objects::manager::still_needed(cluster).await?;
            if leave == Leave::Nothing && !needing.is_empty() {
                // There is no edge node left to reach.
                objects::tunnel::uninstall(cluster).await?;
                let nodes = needing.join(" ");
                progress.say(&format!(
                    "yurt-controller-manager stays, as autonomy is asked for by {nodes}; to remove it, \
                     `yurtctl autonomy {nodes} --off`, and `yurtctl revert` once more"
                ));
                return Ok(());
            }
            if leave == Leave::Nothing {
                progress.say(&format!(
                    "no node is converted any more: removing what {MANAGER} has put into the cluster"
                ));
            }
            objects::uninstall(cluster).await?;
        }
        Ok(())
    }
}

/// Whether the list of forgotten nodes keeps our objects: without it, and the policy, these nodes could come again.
async fn keeps_list(cluster: &Cluster, leave: Leave, progress: Progress) -> Result<bool> {
    let nodes = forget::list::nodes(cluster).await?;
    if leave == Leave::Nothing && !nodes.is_empty() {
        progress.say(&format!(
            "what {MANAGER} has put into the cluster stays, as it refuses {} forgotten nodes; to remove it when their \
             certificates have ended, `kubectl -n {} delete configmap {FORGOTTEN}`, and `yurtctl revert` once more",
            nodes.len(),
            cluster.namespace
        ));
    }
    Ok(!nodes.is_empty())
}

/// Whether our objects go, where no node is converted (pure).
fn goes(leave: Leave, before: Owner, now: Owner) -> bool {
    match leave {
        Leave::AsBefore => before == Owner::Nobody && now != Owner::Other,
        Leave::Nothing => now == Owner::Ourselves,
    }
}

fn with_image(config: HubConfig, image: Option<&str>) -> HubConfig {
    match image {
        Some(image) => HubConfig {
            image: image.to_owned(),
            ..config
        },
        None => config,
    }
}

/// An error where the caller may not do what is needed. Asked before anything is changed.
pub async fn check_rights(cluster: &Cluster, purpose: Purpose) -> Result<()> {
    // Who may not even read the ConfigMap lacks that right, too.
    let owner = objects::owner(cluster).await.unwrap_or(Owner::Nobody);
    let missing = cluster.missing_rights(purpose, owner).await?;
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "you lack rights in this cluster: {}; nothing was changed. An administrator (ClusterRole cluster-admin) has them",
        missing.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ours_goes_and_a_look_leaves_all_as_before() {
        use Owner::{Nobody, Other, Ourselves};
        for (leave, before, now, expected) in [
            (Leave::AsBefore, Nobody, Ourselves, true),
            (Leave::AsBefore, Nobody, Other, false),
            (Leave::AsBefore, Ourselves, Ourselves, false),
            (Leave::AsBefore, Other, Other, false),
            (Leave::Nothing, Nobody, Ourselves, true),
            (Leave::Nothing, Ourselves, Ourselves, true),
            (Leave::Nothing, Other, Other, false),
            (Leave::Nothing, Ourselves, Nobody, false),
        ] {
            assert_eq!(goes(leave, before, now), expected, "{leave:?} {before:?} {now:?}");
        }
    }
}
