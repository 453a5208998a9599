//! What this node knows, and what follows from it for one endpoint: the rules of the crate's docs.
//!
//! Knows no encoding and no object. Invariant: what is decided does not depend on what the endpoint's
//! conditions or address are in the cloud, so that it can be decided anew on each version.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// What this node knows of the endpoints' pods and nodes.
#[derive(Debug, Clone, Copy)]
pub struct Reality<'a> {
    /// The name of this node.
    pub node: &'a str,
    /// The pods of this node by UID, with what its kubelet last reported of them; `None` while they are not known as
    /// a whole.
    pub pods: Option<&'a BTreeMap<String, LocalPod>>,
    /// Whether the cloud is away. Only then do `unreachable_nodes` count: else the cloud sees to them.
    pub detached: bool,
    /// Other nodes that this one cannot reach.
    pub unreachable_nodes: &'a BTreeSet<String>,
    /// Other nodes that the cloud does not hear of and whose endpoints are kept, with the UIDs of those of their pods that
    /// are not ready on their own account.
    pub kept_nodes: &'a BTreeMap<String, BTreeSet<String>>,
}

/// A pod of this node as its kubelet last reported it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LocalPod {
    /// `status.podIPs`, in order; empty when it has none yet.
    pub ips: Vec<IpAddr>,
    /// Whether it uses the node's own addresses.
    pub host_network: bool,
    /// Its condition `Ready` is `True`, as far as that is its kubelet's word; see the crate's docs.
    pub ready: bool,
    /// It has a deletion timestamp.
    pub deleting: bool,
    /// Its phase is `Succeeded` or `Failed`: all its containers have stopped for good.
    pub terminal: bool,
    /// The kubelet has reported it since the node booted. Before that, what is known of its addresses is
    /// of a sandbox that is gone.
    pub reported: bool,
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// The family of an address; an IPv4 address written as an IPv6 one counts as IPv4, as in Go.
    pub(crate) const fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// What an endpoint stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint<'a> {
    /// The UID of its pod; `None` when it does not stand for a pod.
    pub pod: Option<&'a str>,
    /// Empty when it names no node.
    pub node: &'a str,
    /// The family of the addresses that its place may hold.
    pub family: Family,
}

/// How an endpoint is to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As the cloud wrote it.
    AsInCloud,
    /// Ready where the cloud calls it not ready, unless it is terminating.
    Kept,
    /// In this state.
    State(State),
}

/// The state of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// Its addresses, never empty and all of the endpoint's family; `None`: those of the cloud.
    pub addresses: Option<Vec<IpAddr>>,
    pub ready: bool,
    pub serving: bool,
    /// `None`: as in the cloud.
    pub terminating: Option<bool>,
}

impl Reality<'_> {
    /// Decides how one endpoint is to be shown; the rows of the table in the crate's docs, in its order.
    pub(crate) fn decide(&self, endpoint: Endpoint<'_>, publish_not_ready: bool) -> Verdict {
        let Endpoint { pod, node, family } = endpoint;
        let Some(uid) = pod else {
            return Verdict::AsInCloud;
        };
        if !node.is_empty() && node != self.node {
            return if self.detached && self.unreachable_nodes.contains(node) {
                dead(None)
            } else {
                self.of_other_node(uid, node)
            };
        }
        let Some(pods) = self.pods else {
            return Verdict::AsInCloud;
        };
        match pods.get(uid) {
            Some(pod) => of_pod(pod, family, publish_not_ready),
            None if node == self.node => dead(None),
            None => Verdict::AsInCloud,
        }
    }

    fn of_other_node(&self, pod: &str, node: &str) -> Verdict {
        match self.kept_nodes.get(node) {
            Some(unready) if !unready.contains(pod) => Verdict::Kept,
            _ => Verdict::AsInCloud,
        }
    }
}

fn of_pod(pod: &LocalPod, family: Family, publish_not_ready: bool) -> Verdict {
    if pod.terminal {
        return dead(Some(pod.deleting));
    }
    if !pod.reported {
        return if pod.host_network {
            Verdict::AsInCloud
        } else {
            dead(Some(pod.deleting))
        };
    }
    let addresses = if pod.host_network {
        None
    } else {
        let of_family: Vec<_> = pod
            .ips
            .iter()
            .map(IpAddr::to_canonical)
            .filter(|ip| Family::of(*ip) == family)
            .collect();
        if of_family.is_empty() {
            return dead(Some(pod.deleting));
        }
        Some(of_family)
    };
    Verdict::State(State {
        addresses,
        ready: publish_not_ready || (pod.ready && !pod.deleting),
        serving: pod.ready,
        terminating: Some(pod.deleting),
    })
}

const fn dead(terminating: Option<bool>) -> Verdict {
    Verdict::State(State {
        addresses: None,
        ready: false,
        serving: false,
        terminating,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    static NONE: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();

    fn pod() -> LocalPod {
        LocalPod {
            ips: vec!["10.0.0.9".parse().unwrap(), "fd00::9".parse().unwrap()],
            ready: true,
            reported: true,
            ..LocalPod::default()
        }
    }

    /// The verdict on an endpoint of the pod `here` at IPv4, on the node `edge1` unless said otherwise.
    fn verdict(pod: Option<LocalPod>, node: &str, publish: bool) -> Verdict {
        let pods = pod.map(|pod| ("here".to_owned(), pod)).into_iter().collect();
        let unreachable = BTreeSet::from(["edge3".to_owned()]);
        let reality = Reality {
            node: "edge1",
            pods: Some(&pods),
            detached: true,
            unreachable_nodes: &unreachable,
            kept_nodes: &NONE,
        };
        let endpoint = Endpoint {
            pod: Some("here"),
            node,
            family: Family::V4,
        };
        reality.decide(endpoint, publish)
    }

    fn live(ready: bool, serving: bool, terminating: bool) -> Verdict {
        Verdict::State(State {
            addresses: Some(vec!["10.0.0.9".parse().unwrap()]),
            ready,
            serving,
            terminating: Some(terminating),
        })
    }

    #[test]
    fn reported_pods_are_shown_as_the_controller_would() {
        // Ready, deleting, publishNotReadyAddresses → ready, serving, terminating.
        for (ready, deleting, publish, want) in [
            (true, false, false, [true, true, false]),
            (false, false, false, [false, false, false]),
            (true, true, false, [false, true, true]),
            (false, true, false, [false, false, true]),
            (true, false, true, [true, true, false]),
            (false, false, true, [true, false, false]),
            (true, true, true, [true, true, true]),
            (false, true, true, [true, false, true]),
        ] {
            let pod = LocalPod {
                ready,
                deleting,
                ..pod()
            };
            let [ready, serving, terminating] = want;
            for node in ["edge1", ""] {
                let got = verdict(Some(pod.clone()), node, publish);
                assert_eq!(got, live(ready, serving, terminating), "{pod:?} {publish}");
            }
        }
    }

    #[test]
    fn the_dead_are_shown_dead_whatever_the_service_publishes() {
        for publish in [false, true] {
            for dying in [
                LocalPod {
                    terminal: true,
                    ..pod()
                },
                LocalPod {
                    terminal: true,
                    host_network: true,
                    ..pod()
                },
                LocalPod {
                    terminal: true,
                    reported: false,
                    host_network: true,
                    ..pod()
                },
                LocalPod {
                    reported: false,
                    ..pod()
                },
                LocalPod { ips: vec![], ..pod() },
                LocalPod {
                    ips: vec!["fd00::9".parse().unwrap()],
                    ..pod()
                },
            ] {
                let got = verdict(Some(dying.clone()), "edge1", publish);
                assert_eq!(got, dead(Some(false)), "{dying:?}");
            }
            assert_eq!(
                verdict(None, "edge1", publish),
                dead(None),
                "unknown pod of this node"
            );
            assert_eq!(verdict(None, "edge3", publish), dead(None), "unreachable node");
        }
    }

    #[test]
    fn pods_of_the_host_network_keep_the_address() {
        let reported = LocalPod {
            host_network: true,
            ips: vec![],
            ..pod()
        };
        let Verdict::State(state) = verdict(Some(reported.clone()), "edge1", false) else {
            panic!("the conditions are the kubelet's");
        };
        assert_eq!((state.addresses, state.ready), (None, true));
        let unreported = LocalPod {
            reported: false,
            ..reported
        };
        assert_eq!(verdict(Some(unreported), "edge1", false), Verdict::AsInCloud);
    }

    #[test]
    fn other_nodes_are_the_clouds_unless_they_cannot_be_reached() {
        assert_eq!(verdict(Some(pod()), "edge2", false), Verdict::AsInCloud);
        assert_eq!(verdict(None, "edge2", false), Verdict::AsInCloud);
        assert_eq!(verdict(None, "", false), Verdict::AsInCloud);
        assert_eq!(
            verdict(Some(pod()), "edge3", false),
            dead(None),
            "the cloud names the node"
        );
        let (pods, unreachable) = (
            BTreeMap::new(),
            BTreeSet::from(["edge3".to_owned(), "edge1".to_owned()]),
        );
        let mut reality = Reality {
            node: "edge1",
            pods: Some(&pods),
            detached: false,
            unreachable_nodes: &unreachable,
            kept_nodes: &NONE,
        };
        let endpoint = |pod, node| Endpoint {
            pod,
            node,
            family: Family::V4,
        };
        let decide = |reality: &Reality<'_>, pod, node| reality.decide(endpoint(pod, node), false);
        assert_eq!(
            decide(&reality, Some("u"), "edge3"),
            Verdict::AsInCloud,
            "attached"
        );
        reality.detached = true;
        assert_eq!(decide(&reality, None, "edge3"), Verdict::AsInCloud, "no pod");
        assert_eq!(decide(&reality, None, "edge1"), Verdict::AsInCloud, "no pod");
    }

    #[test]
    fn endpoints_of_silent_nodes_are_kept_but_for_pods_that_were_not_ready_before() {
        let kept =
            ["edge2", "edge3", "edge1"].map(|node| (node.to_owned(), BTreeSet::from(["sick".to_owned()])));
        let (kept, unreachable) = (BTreeMap::from(kept), BTreeSet::from(["edge3".to_owned()]));
        for (pod, node, detached, expected) in [
            (Some("u"), "edge2", false, Verdict::Kept),
            (Some("u"), "edge2", true, Verdict::Kept),
            (Some("sick"), "edge2", false, Verdict::AsInCloud),
            (None, "edge2", false, Verdict::AsInCloud),
            (Some("u"), "edge4", false, Verdict::AsInCloud),
            (Some("u"), "", false, Verdict::AsInCloud),
            // What this node finds out by itself is stronger, and of its own pods its kubelet says how they are.
            (Some("u"), "edge3", true, dead(None)),
            (Some("u"), "edge3", false, Verdict::Kept),
            (Some("u"), "edge1", false, Verdict::AsInCloud),
        ] {
            let reality = Reality {
                node: "edge1",
                pods: None,
                detached,
                unreachable_nodes: &unreachable,
                kept_nodes: &kept,
            };
            let endpoint = Endpoint {
                pod,
                node,
                family: Family::V4,
            };
            assert_eq!(
                reality.decide(endpoint, false),
                expected,
                "{pod:?} {node} {detached}"
            );
        }
    }

    #[test]
    fn while_pods_are_not_known_only_other_nodes_are_judged() {
        let unreachable = BTreeSet::from(["edge3".to_owned()]);
        let reality = Reality {
            node: "edge1",
            pods: None,
            detached: true,
            unreachable_nodes: &unreachable,
            kept_nodes: &NONE,
        };
        for (node, expected) in [
            ("edge1", Verdict::AsInCloud),
            ("", Verdict::AsInCloud),
            ("edge2", Verdict::AsInCloud),
            ("edge3", dead(None)),
        ] {
            let endpoint = Endpoint {
                pod: Some("here"),
                node,
                family: Family::V4,
            };
            assert_eq!(reality.decide(endpoint, false), expected, "{node}");
        }
    }

    #[test]
    fn mapped_addresses_are_of_their_inner_family() {
        let mapped = LocalPod {
            ips: vec!["::ffff:10.0.0.9".parse().unwrap()],
            ..pod()
        };
        assert_eq!(verdict(Some(mapped), "edge1", false), live(true, true, false));
    }
}
