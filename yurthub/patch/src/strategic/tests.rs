//! What the vectors of Kubernetes cannot show: unknown fields, kept bytes, bounds and broken input.

use proptest::prelude::*;
use serde_json::json;
use yurthub_object::wire;

use super::*;
use crate::{MAX_MERGED_ELEMENTS, MAX_PATCH_BYTES, merge};

const BOTH: [Encoding; 2] = [Encoding::Json, Encoding::Protobuf];

fn patched(item: &str, patch: &str) -> String {
    let item = Bytes::copy_from_slice(item.as_bytes());
    let patched = apply(Encoding::Json, ObjectKind::Node, &item, patch.as_bytes()).unwrap();
    String::from_utf8(patched.to_vec()).unwrap()
}

#[test]
fn json_keeps_the_text_and_order_of_what_is_not_named() {
    let item = r#"{"z": {"b" : 1.50, "a":2 },"status":{"phase":"x","new":[ 1, 2 ],"images":[]},"metadata":{"name":"n"}}"#;
    let expected = r#"{"z":{"b" : 1.50, "a":2 },"status":{"phase":"y","new":[ 1, 2 ],"images":[]},"metadata":{"name":"n"}}"#;
    assert_eq!(patched(item, r#"{"status":{"phase":"y"}}"#), expected);
}

#[test]
fn json_keeps_unknown_fields_within_merged_elements() {
    let item = r#"{"status":{"conditions":[{"type":"A","new":{"x": 1}},{"new":2,"type":"Ready"}]}}"#;
    let patch = r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#;
    let expected =
        r#"{"status":{"conditions":[{"type":"A","new":{"x": 1}},{"new":2,"type":"Ready","status":"True"}]}}"#;
    assert_eq!(patched(item, patch), expected);
}

#[test]
fn json_takes_fields_that_the_tables_do_not_have() {
    let item = r#"{"status":{"new":{"a":1,"l":[1]}}}"#;
    let patch = r#"{"status":{"new":{"b":{"c":null,"d":2},"l":[2]},"newer":true}}"#;
    assert_eq!(
        patched(item, patch),
        r#"{"status":{"new":{"a":1,"l":[2],"b":{"d":2}},"newer":true}}"#
    );
}

/// A Node whose status, and a condition in it, have fields that the tables do not have.
fn newer_node() -> (Vec<u8>, Vec<u8>) {
    let mut condition = Vec::new();
    wire::put_bytes(&mut condition, 1, b"Ready");
    wire::put_bytes(&mut condition, 2, b"False");
    wire::put_bytes(&mut condition, 77, b"new in a condition");
    let mut status = Vec::new();
    wire::put_bytes(&mut status, 4, &condition);
    wire::put_number(&mut status, 500, 42);
    let mut node = Vec::new();
    wire::put_bytes(&mut node, 3, &status);
    wire::put_bytes(&mut node, 99, b"new in a node");
    (node, condition)
}

#[test]
fn protobuf_keeps_unknown_fields() {
    let (node, condition) = newer_node();
    let patch = br#"{"status":{"conditions":[{"type":"Ready","status":"True"},{"type":"A"}],"newer":true}}"#;
    let result = apply(Encoding::Protobuf, ObjectKind::Node, &node.into(), patch).unwrap();
    let mut expected_condition = condition.clone();
    expected_condition.splice(9..14, *b"True").for_each(drop);
    expected_condition[8] = 4;
    let mut status = Vec::new();
    wire::put_bytes(&mut status, 4, &expected_condition);
    wire::put_bytes(&mut status, 4, b"\x0a\x01A");
    wire::put_number(&mut status, 500, 42);
    let mut expected = Vec::new();
    wire::put_bytes(&mut expected, 3, &status);
    wire::put_bytes(&mut expected, 99, b"new in a node");
    assert_eq!(result, expected);
}

#[test]
fn protobuf_in_unusual_forms_is_understood() {
    // Status in two records, a condition's type behind its status, labels apart from each other.
    let mut node = Vec::new();
    for (number, status) in [(3, &b"\x22\x0d\x12\x04True\x0a\x05Ready"[..]), (3, b"\x1a\x01x")] {
        wire::put_bytes(&mut node, number, status);
    }
    let patch = br#"{"status":{"conditions":[{"type":"Ready","status":"False"}]}}"#;
    let result = apply(Encoding::Protobuf, ObjectKind::Node, &node.into(), patch).unwrap();
    let mut expected = Vec::new();
    wire::put_bytes(&mut expected, 3, b"\x1a\x01x\x22\x0e\x0a\x05Ready\x12\x05False");
    assert_eq!(result, expected);
}

#[test]
fn status_patches_leave_the_rest_alone() {
    let pod = Bytes::from_static(br#"{"metadata":{"name":"n"},"spec":{"nodeName":"a"},"status":{}}"#);
    let patch = json!({
        "metadata": {"labels": {"a": "b"}, "deletionTimestamp": "2026-03-01T12:00:00Z",
            "$setElementOrder/ownerReferences": [], "ownerReferences": []},
        "spec": {"nodeName": "b"}, "status": {"phase": "Running"}});
    let patched = apply_status(
        Encoding::Json,
        ObjectKind::Pod,
        &pod,
        patch.to_string().as_bytes(),
    )
    .unwrap();
    let expected: &[u8] =
        br#"{"metadata":{"name":"n","labels":{"a":"b"}},"spec":{"nodeName":"a"},"status":{"phase":"Running"}}"#;
    assert_eq!(patched, expected);
}

/// As the apiserver sees it: its typed object always has the struct.
#[test]
fn a_struct_that_was_not_written_is_an_empty_one() {
    let patch = r#"{"status":{"nodeInfo":{"$patch":"replace","bootID":"x"},"config":{"$patch":"replace","error":"y"}}}"#;
    assert_eq!(patched("{}", patch), r#"{"status":{"nodeInfo":{"bootID":"x"}}}"#);
    let patched = apply(
        Encoding::Protobuf,
        ObjectKind::Node,
        &Bytes::new(),
        patch.as_bytes(),
    )
    .unwrap();
    let node_info = wire::find(&patched, &[3, 7]).unwrap().unwrap();
    assert_eq!(node_info.bytes(), Ok(&b"\x1a\x01x"[..]));
    assert_eq!(wire::find(&patched, &[3, 11]), Ok(None));
}

#[test]
fn a_lease_is_renewed_in_microseconds() {
    let patch = br#"{"spec":{"renewTime":"2026-03-01T12:00:00.123456Z","leaseDurationSeconds":40}}"#;
    let json = apply(
        Encoding::Json,
        ObjectKind::Lease,
        &Bytes::from_static(b"{}"),
        patch,
    )
    .unwrap();
    let expected: &[u8] =
        br#"{"spec":{"leaseDurationSeconds":40,"renewTime":"2026-03-01T12:00:00.123456Z"}}"#;
    assert_eq!(json, expected);
    let protobuf = apply(Encoding::Protobuf, ObjectKind::Lease, &Bytes::new(), patch).unwrap();
    let time = wire::find(&protobuf, &[2, 4]).unwrap().unwrap().bytes().unwrap();
    assert_eq!(wire::varint(time, &[1]), Ok(1_772_366_400));
    assert_eq!(wire::varint(time, &[2]), Ok(123_456_000));
    assert_eq!(wire::varint(&protobuf, &[2, 2]), Ok(40));
}

#[test]
fn a_patch_for_another_uid_is_refused() {
    for encoding in BOTH {
        let empty: Bytes = if encoding == Encoding::Json {
            "{}".into()
        } else {
            Bytes::new()
        };
        let ours = br#"{"metadata":{"uid":"a"}}"#;
        let pod = apply(encoding, ObjectKind::Pod, &empty, ours).unwrap();
        assert!(apply(encoding, ObjectKind::Pod, &pod, ours).is_ok());
        let theirs = br#"{"metadata":{"uid":"b"}}"#;
        for apply in [apply, apply_status, merge::apply] {
            let refused = apply(encoding, ObjectKind::Pod, &pod, theirs);
            assert!(matches!(refused, Err(PatchError::OtherUid)), "{refused:?}");
        }
    }
}

#[test]
fn broken_patches_are_refused() {
    let deep = format!("{}1{}", r#"{"status":"#.repeat(200), "}".repeat(200));
    let too_long = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_PATCH_BYTES));
    for patch in [
        "",
        "[]",
        "null",
        "{",
        "{}x",
        r#"{"metadata":null}"#,
        r#"{"$patch":"replace"}"#,
        &deep,
        &too_long,
    ] {
        for encoding in BOTH {
            let item: Bytes = if encoding == Encoding::Json {
                "{}".into()
            } else {
                Bytes::new()
            };
            let refused = apply(encoding, ObjectKind::Pod, &item, patch.as_bytes());
            assert!(
                refused.is_err(),
                "{encoding:?} {}",
                patch.get(..20).unwrap_or(patch)
            );
        }
    }
}

#[test]
fn lists_of_any_length_are_not_matched() {
    let addresses: Vec<_> = (0..=MAX_MERGED_ELEMENTS)
        .map(|i| json!({"type": i.to_string()}))
        .collect();
    let patch = json!({"status": {"addresses": addresses}}).to_string();
    let empty = Bytes::new();
    let node = apply(Encoding::Protobuf, ObjectKind::Node, &empty, patch.as_bytes()).unwrap();
    let refused = apply(Encoding::Protobuf, ObjectKind::Node, &node, patch.as_bytes());
    assert!(matches!(refused, Err(PatchError::TooLong(_))), "{refused:?}");
}

#[test]
fn broken_objects_are_refused() {
    for item in ["", "[]", "{", r#"{"status":3}"#, r#"{"status":{}"#, "{}}"] {
        let item = Bytes::copy_from_slice(item.as_bytes());
        let patch = br#"{"status":{"nodeInfo":{"bootID":"x"}}}"#;
        // A status of another type is replaced, as Kubernetes does.
        let is_replaced = item.starts_with(br#"{"status":3"#);
        assert_eq!(
            apply(Encoding::Json, ObjectKind::Node, &item, patch).is_ok(),
            is_replaced,
            "{item:?}"
        );
    }
    for item in [&b"\x1a\x05ab"[..], b"\x1b", b"\x1a\x01\xff", b"\x18\x07"] {
        let patch = br#"{"status":{"nodeInfo":{"bootID":"x"}}}"#;
        let refused = apply(
            Encoding::Protobuf,
            ObjectKind::Node,
            &Bytes::from_static(item),
            patch,
        );
        assert!(
            matches!(refused, Err(PatchError::MalformedObject(_))),
            "{item:?} {refused:?}"
        );
    }
}

const PATCHES: [&str; 6] = [
    r#"{"status":{"conditions":[{"type":"Ready","status":"True"}],"nodeInfo":{"bootID":"x"}}}"#,
    r#"{"status":{"$setElementOrder/conditions":[{"type":"Ready"}],"capacity":{"cpu":"1"},"startTime":null}}"#,
    r#"{"metadata":{"labels":{"a":"b"},"finalizers":["x"],"$deleteFromPrimitiveList/finalizers":["y"]}}"#,
    r#"{"spec":{"containers":[{"name":"c","ports":[{"containerPort":1}]}],"volumes":[{"name":"v","emptyDir":{}}]}}"#,
    r#"{"status":{"podIPs":[{"ip":"x"}],"addresses":[{"type":"a"},{"$patch":"replace"}]}}"#,
    r#"{"spec":{"renewTime":"2026-03-01T12:00:00.123456Z","leaseDurationSeconds":40,"holderIdentity":"n"}}"#,
];

proptest! {
    #[test]
    fn any_protobuf_is_patched_or_refused(item: Vec<u8>, patch in prop::sample::select(PATCHES.as_slice())) {
        for kind in [ObjectKind::Pod, ObjectKind::Node, ObjectKind::Lease] {
            let _ = apply(Encoding::Protobuf, kind, &item.clone().into(), patch.as_bytes());
        }
    }

    /// Valid wire format with the fields that matter, which bytes alone hardly ever are.
    #[test]
    fn any_message_is_patched_or_refused(
        records in prop::collection::vec((1_u32..8, prop::collection::vec((1_u32..16, ".{0,6}"), 0..6)), 0..6),
        patch in prop::sample::select(PATCHES.as_slice()),
    ) {
        let mut item = Vec::new();
        for (number, inner) in records {
            let mut message = Vec::new();
            for (number, text) in inner {
                wire::put_bytes(&mut message, number, text.as_bytes());
            }
            wire::put_bytes(&mut item, number, &message);
        }
        for kind in [ObjectKind::Pod, ObjectKind::Node, ObjectKind::Lease] {
            let _ = apply(Encoding::Protobuf, kind, &item.clone().into(), patch.as_bytes());
        }
    }

    #[test]
    fn any_json_is_patched_or_refused(
        item in r#"\{("(status|metadata|spec)":[\{\["a-z0-9:,\]\}]{0,20}){0,3}\}"#,
        patch in prop::sample::select(PATCHES.as_slice()),
    ) {
        let _ = apply(Encoding::Json, ObjectKind::Pod, &item.into(), patch.as_bytes());
    }

    #[test]
    fn any_patch_is_applied_or_refused(patch: Vec<u8>, text in r#"\{"status":\{("[$a-z]{0,9}":[\{\["a-z0-9:,\]\}]{0,20}){0,3}\}\}"#) {
        let node: Bytes = newer_node().0.into();
        for patch in [patch.as_slice(), text.as_bytes()] {
            let _ = apply(Encoding::Protobuf, ObjectKind::Node, &node, patch);
            let _ = merge::apply(Encoding::Protobuf, ObjectKind::Node, &node, patch);
        }
    }

    /// The same patch twice is the patch once, in both encodings, when it only sets values.
    #[test]
    fn setting_values_is_idempotent(patch in prop::sample::select(PATCHES[..1].to_vec()), labels in prop::collection::btree_map(".{0,5}", ".{0,5}", 0..4)) {
        let mut patch: Value = serde_json::from_str(patch).unwrap();
        patch["metadata"] = json!({"labels": labels.into_iter().filter(|(key, _)| key != "$patch" && !key.starts_with('$')).collect::<std::collections::BTreeMap<_, _>>()});
        for encoding in BOTH {
            let empty: Bytes = if encoding == Encoding::Json { "{}".into() } else { Bytes::new() };
            let patch = patch.to_string();
            let once = apply(encoding, ObjectKind::Node, &empty, patch.as_bytes()).unwrap();
            let twice = apply(encoding, ObjectKind::Node, &once, patch.as_bytes()).unwrap();
            prop_assert_eq!(once, twice);
        }
    }
}
