//! What is kept of a Node and of a Pod (pure).
//!
//! Objects are read into types that have no more fields than these views need: parsing skips all others, of which there
//! are many times as many.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use kube::core::ClusterResourceScope;
use serde::{Deserialize, Deserializer};

use super::shelf::View;
use super::standing::{Readiness, Standing};
use crate::autonomy::condition::{self, Condition};
use crate::autonomy::tolerations::{Held, NO_EXECUTE, SET_FOR, TAINTS, Toleration};
use crate::autonomy::wish::{self, Wish};
use crate::pools::said::{self, Votes};
use crate::tunnel;
use yurt_common::node_certificates::EDGE_LABEL;

/// A static pod's shadow in the API; its kubelet runs it whatever the API says.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// By these labels the chart names the pods of the tunnel's agents.
const AGENT: [(&str, &str); 2] = [
    ("app.kubernetes.io/part-of", "yurt"),
    ("app.kubernetes.io/component", "tunnel-agent"),
];

/// What is kept of a Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: Arc<str>,
    /// Its UID, by which events name it.
    pub uid: Box<str>,
    /// What it asks for.
    pub wish: Wish,
    /// Since when it has each of [`TAINTS`].
    pub tainted: [Option<Timestamp>; 2],
    /// Its condition `NodeAutonomy`.
    pub condition: Option<Condition>,
    /// Whether it is an edge node.
    pub is_edge: bool,
    /// Its condition `TunnelConnected`.
    pub tunnel: Option<Condition>,
    /// Whether it is heard.
    pub readiness: Readiness,
    /// Its pool.
    pub pool: Option<Arc<str>>,
    /// Where its yurthub answers peers; none: it takes no part.
    pub peer: Option<SocketAddr>,
    /// What its yurthub sees of silent members.
    pub votes: Option<Arc<Votes>>,
}

/// What is kept of a Pod.
#[derive(Debug, Clone)]
pub struct PodView {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Its UID: another pod of the same name is another pod.
    pub uid: Box<str>,
    /// The version that was seen.
    pub version: Box<str>,
    /// The node that it is bound to; empty: none yet.
    pub node: Arc<str>,
    /// What it tolerates, and what we have written on it; none where nobody would evict it, or nothing is left to save.
    pub evictable: Option<(Vec<Toleration>, Held)>,
    /// Whether it calls itself an agent of the tunnel.
    pub is_agent: bool,
    /// Whether it is ready, and by whom if not. Views that differ in it alone are equal.
    pub standing: Standing,
}

impl NodeView {
    /// Whether it is silent, or tainted still because it was a moment ago.
    pub fn is_unheard(&self) -> bool {
        self.readiness.silent_since().is_some() || self.tainted[1].is_some()
    }

    /// As events name it.
    pub fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(self.name.to_string()),
            uid: Some(self.uid.to_string()),
            ..ObjectReference::default()
        }
    }
}

impl PartialEq for PodView {
    /// Without the version: it is another one with each heartbeat of a probe.
    fn eq(&self, other: &Self) -> bool {
        self.uid == other.uid && self.node == other.node && self.evictable == other.evictable
    }
}

/// A Node as it is read.
#[derive(Debug, Clone, Deserialize)]
pub struct ReadNode {
    #[serde(deserialize_with = "trimmed")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: ReadNodeSpec,
    #[serde(default)]
    status: ReadNodeStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct ReadNodeSpec {
    #[serde(default)]
    taints: Vec<ReadTaint>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadTaint {
    key: String,
    #[serde(default)]
    effect: String,
    time_added: Option<Timestamp>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct ReadNodeStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
}

/// A Pod as it is read.
#[derive(Debug, Clone, Deserialize)]
pub struct ReadPod {
    #[serde(deserialize_with = "trimmed")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: ReadPodSpec,
    #[serde(default)]
    status: ReadPodStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ReadPodSpec {
    node_name: String,
    tolerations: Vec<Toleration>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ReadPodStatus {
    phase: String,
    conditions: Vec<Condition>,
}

/// Metadata without what nobody here asks about, `managedFields` above all.
fn trimmed<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Read {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        deletion_timestamp: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
        #[serde(default)]
        labels: BTreeMap<String, String>,
        #[serde(default)]
        annotations: BTreeMap<String, String>,
        #[serde(default)]
        owner_references: Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference>,
    }
    let read = Read::deserialize(from)?;
    Ok(ObjectMeta {
        name: read.name,
        namespace: read.namespace,
        uid: read.uid,
        resource_version: read.resource_version,
        deletion_timestamp: read.deletion_timestamp,
        labels: Some(read.labels),
        annotations: Some(read.annotations),
        owner_references: Some(read.owner_references),
        ..ObjectMeta::default()
    })
}

macro_rules! read_as {
    ($read:ty, $object:ty, $scope:ty) => {
        impl Resource for $read {
            type DynamicType = ();
            type Scope = $scope;

            fn kind((): &()) -> Cow<'_, str> {
                <$object>::kind(&())
            }

            fn group((): &()) -> Cow<'_, str> {
                <$object>::group(&())
            }

            fn version((): &()) -> Cow<'_, str> {
                <$object>::version(&())
            }

            fn plural((): &()) -> Cow<'_, str> {
                <$object>::plural(&())
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

read_as!(ReadNode, Node, ClusterResourceScope);
read_as!(ReadPod, Pod, NamespaceResourceScope);

fn text(field: Option<String>) -> Box<str> {
    field.unwrap_or_default().into()
}

impl View for NodeView {
    type Object = ReadNode;

    fn of(object: ReadNode) -> Self {
        let metadata = object.metadata;
        let since = |key: &str| {
            let taints = object.spec.taints.iter();
            let mut evicting = taints.filter(|taint| taint.effect == NO_EXECUTE && taint.key == key);
            // A taint without a time was added by somebody else; it counts from when the world began to count.
            evicting
                .next()
                .map(|taint| taint.time_added.unwrap_or(Timestamp::UNIX_EPOCH))
        };
        let (labels, annotations) = (
            metadata.labels.unwrap_or_default(),
            metadata.annotations.unwrap_or_default(),
        );
        let condition = |kind: &str| {
            let mut conditions = object.status.conditions.iter();
            conditions.find(|one| one.kind == kind).cloned()
        };
        Self {
            name: metadata.name.unwrap_or_default().into(),
            uid: text(metadata.uid),
            is_edge: labels.get(EDGE_LABEL).is_some_and(|value| value == "true"),
            tunnel: condition(tunnel::condition::TYPE),
            condition: condition(condition::TYPE),
            wish: wish::of(&labels, &annotations),
            readiness: Readiness::of(&object.status.conditions),
            pool: said::pool(&labels),
            peer: said::peer(&annotations),
            votes: said::votes(&annotations).map(Arc::new),
            tainted: TAINTS.map(|(key, _)| since(key)),
        }
    }

    fn node(&self) -> &Arc<str> {
        &self.name
    }
}

impl View for PodView {
    type Object = ReadPod;

    fn of(object: ReadPod) -> Self {
        let metadata = object.metadata;
        let annotations = metadata.annotations.unwrap_or_default();
        let labels = metadata.labels.unwrap_or_default();
        let labelled = |(name, value): &(&str, &str)| labels.get(*name).is_some_and(|found| found == value);
        let annotation = |name: &str| annotations.get(name).map(|text| text.as_str().into());
        let of_daemon_set = metadata
            .owner_references
            .unwrap_or_default()
            .iter()
            .any(|owner| owner.controller == Some(true) && owner.kind == "DaemonSet");
        let ending = metadata.deletion_timestamp.is_some()
            || ["Succeeded", "Failed"].contains(&object.status.phase.as_str());
        let exempt = of_daemon_set || annotations.contains_key(MIRROR) || ending;
        let held = Held {
            originals: TAINTS.map(|(_, name)| annotation(name)),
            set_for: annotation(SET_FOR),
        };
        Self {
            namespace: text(metadata.namespace),
            name: text(metadata.name),
            uid: text(metadata.uid),
            version: text(metadata.resource_version),
            node: object.spec.node_name.into(),
            is_agent: of_daemon_set && AGENT.iter().all(labelled),
            evictable: (!exempt).then_some((object.spec.tolerations, held)),
            standing: Standing::of(&object.status.conditions, ending),
        }
    }

    fn node(&self) -> &Arc<str> {
        &self.node
    }

    fn stands_like(&self, other: &Self) -> bool {
        self.standing == other.standing
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::autonomy::wish::Span;

    #[test]
    fn of_a_node_what_it_asks_for_and_since_when_it_is_silent_is_kept() {
        let node = json!({
            "metadata": {
                "name": "edge1", "uid": "u1", "managedFields": [{"fieldsV1": {"f:x": {}}}],
                "labels": {"apps.openyurt.io/nodepool": "shop"},
                "annotations": {
                    "node.openyurt.io/autonomy-duration": "2h",
                    "yurthub.openyurt.io/peer": "10.0.0.1:10269",
                    "yurthub.openyurt.io/peer-votes": r#"{"beat":7,"of":{}}"#,
                },
            },
            "spec": {"taints": [
                {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule", "timeAdded": "2026-01-01T00:00:00Z"},
                {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:05Z"},
            ]},
            "status": {"conditions": [
                {"type": "Ready", "status": "Unknown"},
                {"type": "NodeAutonomy", "status": "True", "reason": "ForDuration", "message": "m"},
            ]},
        });
        let view = NodeView::of(serde_json::from_value(node).unwrap());
        assert_eq!(&*view.name, "edge1");
        assert!(matches!(view.wish, Wish::Stay(Span::Seconds(7200), _)));
        let since = view.tainted.map(|since| since.map(|since| since.to_string()));
        assert_eq!(since, [None, Some("2026-01-01T00:00:05Z".to_owned())]);
        assert_eq!(view.condition.unwrap().reason, "ForDuration");
        assert!(matches!(view.readiness, Readiness::Silent(_)));
        assert_eq!(view.pool.as_deref(), Some("shop"));
        assert_eq!(view.peer, Some(([10, 0, 0, 1], 10269).into()));
        assert_eq!(view.votes.unwrap().beat, 7);
    }

    #[test]
    fn pods_that_nobody_evicts_are_told_from_others() {
        let pod = |changes: serde_json::Value| {
            let mut pod = json!({
                "metadata": {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "7"},
                "spec": {"nodeName": "edge1", "tolerations": [{"key": "a", "operator": "Exists", "new": 1}]},
                "status": {"phase": "Running"},
            });
            for (pointer, value) in changes.as_object().unwrap() {
                let (parent, last) = pointer.rsplit_once('/').unwrap();
                pod.pointer_mut(parent).unwrap()[last] = value.clone();
            }
            PodView::of(serde_json::from_value(pod).unwrap())
        };
        let usual = pod(json!({}));
        let (tolerations, held) = usual.evictable.as_ref().unwrap();
        let written = serde_json::to_value(&tolerations[0]).unwrap();
        assert_eq!(written, json!({"key": "a", "operator": "Exists", "new": 1}));
        assert!(!held.is_any());
        assert!(
            usual == pod(json!({"/metadata/resourceVersion": "8"})),
            "a heartbeat"
        );
        assert!(usual != pod(json!({"/spec/nodeName": "edge2"})));
        let ready = pod(json!({"/status/conditions": [{"type": "Ready", "status": "True"}]}));
        assert!(
            usual == ready && !usual.stands_like(&ready),
            "few ask about readiness"
        );
        for exempt in [
            json!({"/metadata/ownerReferences": [
                {"kind": "DaemonSet", "controller": true, "apiVersion": "apps/v1", "name": "d", "uid": "x"},
            ]}),
            json!({"/metadata/annotations": {"kubernetes.io/config.mirror": "x"}}),
            json!({"/metadata/deletionTimestamp": "2026-01-01T00:00:00Z"}),
            json!({"/status/phase": "Succeeded"}),
        ] {
            assert_eq!(pod(exempt.clone()).evictable, None, "{exempt}");
        }
        let kept = pod(json!({"/metadata/annotations": {SET_FOR: "60"}}));
        assert_eq!(kept.evictable.unwrap().1.set_for.as_deref(), Some("60"));
    }
}
