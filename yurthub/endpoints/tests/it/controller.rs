//! Compares with what Kubernetes' own EndpointSlice reconciler makes of the same pod (`codegen/vectors`).

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use serde_json::Value;
use yurthub_endpoints::{Kind, LocalPod};
use yurthub_object::Encoding;

use crate::{
    model::{ENCODINGS, Known, Typed, shown},
    slices::{endpoint, slice},
};

const VECTORS: &str = include_str!("../vectors/slices.json");

#[test]
fn endpoints_come_out_as_the_controller_writes_them() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    let mut listed = 0;
    for vector in &vectors {
        let pod = LocalPod::read(Encoding::Json, vector["pod"].to_string().as_bytes(), true).unwrap();
        let known = Known {
            pods: [("here".to_owned(), pod)].into(),
            publish: vector["publishNotReadyAddresses"] == true,
            ..Known::default()
        };
        let address_type = vector["addressType"].as_str().unwrap();
        let old = if address_type == "IPv4" {
            "10.0.0.1"
        } else {
            "fd00::1"
        };
        // What the cloud wrote when the pod still was at another address.
        let conditions = [Some(true), Some(true), None];
        let before = slice(address_type, vec![endpoint("here", "edge1", &[old], conditions)]);
        for encoding in ENCODINGS {
            let item = before.encode(encoding);
            let changed = shown(Kind::EndpointSlice, encoding, &item, &known).unwrap();
            let after = EndpointSlice::decode(encoding, &changed);
            compare(vector, old, &after.endpoints[0]);
        }
        listed += usize::from(!vector["endpoint"].is_null());
    }
    assert!(
        listed > 0 && listed < vectors.len(),
        "some pods get an endpoint, some none"
    );
}

/// What the controller lists is shown as it lists it; what it drops is shown dead at its old address.
fn compare(vector: &Value, old: &str, ours: &Endpoint) {
    let conditions = ours.conditions.clone().unwrap();
    if vector["endpoint"].is_null() {
        assert_eq!(
            (conditions.ready, conditions.serving),
            (Some(false), Some(false)),
            "{vector}"
        );
        assert_eq!(ours.addresses, [old], "{vector}");
        return;
    }
    let theirs: Endpoint = serde_json::from_value(vector["endpoint"].clone()).unwrap();
    assert_eq!(ours.addresses, theirs.addresses, "{vector}");
    assert_eq!(Some(conditions), theirs.conditions, "{vector}");
    assert_eq!(ours.node_name, theirs.node_name, "{vector}");
}
