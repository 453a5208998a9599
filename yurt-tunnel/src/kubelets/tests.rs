//! One row for each claim that a Node may make.

use proptest::prelude::*;

use super::*;

fn node(name: &str, edge: bool, addresses: &[&str]) -> NodeView {
    NodeView {
        name: name.into(),
        edge,
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        other_addresses: Vec::new(),
        kubelet_port: KUBELET_PORT,
        pod_networks: Vec::new(),
    }
}

fn rules() -> Rules {
    Rules {
        reserved: ["203.0.113.10/32", "10.96.0.0/12"]
            .map(|network| network.parse().unwrap())
            .to_vec(),
        ..Rules::default()
    }
}

/// The addresses of `edge` that are redirected, and the reasons for others.
fn judged(nodes: &[NodeView]) -> (Vec<String>, Vec<Reason>) {
    let kubelets = Kubelets::of(nodes, &rules());
    let of_edge = kubelets.by_address.iter().filter(|(_, node)| &***node == "edge");
    let refusals = kubelets
        .refusals
        .iter()
        .filter(|refusal| &*refusal.node == "edge");
    (
        of_edge.map(|(address, _)| address.to_string()).collect(),
        refusals.map(|refusal| refusal.reason).collect(),
    )
}

#[test]
fn claims_that_take_something_from_somebody_get_nothing() {
    let mut cloud = node("cloud", false, &["198.51.100.1", "2001:db8::1"]);
    cloud.other_addresses = vec!["198.51.100.2".parse().unwrap()];
    let networks = ["10.244.1.0/24", "128.0.0.0/1", "2001:db8::/32"];
    cloud.pod_networks = networks.map(|network| network.parse().unwrap()).to_vec();
    let mut other = node("other", true, &["192.0.2.9"]);
    other.pod_networks = vec!["192.0.2.0/24".parse().unwrap()];
    let rows: &[(&str, Option<Reason>)] = &[
        ("192.0.2.7", None),
        ("2001:db8:7::7", None),
        ("198.51.100.1", Some(Reason::Shared)),
        ("198.51.100.2", Some(Reason::Shared)),
        ("2001:db8::1", Some(Reason::Shared)),
        ("::ffff:198.51.100.1", Some(Reason::Shared)),
        ("192.0.2.9", Some(Reason::Shared)),
        ("203.0.113.10", Some(Reason::Reserved)),
        ("10.96.0.1", Some(Reason::Reserved)),
        ("10.111.255.255", Some(Reason::Reserved)),
        ("10.112.0.0", None),
        ("10.244.1.5", Some(Reason::OfPods)),
        ("10.244.2.5", None),
        ("127.0.0.1", Some(Reason::NotOfOneMachine)),
        ("::ffff:127.0.0.1", Some(Reason::NotOfOneMachine)),
        ("::1", Some(Reason::NotOfOneMachine)),
        ("169.254.169.254", Some(Reason::NotOfOneMachine)),
        ("fe80::1", Some(Reason::NotOfOneMachine)),
        ("224.0.0.1", Some(Reason::NotOfOneMachine)),
        ("ff02::1", Some(Reason::NotOfOneMachine)),
        ("0.0.0.0", Some(Reason::NotOfOneMachine)),
        ("0.1.2.3", Some(Reason::NotOfOneMachine)),
        ("255.255.255.255", Some(Reason::NotOfOneMachine)),
        ("::", Some(Reason::NotOfOneMachine)),
    ];
    for (claimed, expected) in rows {
        let nodes = [cloud.clone(), other.clone(), node("edge", true, &[claimed])];
        let (taken, reasons) = judged(&nodes);
        assert_eq!(reasons, expected.iter().copied().collect::<Vec<_>>(), "{claimed}");
        assert_eq!(taken.is_empty(), expected.is_some(), "{claimed}");
    }
}

#[test]
fn a_shared_address_belongs_to_neither_of_both() {
    let nodes = [
        node("a", true, &["192.0.2.7"]),
        node("b", true, &["192.0.2.7", "192.0.2.8"]),
    ];
    let kubelets = Kubelets::of(&nodes, &rules());
    let at = |address: &str| kubelets.node_at(address.parse().unwrap()).map(|node| &**node);
    assert_eq!(at("192.0.2.7:10250"), None);
    assert_eq!(at("192.0.2.8:10250"), Some("b"));
    assert_eq!(at("[::ffff:192.0.2.8]:10250"), Some("b"));
    assert_eq!(at("192.0.2.8:10251"), None);
    assert_eq!(kubelets.refusals().len(), 2);
    assert_eq!(kubelets.port_of("a"), Some(10250), "by its name it is reached");
}

#[test]
fn nodes_that_are_no_edge_nodes_get_nothing() {
    let kubelets = Kubelets::of(&[node("cloud", false, &["198.51.100.1"])], &rules());
    assert_eq!(kubelets, Kubelets::default());
}

#[test]
fn an_address_that_a_node_has_twice_is_its_own() {
    let (taken, reasons) = judged(&[node("edge", true, &["192.0.2.7", "192.0.2.7"])]);
    assert_eq!((taken, reasons), (vec!["192.0.2.7:10250".to_owned()], vec![]));
}

#[test]
fn the_port_must_be_one_at_which_kubelets_are_expected() {
    let mut edge = node("edge", true, &["192.0.2.7"]);
    edge.kubelet_port = 443;
    let nodes = [edge];
    assert_eq!(judged(&nodes), (vec![], vec![Reason::Port]));
    let rules = Rules {
        ports: BTreeSet::from([443]),
        ..rules()
    };
    assert_eq!(Kubelets::of(&nodes, &rules).addresses().len(), 1);
}

#[test]
fn bounds_hold_for_one_node_and_for_all() {
    let many: Vec<_> = (0..20).map(|number| format!("192.0.2.{number}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let (taken, reasons) = judged(&[node("edge", true, &many)]);
    assert_eq!((taken.len(), reasons.len()), (MAX_OF_NODE, 20 - MAX_OF_NODE));
    let nodes: Vec<_> = (0..MAX_ADDRESSES as u32 + 5)
        .map(|number| {
            let mut node = node(&format!("edge{number:05}"), true, &[]);
            node.addresses = vec![std::net::Ipv4Addr::from(0x0b00_0000 + number).into()];
            node
        })
        .collect();
    let kubelets = Kubelets::of(&nodes, &rules());
    assert_eq!(kubelets.addresses().len(), MAX_ADDRESSES);
    let last = kubelets.refusals().last().unwrap();
    assert_eq!((&*last.node, last.reason), ("edge10004", Reason::TooMany));
}

proptest! {
    #[test]
    fn the_order_of_nodes_makes_no_difference(
        claims in prop::collection::vec((any::<bool>(), prop::collection::vec(0u8..12, 0..4)), 0..8),
        turn in 0..8usize,
    ) {
        let nodes: Vec<_> = claims.iter().enumerate().map(|(index, (edge, hosts))| {
            let addresses: Vec<_> = hosts.iter().map(|host| format!("192.0.2.{host}")).collect();
            node(&format!("n{index}"), *edge, &addresses.iter().map(String::as_str).collect::<Vec<_>>())
        }).collect();
        let mut turned = nodes.clone();
        turned.rotate_left(turn.min(nodes.len()));
        let kubelets = Kubelets::of(&nodes, &rules());
        prop_assert_eq!(&kubelets, &Kubelets::of(&turned, &rules()));
        for (address, owner) in &kubelets.by_address {
            let owners: Vec<_> = nodes.iter().filter(|node| node.addresses.contains(&address.ip())).map(|node| &node.name).collect();
            prop_assert_eq!(owners, vec![owner]);
        }
    }
}
