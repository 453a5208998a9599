//! Protobuf decoded for display, against the JSON that Kubernetes' own code and a real apiserver write for the same
//! objects: byte for byte. And over bytes that nobody wrote.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "decoded/apiserver.rs"]
mod apiserver;
#[path = "../fuzz/bodies.rs"]
mod bodies;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::Value;
use yurthub_display::{Message, decode};
use yurthub_object::wire;

struct Vector {
    name: String,
    message: Message,
    protobuf: Vec<u8>,
    json: String,
}

/// What `go run ./vectors` in `yurthub/schema/codegen` has written.
fn vectors() -> Vec<Vector> {
    let vector = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        Vector {
            name: format!("{} {}", text("version"), text("kind")),
            message: Message::of(&text("version"), &text("kind")).unwrap(),
            protobuf: STANDARD.decode(text("protobuf")).unwrap(),
            json: text("json"),
        }
    };
    include_str!("vectors.jsonl").lines().map(vector).collect()
}

#[test]
fn what_is_decoded_is_what_kubernetes_writes() {
    let vectors = vectors();
    assert!(vectors.len() >= 90, "{}", vectors.len());
    for vector in vectors {
        let decoded = decode::item(vector.message, &vector.protobuf).unwrap();
        let decoded = std::str::from_utf8(&decoded).unwrap();
        assert_eq!(decoded, vector.json, "{}", vector.name);
    }
}

#[test]
fn unknown_fields_are_left_out_and_split_messages_merged() {
    for vector in vectors() {
        let mut protobuf = vector.protobuf;
        wire::put_bytes(&mut protobuf, 1, &{
            let mut metadata = Vec::new();
            wire::put_bytes(&mut metadata, 200, b"new");
            metadata
        });
        wire::put_number(&mut protobuf, 201, 7);
        let decoded = decode::item(vector.message, &protobuf).unwrap();
        assert_eq!(
            std::str::from_utf8(&decoded).unwrap(),
            vector.json,
            "{}",
            vector.name
        );
    }
}

#[test]
fn what_grows_without_end_is_refused() {
    // Each empty container is two bytes, and some sixty in JSON.
    let mut spec = Vec::new();
    for _ in 0..1_000_000 {
        wire::put_bytes(&mut spec, 2, b"");
    }
    let mut pod = Vec::new();
    wire::put_bytes(&mut pod, 2, &spec);
    let message = Message::of("v1", "Pod").unwrap();
    let error = decode::item(message, &pod).unwrap_err();
    assert_eq!(error.reason, yurthub_object::Reason::TooLong);
}

#[test]
fn the_corpus_and_damaged_objects_are_decoded_or_refused() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/decode");
    for entry in std::fs::read_dir(folder).unwrap() {
        bodies::decode(&std::fs::read(entry.unwrap().path()).unwrap());
    }
    for (index, vector) in vectors().into_iter().enumerate() {
        let mut data = [&[(index / 5) as u8], &vector.protobuf[..]].concat();
        bodies::decode(&data);
        let step = data.len() / 30 + 1;
        for at in (1..data.len()).step_by(step) {
            bodies::decode(&data[..at]);
            for mask in [0x01, 0x04, 0x88] {
                data[at] ^= mask;
                bodies::decode(&data);
                data[at] ^= mask;
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(data: Vec<u8>) {
        bodies::decode(&data);
    }
}
