//! Keeps the scopes by which a pool is known, for as long as yurthub runs: nobody else on the node asks for them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{debug, info, warn};
use yurt_common::pool::config_maps;

use super::{Pool, own_node};
use crate::mirror::key::ScopeKey;
use crate::mirror::scope::State;

/// What is followed, and for how long a scope is kept that nobody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Also who is a member, and this node's own Node whether or not its kubelet follows it through yurthub.
    pub members: bool,
    /// After how long an unused scope's watch is closed.
    pub park_after: Duration,
}

/// Follows until cancelled. `news` says that something may have changed.
pub async fn run(pool: Arc<Pool>, mut news: watch::Receiver<()>, wanted: Wanted) {
    let (mut denied, mut before) = (false, None);
    loop {
        news.borrow_and_update();
        if wanted.members {
            pool.keep(own_node(&pool.node, true));
        }
        let now = pool.known().pool().map(str::to_owned);
        if now != before {
            info!(pool = now, "the pool of this node is known");
            (denied, before) = (false, now.clone());
        }
        if let Some(name) = now {
            let [members, silence] = config_maps(&name);
            let mut states = vec![pool.keep(pool.config_map(&silence))];
            if wanted.members {
                states.push(pool.keep(pool.config_map(&members)));
            }
            let is_denied = states.contains(&Some(State::Denied));
            if is_denied && !denied {
                warn!(
                    pool = name,
                    "this node may not read what the controller manager says of its pool: endpoints on members that the cloud \
                     does not hear of are shown as in the cloud, and no member is probed; run `yurtctl convert` for this node \
                     again, or bind its user to the ClusterRole yurthub-pool-member in the namespace {}",
                    pool.namespace
                );
            }
            denied |= is_denied;
        }
        tokio::select! {
            changed = news.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(wanted.park_after / 2) => {}
        }
    }
}

impl Pool {
    /// Keeps the scope followed; where it stands with the cloud, or `None` where there is no room for it.
    fn keep(&self, key: ScopeKey) -> Option<State> {
        match self.mirror.ensure(key) {
            Ok(scope) => Some(scope.state()),
            Err(error) => {
                debug!(error = ?error, "no room to follow what is said of this node's pool");
                None
            }
        }
    }
}
