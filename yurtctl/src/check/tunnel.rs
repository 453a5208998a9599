//! What is wrong with the tunnel (pure). Nothing here stops a conversion: nodes work without it, but nobody reaches them.

use super::{Finding, warning};
use crate::selection::NodeView;
use crate::tunnel::view::{Agent, Shared};

/// What a kubelet's version ends with where it is within a program that has a tunnel of its own.
const WITH_TUNNEL: [&str; 2] = ["+k3s", "+rke2"];

/// Of the whole cluster. `servers`: nodes with a server that is ready; `konnectivity`: its agents in kube-system.
pub fn cluster(nodes: &[NodeView], servers: &[&str], konnectivity: usize) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(no_control_plane(nodes));
    found.extend(no_server(nodes, servers));
    found.extend(other(nodes, konnectivity));
    found
}

fn no_control_plane(nodes: &[NodeView]) -> Option<Finding> {
    (!nodes.iter().any(|node| node.control_plane)).then(|| {
        warning(
            "tunnel-no-control-plane",
            "no Node of the control plane can be seen, as where a provider runs it: connections of its apiservers to \
             kubelets cannot be redirected (front door A)",
            "use front door B or C, see docs/yurt-tunnel-front-doors.md, and set tunnel.server.nodeSelector to nodes of \
             your own in the cloud",
        )
    })
}

fn no_server(nodes: &[NodeView], servers: &[&str]) -> Option<Finding> {
    if servers.is_empty() {
        return Some(warning(
            "tunnel-no-server",
            "no server of the tunnel is ready: edge nodes that cannot be dialled are not reached",
            "see `kubectl -n yurt-system get pods -l app.kubernetes.io/component=tunnel-server`, and their logs; they need \
             yurt-controller-manager for their certificates",
        ));
    }
    let bare: Vec<_> = nodes
        .iter()
        .filter(|node| node.control_plane && !servers.contains(&node.name.as_str()))
        .map(|node| node.name.as_str())
        .collect();
    (!bare.is_empty()).then(|| {
        warning(
            "tunnel-no-server",
            format!(
                "no server of the tunnel is ready on {}: an apiserver there does not reach edge nodes",
                bare.join(", ")
            ),
            "the pods of DaemonSet yurt-tunnel-server there, and their logs, say why; where there is no pod, see \
             tunnel.server.nodeSelector and tunnel.server.tolerations",
        )
    })
}

fn other(nodes: &[NodeView], konnectivity: usize) -> Option<Finding> {
    let within = nodes
        .iter()
        .find(|node| WITH_TUNNEL.iter().any(|mark| node.kubelet.contains(mark)));
    let what = if konnectivity > 0 {
        format!(
            "{konnectivity} agents of konnectivity run in kube-system: apiservers send connections to kubelets through it, \
             and front door A does not see these"
        )
    } else {
        let node = within?;
        format!(
            "the kubelet of {} is {}, which brings a tunnel of its own: front door A does not see its connections",
            node.name, node.kubelet
        )
    };
    Some(warning(
        "tunnel-other",
        what,
        "keep one of the two: leave ours out with tunnel.enabled=false, or end the other one",
    ))
}

/// Of an edge node. One that is not Ready has no agent that could work.
pub fn node(view: &NodeView, agent: &Agent, shared: Option<&Shared>) -> Vec<Finding> {
    let mut found = Vec::new();
    if !view.is_edge() {
        return found;
    }
    if view.ready.is_ok() {
        found.extend(no_agent(agent));
    }
    found.extend(shared.map(|Shared { address, other }| {
        warning(
            "tunnel-shared-address",
            format!("its address {address} is that of node {other}, too: connections to it are not redirected (front door A)"),
            "give its kubelet another --node-ip, or use front door B or C, see docs/yurt-tunnel-front-doors.md",
        )
    }));
    found
}

fn no_agent(agent: &Agent) -> Option<Finding> {
    let (what, fix) = match agent {
        Agent::Ready => return None,
        Agent::Absent => (
            "no agent of the tunnel is on it".to_owned(),
            "see `kubectl -n yurt-system describe daemonset yurt-tunnel-agent`",
        ),
        Agent::NotRunning(why) => (
            format!("its agent of the tunnel does not run: {why}"),
            "the image must be on the node, or be pulled there; see its pod",
        ),
        Agent::NotConnected => (
            "its agent of the tunnel is connected to no server".to_owned(),
            "the node must reach an address of `yurtctl tunnel status` over UDP or TCP; set tunnel.server.addresses where \
             these are private; its log on the node (`crictl logs`) says more",
        ),
    };
    Some(warning("tunnel-no-agent", what, fix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EDGE_LABEL, samples};

    fn node_of(name: &str, control_plane: bool, kubelet: &str) -> NodeView {
        NodeView {
            name: name.to_owned(),
            control_plane,
            kubelet: kubelet.to_owned(),
            ..samples::view()
        }
    }

    fn names(found: &[Finding]) -> Vec<&'static str> {
        found.iter().map(|finding| finding.name).collect()
    }

    #[test]
    fn what_the_cluster_lacks_is_found() {
        let cloud = |name| node_of(name, true, "v1.34.4");
        let edge = || node_of("edge1", false, "v1.34.4");
        let k3s = || node_of("edge1", false, "v1.34.4+k3s1");
        for (nodes, servers, konnectivity, expected) in [
            (vec![cloud("cloud1"), edge()], &["cloud1"][..], 0, &[][..]),
            (vec![cloud("cloud1"), edge()], &[], 0, &["tunnel-no-server"]),
            (
                vec![cloud("cloud1"), cloud("cloud2")],
                &["cloud1"],
                0,
                &["tunnel-no-server"],
            ),
            (vec![edge()], &["worker"], 0, &["tunnel-no-control-plane"]),
            (
                vec![edge()],
                &[],
                0,
                &["tunnel-no-control-plane", "tunnel-no-server"],
            ),
            (vec![cloud("cloud1")], &["cloud1"], 3, &["tunnel-other"]),
            (vec![cloud("cloud1"), k3s()], &["cloud1"], 0, &["tunnel-other"]),
        ] {
            let found = cluster(&nodes, servers, konnectivity);
            assert_eq!(names(&found), expected, "{servers:?} {konnectivity}");
        }
        let nodes = [cloud("cloud1"), cloud("cloud2")];
        let found = cluster(&nodes, &["cloud1"], 0);
        assert!(found[0].what.contains("on cloud2:"), "{found:?}");
    }

    #[test]
    fn what_an_edge_node_lacks_is_found() {
        let edge = NodeView {
            labels: [(EDGE_LABEL.to_owned(), "true".to_owned())].into(),
            ..samples::view()
        };
        let away = NodeView {
            ready: Err("silent".to_owned()),
            ..edge.clone()
        };
        let shared = Shared {
            address: "10.0.0.7".to_owned(),
            other: "edge2".to_owned(),
        };
        let not_running = Agent::NotRunning("ImagePullBackOff".to_owned());
        for (view, agent, shared, expected) in [
            (&edge, &Agent::Ready, None, &[][..]),
            (&edge, &Agent::NotConnected, None, &["tunnel-no-agent"]),
            (&edge, &not_running, None, &["tunnel-no-agent"]),
            (&edge, &Agent::Absent, None, &["tunnel-no-agent"]),
            (&edge, &Agent::Ready, Some(&shared), &["tunnel-shared-address"]),
            (&away, &Agent::NotConnected, None, &[]),
            (&samples::view(), &Agent::Absent, Some(&shared), &[]),
        ] {
            assert_eq!(names(&node(view, agent, shared)), expected, "{agent:?}");
        }
    }
}
