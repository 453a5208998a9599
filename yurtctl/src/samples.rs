//! What nodes look like in tests: one that is fine, but for what a test says.

use std::collections::BTreeMap;

use serde_json::Value;
use yurtctl_node::facts::Facts;

use crate::selection::NodeView;

/// Node `edge1`, Ready.
pub(crate) fn view() -> NodeView {
    NodeView {
        name: "edge1".to_owned(),
        ready: Ok(()),
        ready_since: None,
        kubelet: "v1.34.4".to_owned(),
        runtime: "containerd://2.0.0".to_owned(),
        architecture: "amd64".to_owned(),
        control_plane: false,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        images: Vec::new(),
        autonomy: None,
    }
}

/// A node that is fine, but for what `change` says.
pub(crate) fn facts(change: Value) -> Facts {
    let mut facts = serde_json::from_str(include_str!("../tests/facts.json")).unwrap();
    merge(&mut facts, change);
    serde_json::from_value(facts).unwrap()
}

fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change,
    }
}
