//! The table in the kernel's own hands: network namespaces, real connections, `nft` as the witness.
//!
//! Needs root, `ip` and `nft`. Each test has namespaces of its own, which go with it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "kernel/net.rs"]
mod net;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::process::Stdio;
use std::time::Duration;

use net::{Listener, Net};
use yurt_tunnel_nft::{Layout, Lifetime, NftError, Redirect, Replaced, Standing, remove};

/// What a kubelet is at in these tests; nobody is there.
const KUBELET4: &str = "192.0.2.7:10250";
const KUBELET6: &str = "[2001:db8:7::7]:10250";
/// For a holder in a process of its own to end, three times of what a busy machine needs.
const SOON: Duration = Duration::from_secs(20);

fn set(kubelets: &[&str]) -> BTreeSet<SocketAddr> {
    kubelets.iter().map(|kubelet| kubelet.parse().unwrap()).collect()
}

fn layout(port: u16) -> Layout {
    Layout {
        port: NonZeroU16::new(port).unwrap(),
        forwarded: true,
    }
}

#[test]
fn connections_to_kubelets_reach_the_listener_with_their_destination() {
    let (host, client) = Net::joined("dst");
    let listener = host.run(Listener::open);
    let port = listener.port();
    let _table = host
        .run(move || Redirect::install(layout(port), set(&[KUBELET4, KUBELET6])))
        .unwrap();
    for kubelet in [KUBELET4, KUBELET6] {
        let kubelet: SocketAddr = kubelet.parse().unwrap();
        for (from, net) in [("the host itself", &host), ("another machine", &client)] {
            let client = net.run(move || net::connect(kubelet)).unwrap();
            let accepted = listener.accept(kubelet.is_ipv6());
            assert_eq!(net::original(&accepted), Some(kubelet), "from {from}");
            net::talk(client, accepted);
        }
    }
}

#[test]
fn what_is_not_in_the_set_is_left_alone() {
    let (host, client) = Net::joined("alone");
    let listener = host.run(Listener::open);
    let port = listener.port();
    // The host claims its own and the client's address as those of kubelets: its own stay with it.
    let own = host.address().to_string() + ":10250";
    let _table = host
        .run(move || Redirect::install(layout(port), set(&[KUBELET4, &own])))
        .unwrap();
    let there = client.run(|| net::listen(10250));
    let address: SocketAddr = (client.address(), 10250).into();
    let dialled = host.run(move || net::connect(address)).unwrap();
    net::talk(dialled, net::accept(&there));
    // The port is another one.
    let other: SocketAddr = "192.0.2.7:10251".parse().unwrap();
    assert!(host.run(move || net::connect(other)).is_err());
    let own: SocketAddr = (host.address(), 10250).into();
    let here = host.run(|| net::listen(10250));
    let dialled = client.run(move || net::connect(own)).unwrap();
    net::talk(dialled, net::accept(&here));
    // Somebody dials the listener: its original destination is the listener itself.
    let direct: SocketAddr = (host.address(), port).into();
    let dialled = client.run(move || net::connect(direct)).unwrap();
    let accepted = listener.accept(false);
    assert!(
        matches!(net::original(&accepted), None | Some(_) if net::original(&accepted) != Some(KUBELET4.parse().unwrap()))
    );
    assert_eq!(net::original(&accepted).unwrap_or(direct), direct);
    drop(dialled);
}

#[test]
fn it_works_beside_what_kube_proxy_and_iptables_write() {
    let (host, client) = Net::joined("beside");
    // A Service's address at the same hook, and a rule that would send kubelets' connections elsewhere.
    host.nft(
        "table ip kube-proxy {
            map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
            chain services { ip daddr . meta l4proto . th dport vmap @service-ips; }
            chain nat-output { type nat hook output priority -100; jump services; }
            chain nat-prerouting { type nat hook prerouting priority -100; jump services; }
            chain elsewhere { tcp dport 10250 dnat to 203.0.113.1:1; }
        }
        add element ip kube-proxy service-ips { 192.0.2.7 . tcp . 10250 : goto elsewhere }
        table ip nat {
            chain OUTPUT { type nat hook output priority -100; tcp dport 10250 dnat to 203.0.113.2:2; }
            chain PREROUTING { type nat hook prerouting priority -100; tcp dport 10250 dnat to 203.0.113.2:2; }
        }",
    );
    let before = host.ruleset();
    let listener = host.run(Listener::open);
    let port = listener.port();
    let table = host
        .run(move || Redirect::install(layout(port), set(&[KUBELET4])))
        .unwrap();
    let kubelet: SocketAddr = KUBELET4.parse().unwrap();
    for net in [&host, &client] {
        let dialled = net.run(move || net::connect(kubelet)).unwrap();
        let accepted = listener.accept(false);
        assert_eq!(net::original(&accepted), Some(kubelet));
        net::talk(dialled, accepted);
    }
    assert_ne!(host.ruleset(), before);
    table.remove().unwrap();
    assert_eq!(
        host.ruleset(),
        before,
        "nothing is left, and nothing else was changed"
    );
}

#[test]
fn ten_thousand_kubelets_are_replaced_at_once() {
    let host = Net::new("many");
    let number = |from: u32| -> BTreeSet<SocketAddr> {
        (from..from + 10_000)
            .map(|number| (IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number)), 10250).into())
            .collect()
    };
    let mut table = host
        .run(move || Redirect::install(layout(7777), number(1)))
        .unwrap();
    assert_eq!(host.elements("kubelets4"), 10_000);
    assert_eq!(table.replace(number(1)).unwrap(), Replaced::Unchanged);
    let begun = std::time::Instant::now();
    assert_eq!(table.replace(number(5_000)).unwrap(), Replaced::Replaced);
    println!("replaced in {:?}", begun.elapsed());
    assert_eq!(host.elements("kubelets4"), 10_000);
    assert_eq!(table.check().unwrap(), Standing::AsLeft);
    assert_eq!(table.replace(set(&[KUBELET6])).unwrap(), Replaced::Replaced);
    assert_eq!(host.elements("kubelets4"), 0);
    assert_eq!(host.elements("kubelets6"), 1);
    assert_eq!(table.check().unwrap(), Standing::AsLeft);
}

#[test]
fn a_flush_of_all_rules_is_survived_or_repaired() {
    let host = Net::new("flush");
    let mut table = host
        .run(|| Redirect::install(layout(7777), set(&[KUBELET4])))
        .unwrap();
    let before = host.ruleset();
    host.nft("flush ruleset");
    match table.lifetime() {
        Lifetime::Process => assert_eq!(table.check().unwrap(), Standing::AsLeft),
        Lifetime::UntilRemoved => assert_eq!(table.check().unwrap(), Standing::Gone),
    }
    table.restore().unwrap();
    assert_eq!(host.ruleset(), before);
    assert_eq!(table.check().unwrap(), Standing::AsLeft);
}

#[test]
fn where_tables_have_no_owner_a_change_is_seen_and_repaired() {
    let host = Net::new("change");
    let mut table = host
        .run(|| Redirect::install_without_owner(layout(7777), set(&[KUBELET4])))
        .unwrap();
    let before = host.ruleset();
    host.nft("add table ip somebody-else");
    assert_eq!(table.check().unwrap(), Standing::AsLeft);
    host.nft("delete table ip somebody-else");
    for (change, found) in [
        ("flush ruleset", Standing::Gone),
        ("flush chain inet yurt-tunnel output", Standing::Changed),
        ("flush set inet yurt-tunnel kubelets4", Standing::Changed),
        ("delete chain inet yurt-tunnel prerouting", Standing::Changed),
        (
            "add element inet yurt-tunnel kubelets4 { 192.0.2.8 . 22 }",
            Standing::Changed,
        ),
    ] {
        host.nft(change);
        assert_eq!(table.check().unwrap(), found, "{change}");
        table.restore().unwrap();
        assert_eq!(host.ruleset(), before, "{change}");
        assert_eq!(table.check().unwrap(), Standing::AsLeft);
    }
    host.nft("flush ruleset");
    table.replace(set(&[KUBELET6])).unwrap();
    assert_eq!(
        host.elements("kubelets6"),
        1,
        "a new content brings the table back"
    );
    drop(table);
    host.run(remove).unwrap();
    assert_eq!(host.ruleset(), "");
}

#[test]
fn a_killed_process_leaves_nothing_and_what_an_old_kernel_leaves_is_taken_over() {
    let host = Net::new("kill");
    for owner in [true, false] {
        let mut holder = host.holder(owner).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(holder.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("installed") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "the holder has ended");
        }
        let owned = line.trim() == "installed Process";
        assert_ne!(host.ruleset(), "");
        if owned {
            assert!(matches!(host.run(remove), Err(NftError::HeldByAnother)));
            let second = host.run(|| Redirect::install(layout(7777), BTreeSet::new()));
            assert!(matches!(second, Err(NftError::HeldByAnother)));
        }
        // SIGKILL.
        holder.kill().unwrap();
        holder.wait().unwrap();
        drop(said.read_to_string(&mut line));
        if owned {
            net::wait_until(SOON, || host.ruleset().is_empty());
        } else {
            assert_ne!(host.ruleset(), "");
        }
        let next = host
            .run(|| Redirect::install(layout(7777), set(&[KUBELET4])))
            .unwrap();
        assert_eq!(host.elements("kubelets4"), 1);
        next.remove().unwrap();
        assert_eq!(host.ruleset(), "");
        assert!(!host.run(remove).unwrap(), "there is nothing any more");
    }
}

/// Not a test: the process that is killed above.
#[test]
#[ignore = "run by another test"]
fn holder() {
    let install = match std::env::var("HOLDER").as_deref() {
        Ok("owner") => Redirect::install,
        Ok("orphan") => Redirect::install_without_owner,
        _ => return,
    };
    let table = install(layout(7777), set(&[KUBELET4])).unwrap();
    println!("\ninstalled {:?}", table.lifetime());
    loop {
        std::thread::park();
    }
}
