//! `yurtctl tunnel`: which servers and agents there are, and whether the apiserver reaches kubelets of edge nodes.
//!
//! It goes by what the cluster shows, and by asking kubelets through the apiserver, as `kubectl logs` does; it never talks to
//! an end of the tunnel itself. In reading order: what there is ([`view`], pure), asking (`ask`), why it failed
//! ([`reason`], pure), and how that is shown (`text`, pure).

mod ask;
pub mod ping;
pub mod reason;
mod text;
pub mod view;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use kube::api::{Api, ListParams};
use serde::Serialize;
use yurt_common::node_certificates::TUNNEL_MEMBERS;

use crate::app::Ending;
use crate::args::{ClusterArgs, Format, Shown};
use crate::cluster::{Cluster, list};
use crate::progress::Progress;
use crate::selection::NodeView;
use crate::show::data;
use crate::status::{now, print};
use reason::{Known, Reach, reach};
use view::{Agent, Server};

/// The labels of pods and Leases of the tunnel; its two components follow.
const PARTS: &str =
    "app.kubernetes.io/part-of=yurt,app.kubernetes.io/component in (tunnel-server,tunnel-agent)";
const COMPONENT: &str = "app.kubernetes.io/component";
const SERVER: &str = "tunnel-server";
const AGENT: &str = "tunnel-agent";
/// The name of a server's Lease is this and its node.
const LEASE: &str = "yurt-tunnel-server-";
/// What is said where it was left out, or was never there.
pub const NO_TUNNEL: &str =
    "there is no tunnel in this cluster: no pod of it is there; the apiserver dials kubelets by itself";
/// Kubelets that are asked at a time.
const AT_A_TIME: usize = 10;

/// All that is told.
#[derive(Debug, Serialize)]
struct Tunnel {
    servers: Vec<Server>,
    nodes: Vec<EdgeNode>,
}

/// An edge node at the other end.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EdgeNode {
    node: String,
    /// As the cloud sees it.
    ready: bool,
    /// Its addresses, of which front door A knows it.
    addresses: Vec<String>,
    agent: Agent,
    reach: Reach,
}

/// The pods of both ends.
#[derive(Debug, Default)]
pub struct Pods {
    /// By node.
    pub servers: BTreeMap<String, Pod>,
    /// By node.
    pub agents: BTreeMap<String, Pod>,
}

impl Pods {
    /// Those in the cluster.
    pub async fn read(cluster: &Cluster) -> Result<Self> {
        let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        let found = list(&pods, &ListParams::default().labels(PARTS), "pods of the tunnel").await?;
        Ok(Self::of(found))
    }

    /// Of two pods of a node, one that ends and its successor, the ready one counts.
    fn of(found: Vec<Pod>) -> Self {
        let mut all = Self::default();
        for pod in found {
            let component = pod
                .metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get(COMPONENT));
            let kept = match component.map(String::as_str) {
                Some(SERVER) => &mut all.servers,
                Some(AGENT) => &mut all.agents,
                _ => continue,
            };
            let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()) else {
                continue;
            };
            if view::is_ready(&pod) || !kept.contains_key(&node) {
                kept.insert(node, pod);
            }
        }
        all
    }

    /// Nodes with a server that is ready.
    pub fn ready_servers(&self) -> Vec<&str> {
        let ready = self.servers.iter().filter(|(_, pod)| view::is_ready(pod));
        ready.map(|(node, _)| node.as_str()).collect()
    }

    /// Whether there is any of it.
    pub fn is_any(&self) -> bool {
        !self.servers.is_empty() || !self.agents.is_empty()
    }
}

/// What is known before any kubelet is asked.
struct Scene {
    nodes: Vec<Node>,
    pods: Pods,
    shared: BTreeMap<String, view::Shared>,
}

impl Scene {
    async fn read(cluster: &Cluster) -> Result<Self> {
        let nodes = cluster.nodes().await?;
        Ok(Self {
            shared: view::shared(&nodes),
            pods: Pods::read(cluster).await?,
            nodes,
        })
    }

    /// What a failure to reach this node may come from.
    fn known(&self, view: &NodeView) -> Known {
        let servers = self.pods.ready_servers();
        let views = self.nodes.iter().map(NodeView::of);
        let planes: Vec<_> = views.filter(|node| node.control_plane).collect();
        Known {
            edge: view.is_edge(),
            ready: view.ready.clone(),
            agent: Agent::of(self.pods.agents.get(&view.name)),
            servers: servers.len(),
            control_plane: !planes.is_empty(),
            bare: planes
                .into_iter()
                .map(|node| node.name)
                .filter(|name| !servers.contains(&name.as_str()))
                .collect(),
            shared: self.shared.get(&view.name).cloned(),
        }
    }
}

/// Runs `yurtctl tunnel status`.
pub async fn status(args: &ClusterArgs, shown: Shown) -> Result<Ending> {
    let cluster = Cluster::connect(args).await?;
    let scene = Scene::read(&cluster).await?;
    let edge: Vec<_> = scene
        .nodes
        .iter()
        .map(|node| (node, NodeView::of(node)))
        .filter(|(_, view)| view.is_edge())
        .collect();
    let asked = stream::iter(edge)
        .map(async |(node, view)| {
            let known = scene.known(&view);
            EdgeNode {
                addresses: view::addresses(node),
                agent: known.agent.clone(),
                ready: view.ready.is_ok(),
                reach: reach(ask::kubelet(&cluster, &view.name).await, &known),
                node: view.name,
            }
        })
        .buffered(AT_A_TIME);
    let tunnel = Tunnel {
        nodes: asked.collect().await,
        servers: servers(&cluster, &scene.pods).await?,
    };
    if !scene.pods.is_any() {
        Progress::begin().say(NO_TUNNEL);
    }
    print(&match shown.output {
        Format::Json | Format::Yaml => data(&tunnel, shown.output)?,
        format => text::status(&tunnel, format == Format::Wide, now()),
    });
    Ok(ending(&tunnel))
}

async fn servers(cluster: &Cluster, pods: &Pods) -> Result<Vec<Server>> {
    let (client, namespace) = (&cluster.client, &cluster.namespace);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let members = maps
        .get_opt(TUNNEL_MEMBERS)
        .await
        .with_context(|| format!("read ConfigMap {namespace}/{TUNNEL_MEMBERS}"))?
        .and_then(|map| map.data)
        .unwrap_or_default();
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().labels(&format!("{COMPONENT}={SERVER}"));
    let leases = list(&leases, &params, "Leases of the tunnel's servers").await?;
    let renewed = leases.into_iter().filter_map(|lease| {
        let server = lease.metadata.name?.strip_prefix(LEASE)?.to_owned();
        Some((server, lease.spec?.renew_time?.0.as_second()))
    });
    Ok(view::servers(&pods.servers, &members, &renewed.collect()))
}

/// Nodes that are not Ready are pending; all else that is not reached is a failure. Where there is no tunnel none of its
/// servers can be missing.
fn ending(tunnel: &Tunnel) -> Ending {
    let is_served = tunnel.servers.is_empty() || tunnel.servers.iter().any(|server| server.ready);
    let far = |node: &&EdgeNode| !node.reach.ok;
    if !is_served || tunnel.nodes.iter().filter(far).any(|node| node.ready) {
        Ending::Failed
    } else if tunnel.nodes.iter().any(|node| !node.reach.ok) {
        Ending::Pending
    } else {
        Ending::Fine
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tunnel(served: bool, nodes: &[(bool, bool)]) -> Tunnel {
        let node = |(ready, ok): &(bool, bool)| EdgeNode {
            node: "edge1".to_owned(),
            ready: *ready,
            addresses: Vec::new(),
            agent: Agent::Ready,
            reach: Reach {
                ok: *ok,
                milliseconds: None,
                reason: "",
                why: String::new(),
            },
        };
        Tunnel {
            servers: vec![Server {
                node: "cloud1".to_owned(),
                ready: served,
                ..Server::default()
            }],
            nodes: nodes.iter().map(node).collect(),
        }
    }

    #[test]
    fn a_node_that_is_away_is_pending_and_one_that_is_there_but_not_reached_is_a_failure() {
        for (served, nodes, expected) in [
            (true, &[(true, true)][..], Ending::Fine),
            (true, &[], Ending::Fine),
            (false, &[(true, true)], Ending::Failed),
            (true, &[(true, true), (false, false)], Ending::Pending),
            (true, &[(true, false), (false, false)], Ending::Failed),
        ] {
            assert_eq!(ending(&tunnel(served, nodes)), expected, "{served} {nodes:?}");
        }
        for (nodes, expected) in [
            (&[][..], Ending::Fine),
            (&[(true, true)], Ending::Fine),
            (&[(true, false)], Ending::Failed),
            (&[(false, false)], Ending::Pending),
        ] {
            let without = Tunnel {
                servers: Vec::new(),
                ..tunnel(false, nodes)
            };
            assert_eq!(ending(&without), expected, "without a tunnel: {nodes:?}");
        }
    }

    #[test]
    fn of_two_pods_of_a_node_the_ready_one_counts() {
        let pod = |name: &str, ready: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"name": name, "labels": {COMPONENT: AGENT}},
                "spec": {"nodeName": "edge1", "containers": []},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            }))
            .unwrap()
        };
        for pods in [
            [pod("old", "False"), pod("new", "True")],
            [pod("new", "True"), pod("old", "False")],
        ] {
            let all = Pods::of(pods.into());
            assert_eq!(all.agents["edge1"].metadata.name.as_deref(), Some("new"));
            assert!(all.servers.is_empty());
        }
    }
}
