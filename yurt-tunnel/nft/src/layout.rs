//! The table as changes: what makes it, what fills its sets, what removes it. Pure.
//!
//! In nftables' own words:
//!
//! ```text
//! table inet yurt-tunnel {
//!     flags owner
//!     set kubelets4 { type ipv4_addr . inet_service; }
//!     set kubelets6 { type ipv6_addr . inet_service; }
//!     chain output {
//!         type nat hook output priority -110;
//!         fib daddr type local return
//!         ip daddr . tcp dport @kubelets4 redirect to :PORT
//!         ip6 daddr . tcp dport @kubelets6 redirect to :PORT
//!     }
//!     chain prerouting { type nat hook prerouting priority -110; the same rules }
//! }
//! ```
//!
//! One table of family `inet`, and not one for each IP family: it has one owner, and comes and goes as one.
//!
//! The priority is before `dstnat` (-100), at which kube-proxy's nftables mode, iptables-nft and iptables-legacy have their
//! chains. The first chain that translates a connection decides, and all chains of nat are one list for the kernel, so
//! that a table of ours and theirs are side by side.
//!
//! Invariant: whatever a batch here does, it does to one table.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use crate::attribute::Attributes;
use crate::message::{Batch, Kind, Sent};
use crate::rule::{Family, data, redirect, spare_local};

/// The name of the table.
pub const TABLE: &str = "yurt-tunnel";
/// Before the chains of kube-proxy and iptables, which are at -100 (`NF_IP_PRI_NAT_DST`).
const PRIORITY: i32 = -110;
/// `NFT_TABLE_F_OWNER` (Linux 5.12): the table goes with the socket that made it, and nobody else changes it.
const OWNER: u32 = 2;
/// Elements in a message; those of IPv6 take 32 bytes each, and an attribute holds 65,531.
const ELEMENTS: usize = 1_000;
/// What errors call the step that kernels without [`OWNER`] refuse.
pub(crate) const CREATE_TABLE: &str = "create the table";

/// What is where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The local port that connections are sent to.
    pub port: NonZeroU16,
    /// Whether connections of other machines and of pods, which only pass through, are sent there too.
    pub forwarded: bool,
}

/// A set of kubelets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) name: &'static str,
    family: Family,
    id: u32,
    /// As nftables' own program numbers types: `ipv4_addr . inet_service`. It only matters for what people are shown.
    shown_as: u32,
    fill: &'static str,
}

/// Both sets.
pub(crate) const SETS: [Set; 2] = [
    Set {
        name: "kubelets4",
        family: Family::V4,
        id: 1,
        shown_as: 7 * 64 + 13,
        fill: "fill the set kubelets4",
    },
    Set {
        name: "kubelets6",
        family: Family::V6,
        id: 2,
        shown_as: 8 * 64 + 13,
        fill: "fill the set kubelets6",
    },
];

impl Set {
    /// The element for `kubelet`; none where it is of the other family.
    fn key(self, kubelet: SocketAddr) -> Option<Vec<u8>> {
        let mut key = match (self.family, kubelet.ip().to_canonical()) {
            (Family::V4, IpAddr::V4(ip)) => ip.octets().to_vec(),
            (Family::V6, IpAddr::V6(ip)) => ip.octets().to_vec(),
            _ => return None,
        };
        key.extend(kubelet.port().to_be_bytes());
        // Each part of a concatenation fills four bytes.
        key.extend([0, 0]);
        Some(key)
    }

    fn keys(self, kubelets: &BTreeSet<SocketAddr>) -> BTreeSet<Vec<u8>> {
        kubelets.iter().filter_map(|kubelet| self.key(*kubelet)).collect()
    }
}

/// What makes the table anew, whatever there is of it, with `kubelets` in its sets; `owned`: as one that goes with the
/// socket.
pub fn install(layout: Layout, kubelets: &BTreeSet<SocketAddr>, owned: bool, sequence: u32) -> Sent {
    let mut table = name(1);
    if owned {
        table = table.number(2, OWNER);
    }
    let mut batch = Batch::new(sequence)
        // Deleting what is not there fails; making what is there does not.
        .with(Kind::NewTable, &name(1), "take the table over")
        .with(Kind::DelTable, &name(1), "delete the old table")
        .with(Kind::NewTable, &table, CREATE_TABLE);
    for set in SETS {
        let made = name(1)
            .text(2, set.name)
            .number(3, 0)
            .number(4, set.shown_as)
            .number(5, set.family.address_length() + 4)
            .number(10, set.id);
        batch = batch.with(Kind::NewSet, &made, "create a set");
    }
    // NF_INET_LOCAL_OUT, NF_INET_PRE_ROUTING.
    let hooks = [("output", 3, true), ("prerouting", 0, layout.forwarded)];
    for (chain, hook, _) in hooks.into_iter().filter(|(_, _, wanted)| *wanted) {
        batch = add_chain(batch, layout.port, chain, hook);
    }
    SETS.into_iter()
        .fold(batch, |batch, set| fill(batch, set, &set.keys(kubelets)))
        .finish()
}

fn add_chain(batch: Batch, port: NonZeroU16, chain: &'static str, hook: u32) -> Batch {
    let at = Attributes::new()
        .number(1, hook)
        .bytes(2, &PRIORITY.to_be_bytes());
    let made = name(1).text(3, chain).nested(4, &at).text(7, "nat");
    let rules = std::iter::once(spare_local()).chain(SETS.map(|set| redirect(set.family, set.name, port)));
    rules.fold(
        batch.with(Kind::NewChain, &made, "create a chain of nat"),
        |batch, rule| {
            let rule = name(1).text(2, chain).nested(4, &rule);
            batch.with(Kind::NewRule, &rule, "create a rule")
        },
    )
}

/// What replaces the sets' content by `kubelets`, at one moment.
pub fn replace(kubelets: &BTreeSet<SocketAddr>, sequence: u32) -> Sent {
    SETS.into_iter()
        .fold(Batch::new(sequence), |batch, set| {
            let all = name(1).text(2, set.name);
            let batch = batch.with(Kind::DelSetElem, &all, "empty a set");
            fill(batch, set, &set.keys(kubelets))
        })
        .finish()
}

fn fill(batch: Batch, set: Set, keys: &BTreeSet<Vec<u8>>) -> Batch {
    let keys: Vec<_> = keys.iter().collect();
    keys.chunks(ELEMENTS).fold(batch, |batch, keys| {
        let elements = keys.iter().fold(Attributes::new(), |elements, key| {
            elements.nested(1, &Attributes::new().nested(1, &data(key)))
        });
        let added = name(1).text(2, set.name).nested(3, &elements);
        batch.with(Kind::NewSetElem, &added, set.fill)
    })
}

/// What removes the table. Refused where there is none.
pub fn remove(sequence: u32) -> Sent {
    Batch::new(sequence)
        .with(Kind::DelTable, &name(1), "delete the table")
        .finish()
}

/// The table's name, as the attribute that each object has for it.
pub(crate) fn name(kind: u16) -> Attributes {
    Attributes::new().text(kind, TABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_address_and_port_padded_to_four_bytes() {
        let v4 = "192.0.2.7:10250".parse().unwrap();
        let v6 = "[2001:db8::7]:10250".parse().unwrap();
        let mapped = "[::ffff:192.0.2.7]:10250".parse().unwrap();
        let expected = vec![192, 0, 2, 7, 0x28, 0x0a, 0, 0];
        assert_eq!(SETS[0].key(v4), Some(expected.clone()));
        assert_eq!(SETS[0].key(mapped), Some(expected));
        assert_eq!(SETS[0].key(v6), None);
        assert_eq!(SETS[1].key(v6).map(|key| key.len()), Some(20));
        assert_eq!(SETS[1].key(mapped), None);
    }

    #[test]
    fn ten_thousand_kubelets_fit_what_the_kernel_takes_at_once() {
        let kubelets = (0..10_000u128)
            .map(|number| (std::net::Ipv6Addr::from(number << 64 | 7), 10250).into())
            .collect();
        let bytes = replace(&kubelets, 1).bytes.len();
        assert!(bytes < 400_000, "{bytes} bytes");
    }
}
