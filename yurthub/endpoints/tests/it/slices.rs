//! EndpointSlices: a row per rule.

use std::collections::BTreeSet;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice};
use yurthub_endpoints::LocalPod;

use crate::model::{Known, assert_shown, metadata, pod_reference, running};

const LIVE: [Option<bool>; 3] = [Some(true), Some(true), Some(false)];
const DEAD: [Option<bool>; 3] = [Some(false), Some(false), Some(false)];

/// An endpoint of the pod `uid`, none for an empty one.
pub(crate) fn endpoint(uid: &str, node: &str, ips: &[&str], conditions: [Option<bool>; 3]) -> Endpoint {
    let [ready, serving, terminating] = conditions;
    Endpoint {
        addresses: ips.iter().map(ToString::to_string).collect(),
        conditions: Some(EndpointConditions {
            ready,
            serving,
            terminating,
        }),
        node_name: Some(node.to_owned()).filter(|node| !node.is_empty()),
        target_ref: Some(pod_reference(uid)).filter(|_| !uid.is_empty()),
        zone: Some("shop-floor".into()),
        ..Endpoint::default()
    }
}

pub(crate) fn slice(address_type: &str, endpoints: Vec<Endpoint>) -> EndpointSlice {
    EndpointSlice {
        address_type: address_type.into(),
        endpoints,
        metadata: metadata(),
        ports: None,
    }
}

fn known(pod: LocalPod) -> Known {
    Known {
        pods: [("u1".to_owned(), pod)].into(),
        ..Known::default()
    }
}

/// An endpoint of the pod `u1` of this node at 10.0.0.1, ready; and what becomes of it.
fn check(known: &Known, ips: &[&str], conditions: [Option<bool>; 3], what: &str) {
    let before = endpoint("u1", "edge1", &["10.0.0.1"], LIVE);
    let after = endpoint("u1", "edge1", ips, conditions);
    // Between two endpoints that no rule concerns.
    let around = |middle| {
        let other = |uid, node| endpoint(uid, node, &["10.0.0.7"], [None, Some(true), None]);
        slice("IPv4", vec![other("", "edge1"), middle, other("u1", "edge2")])
    };
    assert_shown(&around(before), known, &around(after), what);
}

#[test]
fn a_pod_is_shown_as_its_kubelet_reports_it() {
    let pod = running(&["10.0.0.9", "fd00::9"]);
    check(&known(pod.clone()), &["10.0.0.9"], LIVE, "another address");
    check(
        &known(running(&["fd00::9", "10.0.0.1"])),
        &["10.0.0.1"],
        LIVE,
        "no difference",
    );
    let two = running(&["10.0.0.9", "10.0.0.1"]);
    check(&known(two), &["10.0.0.9", "10.0.0.1"], LIVE, "all of the family");
    let unready = LocalPod {
        ready: false,
        ..pod.clone()
    };
    check(&known(unready.clone()), &["10.0.0.9"], DEAD, "unready");
    let publish = Known {
        publish: true,
        ..known(unready)
    };
    check(
        &publish,
        &["10.0.0.9"],
        [Some(true), Some(false), Some(false)],
        "published",
    );
    let deleting = LocalPod {
        deleting: true,
        ..pod
    };
    let ends = [Some(false), Some(true), Some(true)];
    check(&known(deleting), &["10.0.0.9"], ends, "being deleted");
}

#[test]
fn the_dead_keep_their_address_and_are_not_ready() {
    let pod = running(&["10.0.0.9"]);
    for publish in [false, true] {
        for (what, pod) in [
            (
                "ended",
                LocalPod {
                    terminal: true,
                    ..pod.clone()
                },
            ),
            (
                "not reported",
                LocalPod {
                    reported: false,
                    ..pod.clone()
                },
            ),
            ("no address", running(&[])),
            ("no address of the family", running(&["fd00::9"])),
        ] {
            let known = Known {
                publish,
                ..known(pod)
            };
            check(&known, &["10.0.0.1"], DEAD, what);
        }
        let gone = Known {
            publish,
            ..Known::default()
        };
        check(&gone, &["10.0.0.1"], DEAD, "unknown pod of this node");
    }
    let gone = Known::default();
    let ending = |ready| {
        endpoint(
            "u1",
            "edge1",
            &["10.0.0.1"],
            [Some(ready), Some(ready), Some(true)],
        )
    };
    let (before, after) = (
        slice("IPv4", vec![ending(true)]),
        slice("IPv4", vec![ending(false)]),
    );
    assert_shown(&before, &gone, &after, "what is not known to end or not is left");
}

#[test]
fn host_network_keeps_the_nodes_address() {
    let pod = LocalPod {
        host_network: true,
        ..running(&["10.0.0.9"])
    };
    check(&known(pod.clone()), &["10.0.0.1"], LIVE, "reported");
    let unready = LocalPod {
        ready: false,
        ..pod.clone()
    };
    check(&known(unready.clone()), &["10.0.0.1"], DEAD, "reported unready");
    let unreported = LocalPod {
        reported: false,
        ..unready
    };
    check(&known(unreported), &["10.0.0.1"], LIVE, "not reported");
    check(
        &known(LocalPod {
            terminal: true,
            ..pod
        }),
        &["10.0.0.1"],
        DEAD,
        "ended",
    );
}

#[test]
fn the_address_type_decides() {
    let known = known(running(&["10.0.0.9", "fd00::9"]));
    for (address_type, old, new) in [
        ("IPv4", "10.0.0.1", "10.0.0.9"),
        ("IPv6", "fd00::1", "fd00::9"),
        // Written otherwise, but the same address.
        ("IPv6", "FD00:0::9", "FD00:0::9"),
        ("FQDN", "till.example", "till.example"),
        ("IPv5", "10.0.0.1", "10.0.0.1"),
        ("", "10.0.0.1", "10.0.0.1"),
    ] {
        let before = slice(address_type, vec![endpoint("u1", "edge1", &[old], LIVE)]);
        let after = slice(address_type, vec![endpoint("u1", "edge1", &[new], LIVE)]);
        assert_shown(&before, &known, &after, address_type);
    }
}

#[test]
fn nodes_that_cannot_be_reached_are_dead_while_detached() {
    let on = |node| slice("IPv4", vec![endpoint("u7", node, &["10.0.0.1"], LIVE)]);
    let dead = |node| slice("IPv4", vec![endpoint("u7", node, &["10.0.0.1"], DEAD)]);
    for (detached, node, is_dead) in [
        (true, "edge3", true),
        (true, "edge2", false),
        (false, "edge3", false),
        (true, "", false),
    ] {
        let known = Known {
            detached,
            unreachable: BTreeSet::from(["edge3".to_owned()]),
            publish: true,
            ..Known::default()
        };
        let after = if is_dead { dead(node) } else { on(node) };
        assert_shown(&on(node), &known, &after, node);
    }
}

#[test]
fn endpoints_of_silent_nodes_are_kept_as_they_were_before() {
    let known = Known {
        kept: [("edge2".to_owned(), BTreeSet::from(["sick".to_owned()]))].into(),
        ..Known::default()
    };
    let on = |uid, node, conditions| slice("IPv4", vec![endpoint(uid, node, &["10.0.0.1"], conditions)]);
    let leaving = |ready, serving| [Some(ready), Some(serving), Some(true)];
    let unset = [Some(false), None, None];
    for (uid, node, before, after) in [
        ("u7", "edge2", DEAD, LIVE),
        ("u7", "edge2", unset, [Some(true), Some(true), None]),
        ("u7", "edge2", LIVE, LIVE),
        ("u7", "edge2", [None; 3], [None; 3]),
        ("u7", "edge2", leaving(false, false), leaving(false, false)),
        ("u7", "edge2", leaving(false, true), leaving(false, true)),
        ("sick", "edge2", DEAD, DEAD),
        ("u7", "edge3", DEAD, DEAD),
        ("u7", "", DEAD, DEAD),
        ("", "edge2", DEAD, DEAD),
    ] {
        let what = format!("{uid} {node} {before:?}");
        assert_shown(&on(uid, node, before), &known, &on(uid, node, after), &what);
    }
}

#[test]
fn what_stands_for_no_pod_is_left() {
    let mut node = endpoint("u1", "edge1", &["10.0.0.1"], LIVE);
    node.target_ref.as_mut().unwrap().kind = Some("Node".into());
    let mut nameless = endpoint("u1", "edge1", &["10.0.0.1"], LIVE);
    nameless.target_ref.as_mut().unwrap().uid = None;
    let mut unreachable = endpoint("", "edge3", &["10.0.0.1"], LIVE);
    unreachable.target_ref = None;
    let before = slice("IPv4", vec![node, nameless, unreachable]);
    let known = Known {
        detached: true,
        unreachable: BTreeSet::from(["edge3".to_owned()]),
        ..known(running(&["10.0.0.9"]))
    };
    assert_shown(&before, &known, &before, "no pod");
    let empty = slice("IPv4", vec![]);
    assert_shown(&empty, &known, &empty, "no endpoints");
}

#[test]
fn unset_conditions_are_set() {
    let mut bare = endpoint("u1", "edge1", &["10.0.0.1"], [None; 3]);
    let want = slice("IPv4", vec![endpoint("u1", "edge1", &["10.0.0.1"], LIVE)]);
    let known = known(running(&["10.0.0.1"]));
    assert_shown(&slice("IPv4", vec![bare.clone()]), &known, &want, "unset");
    bare.conditions = None;
    assert_shown(&slice("IPv4", vec![bare]), &known, &want, "absent");
}
