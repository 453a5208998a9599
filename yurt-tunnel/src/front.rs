//! Front doors: what turns a connection of somebody in the cloud into a dial.

pub mod connect;
pub mod request;

use crate::protocol::Target;

/// Where somebody wants to go, if that is on a node of the tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The node.
    pub node: String,
    /// What on it.
    pub target: Target,
}

/// Which addresses and names are those of nodes of the tunnel.
pub trait Nodes: Send + Sync + 'static {
    /// The node at `host` (an address, or a name of a node) and what `port` is on it; none where it is no node of the tunnel.
    fn find(&self, host: &str, port: u16) -> Option<Destination>;
}
