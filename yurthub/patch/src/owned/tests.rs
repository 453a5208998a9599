//! Tables of what each side has written and what comes of it, run in both encodings.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::strategic;

/// A pod or node with a status, in an encoding: made by patching an empty object.
fn object(encoding: Encoding, kind: ObjectKind, content: &Value) -> Bytes {
    let empty = match encoding {
        Encoding::Json => Bytes::from_static(b"{}"),
        Encoding::Protobuf => Bytes::new(),
    };
    strategic::apply(encoding, kind, &empty, content.to_string().as_bytes()).unwrap()
}

fn meaning(encoding: Encoding, kind: ObjectKind, item: &Bytes) -> Value {
    canonical::of_map(tree::open(encoding, item, kind.shape()).unwrap(), kind.shape()).unwrap()
}

/// Merges two statuses in both encodings and expects `expected`, or nothing to send.
#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "the tables below read better")]
fn check(kind: ObjectKind, cloud: Value, written: Value, expected: Option<Value>) {
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let metadata = json!({"name": "n", "labels": {"of": "cloud"}});
        let cloud = object(encoding, kind, &json!({"metadata": metadata, "status": cloud}));
        let written = object(
            encoding,
            kind,
            &json!({"metadata": {"name": "old"}, "status": written}),
        );
        let merged = merge_status(encoding, kind, &cloud, &written).unwrap();
        let expected = expected
            .as_ref()
            .map(|status| json!({"metadata": metadata, "status": status}));
        match (merged, expected) {
            (Merged::Unchanged, None) => {}
            (Merged::Changed(merged), Some(expected)) => {
                let expected = object(encoding, kind, &expected);
                let (merged, expected) = (
                    meaning(encoding, kind, &merged),
                    meaning(encoding, kind, &expected),
                );
                assert_eq!(merged, expected, "{encoding:?}");
            }
            (merged, expected) => panic!("{encoding:?}: {merged:?} instead of {expected:?}"),
        }
    }
}

fn condition(name: &str, status: &str, minute: u32) -> Value {
    json!({"type": name, "status": status, "lastTransitionTime": format!("2026-03-01T12:{minute:02}:00Z")})
}

#[test]
fn a_nodes_conditions_are_taken_by_type() {
    check(
        ObjectKind::Node,
        json!({"conditions": [
            condition("NetworkUnavailable", "False", 9), condition("Ready", "Unknown", 9),
            condition("MemoryPressure", "Unknown", 9)]}),
        json!({"conditions": [
            condition("MemoryPressure", "False", 1), condition("NetworkUnavailable", "True", 1),
            condition("Ready", "True", 1), condition("PIDPressure", "False", 1), condition("Foreign", "True", 1)]}),
        Some(json!({"conditions": [
            condition("NetworkUnavailable", "False", 9), condition("Ready", "True", 1),
            condition("MemoryPressure", "False", 1), condition("PIDPressure", "False", 1)]})),
    );
}

#[test]
fn a_condition_that_the_kubelet_never_wrote_stays_on_the_node() {
    let cloud = json!({"conditions": [condition("Ready", "Unknown", 9)]});
    check(ObjectKind::Node, cloud, json!({"conditions": []}), None);
}

#[test]
fn a_nodes_fields_are_taken_by_owner() {
    check(
        ObjectKind::Node,
        json!({
            "phase": "Running", "volumesAttached": [{"name": "v", "devicePath": "/dev/a"}], "volumesInUse": ["gone"],
            "capacity": {"cpu": "4", "example.org/fpga": "1"}, "images": [{"names": ["old"]}],
            "nodeInfo": {"bootID": "1"}}),
        json!({
            "phase": "Pending", "volumesAttached": [{"name": "w", "devicePath": "/dev/b"}],
            "capacity": {"cpu": "8", "memory": "1Gi"}, "images": [{"names": ["new"]}], "nodeInfo": {"bootID": "2"}}),
        Some(json!({
            "phase": "Running", "volumesAttached": [{"name": "v", "devicePath": "/dev/a"}],
            "capacity": {"cpu": "8", "memory": "1Gi", "example.org/fpga": "1"}, "images": [{"names": ["new"]}],
            "nodeInfo": {"bootID": "2"}})),
    );
}

#[test]
fn a_pods_conditions_are_taken_by_type() {
    check(
        ObjectKind::Pod,
        json!({"conditions": [
            condition("Ready", "False", 9), condition("PodResizePending", "True", 1),
            condition("example.org/gate", "True", 9), condition("PodScheduled", "True", 1)]}),
        json!({"conditions": [
            condition("PodScheduled", "True", 1), condition("Ready", "True", 1),
            condition("example.org/gate", "False", 1), condition("PodReadyToStartContainers", "True", 1)]}),
        Some(json!({"conditions": [
            condition("Ready", "True", 1), condition("example.org/gate", "True", 9),
            condition("PodScheduled", "True", 1), condition("PodReadyToStartContainers", "True", 1)]})),
    );
}

#[test]
fn of_a_shared_condition_the_newer_transition_counts() {
    let with = |status: &str, minute| json!({"conditions": [condition("DisruptionTarget", status, minute)]});
    check(
        ObjectKind::Pod,
        with("True", 5),
        with("False", 6),
        Some(with("False", 6)),
    );
    check(ObjectKind::Pod, with("True", 5), with("False", 5), None);
    check(ObjectKind::Pod, with("True", 5), with("False", 4), None);
    check(ObjectKind::Pod, with("True", 5), json!({}), None);
    check(ObjectKind::Pod, json!({}), with("True", 5), Some(with("True", 5)));
}

#[test]
fn a_pods_fields_are_taken_by_owner() {
    check(
        ObjectKind::Pod,
        json!({
            "phase": "Pending", "message": "waiting", "nominatedNodeName": "edge-2", "podIP": "10.0.0.1",
            "resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "a"}], "qosClass": "Burstable"}),
        json!({
            "phase": "Running", "nominatedNodeName": "edge-1", "podIP": "10.0.0.2", "qosClass": "Burstable",
            "podIPs": [{"ip": "10.0.0.2"}],
            "containerStatuses": [{"name": "c", "ready": true, "restartCount": 0, "image": "i", "imageID": ""}]}),
        Some(json!({
            "phase": "Running", "nominatedNodeName": "edge-2", "podIP": "10.0.0.2", "qosClass": "Burstable",
            "podIPs": [{"ip": "10.0.0.2"}], "resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "a"}],
            "containerStatuses": [{"name": "c", "ready": true, "restartCount": 0, "image": "i", "imageID": ""}]})),
    );
}

#[test]
fn a_pod_that_the_cloud_has_ended_stays_ended() {
    check(
        ObjectKind::Pod,
        json!({"phase": "Failed", "reason": "NodeLost", "message": "by the collector"}),
        json!({"phase": "Running", "podIP": "10.0.0.2"}),
        Some(json!({
            "phase": "Failed", "reason": "NodeLost", "message": "by the collector", "podIP": "10.0.0.2"})),
    );
    check(
        ObjectKind::Pod,
        json!({"phase": "Failed", "reason": "NodeLost"}),
        json!({"phase": "Succeeded"}),
        Some(json!({"phase": "Succeeded"})),
    );
}

#[test]
fn what_means_the_same_is_unchanged() {
    let cloud = json!({"phase": "Running", "startTime": "2026-03-01T12:00:00Z", "message": ""});
    check(
        ObjectKind::Pod,
        cloud,
        json!({"phase": "Running", "startTime": "2026-03-01T14:00:00+02:00"}),
        None,
    );
    check(ObjectKind::Node, json!({}), json!({}), None);
    check(ObjectKind::Lease, json!({}), json!({}), None);
}

#[test]
fn unknown_fields_are_the_kubelets_if_it_wrote_them() {
    let merge = |cloud: &'static str, written: &'static str| {
        let (cloud, written) = (
            Bytes::from_static(cloud.as_bytes()),
            Bytes::from_static(written.as_bytes()),
        );
        merge_status(Encoding::Json, ObjectKind::Node, &cloud, &written).unwrap()
    };
    let merged = merge(
        r#"{"x":{"b":1, "a":2},"status":{"new":{"a": 1},"theirs":[1.0]}}"#,
        r#"{"x":3,"status":{"new":{"a": 1e1}}}"#,
    );
    let expected = r#"{"x":{"b":1, "a":2},"status":{"new":{"a": 1e1},"theirs":[1.0]}}"#;
    assert_eq!(merged, Merged::Changed(Bytes::from_static(expected.as_bytes())));

    // Status (3 in a Node) with the unknown fields 100 and 101.
    let cloud = Bytes::from_static(&[0x1a, 10, 0xa2, 6, 1, b'a', 0xa8, 6, 7, 0xaa, 6, 0]);
    let written = Bytes::from_static(&[0x1a, 4, 0xa2, 6, 1, b'b']);
    let merged = merge_status(Encoding::Protobuf, ObjectKind::Node, &cloud, &written).unwrap();
    let expected = Bytes::from_static(&[0x1a, 10, 0xa2, 6, 1, b'b', 0xa8, 6, 7, 0xaa, 6, 0]);
    assert_eq!(merged, Merged::Changed(expected));
}

#[test]
fn statuses_are_compared_by_meaning() {
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let pod = |status: Value| object(encoding, ObjectKind::Pod, &json!({"status": status}));
        let running = pod(json!({"phase": "Running", "podIPs": []}));
        assert!(
            equal_status(
                encoding,
                ObjectKind::Pod,
                &running,
                &pod(json!({"phase": "Running"}))
            )
            .unwrap()
        );
        assert!(
            !equal_status(
                encoding,
                ObjectKind::Pod,
                &running,
                &pod(json!({"phase": "Failed"}))
            )
            .unwrap()
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_merged_or_refused(cloud: Vec<u8>, written: Vec<u8>) {
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            for kind in [ObjectKind::Pod, ObjectKind::Node, ObjectKind::Lease] {
                let (cloud, written) = (cloud.clone().into(), written.clone().into());
                let _ = merge_status(encoding, kind, &cloud, &written);
            }
        }
    }

    /// What has been merged and sent is there: merging again changes nothing.
    #[test]
    fn merging_twice_is_merging_once(phases in "[PRSF]{2}", times in prop::array::uniform4(0_u32..3)) {
        let phase = |at: usize| match phases.as_bytes()[at] {
            b'P' => "Pending",
            b'R' => "Running",
            b'S' => "Succeeded",
            _ => "Failed",
        };
        let status = |at: usize| json!({"phase": phase(at), "conditions": [
            condition("Ready", "True", times[at]), condition("DisruptionTarget", phase(at), times[at + 2])]});
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let cloud = object(encoding, ObjectKind::Pod, &json!({"status": status(0)}));
            let written = object(encoding, ObjectKind::Pod, &json!({"status": status(1)}));
            if let Merged::Changed(sent) = merge_status(encoding, ObjectKind::Pod, &cloud, &written).unwrap() {
                let again = merge_status(encoding, ObjectKind::Pod, &sent, &written).unwrap();
                prop_assert_eq!(again, Merged::Unchanged);
            }
        }
    }
}
