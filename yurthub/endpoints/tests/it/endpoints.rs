//! Endpoints: addresses change their IP and their list.

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints};
use yurthub_endpoints::LocalPod;

use crate::model::{Known, assert_shown, metadata, pod_reference, running};

/// An address as `UID@NODE=IP`, where the UID, the node or both may be empty.
pub(crate) fn address(text: &str) -> EndpointAddress {
    let (pod, ip) = text.split_once('=').unwrap();
    let (uid, node) = pod.split_once('@').unwrap();
    EndpointAddress {
        ip: ip.into(),
        node_name: Some(node.to_owned()).filter(|node| !node.is_empty()),
        target_ref: Some(pod_reference(uid)).filter(|_| !uid.is_empty()),
        hostname: None,
    }
}

/// A subset of the ready and the other addresses, both separated by blanks.
pub(crate) fn subset(ready: &str, not_ready: &str, port: i32) -> EndpointSubset {
    let list = |text: &str| {
        let list: Vec<_> = text.split_whitespace().map(address).collect();
        Some(list).filter(|list| !list.is_empty())
    };
    EndpointSubset {
        addresses: list(ready),
        not_ready_addresses: list(not_ready),
        ports: Some(vec![EndpointPort {
            port,
            ..EndpointPort::default()
        }]),
    }
}

pub(crate) fn endpoints(subsets: Vec<EndpointSubset>) -> Endpoints {
    Endpoints {
        metadata: metadata(),
        subsets: Some(subsets),
    }
}

/// `u1` runs at 10.0.0.9 and `fd00::9`, `u2` runs unready at 10.0.0.2, `host` on the node's address, of
/// `u0` nothing is known.
fn known() -> Known {
    let unready = LocalPod {
        ready: false,
        ..running(&["10.0.0.2"])
    };
    let host = LocalPod {
        host_network: true,
        ..running(&["192.0.2.5"])
    };
    let pods = [
        ("u1", running(&["10.0.0.9", "fd00::9"])),
        ("u2", unready),
        ("host", host),
    ];
    Known {
        pods: pods.map(|(uid, pod)| (uid.to_owned(), pod)).into(),
        detached: true,
        unreachable: ["edge3".to_owned()].into(),
        kept: [("edge4".to_owned(), ["sick".to_owned()].into())].into(),
        publish: false,
    }
}

#[test]
fn addresses_move_and_change() {
    for (what, [ready, not_ready], [then_ready, then_not_ready]) in [
        ("another IP", ["u1@edge1=10.0.0.1", ""], ["u1@edge1=10.0.0.9", ""]),
        (
            "the same IP",
            ["u1@edge1=10.0.0.9", ""],
            ["u1@edge1=10.0.0.9", ""],
        ),
        (
            "the other family",
            ["u1@edge1=fd00::1", ""],
            ["u1@edge1=fd00::9", ""],
        ),
        (
            "ready again, with another IP, behind the others",
            ["a@edge2=10.0.0.3 @=10.0.0.4", "u1@edge1=10.0.0.1"],
            ["a@edge2=10.0.0.3 @=10.0.0.4 u1@edge1=10.0.0.9", ""],
        ),
        (
            "no longer ready, behind the others",
            ["u2@edge1=10.0.0.2 u1@edge1=10.0.0.9", "a@edge2=10.0.0.3"],
            ["u1@edge1=10.0.0.9", "a@edge2=10.0.0.3 u2@edge1=10.0.0.2"],
        ),
        (
            "the only one",
            ["u2@edge1=10.0.0.1", ""],
            ["", "u2@edge1=10.0.0.2"],
        ),
        ("gone", ["u0@edge1=10.0.0.1", ""], ["", "u0@edge1=10.0.0.1"]),
        (
            "unreachable",
            ["u0@edge3=10.0.0.1", ""],
            ["", "u0@edge3=10.0.0.1"],
        ),
        (
            "host network",
            ["", "host@edge1=192.0.2.1"],
            ["host@edge1=192.0.2.1", ""],
        ),
        (
            "both ways at once, in the order of the cloud",
            [
                "u2@edge1=10.0.0.2 b@edge2=10.0.0.8 u0@edge1=10.0.0.1",
                "u1@edge1=10.0.0.9 c@edge2=10.0.0.5 host@edge1=192.0.2.1",
            ],
            [
                "b@edge2=10.0.0.8 u1@edge1=10.0.0.9 host@edge1=192.0.2.1",
                "c@edge2=10.0.0.5 u2@edge1=10.0.0.2 u0@edge1=10.0.0.1",
            ],
        ),
        (
            "all lists empty but for what changes places",
            ["u2@edge1=10.0.0.2", "u1@edge1=10.0.0.9"],
            ["u1@edge1=10.0.0.9", "u2@edge1=10.0.0.2"],
        ),
        (
            "no concern of this node",
            [
                "@edge1=10.0.0.1 u0@=10.0.0.6 u1@edge2=10.0.0.1",
                "u0@edge2=10.0.0.7",
            ],
            [
                "@edge1=10.0.0.1 u0@=10.0.0.6 u1@edge2=10.0.0.1",
                "u0@edge2=10.0.0.7",
            ],
        ),
    ] {
        let before = endpoints(vec![subset(ready, not_ready, 80)]);
        let after = endpoints(vec![subset(then_ready, then_not_ready, 80)]);
        assert_shown(&before, &known(), &after, what);
    }
}

#[test]
fn endpoints_of_silent_nodes_are_kept_but_for_one_that_was_not_ready_before() {
    let silent = "u0@edge4=10.0.0.4 sick@edge4=10.0.0.5 b@edge2=10.0.0.6";
    let before = endpoints(vec![subset("a@edge2=10.0.0.3", silent, 80)]);
    let (ready, rest) = (
        "a@edge2=10.0.0.3 u0@edge4=10.0.0.4",
        "sick@edge4=10.0.0.5 b@edge2=10.0.0.6",
    );
    assert_shown(
        &before,
        &known(),
        &endpoints(vec![subset(ready, rest, 80)]),
        "kept",
    );
}

#[test]
fn each_subset_keeps_its_place_and_its_ports() {
    let before = endpoints(vec![
        subset("u1@edge1=10.0.0.9", "", 80),
        subset("u2@edge1=10.0.0.2", "", 81),
        subset("u1@edge1=10.0.0.1", "u2@edge1=10.0.0.1", 82),
    ]);
    let after = endpoints(vec![
        subset("u1@edge1=10.0.0.9", "", 80),
        subset("", "u2@edge1=10.0.0.2", 81),
        subset("u1@edge1=10.0.0.9", "u2@edge1=10.0.0.2", 82),
    ]);
    assert_shown(&before, &known(), &after, "subsets");
}

#[test]
fn what_a_service_publishes_is_ready() {
    let before = endpoints(vec![subset("", "u2@edge1=10.0.0.2 u0@edge1=10.0.0.1", 80)]);
    let after = endpoints(vec![subset("u2@edge1=10.0.0.2", "u0@edge1=10.0.0.1", 80)]);
    let publish = Known {
        publish: true,
        ..known()
    };
    assert_shown(&before, &publish, &after, "published");
    let deleting = LocalPod {
        deleting: true,
        ..running(&["10.0.0.2"])
    };
    let mut known = known();
    known.pods.insert("u2".into(), deleting);
    assert_shown(&after, &known, &before_of(&after), "being deleted");
}

/// All addresses of the first subset not ready, the ones that were ready last.
fn before_of(endpoints: &Endpoints) -> Endpoints {
    let mut endpoints = endpoints.clone();
    let subset = &mut endpoints.subsets.as_mut().unwrap()[0];
    let ready = subset.addresses.take().unwrap();
    subset.not_ready_addresses.get_or_insert_default().extend(ready);
    endpoints
}
