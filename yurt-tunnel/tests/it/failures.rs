//! What happens when something is not there, or goes away.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use yurt_tunnel::dial::DialError;
use yurt_tunnel::protocol::{Reason, Target};
use yurt_tunnel::transport::race::Ways;

use crate::stage::{Authority, RunningAgent, RunningServer, Stage, WAYS, soon, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_connected_fails_at_once() {
    let authority = Authority::new("authority");
    let server = RunningServer::start(&authority, "server-a", true).await;
    let begun = Instant::now();
    let error = server.dial("edge1").await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(
        matches!(error, DialError::NotConnected { last_seen: None, .. }),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_agent_may_not_or_cannot_dial_is_refused_with_a_reason() {
    for ways in WAYS {
        let stage = Stage::set(ways).await;
        let dialer = stage.server.server.dialer();
        let deadline = Duration::from_secs(10);
        let refused = soon(dialer.dial("edge1", Target::Port(22), deadline))
            .await
            .unwrap_err();
        assert!(
            matches!(
                refused,
                DialError::Refused {
                    reason: Reason::NotAllowed,
                    ..
                }
            ),
            "{refused}"
        );
        drop(stage.kubelet);
        let refused = soon(dialer.dial("edge1", Target::Kubelet, deadline))
            .await
            .unwrap_err();
        assert!(
            matches!(
                refused,
                DialError::Refused {
                    reason: Reason::Unreachable,
                    ..
                }
            ),
            "{refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_does_not_answer_is_given_up_at_the_deadline() {
    for ways in WAYS {
        let authority = Authority::new("authority");
        let server = RunningServer::start(&authority, "server-a", true).await;
        // A queue of one that is full: the kernel drops further connections.
        let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        full.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        full.listen(0).unwrap();
        let address = full.local_addr().unwrap().as_socket().unwrap();
        let _first = std::net::TcpStream::connect(address).unwrap();
        let agent = RunningAgent::start(
            &authority,
            authority.agent("edge1"),
            &[server.address],
            ways,
            address.port(),
        );
        server.holds("edge1").await;
        let begun = Instant::now();
        let deadline = Duration::from_millis(700);
        let error = soon(server.server.dialer().dial("edge1", Target::Kubelet, deadline))
            .await
            .unwrap_err();
        let timed_out = matches!(
            error,
            DialError::Deadline { .. }
                | DialError::Refused {
                    reason: Reason::Deadline,
                    ..
                }
        );
        assert!(timed_out, "{error}");
        assert!(
            // The agent says so a little before the server would.
            (deadline * 4 / 5..Duration::from_secs(5)).contains(&begun.elapsed()),
            "{:?}",
            begun.elapsed()
        );
        drop(agent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_udp_does_not_arrive_tcp_is_taken() {
    let authority = Authority::new("authority");
    let server = RunningServer::start(&authority, "server-a", false).await;
    let begun = Instant::now();
    let _agent = RunningAgent::start(
        &authority,
        authority.agent("edge1"),
        &[server.address],
        Ways::Auto,
        1,
    );
    server.holds("edge1").await;
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    assert!(
        server
            .metrics
            .text()
            .contains(r#"yurt_tunnel_sessions{transport="tcp"} 1"#)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn quic_is_taken_where_both_ways_are_open() {
    let stage = Stage::set(Ways::Auto).await;
    assert!(
        stage
            .server
            .metrics
            .text()
            .contains(r#"yurt_tunnel_sessions{transport="quic"} 1"#)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_server_ends_its_streams_are_reset_and_the_agent_comes_back() {
    for ways in WAYS {
        let stage = Stage::set(ways).await;
        let (mut stream, mut kubelet) = stage.stream().await;
        let address = stage.server.address;
        stage.server.end().await;
        assert!(soon(stream.reader.read()).await.is_err());
        let mut buffer = [0; 16];
        let ended = soon(tokio::io::AsyncReadExt::read(&mut kubelet, &mut buffer)).await;
        assert!(ended.is_err(), "the kubelet saw {ended:?}");
        let again = RunningServer::start_at(&stage.authority, "server-a", true, address).await;
        again.holds("edge1").await;
        let (stream, accepted) = tokio::join!(again.dial("edge1"), soon(stage.kubelet.accept()));
        stream.unwrap();
        accepted.unwrap();
    }
}

/// Two servers that know each other, and the kubelet of an agent that knows the first of them.
async fn two() -> (Authority, RunningServer, RunningServer, TcpListener, RunningAgent) {
    let authority = Authority::new("authority");
    let a = RunningServer::start(&authority, "server-a", true).await;
    let b = RunningServer::start(&authority, "server-b", true).await;
    let members = vec![a.member(), b.member()];
    a.members.send_replace(members.clone());
    b.members.send_replace(members);
    let kubelet = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = kubelet.local_addr().unwrap().port();
    let agent = RunningAgent::start(
        &authority,
        authority.agent("edge1"),
        &[a.address],
        Ways::Quic,
        port,
    );
    (authority, a, b, kubelet, agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_hears_of_the_second_server_and_one_of_both_may_end() {
    let (_authority, a, b, kubelet, agent) = two().await;
    let mut held = agent.agent.held();
    soon(held.wait_for(|held| held.len() == 2)).await.unwrap();
    a.end().await;
    b.holds("edge1").await;
    let (stream, accepted) = tokio::join!(b.dial("edge1"), soon(kubelet.accept()));
    stream.unwrap();
    accepted.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_dials_through_the_one_that_holds_the_node() {
    let authority = Authority::new("authority");
    let a = RunningServer::start(&authority, "server-a", true).await;
    let b = RunningServer::start(&authority, "server-b", true).await;
    let kubelet = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = kubelet.local_addr().unwrap().port();
    // The agent wants one session, and has it with `a`.
    let servers = [a.address];
    let _agent = RunningAgent::with_sessions(
        1,
        &authority,
        authority.agent("edge1"),
        &servers,
        (Ways::Quic, port),
    );
    a.holds("edge1").await;
    assert!(matches!(
        b.dial("edge1").await,
        Err(DialError::NotConnected { .. })
    ));
    // `a` connects to `b` and tells which nodes it holds.
    a.members.send_replace(vec![b.member()]);
    b.holds("edge1").await;
    let (stream, accepted) = tokio::join!(b.dial("edge1"), soon(kubelet.accept()));
    let (mut stream, (mut accepted, _)) = (stream.unwrap(), accepted.unwrap());
    accepted.write_all(b"hello").await.unwrap();
    drop(accepted);
    assert_eq!(soon(stream.reader.read()).await.unwrap().unwrap(), "hello");
    stream.writer.finish().unwrap();
    until("nothing is left", || {
        a.metrics.streams.get() + b.metrics.streams.get() == 0 || {
            // The stream of the one who dialled counts until it is dropped.
            b.metrics.streams.get() == 1
        }
    })
    .await;
}
