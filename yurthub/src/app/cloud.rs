//! What keeps in touch with the cloud: a prober for each apiserver, one that puts connections where they belong, and one
//! that learns of further apiservers.

use std::sync::Arc;

use yurthub_store::Store;

use crate::config::Config;
use crate::forward::Upstream;
use crate::forward::learned::{self, Learner};
use crate::health::{Monitor, ServerId, run_prober};
use crate::tasks::Tasks;

/// Looks for each apiserver, keeps connections where they belong, and learns of further servers.
pub(super) fn follow(
    config: &Config,
    (cloud, upstream): (&Arc<Monitor>, &Arc<Upstream>),
    store: &Store,
    tasks: &Tasks,
) -> anyhow::Result<()> {
    let (probers, cloud, interval) = (tasks.clone(), Arc::clone(cloud), config.cloud.probe_interval);
    let (attended, probed) = (Arc::clone(upstream), Arc::clone(upstream));
    let look_for = {
        let cloud = Arc::clone(&cloud);
        move |server: ServerId| {
            let upstream = Arc::clone(&probed);
            let reached = Arc::clone(&upstream);
            let attempt = move || {
                let upstream = Arc::clone(&upstream);
                async move { upstream.probe(server).await }
            };
            let is_greeting = move || reached.is_greeting(server);
            let attempts = (attempt, is_greeting);
            probers.spawn(
                "prober",
                run_prober(Arc::clone(&cloud), server, interval, attempts),
            );
        }
    };
    upstream.ids().into_iter().for_each(&look_for);
    tasks.spawn("connections", async move { attended.attend().await });
    if config.discover_servers {
        let learner = Learner::open((Arc::clone(upstream), cloud), store.clone(), look_for)?;
        tasks.spawn("further servers", learner.run());
    } else {
        learned::forget(store)?;
    }
    Ok(())
}
