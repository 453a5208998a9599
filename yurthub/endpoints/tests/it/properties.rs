//! Properties over generated objects: the typed reading of the rules below, written apart from the
//! crate's, must come to the same objects.

use std::net::IpAddr;

use k8s_openapi::api::{
    core::v1::{EndpointAddress, EndpointSubset, Endpoints},
    discovery::v1::{Endpoint, EndpointConditions, EndpointSlice},
};
use proptest::prelude::*;
use yurthub_endpoints::{Kind, LocalPod};
use yurthub_object::Encoding;

use crate::{
    endpoints::{address, endpoints},
    model::{ENCODINGS, Known, Typed, assert_shown, shown},
    slices::{endpoint, slice},
};

const UIDS: [&str; 5] = ["", "u1", "u2", "u3", "u4"];
const NODES: [&str; 4] = ["", "edge1", "edge2", "edge3"];
const V4: [&str; 3] = ["10.0.0.1", "10.0.0.2", "10.0.0.33"];
const V6: [&str; 3] = ["fd00::1", "fd00::2", "fd00::33"];

fn ips() -> impl Strategy<Value = Vec<IpAddr>> {
    let one = prop::sample::select([V4, V6].concat()).prop_map(|ip| ip.parse().unwrap());
    prop::collection::vec(one, 0..3)
}

fn local_pod() -> impl Strategy<Value = LocalPod> {
    let often = || prop::bool::weighted(0.8);
    let seldom = || prop::bool::weighted(0.2);
    (ips(), seldom(), often(), seldom(), seldom(), often()).prop_map(
        |(ips, host_network, ready, deleting, terminal, reported)| LocalPod {
            ips,
            host_network,
            ready,
            deleting,
            terminal,
            reported,
        },
    )
}

fn known() -> impl Strategy<Value = Known> {
    let uid = prop::sample::select(UIDS[1..4].to_vec()).prop_map(str::to_owned);
    let node = prop::sample::select(NODES[1..].to_vec()).prop_map(str::to_owned);
    let pods = prop::collection::btree_map(uid, local_pod(), 0..4);
    let nodes = prop::collection::btree_set(node, 0..3);
    (pods, nodes, any::<(bool, bool)>()).prop_map(|(pods, unreachable, (detached, publish))| Known {
        pods,
        detached,
        kept: ["edge2", "edge3"]
            .map(|node| (node.to_owned(), ["u2".to_owned()].into()))
            .into(),
        unreachable,
        publish,
    })
}

fn some_slice() -> impl Strategy<Value = EndpointSlice> {
    prop::sample::select(vec!["IPv4", "IPv6", "FQDN"]).prop_flat_map(|address_type| {
        let pool = if address_type == "IPv6" { V6 } else { V4 };
        let ips = prop::collection::vec(prop::sample::select(pool.to_vec()), 1..3);
        let (uid, node) = (
            prop::sample::select(UIDS.to_vec()),
            prop::sample::select(NODES.to_vec()),
        );
        let one = (
            uid,
            node,
            ips,
            any::<[Option<bool>; 3]>(),
            prop::bool::weighted(0.9),
        )
            .prop_map(|(uid, node, ips, conditions, kept)| {
                let mut endpoint = endpoint(uid, node, &ips, conditions);
                endpoint.conditions = endpoint.conditions.filter(|_| kept);
                endpoint
            });
        prop::collection::vec(one, 0..6).prop_map(move |endpoints| slice(address_type, endpoints))
    })
}

fn some_endpoints() -> impl Strategy<Value = Endpoints> {
    let (uid, node) = (
        prop::sample::select(UIDS.to_vec()),
        prop::sample::select(NODES.to_vec()),
    );
    let one = (uid, node, prop::sample::select([V4, V6].concat()))
        .prop_map(|(uid, node, ip)| address(&format!("{uid}@{node}={ip}")));
    let list = || {
        prop::collection::vec(one.clone(), 0..4).prop_map(|list| Some(list).filter(|list| !list.is_empty()))
    };
    let subset = (list(), list()).prop_map(|(addresses, not_ready_addresses)| EndpointSubset {
        addresses,
        not_ready_addresses,
        ports: Some(vec![]),
    });
    prop::collection::vec(subset, 0..3).prop_map(endpoints)
}

/// What is right for an endpoint: its addresses, unless they stay, and its conditions, the last of them
/// unless it stays; nothing at all when the cloud has the say.
struct Right {
    addresses: Option<Vec<String>>,
    ready: bool,
    serving: bool,
    terminating: Option<bool>,
}

fn right(known: &Known, uid: &str, node: &str, v6: bool) -> Option<Right> {
    let dead = |terminating| Right {
        addresses: None,
        ready: false,
        serving: false,
        terminating,
    };
    let here = node == "edge1";
    let elsewhere = !here && !node.is_empty();
    let pod = known.pods.get(uid);
    if uid.is_empty() {
        None
    } else if elsewhere {
        (known.detached && known.unreachable.contains(node)).then(|| dead(None))
    } else if let Some(pod) = pod {
        let of_family: Vec<_> = pod.ips.iter().filter(|ip| ip.is_ipv6() == v6).collect();
        let addressed = pod.host_network || (pod.reported && !of_family.is_empty());
        if pod.terminal || !addressed {
            return Some(dead(Some(pod.deleting)));
        }
        pod.reported.then(|| Right {
            addresses: (!pod.host_network).then(|| of_family.iter().map(ToString::to_string).collect()),
            ready: known.publish || (pod.ready && !pod.deleting),
            serving: pod.ready,
            terminating: Some(pod.deleting),
        })
    } else {
        here.then(|| dead(None))
    }
}

/// Whether the endpoint is shown as it was before its node fell silent.
fn is_kept(known: &Known, uid: &str, node: &str) -> bool {
    let lost = known.detached && known.unreachable.contains(node);
    let silent = known.kept.get(node).filter(|_| node != "edge1" && !lost);
    !uid.is_empty() && silent.is_some_and(|unready| !unready.contains(uid))
}

fn right_slice(before: &EndpointSlice, known: &Known) -> EndpointSlice {
    let mut after = before.clone();
    for endpoint in &mut after.endpoints {
        let uid = endpoint
            .target_ref
            .clone()
            .and_then(|reference| reference.uid)
            .unwrap_or_default();
        let node = endpoint.node_name.clone().unwrap_or_default();
        let right = right(known, &uid, &node, before.address_type == "IPv6");
        if before.address_type == "FQDN" {
            continue;
        }
        if let Some(right) = right {
            set(endpoint, right);
        } else if let Some(conditions) = &mut endpoint.conditions
            && is_kept(known, &uid, &node)
            && conditions.ready == Some(false)
            && conditions.terminating != Some(true)
        {
            (conditions.ready, conditions.serving) = (Some(true), Some(true));
        }
    }
    after
}

fn set(endpoint: &mut Endpoint, right: Right) {
    let had = endpoint
        .conditions
        .clone()
        .and_then(|conditions| conditions.terminating);
    endpoint.conditions = Some(EndpointConditions {
        ready: Some(right.ready),
        serving: Some(right.serving),
        terminating: right.terminating.or(had),
    });
    if let Some(addresses) = right.addresses {
        endpoint.addresses = addresses;
    }
}

fn right_endpoints(before: &Endpoints, known: &Known) -> Endpoints {
    let mut after = before.clone();
    for subset in after.subsets.iter_mut().flatten() {
        let lists = [subset.addresses.take(), subset.not_ready_addresses.take()];
        let mut stay = [vec![], vec![]];
        let mut come = [vec![], vec![]];
        for (listed, list) in lists.into_iter().enumerate() {
            for mut address in list.into_iter().flatten() {
                let belongs = right_address(&mut address, known).unwrap_or(listed);
                let lists = if belongs == listed { &mut stay } else { &mut come };
                lists[belongs].push(address);
            }
        }
        let [ready, not_ready] = stay;
        let [then_ready, then_not_ready] = come;
        let joined = |first: Vec<_>, then| Some([first, then].concat()).filter(|list| !list.is_empty());
        subset.addresses = joined(ready, then_ready);
        subset.not_ready_addresses = joined(not_ready, then_not_ready);
    }
    after
}

/// Sets the IP; the list in which the address belongs, if a rule says.
fn right_address(address: &mut EndpointAddress, known: &Known) -> Option<usize> {
    let uid = address
        .target_ref
        .clone()
        .and_then(|reference| reference.uid)
        .unwrap_or_default();
    let node = address.node_name.clone().unwrap_or_default();
    if is_kept(known, &uid, &node) {
        return Some(0);
    }
    let right = right(known, &uid, &node, address.ip.contains(':'))?;
    if let Some(addresses) = right.addresses {
        address.ip.clone_from(&addresses[0]);
    }
    Some(usize::from(!right.ready))
}

fn assert_settled<T: Typed>(before: &T, known: &Known) {
    for encoding in ENCODINGS {
        let item = before.encode(encoding);
        if let Some(changed) = shown(T::KIND, encoding, &item, known) {
            assert_eq!(shown(T::KIND, encoding, &changed, known), None, "{encoding:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn slices_come_out_as_a_typed_reading_of_the_rules_has_it(before in some_slice(), known in known()) {
        assert_shown(&before, &known, &right_slice(&before, &known), "typed");
        assert_settled(&before, &known);
    }

    #[test]
    fn endpoints_come_out_as_a_typed_reading_of_the_rules_has_it(before in some_endpoints(), known in known()) {
        assert_shown(&before, &known, &right_endpoints(&before, &known), "typed");
        assert_settled(&before, &known);
    }

    #[test]
    fn endpoints_that_no_rule_concerns_keep_their_bytes(before in some_slice(), known in known()) {
        let item = before.encode(Encoding::Json);
        let after = shown(Kind::EndpointSlice, Encoding::Json, &item, &known).unwrap_or(item);
        let text = std::str::from_utf8(&after).unwrap();
        let right = right_slice(&before, &known);
        for (was, is) in before.endpoints.iter().zip(&right.endpoints) {
            if was == is {
                let raw = serde_json::to_string(&serde_json::to_value(was).unwrap()).unwrap();
                prop_assert!(text.contains(&raw), "{raw}\n{text}");
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, text in r#"[\{\}\[\]",:a-z0-9\\ ]{0,60}"#) {
        for first in 0..4 {
            crate::bodies::show(&[&[first], bytes.as_slice()].concat());
            crate::bodies::show(&[&[first], text.as_bytes()].concat());
        }
    }
}
