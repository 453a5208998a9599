//! Runs the bodies of the fuzz targets over their corpus, over the objects that Kubernetes' own vectors are made of
//! (whole, cut short and with single bytes changed), and over patches that are nearly right.

#![expect(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::fs;
use std::path::Path;

use bodies::Input;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use yurthub_patch::{Encoding, ObjectKind, strategic};

fn over_corpus(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(folder).unwrap() {
        body(&fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0, "the corpus of {target} is empty");
}

#[test]
fn patches_of_the_corpus() {
    over_corpus("strategic", bodies::strategic);
}

#[test]
fn statuses_of_the_corpus() {
    over_corpus("owned", bodies::owned);
}

/// The objects of the vectors in both encodings.
fn objects() -> Vec<(Encoding, ObjectKind, Bytes)> {
    let file: Value = serde_json::from_str(include_str!("vectors/strategic.json")).unwrap();
    let mut objects = Vec::new();
    for (name, object) in file["objects"].as_object().unwrap() {
        let kind = if name.starts_with("Node") {
            ObjectKind::Node
        } else {
            ObjectKind::Pod
        };
        objects.push((Encoding::Json, kind, object["json"].to_string().into()));
        let hex = object["protobuf"].as_str().unwrap();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let protobuf = (0..hex.len()).step_by(2).map(byte).collect();
        objects.push((Encoding::Protobuf, kind, protobuf));
    }
    objects
}

/// The object whole, cut short, and with single bytes changed: some hundred ways, the same ones in each run.
fn damaged(object: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    let step = object.len() / 40 + 1;
    let places = (0..object.len()).step_by(step);
    let changed = places.flat_map(move |at| {
        let with = |mask: u8| {
            let mut changed = object.to_vec();
            changed[at] ^= mask;
            Bytes::from(changed)
        };
        [object.slice(..at), with(0x01), with(0x08), with(0x80)]
    });
    std::iter::once(object.clone()).chain(changed)
}

#[test]
fn damaged_objects_are_merged_or_refused() {
    for (encoding, kind, object) in objects() {
        for other in damaged(&object) {
            for (item, other) in [(&object, &other), (&other, &object)] {
                let (item, other) = (item.clone(), other.clone());
                bodies::check_merge(&Input {
                    encoding,
                    kind,
                    item,
                    other,
                });
            }
        }
    }
}

/// Names that mean something in a patch of a pod or a node, and some that do not.
const NAMES: [&str; 30] = [
    "status",
    "spec",
    "metadata",
    "conditions",
    "type",
    "message",
    "lastTransitionTime",
    "addresses",
    "capacity",
    "cpu",
    "images",
    "names",
    "containers",
    "containerStatuses",
    "name",
    "ports",
    "containerPort",
    "podIPs",
    "ip",
    "finalizers",
    "labels",
    "ownerReferences",
    "uid",
    "volumes",
    "$patch",
    "$retainKeys",
    "$setElementOrder/conditions",
    "$setElementOrder/containers",
    "$deleteFromPrimitiveList/finalizers",
    "unknown",
];

const SCALARS: [&str; 12] = [
    "Ready",
    "True",
    "delete",
    "replace",
    "merge",
    "ip",
    "name",
    "2026-11-21T14:00:00Z",
    "100m",
    "10.0.0.1",
    "",
    "nonsense",
];

fn patch() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        4 => prop::sample::select(SCALARS.as_slice()).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<i32>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
    ];
    let value = scalar.prop_recursive(5, 48, 4, |inner| {
        let member = (prop::sample::select(NAMES.as_slice()), inner.clone());
        let object = prop::collection::vec(member, 0..5).prop_map(|members| {
            let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
            Value::Object(members.collect::<Map<_, _>>())
        });
        prop_oneof![2 => object, 1 => prop::collection::vec(inner, 0..4).prop_map(Value::Array)]
    });
    let part = prop::sample::select(["status", "metadata", "spec"].as_slice());
    (part, value).prop_map(|(part, value)| json!({part: value}))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn patches_that_are_nearly_right_are_applied_or_refused(
        (encoding, kind, item) in prop::sample::select(objects()),
        patch in patch(),
    ) {
        let other = patch.to_string().into();
        bodies::check_patch(&Input { encoding, kind, item, other });
    }

    #[test]
    fn statuses_that_are_nearly_right_are_merged_or_refused(
        (encoding, kind, item) in prop::sample::select(objects()),
        patch in patch(),
    ) {
        let other = if encoding == Encoding::Json {
            patch.to_string().into()
        } else {
            strategic::apply(encoding, kind, &Bytes::new(), patch.to_string().as_bytes()).unwrap_or_default()
        };
        bodies::check_merge(&Input { encoding, kind, item, other });
    }
}
