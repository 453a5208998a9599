//! Front door A in network namespaces: real rules, real connections, and a kubelet that is a listener on loopback.
//!
//! Needs root, `ip` and `nft`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../nft/tests/kernel/net.rs"]
#[expect(dead_code, reason = "made for more than this test needs")]
mod net;

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use net::Net;
use tokio::net::TcpStream;
use tokio::sync::watch;
use yurt_tunnel::front::redirect::{Listeners, keeper, serve};
use yurt_tunnel::front::{Dial, Known};
use yurt_tunnel::kubelets::{KUBELET_PORT, Kubelets, NodeView, Rules};
use yurt_tunnel_nft::Layout;

/// Three times of what a busy machine needs.
const SOON: Duration = Duration::from_secs(20);

/// Reaches `edge` at a listener of this test, and no other node.
struct Loopback {
    kubelet: SocketAddr,
}

impl Dial for Loopback {
    type Stream = TcpStream;
    type Error = String;

    async fn dial(&self, node: &str, port: u16) -> Result<TcpStream, String> {
        match (node, port) {
            ("edge", KUBELET_PORT) => TcpStream::connect(self.kubelet)
                .await
                .map_err(|error| error.to_string()),
            _ => Err(format!("node {node} is not connected")),
        }
    }

    async fn relay(&self, mut client: TcpStream, already: Vec<u8>, mut stream: TcpStream) {
        assert!(already.is_empty());
        drop(tokio::io::copy_bidirectional(&mut client, &mut stream).await);
    }
}

fn kubelets(of: &[(&str, &str)]) -> Arc<Kubelets> {
    let nodes: Vec<_> = of
        .iter()
        .map(|(name, address)| NodeView {
            name: (*name).into(),
            edge: true,
            addresses: vec![address.parse().unwrap()],
            other_addresses: Vec::new(),
            kubelet_port: KUBELET_PORT,
            pod_networks: Vec::new(),
        })
        .collect();
    Arc::new(Kubelets::of(&nodes, &Rules::default()))
}

/// Runs the door in `host` until `test` has ended, which gets the door's port and the kubelet's listener.
fn with_door(host: &Net, limit: usize, known: Known, test: impl FnOnce(u16, &std::net::TcpListener) + Send) {
    host.run(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let kubelet = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let dial = Arc::new(Loopback {
            kubelet: kubelet.local_addr().unwrap(),
        });
        let listeners = runtime.block_on(async { Listeners::bind(0) }).unwrap();
        let layout = Layout {
            port: listeners.port(),
            forwarded: true,
        };
        runtime.spawn(keeper::keep(
            layout,
            known.clone(),
            Duration::from_millis(50),
            |done| {
                assert!(done.is_ok(), "{done:?}");
            },
        ));
        runtime.spawn(serve(listeners, known, dial, limit));
        test(layout.port.get(), &kubelet);
    });
}

/// Dials until the rules are there.
fn dial(net: &Net, to: &str) -> std::net::TcpStream {
    let to: SocketAddr = to.parse().unwrap();
    let mut found = None;
    net::wait_until(SOON, || {
        found = net.run(|| net::connect(to)).ok();
        found.is_some()
    });
    found.unwrap()
}

fn assert_reset(mut client: std::net::TcpStream) {
    client.set_read_timeout(Some(SOON)).unwrap();
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn connections_to_an_edge_nodes_kubelet_are_carried_and_others_reset() {
    let (host, client) = Net::joined("door");
    let (publish, known) = watch::channel(None);
    with_door(&host, 100, known, |port, kubelet| {
        assert_eq!(host.ruleset(), "", "nothing is known yet");
        publish.send_replace(Some(kubelets(&[("edge", "192.0.2.7"), ("away", "192.0.2.8")])));
        for from in [&host, &client] {
            let dialled = dial(from, "192.0.2.7:10250");
            net::talk(dialled, net::accept(kubelet));
            assert_reset(dial(from, "192.0.2.8:10250"));
        }
        assert_reset(dial(&host, &format!("127.0.0.1:{port}")));
        assert_reset(dial(&host, &format!("[::1]:{port}")));
        assert_reset(dial(&client, &format!("{}:{port}", host.address())));
        // What was begun goes on when its address is taken out of the set.
        let dialled = dial(&client, "192.0.2.7:10250");
        let accepted = net::accept(kubelet);
        publish.send_replace(Some(kubelets(&[])));
        net::wait_until(SOON, || host.elements("kubelets4") == 0);
        net::talk(dialled, accepted);
    });
    net::wait_until(SOON, || host.ruleset().is_empty());
}

#[test]
fn connections_beyond_the_limit_are_reset_and_make_room_when_they_end() {
    let (host, _other) = Net::joined("limit");
    let (_publish, known) = watch::channel(Some(kubelets(&[("edge", "192.0.2.7")])));
    with_door(&host, 1, known, |_, kubelet| {
        let first = dial(&host, "192.0.2.7:10250");
        let accepted = net::accept(kubelet);
        assert_reset(dial(&host, "192.0.2.7:10250"));
        net::talk(first, accepted);
        // The door hears of the end a moment later; until then it resets.
        kubelet.set_nonblocking(true).unwrap();
        net::wait_until(SOON, || {
            let dialled = dial(&host, "192.0.2.7:10250");
            dialled.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            let reset = (&dialled).read(&mut [0]);
            !reset.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
        });
    });
}
