//! Where a node's kubelet listens, read from its Node. Pure.

use std::net::{IpAddr, SocketAddr};

use yurthub_object::{Malformed, Reason, wire};

// Field numbers of `k8s.io/api/core/v1/generated.proto`; those of released fields do not change.
const STATUS: u32 = 3;
const ADDRESSES: u32 = 5;
const ADDRESS_TYPE: u32 = 1;
const ADDRESS: u32 = 2;
/// `status.daemonEndpoints.kubeletEndpoint.Port`.
const KUBELET_PORT: [u32; 4] = [STATUS, 6, 1, 1];
/// Where a kubelet listens that does not say otherwise.
const DEFAULT_PORT: u16 = 10250;

/// The first `InternalIP` of a Node in stored form (protobuf), and its kubelet's port; `None` where it has no such address.
pub(crate) fn of_kubelet(item: &[u8]) -> Result<Option<SocketAddr>, Malformed> {
    read(item).map_err(|reason| reason.reading("Node"))
}

fn read(item: &[u8]) -> Result<Option<SocketAddr>, Reason> {
    let port = u16::try_from(wire::varint(item, &KUBELET_PORT)?).unwrap_or(0);
    let port = if port == 0 { DEFAULT_PORT } else { port };
    for field in wire::fields(wire::message(item, &[STATUS])?) {
        let field = field?;
        if field.number != ADDRESSES {
            continue;
        }
        let address = field.value.bytes()?;
        if wire::text(address, &[ADDRESS_TYPE])? == "InternalIP"
            && let Ok(ip) = wire::text(address, &[ADDRESS])?.parse::<IpAddr>()
            && !ip.is_unspecified()
            && !ip.is_multicast()
        {
            return Ok(Some(SocketAddr::new(ip, port)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use yurthub_object::wire::{put_bytes, put_number};

    use super::*;

    fn node(addresses: &[(&str, &str)], port: Option<u64>) -> Vec<u8> {
        let mut status = Vec::new();
        for (kind, address) in addresses {
            let mut message = Vec::new();
            put_bytes(&mut message, ADDRESS_TYPE, kind.as_bytes());
            put_bytes(&mut message, ADDRESS, address.as_bytes());
            put_bytes(&mut status, ADDRESSES, &message);
        }
        if let Some(port) = port {
            let (mut kubelet, mut endpoints) = (Vec::new(), Vec::new());
            put_number(&mut kubelet, 1, port);
            put_bytes(&mut endpoints, 1, &kubelet);
            put_bytes(&mut status, 6, &endpoints);
        }
        let mut item = Vec::new();
        put_bytes(&mut item, STATUS, &status);
        item
    }

    #[test]
    fn the_first_internal_address_counts_and_the_port_that_the_kubelet_says() {
        let host = ("Hostname", "10.0.0.9");
        for (addresses, port, expected) in [
            (
                &[host, ("InternalIP", "10.0.0.1")][..],
                Some(10_251),
                Some("10.0.0.1:10251"),
            ),
            (
                &[("InternalIP", "10.0.0.1"), ("InternalIP", "fd00::1")],
                None,
                Some("10.0.0.1:10250"),
            ),
            (&[("InternalIP", "fd00::1")], Some(0), Some("[fd00::1]:10250")),
            (
                &[("InternalIP", "10.0.0.1")],
                Some(1 << 20),
                Some("10.0.0.1:10250"),
            ),
            (
                &[("InternalIP", "edge"), ("InternalIP", "10.0.0.2")],
                None,
                Some("10.0.0.2:10250"),
            ),
            (
                &[("InternalIP", "0.0.0.0"), ("ExternalIP", "10.0.0.2")],
                None,
                None,
            ),
            (&[], None, None),
        ] {
            let got = of_kubelet(&node(addresses, port)).unwrap();
            assert_eq!(
                got,
                expected.map(|text| text.parse().unwrap()),
                "{addresses:?} {port:?}"
            );
        }
    }

    #[test]
    fn bytes_of_any_kind_give_a_value_or_an_error() {
        let whole = node(&[("InternalIP", "10.0.0.1")], Some(10_250));
        for end in 0..whole.len() {
            let _ = of_kubelet(&whole[..end]);
        }
        assert_eq!(of_kubelet(b"").unwrap(), None);
        assert!(of_kubelet(b"\x1a\x7f").is_err());
    }
}
