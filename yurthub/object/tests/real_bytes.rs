//! What a real kube-apiserver (1.34) sent, read and written again: byte for byte the same.
//!
//! `fixtures/NAME.{json,pb}` are unchanged response bodies, except for the token in
//! `token_response`, which was replaced.

#![expect(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

use std::{collections::BTreeMap, fs, path::Path};

use bytes::Bytes;
use yurthub_object::{
    Encoding, Style, TypeMeta, edit, fields, lease,
    list::{self, ListEncoder, PageEnd},
    meta, single,
    status::Status,
    token,
    watch::{self, EventType, Frame, FrameDecoder},
};

const BOTH: [Encoding; 2] = [Encoding::Json, Encoding::Protobuf];

fn fixture(name: &str, encoding: Encoding) -> Bytes {
    let extension = match encoding {
        Encoding::Json => "json",
        Encoding::Protobuf => "pb",
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    fs::read(path.with_extension(extension)).unwrap().into()
}

/// Where both encodings exist, both; custom resources have JSON only.
fn encodings(name: &str) -> &'static [Encoding] {
    if name.starts_with("widget") && !name.contains("partial") {
        &BOTH[..1]
    } else {
        &BOTH
    }
}

#[track_caller]
fn assert_same(got: &[u8], want: &[u8], name: &str) {
    assert_eq!(
        String::from_utf8_lossy(got),
        String::from_utf8_lossy(want),
        "{name}"
    );
    assert_eq!(got, want, "{name}");
}

const SINGLES: [&str; 10] = [
    "pod",
    "node",
    "configmap",
    "secret",
    "service",
    "lease",
    "event",
    "widget",
    "status_404",
    "token_response",
];
const LISTS: [&str; 7] = [
    "pods",
    "pods_empty",
    "pods_page",
    "pods_partial",
    "widgets",
    "widgets_empty",
    "widgets_partial",
];
const WATCHES: [&str; 5] = [
    "pods_watch",
    "services_watch",
    "widgets_watch",
    "widgets_partial_watch",
    "error_watch",
];

#[test]
fn single_objects_round_trip() {
    for name in SINGLES {
        for &encoding in encodings(name) {
            let body = fixture(name, encoding);
            let (type_meta, item) = single::split(encoding, &body).unwrap();
            assert_same(&single::join(encoding, &type_meta, &item), &body, name);
        }
    }
}

fn encode_list(encoding: Encoding, page: &list::ListPage) -> Vec<u8> {
    let end = PageEnd {
        continue_token: page.continue_token.clone(),
        remaining: page.remaining,
    };
    let lengths = page.items.iter().map(Bytes::len);
    let encoder = ListEncoder::page(encoding, &page.type_meta, (page.resource_version, &end), lengths);
    let mut body = encoder.head().to_vec();
    for (index, item) in page.items.iter().enumerate() {
        body.extend_from_slice(&encoder.item_prefix(index, item.len()));
        body.extend_from_slice(item);
    }
    body.extend_from_slice(&encoder.tail());
    assert_eq!(body.len(), encoder.content_length());
    body
}

#[test]
fn lists_round_trip() {
    for name in LISTS {
        for &encoding in encodings(name) {
            let body = fixture(name, encoding);
            let page = list::decode(encoding, &body).unwrap();
            assert_eq!(page.items.is_empty(), name.ends_with("_empty"), "{name}");
            assert_eq!(page.continue_token.is_empty(), !name.ends_with("_page"), "{name}");
            assert_eq!(page.remaining, name.ends_with("_page").then_some(1), "{name}");
            assert!(page.resource_version > 0, "{name}");
            assert_same(&encode_list(encoding, &page), &body, name);
        }
    }
}

/// The item in a list, the item of a GET and the item of a watch event are the same bytes, so that
/// the mirror may store either.
#[test]
fn items_are_the_same_from_list_get_and_watch() {
    for (single, list, watch) in [
        ("pod", "pods", "pods_watch"),
        ("widget", "widgets", "widgets_watch"),
    ] {
        for &encoding in encodings(single) {
            let (type_meta, item) = single::split(encoding, &fixture(single, encoding)).unwrap();
            let page = list::decode(encoding, &fixture(list, encoding)).unwrap();
            assert_same(&page.items[0], &item, single);
            let frame = &frames(encoding, watch)[0];
            assert_eq!(
                single::split(encoding, &frame.object),
                Ok((type_meta, item)),
                "{single}"
            );
        }
    }
    for encoding in BOTH {
        let page = list::decode(encoding, &fixture("widgets_partial", encoding)).unwrap();
        let frame = &frames(encoding, "widgets_partial_watch")[0];
        assert_same(
            &single::split(encoding, &frame.object).unwrap().1,
            &page.items[0],
            "partial",
        );
    }
}

fn frames(encoding: Encoding, name: &str) -> Vec<Frame> {
    let mut decoder = FrameDecoder::new(encoding, 1 << 20);
    decoder.push(fixture(name, encoding));
    let frames = std::iter::from_fn(|| decoder.next().unwrap()).collect();
    assert!(decoder.at_boundary(), "{name}");
    frames
}

#[test]
fn watch_frames_round_trip() {
    for name in WATCHES {
        for &encoding in encodings(name) {
            let mut stream = Vec::new();
            for Frame { event, object } in frames(encoding, name) {
                let (type_meta, item) = single::split(encoding, &object).unwrap();
                stream.extend_from_slice(&watch::encode(encoding, event, &type_meta, &item));
            }
            assert_same(&stream, &fixture(name, encoding), name);
        }
    }
}

#[test]
fn bookmarks_are_written_as_the_apiserver_writes_them() {
    for (name, type_meta) in [
        ("pods_watch", TypeMeta::new("v1", "Pod")),
        ("services_watch", TypeMeta::new("v1", "Service")),
        ("widgets_watch", TypeMeta::unstructured("example.io/v1", "Widget")),
    ] {
        for &encoding in encodings(name) {
            let stream = fixture(name, encoding);
            let found = frames(encoding, name);
            let bookmark = found
                .iter()
                .find(|frame| frame.event == EventType::Bookmark)
                .unwrap();
            let (_, item) = single::split(encoding, &bookmark.object).unwrap();
            let version = meta::key(encoding, &item).unwrap().resource_version;
            let frame = watch::encode_bookmark(encoding, &type_meta, version, true);
            assert!(
                stream.windows(frame.len()).any(|part| part == frame),
                "{name}\n{}\n{}",
                String::from_utf8_lossy(&frame),
                String::from_utf8_lossy(&stream)
            );
            let (_, ours) = single::split(encoding, &bookmark.object).unwrap();
            let end = meta::annotation(encoding, &ours, "k8s.io/initial-events-end").unwrap();
            assert_eq!(end.as_deref(), Some("true"));
        }
    }
}

#[test]
fn statuses_round_trip() {
    for (name, code, reason) in [
        ("status_404", 404, "NotFound"),
        ("status_422", 422, "Invalid"),
        ("status_504", 504, "Timeout"),
        ("status_410", 410, "Expired"),
    ] {
        for encoding in BOTH {
            let body = fixture(name, encoding);
            let status = Status::decode(encoding, &body).unwrap();
            assert_eq!((status.code, status.reason.as_str()), (code, reason));
            assert_same(&status.encode(encoding), &body, name);
        }
    }
}

#[test]
fn error_frames_round_trip() {
    for encoding in BOTH {
        let frame = &frames(encoding, "error_watch")[0];
        assert_eq!(frame.event, EventType::Error);
        let status = Status::decode(encoding, &frame.object).unwrap();
        assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
        assert_same(
            &watch::encode_error(encoding, &status),
            &fixture("error_watch", encoding),
            "error",
        );
    }
}

fn item(name: &str, encoding: Encoding) -> Bytes {
    single::split(encoding, &fixture(name, encoding)).unwrap().1
}

#[test]
fn metadata_is_the_same_in_both_encodings() {
    for name in ["pod", "node", "configmap", "secret", "service", "lease", "event"] {
        let [json, protobuf] = BOTH.map(|encoding| meta::read(encoding, &item(name, encoding)).unwrap());
        assert_eq!(json, protobuf, "{name}");
        for encoding in BOTH {
            let item = item(name, encoding);
            let key = meta::key(encoding, &item).unwrap();
            assert_eq!(
                (&*key.namespace, &*key.name, key.resource_version),
                (&*json.namespace, &*json.name, json.resource_version)
            );
            assert_eq!(meta::labels(encoding, &item).unwrap(), json.labels);
        }
    }
    let pod = meta::read(Encoding::Protobuf, &item("pod", Encoding::Protobuf)).unwrap();
    assert_eq!(
        (&*pod.namespace, &*pod.name, pod.generation, pod.deleting),
        ("demo", "web-1", 1, false)
    );
    assert_eq!(pod.uid.len(), 36);
    let labels = [("app", "web"), ("tier", "front")].map(|(key, value)| (key.into(), value.into()));
    assert_eq!(pod.labels, BTreeMap::from(labels));
    for encoding in BOTH {
        let note = meta::annotation(encoding, &item("node", encoding), "note").unwrap();
        assert_eq!(
            note.as_deref(),
            Some("quote \" and < & > tab\tü"),
            "escapes are read"
        );
        assert_eq!(
            meta::annotation(encoding, &item("node", encoding), "none"),
            Ok(None)
        );
    }
}

#[test]
fn owners_and_deletion_are_seen() {
    for encoding in BOTH {
        let pod = meta::read(encoding, &item("pod_deleting", encoding)).unwrap();
        assert!(pod.deleting);
        let owner = pod.controller.unwrap();
        assert_eq!(
            (&*owner.api_version, &*owner.kind, &*owner.name),
            ("apps/v1", "ReplicaSet", "rs")
        );
        assert_eq!(owner.uid, "22222222-2222-2222-2222-222222222222");
    }
}

#[test]
fn custom_resources_keep_their_type() {
    let body = fixture("widget", Encoding::Json);
    let (type_meta, item) = single::split(Encoding::Json, &body).unwrap();
    assert_eq!(type_meta, TypeMeta::unstructured("example.io/v1", "Widget"));
    assert_eq!(meta::key(Encoding::Json, &item).unwrap().name, "w1");
    let page = list::decode(Encoding::Json, &fixture("widgets", Encoding::Json)).unwrap();
    assert_eq!(page.type_meta.style, Style::Unstructured);
}

#[test]
fn field_values_are_those_that_the_apiserver_selects_by() {
    for (name, resource, path, want) in [
        ("pod", "pods", "metadata.name", Some("web-1")),
        ("pod", "pods", "metadata.namespace", Some("demo")),
        ("pod", "pods", "spec.nodeName", Some("edge-1")),
        ("pod", "pods", "spec.restartPolicy", Some("Always")),
        ("pod", "pods", "spec.schedulerName", Some("default-scheduler")),
        ("pod", "pods", "spec.serviceAccountName", Some("sa")),
        ("pod", "pods", "spec.hostNetwork", Some("false")),
        ("pod", "pods", "status.phase", Some("Pending")),
        ("pod", "pods", "status.podIP", Some("")),
        ("pod", "pods", "status.nominatedNodeName", Some("")),
        ("pod", "pods", "spec.hostname", None),
        ("pod_deleting", "pods", "spec.hostNetwork", Some("true")),
        ("pod_deleting", "pods", "status.podIP", Some("10.1.2.3")),
        ("node", "nodes", "spec.unschedulable", Some("true")),
        ("service", "services", "spec.type", Some("NodePort")),
        ("service", "services", "spec.clusterIP", Some("10.96.225.196")),
        ("secret", "secrets", "type", Some("Opaque")),
        ("configmap", "configmaps", "data", None),
        ("event", "events", "involvedObject.kind", Some("Pod")),
        ("event", "events", "involvedObject.namespace", Some("demo")),
        ("event", "events", "involvedObject.name", Some("web-1")),
        ("event", "events", "involvedObject.uid", Some("u1")),
        ("event", "events", "involvedObject.apiVersion", Some("v1")),
        ("event", "events", "involvedObject.resourceVersion", Some("12")),
        (
            "event",
            "events",
            "involvedObject.fieldPath",
            Some("spec.containers{c}"),
        ),
        ("event", "events", "reason", Some("Pulled")),
        ("event", "events", "reportingComponent", Some("kubelet")),
        ("event", "events", "source", Some("kubelet")),
        ("event", "events", "type", Some("Normal")),
    ] {
        for encoding in BOTH {
            let got = fields::value(encoding, ("", resource), &item(name, encoding), path);
            assert_eq!(got.as_deref(), want, "{encoding:?} {resource} {path}");
            assert_eq!(fields::is_supported(("", resource), path), want.is_some());
        }
    }
}

#[test]
fn a_new_version_changes_nothing_else() {
    for name in [
        "pod",
        "node",
        "configmap",
        "secret",
        "service",
        "lease",
        "event",
        "widget",
    ] {
        for &encoding in encodings(name) {
            let item = item(name, encoding);
            let version = meta::key(encoding, &item).unwrap().resource_version;
            let edited = edit::set_resource_version(encoding, &item, u64::MAX).unwrap();
            let mut want = meta::read(encoding, &item).unwrap();
            want.resource_version = u64::MAX;
            assert_eq!(meta::read(encoding, &edited), Ok(want));
            assert_same(
                &edit::set_resource_version(encoding, &edited, version).unwrap(),
                &item,
                name,
            );
        }
    }
}

#[test]
fn token_requests_and_answers_are_read() {
    for encoding in BOTH {
        let key = token::request_key(encoding, &fixture("token_request", encoding)).unwrap();
        assert_eq!(key.audiences, ["a", "b"]);
        assert_eq!(key.expiration_seconds, 3607);
        let bound = key.bound.unwrap();
        assert_eq!(
            (&*bound.kind, &*bound.name, bound.uid.len()),
            ("Secret", "sec", 36)
        );

        let response = fixture("token_response", encoding);
        let issued = token::read(encoding, &response).unwrap();
        assert_eq!(issued.token, "header.payload.signature");
        let later = token::with_expiry(encoding, &response, issued.expiration + 1_000_000).unwrap();
        assert_eq!(
            token::read(encoding, &later).unwrap().expiration,
            issued.expiration + 1_000_000
        );
        let back = token::with_expiry(encoding, &later, issued.expiration).unwrap();
        assert_same(&back, &response, "token");
    }
}

#[test]
fn lease_times_are_read_to_the_microsecond() {
    for encoding in BOTH {
        let renewed = lease::renew_time(encoding, &fixture("lease", encoding)).unwrap();
        assert_eq!(renewed, Some(1_795_269_601_123_456));
    }
}
