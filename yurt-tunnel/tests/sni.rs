//! Front door C on loopback, with greetings of a real TLS library.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use yurt_tunnel::front::{Dial, sni};
use yurt_tunnel::kubelets::{Kubelets, NodeView, Rules};

/// Three times of what a busy machine needs.
const SOON: Duration = Duration::from_secs(20);
/// For `edge-1.example`.
const GREETING: &[u8] = include_bytes!("../fuzz/corpus/greeting/openssl");
const NAMELESS: &[u8] = include_bytes!("../fuzz/corpus/greeting/openssl-without-name");

/// Reaches the node with this kubelet's port at a listener of this test.
struct Loopback(SocketAddr);

impl Dial for Loopback {
    type Stream = TcpStream;
    type Error = std::io::Error;

    async fn dial(&self, node: &str, port: u16) -> Result<TcpStream, std::io::Error> {
        assert_eq!((node, port), ("edge-1.example", 10350));
        TcpStream::connect(self.0).await
    }

    async fn relay(&self, mut client: TcpStream, already: Vec<u8>, mut stream: TcpStream) {
        stream.write_all(&already).await.unwrap();
        drop(tokio::io::copy_bidirectional(&mut client, &mut stream).await);
    }
}

/// The door's address, and the kubelet.
async fn door() -> (SocketAddr, TcpListener) {
    let kubelet = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let door = listener.local_addr().unwrap();
    let node = NodeView {
        name: "edge-1.example".into(),
        edge: true,
        // As many others have.
        addresses: Vec::new(),
        other_addresses: Vec::new(),
        kubelet_port: 10350,
        pod_networks: Vec::new(),
    };
    let kubelets = Some(Arc::new(Kubelets::of([&node], &Rules::default())));
    let dial = Arc::new(Loopback(kubelet.local_addr().unwrap()));
    tokio::spawn(async move {
        let (_publish, known) = watch::channel(kubelets);
        sni::serve(listener, known, dial, 10).await;
    });
    (door, kubelet)
}

#[tokio::test]
async fn the_kubelet_gets_the_greeting_as_it_was_sent() {
    let (door, kubelet) = door().await;
    let mut client = TcpStream::connect(door).await.unwrap();
    client.set_nodelay(true).unwrap();
    for part in GREETING.chunks(100) {
        client.write_all(part).await.unwrap();
        tokio::task::yield_now().await;
    }
    client.write_all(b"and more").await.unwrap();
    client.shutdown().await.unwrap();
    let exchange = async {
        let (mut accepted, _) = kubelet.accept().await.unwrap();
        let mut heard = Vec::new();
        accepted.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, [GREETING, b"and more"].concat());
        accepted.write_all(b"answer").await.unwrap();
        drop(accepted);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
    };
    tokio::time::timeout(SOON, exchange).await.unwrap();
}

#[tokio::test]
async fn who_names_no_edge_node_is_reset() {
    let (door, _kubelet) = door().await;
    // The same greeting for another name of the same length.
    let at = GREETING.windows(6).position(|six| six == b"edge-1").unwrap();
    let mut unknown = GREETING.to_vec();
    unknown[at..at + 6].copy_from_slice(b"edge-2");
    for greeting in [NAMELESS, b"GET / HTTP/1.1\r\n\r\n", &unknown] {
        let mut client = TcpStream::connect(door).await.unwrap();
        client.write_all(greeting).await.unwrap();
        let ended = tokio::time::timeout(SOON, client.read(&mut [0])).await.unwrap();
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}
