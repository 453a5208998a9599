//! Cases of an entry, in both encodings.

use serde_json::{Value, json};

use super::*;
use crate::offline::events::metadata::LETTERS;

const STAMP: Stamp = Stamp {
    version: (1 << 62) + 7,
    now: SystemTime::UNIX_EPOCH,
    random: 0x1234_5678_9abc_def0_1234_5678_9abc_def0,
};

fn path(group: &str, name: Option<&str>) -> ResourcePath {
    ResourcePath {
        group: group.into(),
        version: "v1".into(),
        resource: "events".into(),
        namespace: Some("shop".into()),
        name: name.map(str::to_owned),
        ..ResourcePath::default()
    }
}

fn event(metadata: &Value) -> Value {
    json!({
        "kind": "Event", "apiVersion": "v1", "metadata": metadata,
        "involvedObject": { "kind": "Pod", "namespace": "shop", "name": "web", "uid": "pod-uid" },
        "reason": "BackOff", "count": 2, "firstTimestamp": "2026-11-21T14:00:00Z",
        "lastTimestamp": "2026-11-21T14:01:00Z", "unknown": { "kept": true },
    })
}

fn taken(body: &Value) -> Result<Entry, EventError> {
    let body = Bytes::from(body.to_string());
    Entry::from_body(&Client::Node, &path("", None), (Encoding::Json, &body), STAMP)
}

/// The same event as a kubelet writes it.
fn protobuf(metadata: &Value) -> Bytes {
    let content = event(metadata);
    let empty = Bytes::from_static(&[0x0a, 0]);
    let kind = ObjectKind::CoreEvent;
    let patch = content.to_string();
    let item = strategic::apply(Encoding::Protobuf, kind, &empty, patch.as_bytes()).unwrap();
    single::join(Encoding::Protobuf, &TypeMeta::new("v1", "Event"), &item)
}

fn read(body: &Bytes) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[test]
fn the_writer_gets_what_an_apiserver_gives_and_the_cloud_only_what_was_written() {
    let entry = taken(&event(&json!({ "name": "web.1", "creationTimestamp": null }))).unwrap();
    let answer = read(&entry.answer());
    assert_eq!(answer["metadata"]["resourceVersion"], "4611686018427387911");
    assert_eq!(answer["metadata"]["uid"], "12345678-9abc-4ef0-9234-56789abcdef0");
    assert_eq!(answer["metadata"]["creationTimestamp"], "1970-01-01T00:00:00Z");
    assert_eq!((&answer["kind"], &answer["count"]), (&json!("Event"), &json!(2)));
    let mut expected = event(&json!({ "name": "web.1", "namespace": "shop" }));
    assert_eq!(read(&entry.upstream().unwrap()), expected);
    let renamed = entry.renamed(0);
    expected["metadata"]["name"] = "web.1.bbbbb".into();
    assert_eq!(read(&renamed.upstream().unwrap()), expected);
    assert_eq!(renamed.head.name, "web.1", "its writer knows it by its name");
    assert_eq!(renamed.head.path(), "/api/v1/namespaces/shop/events/web.1.bbbbb");
}

#[test]
fn protobuf_keeps_its_bytes() {
    let body = protobuf(&json!({ "name": "web.1", "namespace": "shop" }));
    let entry = Entry::from_body(&Client::Node, &path("", None), (Encoding::Protobuf, &body), STAMP).unwrap();
    let given = meta::read(Encoding::Protobuf, &entry.item).unwrap();
    assert_eq!(
        (given.resource_version, given.uid.as_str()),
        (STAMP.version, "12345678-9abc-4ef0-9234-56789abcdef0")
    );
    assert_eq!(entry.upstream().unwrap(), body);
}

#[test]
fn counts_are_patched_in_both_encodings() {
    let metadata = json!({ "name": "web.1" });
    let patch = br#"{"count":3,"lastTimestamp":"2026-11-21T14:02:00Z"}"#;
    for (encoding, body) in [
        (Encoding::Json, Bytes::from(event(&metadata).to_string())),
        (Encoding::Protobuf, protobuf(&metadata)),
    ] {
        let entry = Entry::from_body(&Client::Node, &path("", None), (encoding, &body), STAMP).unwrap();
        let patched = entry
            .patched((PatchType::Strategic, patch), STAMP.version + 1)
            .unwrap();
        assert_eq!(
            patched.amendment().unwrap(),
            json!([
                { "op": "test", "path": "/involvedObject/uid", "value": "pod-uid" },
                { "op": "test", "path": "/reason", "value": "BackOff" },
                { "op": "add", "path": "/count", "value": 3 },
                { "op": "add", "path": "/lastTimestamp", "value": "2026-11-21T14:02:00Z" },
            ])
        );
        let key = meta::key(encoding, &patched.item).unwrap();
        assert_eq!(key.resource_version, STAMP.version + 1);
    }
}

#[test]
fn names_are_made_where_only_a_prefix_is_given() {
    let entry = taken(&event(&json!({ "generateName": "web-" }))).unwrap();
    let name = entry.head.name.strip_prefix("web-").unwrap();
    assert_eq!(name.len(), 5);
    assert!(name.bytes().all(|letter| LETTERS.contains(&letter)), "{name}");
    let long = generated(&"ä".repeat(200), 5);
    assert!(long.len() <= MAX_NAME);
}

#[test]
fn what_no_apiserver_would_take_is_refused() {
    for (metadata, says) in [
        (json!({}), "needs a name"),
        (json!({ "name": "x".repeat(254) }), "needs a name"),
        (
            json!({ "name": "a", "namespace": "other" }),
            "namespace of the object",
        ),
        (json!("none"), "failed to read"),
    ] {
        let error = taken(&event(&metadata)).unwrap_err().to_string();
        assert!(error.contains(says), "{metadata}: {error}");
    }
    let pod = taken(&json!({ "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "a" } }));
    assert!(matches!(pod, Err(EventError::Malformed(_))));
    let body = Bytes::from(event(&json!({ "name": "a" })).to_string());
    let other = Entry::from_body(
        &Client::Node,
        &path("", Some("b")),
        (Encoding::Json, &body),
        STAMP,
    );
    assert!(matches!(other, Err(EventError::Foreign { what: "name", .. })));
}

#[test]
fn entries_survive_a_round_trip_and_broken_ones_are_refused() {
    let entry = taken(&event(&json!({ "name": "web.1" }))).unwrap().renamed(3);
    assert_eq!(Entry::decode(&entry.encode().unwrap()).unwrap(), entry);
    for broken in [&b""[..], b"\n", b"{}", b"{}\n{}", b"\xff\n{}"] {
        assert!(Entry::decode(&Bytes::from_static(broken)).is_err(), "{broken:?}");
    }
}
