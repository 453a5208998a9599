//! Typed objects to and from items in both encodings, and what is known on the node `edge1`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use bytes::Bytes;
use k8s_openapi::{
    api::{
        core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference},
        discovery::v1::{Endpoint, EndpointConditions, EndpointSlice},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use yurthub_endpoints::{Kind, LocalPod, Reality, Shown, Source, show};
use yurthub_object::{
    Encoding,
    wire::{self, put_bytes, put_number},
};

pub(crate) const ENCODINGS: [Encoding; 2] = [Encoding::Json, Encoding::Protobuf];

/// What the node knows, owned.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) pods: BTreeMap<String, LocalPod>,
    pub(crate) detached: bool,
    pub(crate) unreachable: BTreeSet<String>,
    pub(crate) kept: BTreeMap<String, BTreeSet<String>>,
    pub(crate) publish: bool,
}

impl Known {
    pub(crate) fn reality(&self) -> Reality<'_> {
        Reality {
            node: "edge1",
            pods: Some(&self.pods),
            detached: self.detached,
            unreachable_nodes: &self.unreachable,
            kept_nodes: &self.kept,
        }
    }
}

/// A pod that is ready and reported, at these addresses.
pub(crate) fn running(ips: &[&str]) -> LocalPod {
    LocalPod {
        ips: ips.iter().map(|ip| ip.parse::<IpAddr>().unwrap()).collect(),
        ready: true,
        reported: true,
        ..LocalPod::default()
    }
}

/// Both kinds, typed.
pub(crate) trait Typed:
    PartialEq + std::fmt::Debug + Clone + serde::Serialize + serde::de::DeserializeOwned
{
    const KIND: Kind;
    fn to_protobuf(&self) -> Vec<u8>;
    fn from_protobuf(item: &[u8]) -> Self;

    fn encode(&self, encoding: Encoding) -> Bytes {
        match encoding {
            Encoding::Json => {
                let mut value = serde_json::to_value(self).unwrap();
                let members = value.as_object_mut().unwrap();
                members.remove("kind");
                members.remove("apiVersion");
                serde_json::to_vec(&value).unwrap().into()
            }
            Encoding::Protobuf => self.to_protobuf().into(),
        }
    }

    fn decode(encoding: Encoding, item: &[u8]) -> Self {
        match encoding {
            Encoding::Json => serde_json::from_slice(item).unwrap(),
            Encoding::Protobuf => Self::from_protobuf(item),
        }
    }
}

/// What is shown of an item, `None` for [`Shown::Keep`].
pub(crate) fn shown(kind: Kind, encoding: Encoding, item: &[u8], known: &Known) -> Option<Bytes> {
    let source = Source { kind, encoding, item };
    match show(source, &known.reality(), known.publish).unwrap() {
        Shown::Keep => None,
        Shown::Changed(bytes) => Some(bytes),
    }
}

/// Asserts that `before` is shown as `after`, in both encodings, and is kept when they are equal.
pub(crate) fn assert_shown<T: Typed>(before: &T, known: &Known, after: &T, what: &str) {
    for encoding in ENCODINGS {
        let item = before.encode(encoding);
        let got = shown(T::KIND, encoding, &item, known);
        assert_eq!(
            got.is_none(),
            before == after,
            "{what}: keep? {encoding:?} {known:?}"
        );
        let got = got.map_or_else(|| before.clone(), |bytes| T::decode(encoding, &bytes));
        assert_eq!(&got, after, "{what}: {encoding:?} {known:?}");
    }
}

pub(crate) fn pod_reference(uid: &str) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".into()),
        uid: Some(uid.into()),
        ..ObjectReference::default()
    }
}

pub(crate) fn metadata() -> ObjectMeta {
    ObjectMeta {
        name: Some("till".into()),
        ..ObjectMeta::default()
    }
}

fn put_text(out: &mut Vec<u8>, number: u32, text: Option<&String>) {
    if let Some(text) = text {
        put_bytes(out, number, text.as_bytes());
    }
}

fn text(message: &[u8], number: u32) -> Option<String> {
    wire::find(message, &[number])
        .unwrap()
        .map(|value| value.text().unwrap().to_owned())
}

fn messages(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    wire::fields(message)
        .map(Result::unwrap)
        .filter(move |field| field.number == number)
        .map(|field| field.value.bytes().unwrap())
}

fn put_metadata(out: &mut Vec<u8>, metadata: &ObjectMeta) {
    let mut message = Vec::new();
    put_text(&mut message, 1, metadata.name.as_ref());
    put_bytes(out, 1, &message);
}

fn read_metadata(item: &[u8]) -> ObjectMeta {
    ObjectMeta {
        name: text(messages(item, 1).next().unwrap(), 1),
        ..ObjectMeta::default()
    }
}

fn put_reference(out: &mut Vec<u8>, number: u32, reference: Option<&ObjectReference>) {
    if let Some(reference) = reference {
        let mut message = Vec::new();
        put_text(&mut message, 1, reference.kind.as_ref());
        put_text(&mut message, 3, reference.name.as_ref());
        put_text(&mut message, 4, reference.uid.as_ref());
        put_bytes(out, number, &message);
    }
}

fn read_reference(message: &[u8], number: u32) -> Option<ObjectReference> {
    messages(message, number).next().map(|reference| ObjectReference {
        kind: text(reference, 1),
        name: text(reference, 3),
        uid: text(reference, 4),
        ..ObjectReference::default()
    })
}

impl Typed for EndpointSlice {
    const KIND: Kind = Kind::EndpointSlice;

    fn to_protobuf(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_metadata(&mut out, &self.metadata);
        for endpoint in &self.endpoints {
            let mut message = Vec::new();
            for address in &endpoint.addresses {
                put_bytes(&mut message, 1, address.as_bytes());
            }
            if let Some(conditions) = &endpoint.conditions {
                let mut inner = Vec::new();
                let values = [conditions.ready, conditions.serving, conditions.terminating];
                for (number, value) in (1..).zip(values) {
                    if let Some(value) = value {
                        put_number(&mut inner, number, value.into());
                    }
                }
                put_bytes(&mut message, 2, &inner);
            }
            put_reference(&mut message, 4, endpoint.target_ref.as_ref());
            put_text(&mut message, 6, endpoint.node_name.as_ref());
            put_text(&mut message, 7, endpoint.zone.as_ref());
            put_bytes(&mut out, 2, &message);
        }
        put_bytes(&mut out, 4, self.address_type.as_bytes());
        out
    }

    fn from_protobuf(item: &[u8]) -> Self {
        let endpoints = messages(item, 2).map(|endpoint| Endpoint {
            addresses: messages(endpoint, 1)
                .map(|ip| String::from_utf8(ip.to_vec()).unwrap())
                .collect(),
            conditions: messages(endpoint, 2).next().map(|conditions| {
                let flag = |number| {
                    let value = wire::find(conditions, &[number]).unwrap()?;
                    Some(value.varint().unwrap() != 0)
                };
                EndpointConditions {
                    ready: flag(1),
                    serving: flag(2),
                    terminating: flag(3),
                }
            }),
            target_ref: read_reference(endpoint, 4),
            node_name: text(endpoint, 6),
            zone: text(endpoint, 7),
            ..Endpoint::default()
        });
        Self {
            metadata: read_metadata(item),
            endpoints: endpoints.collect(),
            address_type: text(item, 4).unwrap_or_default(),
            ports: None,
        }
    }
}

impl Typed for Endpoints {
    const KIND: Kind = Kind::Endpoints;

    fn to_protobuf(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_metadata(&mut out, &self.metadata);
        for subset in self.subsets.iter().flatten() {
            let mut message = Vec::new();
            for (number, list) in [(1, &subset.addresses), (2, &subset.not_ready_addresses)] {
                for address in list.iter().flatten() {
                    let mut inner = Vec::new();
                    put_bytes(&mut inner, 1, address.ip.as_bytes());
                    put_reference(&mut inner, 2, address.target_ref.as_ref());
                    put_text(&mut inner, 4, address.node_name.as_ref());
                    put_bytes(&mut message, number, &inner);
                }
            }
            for port in subset.ports.iter().flatten() {
                let mut inner = Vec::new();
                put_number(&mut inner, 2, u64::try_from(port.port).unwrap());
                put_bytes(&mut message, 3, &inner);
            }
            put_bytes(&mut out, 2, &message);
        }
        out
    }

    fn from_protobuf(item: &[u8]) -> Self {
        let list = |subset, number| {
            let addresses = messages(subset, number).map(|address| EndpointAddress {
                ip: text(address, 1).unwrap(),
                target_ref: read_reference(address, 2),
                node_name: text(address, 4),
                hostname: None,
            });
            Some(addresses.collect::<Vec<_>>()).filter(|list| !list.is_empty())
        };
        let subsets = messages(item, 2).map(|subset| EndpointSubset {
            addresses: list(subset, 1),
            not_ready_addresses: list(subset, 2),
            ports: Some(
                messages(subset, 3)
                    .map(|port| EndpointPort {
                        port: i32::try_from(wire::varint(port, &[2]).unwrap()).unwrap(),
                        ..EndpointPort::default()
                    })
                    .collect(),
            ),
        });
        Self {
            metadata: read_metadata(item),
            subsets: Some(subsets.collect()),
        }
    }
}
