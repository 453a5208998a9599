//! Other servers: which nodes they hold, and the connections over which this server dials there.
//!
//! Who connects tells which nodes it holds, and answers dials for them, as an agent does. So each of two servers has a
//! connection of the other one to dial over. [`outgoing`](super::outgoing) is the other end.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::sessions::Session;

/// Nodes that one server may name.
const MOST_NODES: usize = 100_000;

/// All that are connected.
#[derive(Debug, Default)]
pub struct Peers(Mutex<HashMap<u64, Peer>>);

#[derive(Debug)]
struct Peer {
    id: String,
    session: Arc<Session>,
    nodes: HashSet<String>,
}

impl Peers {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Peer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A server is connected.
    pub fn add(&self, id: &str, session: &Arc<Session>) {
        let peer = Peer {
            id: id.to_owned(),
            session: Arc::clone(session),
            nodes: HashSet::new(),
        };
        self.lock().insert(session.id, peer);
    }

    /// It is not any more.
    pub fn remove(&self, session: u64) {
        self.lock().remove(&session);
    }

    /// It says which nodes it holds now, and which not any more. Returns whether all of it was taken.
    pub fn told(&self, session: u64, added: &[String], removed: &[String]) -> bool {
        let mut peers = self.lock();
        let Some(peer) = peers.get_mut(&session) else {
            return true;
        };
        for node in removed {
            peer.nodes.remove(node);
        }
        for node in added {
            if peer.nodes.len() >= MOST_NODES {
                return false;
            }
            peer.nodes.insert(node.clone());
        }
        true
    }

    /// Sessions of servers that hold a node, the newest first.
    pub fn holding(&self, node: &str) -> Vec<Arc<Session>> {
        let peers = self.lock();
        let holding = peers.values().filter(|peer| peer.nodes.contains(node));
        let mut sessions: Vec<_> = holding.map(|peer| Arc::clone(&peer.session)).collect();
        sessions.sort_by_key(|session| std::cmp::Reverse(session.id));
        sessions
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        let peers = self.lock();
        let ids: HashSet<_> = peers.values().map(|peer| &peer.id).collect();
        ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
