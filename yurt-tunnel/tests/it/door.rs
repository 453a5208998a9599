//! Front door B, as the apiserver uses it.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};
use yurt_tunnel::front::connect::{self, Door};
use yurt_tunnel::front::{Destination, Nodes};
use yurt_tunnel::protocol::Target;
use yurt_tunnel::transport::race::Ways;

use crate::stage::{Stage, soon};

struct One;

impl Nodes for One {
    fn find(&self, host: &str, port: u16) -> Option<Destination> {
        let node = match host {
            "10.0.0.7" => "edge1",
            "10.0.0.8" => "edge2",
            _ => return None,
        };
        let target = if port == 10250 {
            Target::Kubelet
        } else {
            Target::Port(port)
        };
        Some(Destination {
            node: node.into(),
            target,
        })
    }
}

async fn ask(path: &std::path::Path, target: &str) -> (UnixStream, String) {
    let mut client = UnixStream::connect(path).await.unwrap();
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(client.read_u8()).await.unwrap());
    }
    (client, String::from_utf8(head).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connect_door_answers_as_an_apiserver_expects() {
    let stage = Stage::set(Ways::Quic).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("connect.sock");
    let listener = connect::bind(&path).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let door = tokio::spawn(Door::new(stage.server.server.dialer(), Arc::new(One)).unix(listener));

    // A node: 200 and nothing else, then bytes both ways, and ends that end nothing else.
    let (mut client, head) = ask(&path, "10.0.0.7:10250").await;
    assert_eq!(head, "HTTP/1.1 200 Connection established\r\n\r\n");
    let (mut kubelet, _) = soon(stage.kubelet.accept()).await.unwrap();
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut question = String::new();
    soon(kubelet.read_to_string(&mut question)).await.unwrap();
    kubelet.write_all(b"answer").await.unwrap();
    drop(kubelet);
    let mut answer = String::new();
    soon(client.read_to_string(&mut answer)).await.unwrap();
    assert_eq!((question.as_str(), answer.as_str()), ("question", "answer"));

    // A node that is away, and a port that is not allowed: the words are in the status.
    let (_, head) = ask(&path, "10.0.0.8:10250").await;
    assert!(
        head.starts_with("HTTP/1.1 503 node `edge2` is not connected to the tunnel"),
        "{head}"
    );
    let (_, head) = ask(&path, "10.0.0.7:22").await;
    assert!(
        head.starts_with("HTTP/1.1 502 refused at the node: this agent does not dial port 22"),
        "{head}"
    );

    // What is no node is dialled directly.
    let webhook = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut client, head) = ask(&path, &webhook.local_addr().unwrap().to_string()).await;
    assert_eq!(head, "HTTP/1.1 200 Connection established\r\n\r\n");
    let (mut webhook, _) = soon(webhook.accept()).await.unwrap();
    webhook.write_all(b"direct").await.unwrap();
    drop(webhook);
    let mut answer = String::new();
    soon(client.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "direct");
    door.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connect_door_refuses_what_is_no_connect() {
    let stage = Stage::set(Ways::Quic).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("connect.sock");
    let listener = connect::bind(&path).unwrap();
    tokio::spawn(Door::new(stage.server.server.dialer(), Arc::new(One)).unix(listener));
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "405"),
        ("\0\0\r\n\r\n", "400"),
        ("CONNECT x HTTP/1.1\r\n\r\n", "400"),
    ] {
        let mut client = UnixStream::connect(&path).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon(client.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}
