//! Cells of a node (`printNode`).

use serde_json::Value;

use super::{AGE, Column, NAME, condition, list, narrow, or_none, text, wide};

const ROLE: &str = "node-role.kubernetes.io/";

pub(super) const COLUMNS: [Column; 10] = [
    NAME,
    narrow("Status"),
    narrow("Roles"),
    AGE,
    narrow("Version"),
    wide("Internal-IP"),
    wide("External-IP"),
    wide("OS-Image"),
    wide("Kernel-Version"),
    wide("Container-Runtime"),
];

pub(super) fn cells(node: &Value, name: String, age: String) -> Vec<String> {
    let mut status = match condition(node, "Ready") {
        "True" => "Ready",
        "" => "Unknown",
        _ => "NotReady",
    }
    .to_owned();
    if node.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
        status.push_str(",SchedulingDisabled");
    }
    let labels = node.pointer("/metadata/labels").and_then(Value::as_object);
    let roles: Vec<_> = labels
        .into_iter()
        .flatten()
        .filter_map(|(label, value)| match label.strip_prefix(ROLE) {
            Some(role) => Some(role),
            None if label == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    let address = |kind: &str| {
        let found = list(node, "/status/addresses")
            .iter()
            .find(|address| text(address, "/type") == kind);
        or_none(found.map_or("", |address| text(address, "/address")))
    };
    let info = |name: &str| match text(node, &format!("/status/nodeInfo/{name}")) {
        "" => "<unknown>".to_owned(),
        known => known.to_owned(),
    };
    vec![
        name,
        status,
        or_none(&roles.join(",")),
        age,
        text(node, "/status/nodeInfo/kubeletVersion").to_owned(),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_says_whether_it_is_ready_and_what_it_is() {
        let node = json!({
            "metadata": {"labels": {"node-role.kubernetes.io/edge": "", "a": "b"}},
            "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "Unknown"}],
                "addresses": [{"type": "Hostname", "address": "e"}, {"type": "InternalIP", "address": "10.0.0.2"}],
                "nodeInfo": {"kubeletVersion": "v1.34.4"}},
        });
        let cells = cells(&node, "edge1".into(), "3d".into());
        assert_eq!(
            cells[..6],
            [
                "edge1",
                "NotReady,SchedulingDisabled",
                "edge",
                "3d",
                "v1.34.4",
                "10.0.0.2"
            ]
        );
    }
}
