//! The yurthubs of a pool probe each other, so that the cloud can be told of a member that it does not hear of itself.
//!
//! - [`proof`]: who is at the other end: a node of this cluster, by its kubelet's certificate.
//! - `door`: answers the others.
//! - `attempt`: asks one of them.
//! - [`schedule`]: whom to ask next, and what its answers mean; pure.
//! - `prober`: carries that out. `answered` keeps over restarts who has ever answered.
//! - `told`: writes on this node's own Node where it answers, and what it sees.
//!
//! Who asks whom follows from the list of members ([`yurt_common::pool::votes`]). Deliberately not here: what the cloud
//! makes of it, and whose endpoints are kept ([`crate::pool`]). Invariant: a member that never answered this yurthub is
//! never called dead by it, and one whose machine still answers in any way is not either.

mod answered;
mod attempt;
mod door;
pub mod prober;
pub mod proof;
pub mod schedule;
pub mod told;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use yurt_common::pool::votes::Vote;

pub use door::Door;
use schedule::Standing;

/// What the parts of this module tell each other, and an operator.
pub struct Findings {
    /// Where this yurthub answers; `None`: nowhere.
    listening: watch::Sender<Option<SocketAddr>>,
    /// What it sees of silent members.
    votes: watch::Sender<BTreeMap<String, Vote>>,
    standings: ArcSwap<BTreeMap<String, Standing>>,
}

impl Default for Findings {
    fn default() -> Self {
        Self {
            listening: watch::Sender::new(None),
            votes: watch::Sender::new(BTreeMap::new()),
            standings: ArcSwap::default(),
        }
    }
}

impl Findings {
    /// Where this yurthub answers its peers; `None`: nowhere.
    pub fn listening(&self) -> Option<SocketAddr> {
        *self.listening.borrow()
    }

    /// The members that this yurthub probes.
    pub fn standings(&self) -> Arc<BTreeMap<String, Standing>> {
        self.standings.load_full()
    }

    /// What it sees of silent members.
    pub fn votes(&self) -> BTreeMap<String, Vote> {
        self.votes.borrow().clone()
    }
}
