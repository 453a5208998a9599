//! Too much of everything.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use yurt_tunnel::dial::DialError;
use yurt_tunnel::protocol::Target;
use yurt_tunnel::transport::race::Ways;

use crate::stage::{RunningAgent, Stage, WAYS, soon, until};

/// Sooner than the test itself, so that it says what failed.
const DEADLINE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_dials_at_once_are_bounded_and_harm_no_other_node() {
    for ways in WAYS {
        let stage = Stage::set(ways).await;
        let others = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = others.local_addr().unwrap().port();
        let identity = stage.authority.agent("edge2");
        let _other = RunningAgent::start(&stage.authority, identity, &[stage.server.address], ways, port);
        stage.server.holds("edge2").await;
        let mut dials = JoinSet::new();
        for _ in 0..10_000 {
            let dialer = stage.server.server.dialer();
            dials.spawn(async move { dialer.dial("edge1", Target::Kubelet, DEADLINE).await });
        }
        let accepting = async {
            let mut kept = Vec::new();
            loop {
                kept.push(stage.kubelet.accept().await.unwrap());
            }
        };
        let outcomes = async {
            let (mut streams, mut refused) = (Vec::new(), 0);
            while let Some(outcome) = dials.join_next().await {
                match outcome.unwrap() {
                    Ok(stream) => streams.push(stream),
                    Err(error) => {
                        assert!(matches!(error, DialError::TooMany(_)), "{ways:?}: {error}");
                        refused += 1;
                    }
                }
            }
            (streams, refused)
        };
        let other = async {
            let (stream, accepted) = tokio::join!(stage.server.dial("edge2"), soon(others.accept()));
            (stream.unwrap(), accepted.unwrap())
        };
        let both = async { tokio::join!(outcomes, other) };
        let never = async {
            accepting.await;
        };
        let ((streams, refused), _) = tokio::select! {
            both = soon(both) => both,
            () = never => unreachable!(),
        };
        assert!((1..=1024).contains(&streams.len()), "{ways:?}: {}", streams.len());
        assert_eq!(streams.len() + refused, 10_000);
        drop(streams);
        let metrics = &stage.server.metrics;
        until("few streams are left", || metrics.streams.get() <= 1).await;
        soon(
            stage
                .server
                .server
                .dialer()
                .dial("edge1", Target::Kubelet, DEADLINE),
        )
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_finish_no_handshake_keep_nobody_out() {
    let stage = Stage::set(Ways::Tcp).await;
    let mut kept = Vec::new();
    for number in 0..400_u16 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
        let mut loris = soon(socket.connect(stage.server.address)).await.unwrap();
        // Some say nothing, some begin a greeting of TLS, some say nonsense.
        let begin: &[u8] = match number % 3 {
            0 => b"",
            1 => b"\x16\x03\x01\x02\x00\x01",
            _ => b"GET / HTTP/1.1\r\n",
        };
        let _ = loris.write_all(begin).await;
        kept.push(loris);
    }
    // Others come in meanwhile, over either transport.
    for ways in WAYS {
        let node = format!("edge-{ways:?}").to_lowercase();
        let identity = stage.authority.agent(&node);
        let _agent = RunningAgent::start(&stage.authority, identity, &[stage.server.address], ways, 1);
        stage.server.holds(&node).await;
    }
    stage.stream().await;
    // None of them is kept.
    for mut loris in kept {
        let mut rest = Vec::new();
        // Closed or reset.
        let _ = soon(loris.read_to_end(&mut rest)).await;
    }
}
