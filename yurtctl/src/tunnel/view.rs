//! What the cluster shows of the tunnel (pure).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod};
use serde::Serialize;

use crate::EDGE_LABEL;

/// A server, by its pod, by its entry among the servers, or by its Lease.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// Its node, which is its id, too.
    pub node: String,
    /// Its pod; empty where there is none.
    pub pod: String,
    /// Whether that is ready.
    pub ready: bool,
    /// Where agents dial it.
    pub addresses: Vec<String>,
    /// When it renewed its Lease, by its own clock, in seconds since 1970.
    pub renewed: Option<i64>,
}

/// All servers of which there is any sign.
pub fn servers(
    pods: &BTreeMap<String, Pod>,
    members: &BTreeMap<String, String>,
    renewed: &BTreeMap<String, i64>,
) -> Vec<Server> {
    let mut all: BTreeMap<&String, Server> = BTreeMap::new();
    let names = pods.keys().chain(members.keys()).chain(renewed.keys());
    for node in names {
        let pod = pods.get(node);
        let addresses = members.get(node).map_or("", String::as_str).lines();
        all.entry(node).or_insert_with(|| Server {
            node: node.clone(),
            pod: pod.and_then(|pod| pod.metadata.name.clone()).unwrap_or_default(),
            ready: pod.is_some_and(is_ready),
            addresses: addresses.map(str::to_owned).collect(),
            renewed: renewed.get(node).copied(),
        });
    }
    all.into_values().collect()
}

/// The agent of a node, by its pod. It is ready while it is connected to a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "state", content = "why")]
pub enum Agent {
    /// There is no pod.
    Absent,
    /// Its container does not run.
    NotRunning(String),
    /// It runs, and is connected to no server.
    NotConnected,
    /// It is connected.
    Ready,
}

impl Agent {
    /// By its pod.
    pub fn of(pod: Option<&Pod>) -> Self {
        let Some(pod) = pod else {
            return Self::Absent;
        };
        if is_ready(pod) {
            return Self::Ready;
        }
        let status = pod.status.as_ref();
        let mut containers = status
            .iter()
            .flat_map(|status| status.container_statuses.iter().flatten());
        let Some(state) = containers.next().and_then(|container| container.state.as_ref()) else {
            let phase = status.and_then(|status| status.phase.clone()).unwrap_or_default();
            return Self::NotRunning(format!("its pod is {phase}"));
        };
        if state.running.is_some() {
            return Self::NotConnected;
        }
        let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
        let ended = state.terminated.as_ref().and_then(|ended| ended.reason.clone());
        Self::NotRunning(waiting.or(ended).unwrap_or_else(|| "it has no state".to_owned()))
    }

    /// In a word or two.
    pub fn word(&self) -> &str {
        match self {
            Self::Absent => "no pod",
            Self::NotRunning(why) => why,
            Self::NotConnected => "not connected",
            Self::Ready => "ready",
        }
    }
}

/// Whether a pod is ready.
pub fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.iter();
    let mut conditions = status.flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|one| one.type_ == "Ready" && one.status == "True")
}

/// An address that another Node has, too: front door A cannot tell them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The address.
    pub address: String,
    /// Another Node that has it.
    pub other: String,
}

/// The first shared address of each edge node that has one. `Hostname`s count, for others than the node itself.
pub fn shared(nodes: &[Node]) -> BTreeMap<String, Shared> {
    let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in nodes {
        for (_, address) in told(node) {
            let of = owners.entry(address).or_default();
            if !of.contains(&name(node)) {
                of.push(name(node));
            }
        }
    }
    let edge = nodes.iter().filter(|node| {
        let labels = node.metadata.labels.as_ref();
        labels
            .and_then(|labels| labels.get(EDGE_LABEL))
            .is_some_and(|value| value == "true")
    });
    let shared = edge.filter_map(|node| {
        addresses(node).into_iter().find_map(|address| {
            let other = owners
                .get(address.as_str())?
                .iter()
                .find(|other| **other != name(node))?;
            let other = (*other).to_owned();
            Some((name(node).to_owned(), Shared { address, other }))
        })
    });
    shared.collect()
}

/// The addresses of a Node at which its kubelet may be dialled.
pub fn addresses(node: &Node) -> Vec<String> {
    let dialled = told(node).filter(|(kind, _)| ["InternalIP", "ExternalIP"].contains(kind));
    dialled.map(|(_, address)| address.to_owned()).collect()
}

fn told(node: &Node) -> impl Iterator<Item = (&str, &str)> {
    let status = node.status.iter();
    let all = status.flat_map(|status| status.addresses.iter().flatten());
    all.map(|one| (one.type_.as_str(), one.address.as_str()))
}

fn name(node: &Node) -> &str {
    node.metadata.name.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap()
    }

    #[test]
    fn an_agent_that_runs_and_is_not_ready_is_not_connected() {
        let state = |state: Value| json!({"containerStatuses": [{"name": "agent", "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": state}]});
        let not_running = |why: &str| Agent::NotRunning(why.to_owned());
        for (status, expected) in [
            (
                json!({"conditions": [{"type": "Ready", "status": "True"}]}),
                Agent::Ready,
            ),
            (json!({"phase": "Pending"}), not_running("its pod is Pending")),
            (state(json!({"running": {}})), Agent::NotConnected),
            (
                state(json!({"waiting": {"reason": "ImagePullBackOff"}})),
                not_running("ImagePullBackOff"),
            ),
            (
                state(json!({"terminated": {"exitCode": 1, "reason": "Error"}})),
                not_running("Error"),
            ),
        ] {
            assert_eq!(Agent::of(Some(&pod(&status))), expected, "{status}");
        }
        assert_eq!(Agent::of(None), Agent::Absent);
    }

    #[test]
    fn a_server_is_told_by_any_sign_of_it() {
        let ready = pod(&json!({"conditions": [{"type": "Ready", "status": "True"}]}));
        let pods = BTreeMap::from([("a".to_owned(), ready)]);
        let members = BTreeMap::from([("a".to_owned(), "h:1\nh:2\n".to_owned())]);
        let renewed = BTreeMap::from([("b".to_owned(), 7)]);
        let a = Server {
            node: "a".to_owned(),
            pod: "p".to_owned(),
            ready: true,
            addresses: vec!["h:1".to_owned(), "h:2".to_owned()],
            renewed: None,
        };
        let b = Server {
            node: "b".to_owned(),
            renewed: Some(7),
            ..Server::default()
        };
        assert_eq!(servers(&pods, &members, &renewed), [a, b]);
    }

    #[test]
    fn addresses_are_shared_with_any_other_node() {
        let node = |name: &str, edge: bool, addresses: &[(&str, &str)]| -> Node {
            let addresses: Vec<_> = addresses
                .iter()
                .map(|(kind, address)| json!({"type": kind, "address": address}))
                .collect();
            serde_json::from_value(json!({
                "metadata": {"name": name, "labels": {EDGE_LABEL: edge.to_string()}},
                "status": {"addresses": addresses},
            }))
            .unwrap()
        };
        let found = shared(&[
            node(
                "alone",
                true,
                &[("InternalIP", "10.0.0.1"), ("ExternalIP", "10.0.0.1")],
            ),
            node("edge1", true, &[("InternalIP", "10.0.0.2")]),
            node(
                "edge2",
                true,
                &[("InternalIP", "10.0.0.9"), ("ExternalIP", "10.0.0.2")],
            ),
            node("edge3", true, &[("InternalIP", "10.0.0.3")]),
            node(
                "cloud",
                false,
                &[("InternalIP", "10.0.0.4"), ("Hostname", "10.0.0.3")],
            ),
            node(
                "named",
                true,
                &[("Hostname", "named"), ("InternalIP", "10.0.0.5")],
            ),
        ]);
        let with = |address: &str, other: &str| Shared {
            address: address.to_owned(),
            other: other.to_owned(),
        };
        let expected = [
            ("edge1", with("10.0.0.2", "edge2")),
            ("edge2", with("10.0.0.2", "edge1")),
            ("edge3", with("10.0.0.3", "cloud")),
        ];
        assert_eq!(
            found,
            expected.map(|(node, shared)| (node.to_owned(), shared)).into()
        );
    }
}
