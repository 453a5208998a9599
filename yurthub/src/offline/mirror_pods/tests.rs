//! Which writes of pods are done on a stand-in, and what one looks like.

use serde_json::{Value, json};
use yurthub_object::meta::{ObjectMeta, Owner};

use super::*;

fn owner(kind: &str, name: &str) -> Owner {
    Owner {
        api_version: "v1".into(),
        kind: kind.into(),
        name: name.into(),
        uid: "n".into(),
    }
}

/// A mirror pod of `edge1`.
fn mirror() -> Pod {
    Pod {
        meta: ObjectMeta {
            name: "steady-edge1".into(),
            namespace: "ns".into(),
            uid: "u1".into(),
            resource_version: 7,
            controller: Some(owner("Node", "edge1")),
            ..ObjectMeta::default()
        },
        mirrors: Some("hash".into()),
        node: "edge1".into(),
    }
}

fn others() -> [(Pod, &'static str); 4] {
    let owned = |controller| Pod {
        meta: ObjectMeta {
            controller,
            ..mirror().meta
        },
        ..mirror()
    };
    [
        (
            Pod {
                mirrors: None,
                ..mirror()
            },
            "a pod of the cloud",
        ),
        (
            Pod {
                node: "edge2".into(),
                ..mirror()
            },
            "on another node",
        ),
        (owned(None), "of nobody"),
        (owned(Some(owner("Node", "edge2"))), "of another node"),
    ]
}

fn at_once() -> DeleteOptions {
    DeleteOptions {
        grace_period: Some(0),
        ..DeleteOptions::default()
    }
}

const FULL: Load = Load {
    count: MOST,
    bytes: 0,
};

#[test]
fn only_mirror_pods_of_this_node_are_deleted_and_only_as_kubelets_do_it() {
    let (mirror, no_mirror_pod) = (mirror(), Err(Refused::NeedsCloud(Why::NoMirrorPod)));
    for (other, what) in others() {
        let verdict = delete("edge1", &at_once(), Present::Pod(&other), Load::default());
        assert_eq!(verdict, no_mirror_pod, "{what}");
    }
    let with = |uid: Option<&str>, version: Option<&str>| DeleteOptions {
        uid: uid.map(str::to_owned),
        version: version.map(str::to_owned),
        ..at_once()
    };
    let another_way = Err(Refused::NeedsCloud(Why::AnotherWay));
    let slowly = |grace_period| DeleteOptions {
        grace_period,
        ..DeleteOptions::default()
    };
    let dry = DeleteOptions {
        dry_run: true,
        ..at_once()
    };
    let present = Present::Pod(&mirror);
    let none = Load::default();
    for (options, present, load, expected) in [
        (at_once(), present, none, Ok(())),
        (with(Some("u1"), Some("7")), present, none, Ok(())),
        (slowly(None), present, none, another_way.clone()),
        (slowly(Some(30)), present, none, another_way.clone()),
        (dry, present, none, another_way),
        (at_once(), Present::Deleted, none, Err(Refused::Absent)),
        (at_once(), Present::Nothing, none, no_mirror_pod),
        (at_once(), present, FULL, Err(Refused::NeedsCloud(Why::Full))),
    ] {
        let verdict = delete("edge1", &options, present, load);
        assert_eq!(verdict, expected, "{options:?} {present:?}");
    }
    for options in [with(Some("u2"), None), with(Some("u1"), Some("8"))] {
        let verdict = delete("edge1", &options, present, Load::default());
        let Err(Refused::OtherPod(why)) = verdict else {
            panic!("{options:?}: {verdict:?}");
        };
        assert!(why.starts_with("Precondition failed: "), "{why}");
    }
}

#[test]
fn only_mirror_pods_of_this_node_are_created_where_the_name_is_free() {
    let posted = Pod {
        meta: ObjectMeta {
            resource_version: 0,
            ..mirror().meta
        },
        ..mirror()
    };
    let make = |posted: &Pod, bytes, present, load| create(("edge1", "ns"), (posted, bytes), present, load);
    for (mut other, what) in others() {
        other.meta.resource_version = 0;
        let verdict = make(&other, 100, Present::Nothing, Load::default());
        assert_eq!(verdict, Err(Refused::NeedsCloud(Why::NoMirrorPod)), "{what}");
    }
    let with = |change: fn(&mut ObjectMeta)| {
        let mut posted = posted.clone();
        change(&mut posted.meta);
        posted
    };
    for (posted, what) in [
        (with(|meta| meta.name.clear()), "a name to be made up"),
        (with(|meta| meta.namespace = "other".into()), "another namespace"),
        (with(|meta| meta.resource_version = 7), "a version"),
        (with(|meta| meta.deleting = true), "on its way out"),
    ] {
        let verdict = make(&posted, 100, Present::Nothing, Load::default());
        assert_eq!(verdict, Err(Refused::NeedsCloud(Why::AnotherWay)), "{what}");
    }
    let (present, full) = (mirror(), Err(Refused::NeedsCloud(Why::Full)));
    let none = Load::default();
    for (present, bytes, load, expected) in [
        (Present::Nothing, 100, none, Ok(())),
        (Present::Deleted, 100, none, Ok(())),
        (Present::Pod(&present), 100, none, Err(Refused::Taken)),
        (Present::Deleted, 100, FULL, full.clone()),
        (Present::Deleted, MOST_BYTES + 1, none, full),
    ] {
        assert_eq!(
            make(&posted, bytes, present, load),
            expected,
            "{present:?} {bytes}"
        );
    }
}

#[test]
fn a_pod_takes_the_endpoints_of_one_whose_labels_it_has() {
    let labelled = |labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        Pod {
            meta: ObjectMeta {
                labels: labels.collect(),
                ..mirror().meta
            },
            ..mirror()
        }
    };
    let before = labelled(&[("app", "web")]);
    for (now, expected) in [
        (labelled(&[("app", "web")]), true),
        (labelled(&[("app", "web"), ("version", "2")]), true),
        (labelled(&[("app", "db")]), false),
        (labelled(&[]), false),
    ] {
        assert_eq!(now.takes_endpoints_of(&before), expected, "{:?}", now.meta.labels);
    }
}

#[test]
fn options_are_read_as_clients_write_them() {
    let kubelets = DeleteOptions {
        uid: Some("u1".into()),
        ..at_once()
    };
    let json =
        r#"{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0,"preconditions":{"uid":"u1"}}"#;
    // As Go writes it: grace period 0, preconditions with a UID.
    let protobuf =
        b"k8s\0\x0a\x13\x0a\x02v1\x12\x0dDeleteOptions\x12\x08\x08\x00\x12\x04\x0a\x02u1\x1a\x00\x22\x00";
    let without = b"k8s\0\x0a\x13\x0a\x02v1\x12\x0dDeleteOptions\x12\x04\x08\x00\x12\x00\x1a\x00\x22\x00";
    for (encoding, body, expected) in [
        (Encoding::Json, json.as_bytes(), &kubelets),
        (Encoding::Protobuf, protobuf, &kubelets),
        (Encoding::Protobuf, without, &at_once()),
        (Encoding::Json, b"", &DeleteOptions::default()),
        (Encoding::Json, b"{}", &DeleteOptions::default()),
    ] {
        let read = DeleteOptions::read(encoding, &Bytes::copy_from_slice(body));
        assert_eq!(read.as_ref(), Ok(expected), "{encoding:?} {body:?}");
    }
    for (encoding, body) in [
        (Encoding::Json, &b"{"[..]),
        (Encoding::Json, br#"{"gracePeriodSeconds":"soon"}"#),
        (Encoding::Protobuf, b"k8s"),
        (Encoding::Protobuf, b"k8s\0\x12\x02\x12\x09"),
    ] {
        let read = DeleteOptions::read(encoding, &Bytes::from_static(body));
        assert!(read.is_err(), "{body:?}: {read:?}");
    }
}

fn posted() -> Value {
    json!({
        "metadata": {
            "name": "steady-edge1", "namespace": "ns", "uid": "of the static pod",
            "annotations": { MIRROR: "hash" },
            "ownerReferences": [
                { "apiVersion": "v1", "kind": "Node", "name": "edge1", "uid": "n", "controller": true }
            ],
        },
        "spec": { "nodeName": "edge1", "containers": [{ "name": "main" }] },
        "status": { "phase": "Running", "podIP": "10.0.0.1" },
    })
}

#[test]
fn a_stand_in_has_an_identity_of_its_own_and_no_status_in_json() {
    let posted = posted();
    let made = stand_in(Encoding::Json, &posted.to_string().into(), "new", 1_795_269_600).unwrap();
    let mut expected = posted;
    expected["metadata"]["uid"] = "new".into();
    expected["metadata"]["creationTimestamp"] = "2026-11-21T14:00:00Z".into();
    expected["metadata"]["generation"] = 1.into();
    expected["status"] = json!({ "phase": "Pending" });
    assert_eq!(serde_json::from_slice::<Value>(&made).unwrap(), expected);
    assert!(Pod::read(Encoding::Json, &made).unwrap().is_mirror_of("edge1"));
}

#[test]
fn a_stand_in_has_an_identity_of_its_own_and_no_status_in_protobuf() {
    let mut pod = Vec::new();
    for (path, text) in [
        (&[1, 1][..], "steady-edge1"),
        (&[1, 3], "ns"),
        (&[1, 5], "of the static pod"),
        (&[1, 12, 1], MIRROR),
        (&[1, 12, 2], "hash"),
        (&[1, 13, 1], "Node"),
        (&[1, 13, 3], "edge1"),
        (&[2, 10], "edge1"),
        (&[3, 1], "Running"),
        (&[3, 6], "10.0.0.1"),
    ] {
        pod = set_field(&pod, path, &NewValue::Bytes(text.as_bytes())).unwrap();
    }
    let pod = set_field(&pod, &[1, 13, 6], &NewValue::Varint(1)).unwrap();
    let made = stand_in(Encoding::Protobuf, &pod.into(), "new", 1_795_269_600).unwrap();
    let read = Pod::read(Encoding::Protobuf, &made).unwrap();
    assert!(read.is_mirror_of("edge1"), "{read:?}");
    assert_eq!((read.meta.uid.as_str(), read.meta.generation), ("new", 1));
    assert_eq!(wire::varint(&made, &[1, 8, 1]), Ok(1_795_269_600));
    assert_eq!(wire::message(&made, &[3]), Ok(&b"\x0a\x07Pending"[..]));
}

#[test]
fn uids_have_the_form_of_an_apiserver() {
    for (numbers, expected) in [
        ((0, 0), "00000000-0000-4000-8000-000000000000"),
        ((u64::MAX, u64::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff"),
        (
            (0x0123_4567_89ab_cdef, 0x0123_4567_89ab_cdef),
            "01234567-89ab-4def-8123-456789abcdef",
        ),
    ] {
        assert_eq!(uid(numbers), expected);
    }
}

#[test]
fn bytes_that_break_off_anywhere_never_panic() {
    let json = posted().to_string();
    let protobuf =
        b"k8s\0\x0a\x13\x0a\x02v1\x12\x0dDeleteOptions\x12\x08\x08\x00\x12\x04\x0a\x02u1\x1a\x00\x22\x00";
    for whole in [json.as_bytes(), protobuf] {
        for length in 0..whole.len() {
            let bytes = Bytes::copy_from_slice(&whole[..length]);
            for encoding in [Encoding::Json, Encoding::Protobuf] {
                let _ = DeleteOptions::read(encoding, &bytes);
                let _ = Pod::read(encoding, &bytes);
                let _ = stand_in(encoding, &bytes, "new", 0);
            }
        }
    }
}
