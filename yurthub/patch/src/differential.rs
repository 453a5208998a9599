//! The patches of `tests/vectors/strategic.json` against what Kubernetes made of them: `go run ./vectors` in
//! `codegen` writes that file.

use bytes::Bytes;
use serde_json::Value;
use yurthub_object::Encoding;

use crate::{ObjectKind, PatchError, canonical, merge, strategic, tree};

struct Vector {
    name: String,
    kind: ObjectKind,
    patch: Vec<u8>,
    is_merge_patch: bool,
    object: Encoded,
    result: Option<Encoded>,
}

struct Encoded {
    json: Bytes,
    protobuf: Bytes,
}

impl Encoded {
    fn of(value: &Value) -> Self {
        let hex = value["protobuf"].as_str().unwrap().as_bytes();
        let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
        let bytes = hex.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1]));
        Self {
            json: value["json"].to_string().into(),
            protobuf: bytes.collect(),
        }
    }

    fn get(&self, encoding: Encoding) -> &Bytes {
        match encoding {
            Encoding::Json => &self.json,
            Encoding::Protobuf => &self.protobuf,
        }
    }
}

fn vectors() -> Vec<Vector> {
    let file: Value = serde_json::from_str(include_str!("../tests/vectors/strategic.json")).unwrap();
    let vector = |value: &Value| Vector {
        name: value["name"].as_str().unwrap().to_owned(),
        kind: if value["kind"] == "Node" {
            ObjectKind::Node
        } else {
            ObjectKind::Pod
        },
        patch: value["patch"].to_string().into_bytes(),
        is_merge_patch: value["mergePatch"].as_bool().unwrap(),
        object: Encoded::of(&file["objects"][value["object"].as_str().unwrap()]),
        result: value.get("result").map(Encoded::of),
    };
    file["vectors"].as_array().unwrap().iter().map(vector).collect()
}

impl Vector {
    fn apply(&self, encoding: Encoding) -> Result<Bytes, PatchError> {
        let apply = if self.is_merge_patch {
            merge::apply
        } else {
            strategic::apply
        };
        apply(encoding, self.kind, self.object.get(encoding), &self.patch)
    }

    fn meaning(&self, encoding: Encoding, item: &Bytes) -> Value {
        let shape = self.kind.shape();
        canonical::of_map(tree::open(encoding, item, shape).unwrap(), shape).unwrap()
    }
}

#[test]
fn same_patch_same_result_as_kubernetes() {
    let vectors = vectors();
    assert!(vectors.len() >= 90, "{}", vectors.len());
    let mut wrong = Vec::new();
    for vector in &vectors {
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let outcome = match (vector.apply(encoding), &vector.result) {
                (Err(_), None) => continue,
                (Err(error), Some(_)) => format!("refused: {error:?}"),
                (Ok(_), None) => "not refused".to_owned(),
                (Ok(ours), Some(theirs)) => {
                    let ours = vector.meaning(encoding, &ours);
                    let theirs = vector.meaning(encoding, theirs.get(encoding));
                    if ours == theirs {
                        continue;
                    }
                    difference("", &ours, &theirs)
                }
            };
            wrong.push(format!("{} ({encoding:?}): {outcome}", vector.name));
        }
    }
    assert!(wrong.is_empty(), "{}\n{} wrong", wrong.join("\n"), wrong.len());
}

/// Where two values differ.
fn difference(path: &str, ours: &Value, theirs: &Value) -> String {
    if let (Value::Object(left), Value::Object(right)) = (ours, theirs) {
        let mut names: Vec<_> = left.keys().chain(right.keys()).collect();
        names.sort();
        names.dedup();
        let differing = names
            .into_iter()
            .filter(|name| left.get(*name) != right.get(*name));
        let null = Value::Null;
        let get = |map: &serde_json::Map<String, Value>, name: &str| map.get(name).unwrap_or(&null).clone();
        return differing
            .map(|name| difference(&format!("{path}.{name}"), &get(left, name), &get(right, name)))
            .collect();
    }
    format!("\n  {path}: ours {ours}, theirs {theirs}")
}

#[test]
fn both_encodings_of_an_object_mean_the_same() {
    for vector in vectors() {
        for item in [Some(&vector.object), vector.result.as_ref()]
            .into_iter()
            .flatten()
        {
            let mut json = vector.meaning(Encoding::Json, &item.json);
            // In protobuf the envelope has them.
            json.as_object_mut()
                .unwrap()
                .retain(|key, _| key != "kind" && key != "apiVersion");
            let protobuf = vector.meaning(Encoding::Protobuf, &item.protobuf);
            assert_eq!(json, protobuf, "{}", vector.name);
        }
    }
}

/// Go writes fields in the order of their numbers and zeros too; where a patch sets no zeros, so do we.
#[test]
fn protobuf_of_kubelet_patches_is_what_go_writes() {
    let vectors = vectors();
    let kubelet = vectors
        .iter()
        .filter(|vector| vector.name.starts_with("kubelet: "));
    let is_equal = |vector: &&Vector| {
        let ours = vector.apply(Encoding::Protobuf).unwrap();
        ours == vector.result.as_ref().unwrap().protobuf
    };
    let (equal, other): (Vec<_>, Vec<_>) = kubelet.partition(is_equal);
    let other: Vec<_> = other.iter().map(|vector| &vector.name).collect();
    assert!(
        equal.len() >= 23,
        "{} are equal, these are not: {other:#?}",
        equal.len()
    );
}

#[test]
fn an_empty_patch_copies_the_object() {
    for vector in vectors() {
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let item = vector.object.get(encoding);
            let copied = strategic::apply(encoding, vector.kind, item, b"{}").unwrap();
            assert_eq!(copied, item, "{encoding:?}");
        }
    }
}
