//! Which nodes a command is about (pure).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, NodeCondition};
use serde::Serialize;
use thiserror::Error;
use yurt_common::autonomy::CONDITION as AUTONOMY;

use crate::EDGE_LABEL;

const CONTROL_PLANE: [&str; 2] = [
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/master",
];

const READY: &str = "Ready";

/// A node as the cloud sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Whether it is Ready, or why not.
    pub ready: Result<(), String>,
    /// When that changed last, as in RFC 3339.
    pub ready_since: Option<String>,
    /// Version of its kubelet.
    pub kubelet: String,
    /// What runs its containers, such as `containerd://2.0.0`.
    pub runtime: String,
    /// As Go calls it: `amd64`, `arm64`, …
    pub architecture: String,
    /// Whether control-plane components run there.
    pub control_plane: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Names of the images that it has, each with all its names; a kubelet tells of the 50 largest unless it is set
    /// otherwise (`nodeStatusMaxImages`).
    pub images: Vec<Vec<String>>,
    /// What yurt-controller-manager says of its autonomy.
    pub autonomy: Option<Autonomy>,
}

/// The condition `NodeAutonomy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Autonomy {
    /// Whether pods stay there while it is silent.
    pub holds: bool,
    /// Why, in a word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

impl Autonomy {
    fn of(node: &Node) -> Option<Self> {
        let condition = condition(node, AUTONOMY)?;
        Some(Self {
            holds: condition.status == "True",
            reason: condition.reason.clone().unwrap_or_default(),
            message: condition.message.clone().unwrap_or_default(),
        })
    }
}

impl NodeView {
    /// Of a Node.
    pub fn of(node: &Node) -> Self {
        let status = node.status.as_ref();
        let info = status.and_then(|status| status.node_info.clone());
        let info = info.unwrap_or_default();
        let labels = node.metadata.labels.clone().unwrap_or_default();
        let since = condition(node, READY).and_then(|ready| ready.last_transition_time.as_ref());
        Self {
            name: node.metadata.name.clone().unwrap_or_default(),
            ready: ready(node),
            ready_since: since.map(|time| time.0.to_string()),
            kubelet: info.kubelet_version,
            runtime: info.container_runtime_version,
            architecture: info.architecture,
            control_plane: CONTROL_PLANE.iter().any(|label| labels.contains_key(*label)),
            annotations: node.metadata.annotations.clone().unwrap_or_default(),
            labels,
            images: status
                .iter()
                .flat_map(|status| status.images.iter().flatten())
                .map(|image| image.names.clone().unwrap_or_default())
                .collect(),
            autonomy: Autonomy::of(node),
        }
    }

    /// Whether it is an edge node, or shall be.
    pub fn is_edge(&self) -> bool {
        self.labels.get(EDGE_LABEL).is_some_and(|value| value == "true")
    }
}

fn condition<'n>(node: &'n Node, kind: &str) -> Option<&'n NodeCondition> {
    let mut conditions = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions.find(|condition| condition.type_ == kind)
}

fn ready(node: &Node) -> Result<(), String> {
    let Some(ready) = condition(node, READY) else {
        return Err("it has never reported a status".to_owned());
    };
    if ready.status == "True" {
        return Ok(());
    }
    Err(ready
        .message
        .clone()
        .unwrap_or_else(|| format!("Ready is {}", ready.status)))
}

/// Why a selection makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectionError {
    /// Names that are no nodes.
    #[error("there is no node {}; the cluster has {}", .unknown.join(", "), .known.join(", "))]
    Unknown {
        /// Those.
        unknown: Vec<String>,
        /// Those that are.
        known: Vec<String>,
    },
    /// Nothing was selected.
    #[error("no node is selected: give --edge-nodes or --selector, or label nodes with {EDGE_LABEL}=true")]
    Nothing,
}

/// What is selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// By name.
    Names(Vec<String>),
    /// Those whose names the apiserver found by a selector.
    Found(Vec<String>),
    /// Those with the label.
    Labelled,
}

/// The nodes that are wanted, in the order of names, each once.
pub fn select(nodes: &[NodeView], wanted: &Wanted) -> Result<Vec<NodeView>, SelectionError> {
    let known = |name: &String| nodes.iter().any(|node| node.name == *name);
    if let Wanted::Names(names) = wanted {
        let unknown: Vec<_> = names.iter().filter(|name| !known(name)).cloned().collect();
        if !unknown.is_empty() {
            return Err(SelectionError::Unknown {
                unknown,
                known: nodes.iter().map(|node| node.name.clone()).collect(),
            });
        }
    }
    let mut selected: Vec<_> = nodes
        .iter()
        .filter(|node| match wanted {
            Wanted::Names(names) | Wanted::Found(names) => names.contains(&node.name),
            Wanted::Labelled => node.is_edge(),
        })
        .cloned()
        .collect();
    selected.sort_by(|a, b| a.name.cmp(&b.name));
    if selected.is_empty() {
        return Err(SelectionError::Nothing);
    }
    Ok(selected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, labels: &[(&str, &str)]) -> NodeView {
        let labels: BTreeMap<_, _> = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let node = Node {
            metadata: kube::api::ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(labels),
                ..kube::api::ObjectMeta::default()
            },
            ..Node::default()
        };
        NodeView::of(&node)
    }

    fn names(selected: &[NodeView]) -> Vec<&str> {
        selected.iter().map(|node| node.name.as_str()).collect()
    }

    #[test]
    fn nodes_are_selected_by_name_or_by_label() {
        let nodes = [
            node("c", &[(EDGE_LABEL, "true")]),
            node("a", &[]),
            node("b", &[(EDGE_LABEL, "false")]),
        ];
        let by_name = Wanted::Names(vec!["c".to_owned(), "a".to_owned(), "a".to_owned()]);
        assert_eq!(names(&select(&nodes, &by_name).unwrap()), ["a", "c"]);
        assert_eq!(names(&select(&nodes, &Wanted::Labelled).unwrap()), ["c"]);
        assert_eq!(
            select(&nodes, &Wanted::Found(Vec::new())),
            Err(SelectionError::Nothing)
        );
    }

    #[test]
    fn an_unknown_name_is_told_beside_those_that_are() {
        let wanted = Wanted::Names(vec!["egde1".to_owned()]);
        let error = select(&[node("edge1", &[])], &wanted).unwrap_err().to_string();
        assert_eq!(error, "there is no node egde1; the cluster has edge1");
    }

    #[test]
    fn a_control_plane_is_known_by_its_label() {
        assert!(node("a", &[("node-role.kubernetes.io/control-plane", "")]).control_plane);
        assert!(!node("a", &[]).control_plane);
    }
}
