//! What watchers are told of stand-ins, and what the cloud may say before it.

use std::sync::Arc;
use std::task::Waker;

use serde_json::{Value, json};
use yurthub_object::{Encoding, TypeMeta};
use yurthub_store::{Options, Store};

use super::super::{Change, ChangeKind, Cursor, Poll, Wire};
use super::*;
use crate::identity::Client;
use crate::mirror::key::ScopeKey;
use crate::mirror::ring::{FIRST_OVERLAY_VERSION, Limit, Start};
use crate::reality::Local;

/// Something that the cloud says to a scope.
type Say = Box<dyn Fn(&Scope)>;

fn item(name: &str, uid: &str, version: u64) -> Bytes {
    let meta = json!({ "name": name, "uid": uid, "resourceVersion": version.to_string() });
    json!({ "metadata": meta }).to_string().into()
}

/// A scope with the pods `a` and `b` of the cloud, as of version 100, and a watcher that has seen them.
fn scope(folder: &tempfile::TempDir) -> (Scope, Cursor) {
    let (store, _) = Store::open(folder.path(), Options::default()).unwrap();
    let key = ScopeKey {
        client: Client::Node,
        group: String::new(),
        version: "v1".into(),
        resource: "pods".into(),
        namespace: None,
        labels: String::new(),
        fields: "spec.nodeName=edge1".into(),
        protobuf: false,
    };
    let limit = Limit {
        entries: 100,
        bytes: 1 << 20,
    };
    let scope = Scope::new(key, 1, (store, Arc::new(Local::off())), limit);
    let objects =
        [("a", 90), ("b", 91)].map(|(name, version)| (name.into(), version, item(name, "cloud", version)));
    let wire = Wire::new(Encoding::Json, TypeMeta::new("v1", "PodList"));
    scope.replace(wire, objects.into(), 100).unwrap();
    let Start::At { seq, above } = scope.start_watch(100) else {
        panic!("lost");
    };
    let cursor = Cursor {
        seq,
        above,
        bookmarks: true,
        lens: None,
    };
    (scope, cursor)
}

/// What the watcher is told next: event, name and UID; of versions, the cloud's. Own ones must rise.
fn told(scope: &Scope, cursor: &mut Cursor) -> Vec<String> {
    let (mut told, mut last) = (Vec::new(), 0);
    while let Poll::Frame(frame) = scope.poll_watch(cursor, Waker::noop()) {
        let frame: Value = serde_json::from_slice(&frame).unwrap();
        let meta = &frame["object"]["metadata"];
        let text = |field: &str| meta[field].as_str().unwrap_or_default();
        let version: u64 = text("resourceVersion").parse().unwrap();
        let version = if version >= FIRST_OVERLAY_VERSION {
            assert!(version > last, "{frame}");
            last = version;
            "own".to_owned()
        } else {
            version.to_string()
        };
        let event = frame["type"].as_str().unwrap_or_default();
        told.push([event, text("name"), text("uid"), &version].join(" "));
    }
    told
}

fn keys(scope: &Scope) -> Vec<String> {
    scope.keys().iter().map(ToString::to_string).collect()
}

fn replace_a(scope: &Scope) {
    assert!(scope.delete_here("a", "cloud", &item("a", "cloud", 90)));
    assert!(
        scope
            .create_here("a", &item("a", "here", 0), Some("cloud".into()))
            .is_some()
    );
}

#[test]
fn whatever_the_cloud_says_is_told_after_the_end_of_stand_ins() {
    let change = |key: &str, version| Change {
        key: key.into(),
        version,
        kind: ChangeKind::Present(item(key, "cloud", version)),
    };
    let cases: [(&str, Say, &[&str]); 3] = [
        ("a watch that is open again", Box::new(Scope::end_stand_ins), &[]),
        (
            "a bookmark",
            Box::new(|scope| scope.bookmark(110)),
            &["BOOKMARK   110"],
        ),
        (
            "a change of another pod",
            Box::new(move |scope| scope.apply(vec![change("b", 110)], 110).unwrap()),
            &["MODIFIED b cloud 110"],
        ),
    ];
    for (what, say, then) in cases {
        let folder = tempfile::tempdir().unwrap();
        let (scope, mut cursor) = scope(&folder);
        replace_a(&scope);
        assert_eq!(
            told(&scope, &mut cursor),
            ["DELETED a cloud own", "ADDED a here own"]
        );
        say(&scope);
        let end = ["DELETED a here own", "ADDED a cloud own"];
        assert_eq!(told(&scope, &mut cursor), [&end[..], then].concat(), "{what}");
        assert!(scope.heirs().is_empty() && !scope.has_stand_in("a"), "{what}");
        assert_eq!(scope.shown_versions()[0], ("a".into(), 90), "{what}");
    }
}

#[test]
fn a_list_with_stand_ins_is_in_order_and_has_a_version_of_this_node() {
    let folder = tempfile::tempdir().unwrap();
    let (scope, _) = scope(&folder);
    assert!(scope.delete_here("b", "cloud", &item("b", "cloud", 91)));
    assert!(scope.create_here("a-2", &item("a-2", "here", 0), None).is_some());
    assert_eq!(keys(&scope), ["a", "a-2"]);
    let view = scope.view(None).unwrap().unwrap();
    assert!(view.shown.version >= FIRST_OVERLAY_VERSION);
    assert!(matches!(view.source, super::super::Source::Loaded(items) if items.len() == 2));
    assert_eq!(scope.object("b").unwrap(), Err(super::super::Missing::Absent));
    assert!(scope.is_deleted_here("b") && !scope.contains("b"));
    scope.end_stand_ins();
    assert_eq!(keys(&scope), ["a", "b"]);
}

#[test]
fn only_the_pod_that_was_meant_is_deleted_or_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (scope, mut cursor) = scope(&folder);
    assert!(!scope.delete_here("a", "other", &item("a", "other", 90)));
    assert!(!scope.delete_here("c", "cloud", &item("c", "cloud", 90)));
    assert!(
        scope.create_here("a", &item("a", "here", 0), None).is_none(),
        "it is there"
    );
    replace_a(&scope);
    let status = |uid| Overlay::new(Encoding::Json, &item("a", uid, 0)).unwrap();
    assert!(!scope.change_here("a", &status("cloud")) && !scope.change_here("b", &status("here")));
    assert!(scope.change_here("a", &status("here")));
    let expected = ["DELETED a cloud own", "ADDED a here own", "MODIFIED a here own"];
    assert_eq!(told(&scope, &mut cursor), expected);
    let load = scope.stand_ins_beside("b");
    assert_eq!((load.count, scope.stand_ins_beside("a")), (1, Load::default()));
}

#[test]
fn what_the_kubelet_wrote_of_the_pod_from_before_is_kept_below_and_shown_again() {
    let folder = tempfile::tempdir().unwrap();
    let (scope, mut cursor) = scope(&folder);
    let written = Overlay::new(Encoding::Json, &item("a", "cloud", 0)).unwrap();
    scope.show_overlay("a", written);
    replace_a(&scope);
    assert_eq!(scope.written(), ["a".into()], "it is sent when the cloud is back");
    drop(told(&scope, &mut cursor));
    let again = Overlay::new(Encoding::Json, &item("a", "cloud", 0)).unwrap();
    let version = again.version;
    scope.show_overlay("a", again);
    assert_eq!(told(&scope, &mut cursor), [""; 0], "the stand-in lies over it");
    scope.end_stand_ins();
    assert_eq!(scope.shown_versions()[0], ("a".into(), version));
}
