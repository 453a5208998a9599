//! EndpointSlices in both encodings, as far as the tests look at them.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use yurt_testkit::Api;
use yurt_testkit::api::{Raw, Watch};
use yurthub_object::watch::{EventType, FrameDecoder};
use yurthub_object::{Encoding, list, single, wire};

use crate::hub::{PROTOBUF, SOON};

/// Addresses and readiness of each endpoint, by its pod's name.
pub(crate) type Seen = BTreeMap<String, (String, bool)>;

/// An endpoint of a pod: name and UID, node, address and readiness.
pub(crate) fn endpoint((pod, uid): (&str, &str), node: &str, (address, ready): (&str, bool)) -> Value {
    json!({
        "addresses": [address], "nodeName": node,
        "conditions": { "ready": ready, "serving": ready, "terminating": false },
        "targetRef": { "kind": "Pod", "name": pod, "uid": uid },
    })
}

fn encoding(accept: &str) -> Encoding {
    if accept == PROTOBUF {
        Encoding::Protobuf
    } else {
        Encoding::Json
    }
}

/// The endpoints of a slice in stored form.
fn read(encoding: Encoding, item: &[u8]) -> Seen {
    match encoding {
        Encoding::Json => read_json(&serde_json::from_slice(item).unwrap()),
        Encoding::Protobuf => read_protobuf(item),
    }
}

fn read_json(slice: &Value) -> Seen {
    let endpoints = slice["endpoints"].as_array().unwrap();
    let entry = |endpoint: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let addresses: Vec<String> = endpoint["addresses"]
            .as_array()
            .unwrap()
            .iter()
            .map(text)
            .collect();
        let ready = endpoint["conditions"]["ready"].as_bool().unwrap();
        (text(&endpoint["targetRef"]["name"]), (addresses.join(","), ready))
    };
    endpoints.iter().map(entry).collect()
}

/// By the numbers in `k8s.io/api/discovery/v1/generated.proto`.
fn read_protobuf(item: &[u8]) -> Seen {
    let endpoints = wire::fields(item)
        .map(Result::unwrap)
        .filter(|field| field.number == 2);
    let entry = |field: wire::Field<'_>| {
        let endpoint = field.value.bytes().unwrap();
        let name = wire::text(endpoint, &[4, 3]).unwrap().to_owned();
        let addresses = wire::fields(endpoint)
            .map(Result::unwrap)
            .filter(|field| field.number == 1);
        let addresses: Vec<&str> = addresses.map(|field| field.value.text().unwrap()).collect();
        (
            name,
            (addresses.join(","), wire::varint(endpoint, &[2, 1]).unwrap() == 1),
        )
    };
    endpoints.map(entry).collect()
}

/// The only slice of a list.
pub(crate) async fn listed(api: &Api, path: &str, accept: &'static str) -> Seen {
    let reply = api.send(Raw::get(path, accept)).await.unwrap();
    assert_eq!(reply.status, 200, "{path}: {}", crate::hub::json(&reply));
    let items = list::decode(encoding(accept), &reply.body).unwrap().items;
    items
        .first()
        .map(|item| read(encoding(accept), item))
        .unwrap_or_default()
}

/// A slice by name; empty where it is not there.
pub(crate) async fn one(api: &Api, path: &str, accept: &'static str) -> Seen {
    let reply = api.send(Raw::get(path, accept)).await.unwrap();
    if reply.status == 404 {
        return Seen::new();
    }
    assert_eq!(reply.status, 200, "{path}: {}", crate::hub::json(&reply));
    read(
        encoding(accept),
        &single::split(encoding(accept), &reply.body).unwrap().1,
    )
}

/// A watch of slices.
pub(crate) struct Events {
    watch: Watch,
    encoding: Encoding,
    decoder: FrameDecoder,
}

impl Events {
    /// From a list on.
    pub(crate) async fn open(api: &Api, path: &str, accept: &'static str) -> Self {
        let reply = api.send(Raw::get(path, accept)).await.unwrap();
        let version = list::decode(encoding(accept), &reply.body)
            .unwrap()
            .resource_version;
        let collection = path.split('?').next().unwrap();
        let path = format!("{collection}?watch=true&resourceVersion={version}");
        let watch = api.watch(&path, accept).await.unwrap();
        assert_eq!(watch.status, 200);
        let encoding = encoding(accept);
        let decoder = FrameDecoder::new(encoding, 1 << 20);
        Self {
            watch,
            encoding,
            decoder,
        }
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> (EventType, Seen) {
        loop {
            if let Some(frame) = self.decoder.next().unwrap() {
                let item: Bytes = single::split(self.encoding, &frame.object).unwrap().1;
                return (frame.event, read(self.encoding, &item));
            }
            let chunk = tokio::time::timeout(SOON, self.watch.chunk()).await;
            self.decoder.push(
                chunk
                    .expect("an event in time")
                    .unwrap()
                    .expect("the watch goes on"),
            );
        }
    }
}
