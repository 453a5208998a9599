//! What the fuzz target checks. A plain function, also run by `tests/decoded.rs` over the corpus and over damaged real
//! bytes.
//!
//! The first byte of the input chooses the kind, the rest is the item.
#![allow(clippy::expect_used, reason = "what breaks a property is to be found")]
#![allow(unreachable_pub, reason = "the fuzz target is another crate than the tests")]

use yurthub_display::{Message, columns, decode as display, yaml};

const KINDS: [(&str, &str, &str, &str); 18] = [
    ("v1", "Pod", "", "pods"),
    ("v1", "Node", "", "nodes"),
    ("v1", "ConfigMap", "", "configmaps"),
    ("v1", "Secret", "", "secrets"),
    ("v1", "Service", "", "services"),
    ("v1", "ServiceAccount", "", "serviceaccounts"),
    ("v1", "Endpoints", "", "endpoints"),
    ("v1", "Event", "", "events"),
    ("v1", "Namespace", "", "namespaces"),
    ("v1", "PersistentVolume", "", "persistentvolumes"),
    ("v1", "PersistentVolumeClaim", "", "persistentvolumeclaims"),
    ("coordination.k8s.io/v1", "Lease", "coordination.k8s.io", "leases"),
    (
        "discovery.k8s.io/v1",
        "EndpointSlice",
        "discovery.k8s.io",
        "endpointslices",
    ),
    ("events.k8s.io/v1", "Event", "events.k8s.io", "events"),
    ("node.k8s.io/v1", "RuntimeClass", "node.k8s.io", "runtimeclasses"),
    ("storage.k8s.io/v1", "CSIDriver", "storage.k8s.io", "csidrivers"),
    ("storage.k8s.io/v1", "CSINode", "storage.k8s.io", "csinodes"),
    (
        "storage.k8s.io/v1",
        "VolumeAttachment",
        "storage.k8s.io",
        "volumeattachments",
    ),
];

/// Nothing panics, whatever the bytes; what is decoded is JSON, and can be shown.
pub fn decode(data: &[u8]) {
    let Some((choice, item)) = data.split_first() else {
        return;
    };
    let (version, kind, group, resource) = KINDS[usize::from(*choice) % KINDS.len()];
    let message = Message::of(version, kind).expect("the tables have all these kinds");
    let Ok(decoded) = display::item(message, item) else {
        return;
    };
    let value: serde_json::Value = serde_json::from_slice(&decoded).expect("what is decoded is JSON");
    let cells = columns::cells(group, resource, &value, 0);
    assert_eq!(cells.len(), columns::of(group, resource).len());
    assert!(yaml::document(&value).ends_with('\n'));
}
