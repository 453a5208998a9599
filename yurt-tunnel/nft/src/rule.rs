//! Rules as expressions of nftables' virtual machine, in the order in which they run on a packet.
//!
//! What each number means is in `include/uapi/linux/netfilter/nf_tables.h`; `nft --debug=netlink` prints the same
//! expressions for the text in [`crate::layout`].
//!
//! Invariant: a rule of ours redirects only TCP of one family, and only what is in one set.

use std::num::NonZeroU16;

use crate::attribute::Attributes;

/// The element of a list (`NFTA_LIST_ELEM`).
const ELEMENT: u16 = 1;
/// The register of 16 bytes that values are loaded into (`NFT_REG_1`).
const REGISTER: u32 = 1;
/// The register of verdicts (`NFT_REG_VERDICT`).
const VERDICT: u32 = 0;

/// An IP family, as far as a rule must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Bytes of an address.
    pub const fn address_length(self) -> u32 {
        match self {
            Self::V4 => 4,
            Self::V6 => 16,
        }
    }

    /// `NFPROTO_IPV4`, `NFPROTO_IPV6`.
    const fn protocol(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }

    /// Where the header has the destination.
    const fn destination_offset(self) -> u32 {
        match self {
            Self::V4 => 16,
            Self::V6 => 24,
        }
    }

    /// The register right behind an address that was loaded into [`REGISTER`]: the second one of four bytes
    /// (`NFT_REG32_01`), or of sixteen (`NFT_REG_2`).
    const fn register_behind(self) -> u32 {
        match self {
            Self::V4 => 9,
            Self::V6 => 2,
        }
    }
}

/// `fib daddr type local return`: whatever a Node says, this machine's own addresses are its own.
pub fn spare_local() -> Attributes {
    let verdict = Attributes::new().nested(
        2,
        // NFTA_VERDICT_CODE; NFT_RETURN is -5.
        &Attributes::new().bytes(1, &(-5i32).to_be_bytes()),
    );
    list(&[
        // NFT_FIB_RESULT_ADDRTYPE of NFTA_FIB_F_DADDR.
        expression(
            "fib",
            &Attributes::new().number(1, REGISTER).number(2, 3).number(3, 2),
        ),
        // RTN_LOCAL, in the machine's order of bytes.
        equal(&2u32.to_ne_bytes()),
        expression(
            "immediate",
            &Attributes::new().number(1, VERDICT).nested(2, &verdict),
        ),
    ])
}

/// `ip daddr . tcp dport @set redirect to :port`.
pub fn redirect(family: Family, set: &str, port: NonZeroU16) -> Attributes {
    list(&[
        meta(15),
        equal(&[family.protocol()]),
        meta(16),
        // IPPROTO_TCP.
        equal(&[6]),
        payload(1, family.destination_offset(), family.address_length(), REGISTER),
        payload(2, 2, 2, family.register_behind()),
        expression("lookup", &Attributes::new().text(1, set).number(2, REGISTER)),
        expression(
            "immediate",
            &Attributes::new()
                .number(1, REGISTER)
                .nested(2, &data(&port.get().to_be_bytes())),
        ),
        // NF_NAT_RANGE_PROTO_SPECIFIED.
        expression("redir", &Attributes::new().number(1, REGISTER).number(3, 2)),
    ])
}

/// A value as nftables nests it (`NFTA_DATA_VALUE`).
pub fn data(value: &[u8]) -> Attributes {
    Attributes::new().bytes(1, value)
}

fn list(expressions: &[Attributes]) -> Attributes {
    expressions.iter().fold(Attributes::new(), |list, expression| {
        list.nested(ELEMENT, expression)
    })
}

fn expression(name: &str, data: &Attributes) -> Attributes {
    Attributes::new().text(1, name).nested(2, data)
}

/// Loads what is known of a packet: `NFT_META_NFPROTO` (15), `NFT_META_L4PROTO` (16).
fn meta(key: u32) -> Attributes {
    expression("meta", &Attributes::new().number(1, REGISTER).number(2, key))
}

/// Goes on only if the register holds `value`.
fn equal(value: &[u8]) -> Attributes {
    expression(
        "cmp",
        &Attributes::new()
            .number(1, REGISTER)
            .number(2, 0)
            .nested(3, &data(value)),
    )
}

/// Loads bytes of the network header (1) or the transport header (2).
fn payload(header: u32, offset: u32, length: u32, register: u32) -> Attributes {
    expression(
        "payload",
        &Attributes::new()
            .number(1, register)
            .number(2, header)
            .number(3, offset)
            .number(4, length),
    )
}
