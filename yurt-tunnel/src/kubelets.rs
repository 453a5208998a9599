//! Which addresses are those of kubelets that the tunnel reaches, and of which node. Pure.
//!
//! A kubelet writes the status of its own Node: addresses and port are claims of a machine that may be stolen. What is
//! redirected is taken from whoever was there before, so that a claim counts only where it takes nothing from anybody:
//! no address of another node, of the apiserver, of pods or of services, and only ports at which kubelets are expected.
//!
//! Invariant: an address belongs to one node or to nobody, and the order of nodes makes no difference to that.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::network::{Network, Networks};

/// Addresses together.
pub const MAX_ADDRESSES: usize = 10_000;
/// Addresses of one node.
pub const MAX_OF_NODE: usize = 8;
/// The kubelet's port where a Node names none (`--kubelet-port` of the apiserver).
pub const KUBELET_PORT: u16 = 10250;

/// What the tunnel must know of a Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it is labelled `openyurt.io/is-edge-worker=true`.
    pub edge: bool,
    /// `InternalIP` and `ExternalIP`, in its order.
    pub addresses: Vec<IpAddr>,
    /// Any other address of it that is an IP: a `Hostname`, say. Nobody else may have it either.
    pub other_addresses: Vec<IpAddr>,
    /// Where its kubelet listens.
    pub kubelet_port: u16,
    /// Where addresses of its pods are from.
    pub pod_networks: Vec<Network>,
}

/// What no Node may claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Ports at which kubelets may be.
    pub ports: BTreeSet<u16>,
    /// Addresses that belong to somebody else: those of apiservers, of services.
    pub reserved: Vec<Network>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            ports: BTreeSet::from([KUBELET_PORT]),
            reserved: Vec::new(),
        }
    }
}

/// Why an address of an edge node is not redirected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Loopback, link-local, multicast, broadcast or unspecified: it means something else on each machine.
    NotOfOneMachine,
    /// Another Node has it too.
    Shared,
    /// It belongs to an apiserver or to services.
    Reserved,
    /// It is from a network of pods.
    OfPods,
    /// Kubelets are not expected at this port.
    Port,
    /// The node has more than [`MAX_OF_NODE`].
    TooManyOfNode,
    /// There are more than [`MAX_ADDRESSES`].
    TooMany,
}

impl Reason {
    /// As metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotOfOneMachine => "not_of_one_machine",
            Self::Shared => "shared",
            Self::Reserved => "reserved",
            Self::OfPods => "of_pods",
            Self::Port => "port",
            Self::TooManyOfNode => "too_many_of_node",
            Self::TooMany => "too_many",
        }
    }

    /// What to do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::NotOfOneMachine => "give the kubelet another --node-ip",
            Self::Shared => "give the kubelet a --node-ip of its own, or reach the node by its name",
            Self::Reserved | Self::OfPods => {
                "find out who writes this Node's status: the address is somebody else's"
            }
            Self::Port => "allow the port by --kubelet-ports if kubelets listen there",
            Self::TooManyOfNode | Self::TooMany => "reach the node by its name",
        }
    }
}

/// An address that is not redirected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Refusal {
    /// Whose.
    pub node: Arc<str>,
    /// Which.
    pub address: IpAddr,
    /// Why.
    pub reason: Reason,
}

/// The kubelets of edge nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kubelets {
    by_address: BTreeMap<SocketAddr, Arc<str>>,
    ports: BTreeMap<Arc<str>, u16>,
    refusals: BTreeSet<Refusal>,
}

impl Kubelets {
    /// Those of `nodes`.
    pub fn of<'a>(nodes: impl IntoIterator<Item = &'a NodeView>, rules: &Rules) -> Self {
        // By name, so that bounds hit the same nodes everywhere.
        let nodes: BTreeMap<_, _> = nodes.into_iter().map(|node| (&node.name, node)).collect();
        let mut owners = BTreeMap::<IpAddr, BTreeSet<&str>>::new();
        for node in nodes.values() {
            for address in node.addresses.iter().chain(&node.other_addresses) {
                owners
                    .entry(address.to_canonical())
                    .or_default()
                    .insert(&node.name);
            }
        }
        let reserved: Networks = rules.reserved.iter().copied().collect();
        let pods: Networks = nodes.values().flat_map(|node| counted_pods(node)).collect();
        let refuse = |address: IpAddr, node: &NodeView| {
            if !is_of_one_machine(address) {
                Some(Reason::NotOfOneMachine)
            } else if owners.get(&address).is_some_and(|owners| owners.len() > 1) {
                Some(Reason::Shared)
            } else if reserved.contains(address) {
                Some(Reason::Reserved)
            } else if pods.contains(address) {
                Some(Reason::OfPods)
            } else if !rules.ports.contains(&node.kubelet_port) {
                Some(Reason::Port)
            } else {
                None
            }
        };
        let mut kubelets = Self::default();
        for node in nodes.values().filter(|node| node.edge) {
            kubelets.ports.insert(Arc::clone(&node.name), node.kubelet_port);
            let addresses: BTreeSet<_> = node.addresses.iter().map(IpAddr::to_canonical).collect();
            let mut taken = 0;
            for address in addresses {
                let reason = refuse(address, node).or_else(|| {
                    (taken >= MAX_OF_NODE)
                        .then_some(Reason::TooManyOfNode)
                        .or_else(|| (kubelets.by_address.len() >= MAX_ADDRESSES).then_some(Reason::TooMany))
                });
                if let Some(reason) = reason {
                    kubelets.refuse(node, address, reason);
                } else {
                    taken += 1;
                    let at = (address, node.kubelet_port).into();
                    kubelets.by_address.insert(at, Arc::clone(&node.name));
                }
            }
        }
        kubelets
    }

    fn refuse(&mut self, node: &NodeView, address: IpAddr, reason: Reason) {
        // As many as addresses: a node that claims very much is not told of all of it.
        if self.refusals.len() < MAX_ADDRESSES {
            self.refusals.insert(Refusal {
                node: Arc::clone(&node.name),
                address,
                reason,
            });
        }
    }

    /// The node whose kubelet is at `address`.
    pub fn node_at(&self, address: SocketAddr) -> Option<&Arc<str>> {
        let canonical = (address.ip().to_canonical(), address.port()).into();
        self.by_address.get(&canonical)
    }

    /// The port of the kubelet of the edge node called `name`.
    pub fn port_of(&self, name: &str) -> Option<u16> {
        self.ports.get(name).copied()
    }

    /// What is redirected.
    pub fn addresses(&self) -> BTreeSet<SocketAddr> {
        self.by_address.keys().copied().collect()
    }

    /// What is not, and why.
    pub const fn refusals(&self) -> &BTreeSet<Refusal> {
        &self.refusals
    }

    /// The names of edge nodes.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.ports.keys()
    }

    /// The same, with the addresses of those nodes only that `are`.
    #[must_use]
    pub fn of_nodes(&self, are: impl Fn(&str) -> bool) -> Self {
        let mut some = self.clone();
        some.by_address.retain(|_, node| are(node));
        some
    }

    /// How many edge nodes there are.
    pub fn nodes(&self) -> usize {
        self.ports.len()
    }
}

/// The networks of pods of a node that count: not those of edge nodes, and none that is broader than what a node gets.
/// Where a cluster gives nodes no networks, their kubelets can, and one that is stolen could cover everybody's address.
fn counted_pods(node: &NodeView) -> impl Iterator<Item = Network> {
    let broadest = |network: &&Network| network.prefix() >= if network.is_ipv4() { 16 } else { 48 };
    let counts = !node.edge;
    node.pod_networks
        .iter()
        .filter(broadest)
        .copied()
        .filter(move |_| counts)
}

/// Whether `address` means the same machine wherever it is dialled.
fn is_of_one_machine(address: IpAddr) -> bool {
    let special = match address {
        IpAddr::V4(v4) => {
            // "This network", RFC 791.
            v4.is_link_local() || v4.is_broadcast() || v4.octets()[0] == 0
        }
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(special || address.is_loopback() || address.is_multicast() || address.is_unspecified())
}

#[cfg(test)]
mod tests;
