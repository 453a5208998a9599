//! Keeps the table of redirected addresses as the cluster is.
//!
//! It is written when the addresses change, all at one moment, and looked at once in a while, because on kernels before
//! 5.12 anybody may flush it. On others it goes with this process, however that ends.
//!
//! Connections that were made before a change go on where they went: the kernel remembers each (conntrack) and asks the
//! rules for the first packet only.
//!
//! Invariant: no table before the nodes are known, and one attempt at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tracing::{info, warn};
use yurt_common::error_chain::ErrorChain;
use yurt_tunnel_nft::{Layout, Lifetime, NftError, Redirect, Standing};

use super::super::Known;
use crate::kubelets::Kubelets;

/// Between two looks.
pub const LOOK_EVERY: Duration = Duration::from_secs(30);
/// After the first failure; it doubles up to [`LOOK_EVERY`].
const RETRY: Duration = Duration::from_secs(1);

/// What was done, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// The table was made, with so many addresses.
    Installed(usize),
    /// Its content was replaced by so many addresses.
    Replaced(usize),
    /// Somebody had removed or changed it, and it was made again.
    Repaired(Standing),
    /// It was found as it was left.
    Nothing,
}

/// Keeps the table until `known` ends; dropped, it removes it. `tell` hears what was done.
pub async fn keep(layout: Layout, mut known: Known, every: Duration, tell: impl Fn(Result<Done, &NftError>)) {
    let mut table = None;
    let mut retry = RETRY;
    loop {
        let wanted = known.borrow_and_update().clone();
        let mut wait = every;
        if let Some(kubelets) = wanted {
            // Netlink does not block, but 10,000 addresses take the kernel some milliseconds.
            let step = spawn_blocking(move || {
                let done = settle(&mut table, layout, &kubelets);
                (table, done)
            });
            let Ok((back, done)) = step.await else {
                // The runtime ends, and the table with it.
                return;
            };
            table = back;
            match &done {
                Ok(done) => {
                    retry = RETRY;
                    log(*done, table.as_ref());
                }
                Err(error) => {
                    let retry_in = retry;
                    warn!(error = %ErrorChain(error), ?retry_in, "connections to kubelets are not redirected as they should be");
                    wait = retry;
                    retry = (retry * 2).min(LOOK_EVERY);
                }
            }
            tell(done.as_ref().copied());
        }
        tokio::select! {
            changed = known.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Makes the table as it should be.
fn settle(table: &mut Option<Redirect>, layout: Layout, kubelets: &Arc<Kubelets>) -> Result<Done, NftError> {
    let addresses = kubelets.addresses();
    let count = addresses.len();
    let Some(there) = table.as_mut() else {
        *table = Some(Redirect::install(layout, addresses)?);
        return Ok(Done::Installed(count));
    };
    if *there.kubelets() != addresses {
        there.replace(addresses)?;
        return Ok(Done::Replaced(count));
    }
    match there.check()? {
        Standing::AsLeft => Ok(Done::Nothing),
        found @ (Standing::Gone | Standing::Changed) => {
            there.restore()?;
            Ok(Done::Repaired(found))
        }
    }
}

fn log(done: Done, table: Option<&Redirect>) {
    match done {
        Done::Installed(addresses) => {
            info!(addresses, "connections to kubelets of edge nodes are redirected");
            if table.is_some_and(|table| table.lifetime() == Lifetime::UntilRemoved) {
                warn!(
                    "this kernel is older than 5.12: after a crash the table inet yurt-tunnel stays until the next start, \
                     or until `yurt-tunnel cleanup`"
                );
            }
        }
        Done::Replaced(addresses) => info!(addresses, "other addresses of kubelets are redirected"),
        Done::Repaired(found) => {
            warn!(
                ?found,
                "somebody has changed the table inet yurt-tunnel; it was made again"
            );
        }
        Done::Nothing => {}
    }
}
