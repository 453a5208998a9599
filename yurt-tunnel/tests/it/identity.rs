//! Who is let in, and as whom.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;
use yurt_tunnel::dial::DialError;
use yurt_tunnel::inbound::Inbound;
use yurt_tunnel::protocol::VERSIONS;
use yurt_tunnel::transport::Connection;
use yurt_tunnel::transport::race::{Dialling, Ways};

use crate::stage::{Authority, RunningServer, Stage, WAYS, soon, until};

async fn connect(
    identity: Option<Arc<CertifiedKey>>,
    trusts: &Authority,
    to: &RunningServer,
    ways: Ways,
) -> std::io::Result<Connection> {
    let (identity, trust) = (watch::Sender::new(identity), watch::Sender::new(trusts.roots()));
    let mut dialling = Dialling::new(identity.subscribe(), trust.subscribe())?;
    dialling.ways = ways;
    soon(Arc::new(dialling).connect(&to.address.to_string(), None)).await
}

/// With TLS 1.3 a client hears only later that it is refused.
async fn is_refused(connection: std::io::Result<Connection>) -> bool {
    match connection {
        Err(_) => true,
        Ok(connection) => soon(Inbound::greet(connection, "server-a".into(), VERSIONS))
            .await
            .is_err(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_the_node_of_its_certificate_whatever_it_says() {
    for ways in WAYS {
        let stage = Stage::set(ways).await;
        // It said `whatever-it-says`.
        let error = stage.server.dial("whatever-it-says").await.unwrap_err();
        assert!(matches!(error, DialError::NotConnected { .. }), "{error}");
        stage.stream().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_good_certificate_is_refused() {
    let (authority, foreign) = (Authority::new("authority"), Authority::new("foreign"));
    let server = RunningServer::start(&authority, "server-a", true).await;
    for ways in WAYS {
        let good = connect(Some(authority.agent("edge1")), &authority, &server, ways).await;
        assert!(!is_refused(good).await);
        for (who, identity) in [
            ("nobody", None),
            ("an agent of a foreign authority", Some(foreign.agent("edge1"))),
            ("somebody else", Some(authority.other("edge1"))),
            (
                "an agent whose name is no node's",
                Some(authority.agent("Edge 1")),
            ),
        ] {
            let connection = connect(identity, &authority, &server, ways).await;
            assert!(is_refused(connection).await, "{who} over {ways:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_no_agent() {
    let authority = Authority::new("authority");
    let server = RunningServer::start(&authority, "server-a", true).await;
    let connection = connect(Some(authority.server("edge1")), &authority, &server, Ways::Quic)
        .await
        .unwrap();
    let _inbound = soon(Inbound::greet(connection, "server-a".into(), VERSIONS))
        .await
        .unwrap();
    let text = || server.metrics.text();
    until("it counts as a server", || text().contains("yurt_tunnel_peers 1")).await;
    assert!(matches!(
        server.dial("edge1").await,
        Err(DialError::NotConnected { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_takes_nobody_for_a_server_who_is_none() {
    let (authority, foreign) = (Authority::new("authority"), Authority::new("foreign"));
    let server = RunningServer::start(&authority, "server-a", true).await;
    for ways in WAYS {
        // It trusts another authority.
        assert!(
            connect(Some(authority.agent("edge1")), &foreign, &server, ways)
                .await
                .is_err()
        );
        let connection = connect(Some(authority.agent("edge1")), &authority, &server, ways)
            .await
            .unwrap();
        assert_eq!(Inbound::who(&connection).unwrap(), "server-a");
    }
    let other = authority.other("server-a");
    assert_eq!(yurt_tunnel::inbound::server_id(Some(&other.cert)), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_of_a_node_that_is_forgotten_ends() {
    for ways in WAYS {
        let stage = Stage::set(ways).await;
        let (mut stream, _kubelet) = stage.stream().await;
        let list = BTreeMap::from([("edge1".to_owned(), "2026-01-01T00:00:00Z".to_owned())]);
        stage.server.verifier.forget(&list);
        assert!(soon(stream.reader.read()).await.is_err());
        let dialer = stage.server.server.dialer();
        until("it is gone", || !dialer.is_connected("edge1")).await;
        let again = connect(
            Some(stage.authority.agent("edge1")),
            &stage.authority,
            &stage.server,
            ways,
        )
        .await;
        assert!(is_refused(again).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_at_both_ports_harms_nobody() {
    let stage = Stage::set(Ways::Quic).await;
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for length in 0..1200_usize {
        let bytes: Vec<u8> = (0..length).map(|at| (at * length) as u8).collect();
        udp.send_to(&bytes, stage.server.address).await.unwrap();
        if length % 40 == 0 {
            let mut tcp = TcpStream::connect(stage.server.address).await.unwrap();
            let _ = tcp.write_all(&bytes).await;
        }
    }
    stage.stream().await;
}
