//! Paths that become deaf, and networks that go away and come back.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use yurt_tunnel::dial::DialError;
use yurt_tunnel::transport::race::Ways;

use crate::link::{Link, Passes};
use crate::stage::{Authority, RunningAgent, RunningServer, soon, until};

/// A server, and an agent behind a link that can be cut.
struct Behind {
    server: RunningServer,
    link: Link,
    kubelet: TcpListener,
    _agent: RunningAgent,
}

impl Behind {
    async fn set(ways: Ways) -> Self {
        let authority = Authority::new("authority");
        let server = RunningServer::start(&authority, "server-a", true).await;
        let link = Link::to(server.address).await;
        let kubelet = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = kubelet.local_addr().unwrap().port();
        let identity = authority.agent("edge1");
        let agent = RunningAgent::with_sessions(1, &authority, identity, &[link.address], (ways, port));
        server.holds("edge1").await;
        Self {
            server,
            link,
            kubelet,
            _agent: agent,
        }
    }

    fn sessions(&self, transport: &str) -> bool {
        let wanted = format!("yurt_tunnel_sessions{{transport=\"{transport}\"}} 1");
        self.server.metrics.text().contains(&wanted)
    }

    /// How long it takes until a dial works.
    async fn until_a_dial_works(&self) -> Duration {
        let begun = Instant::now();
        soon(async { while self.server.dial("edge1").await.is_err() {} }).await;
        soon(self.kubelet.accept()).await.unwrap();
        begun.elapsed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_whose_udp_becomes_blocked_is_on_tcp_within_five_seconds() {
    let behind = Behind::set(Ways::Auto).await;
    assert!(behind.sessions("quic"));
    behind.link.set(Passes::TcpOnly);
    let begun = Instant::now();
    until("a session over TCP", || behind.sessions("tcp")).await;
    // Three times as much as on a machine that has time.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    behind.until_a_dial_works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_only_hears_is_left_although_its_streams_bring_news_all_the_time() {
    let behind = Behind::set(Ways::Auto).await;
    let (stream, accepted) = tokio::join!(behind.server.dial("edge1"), soon(behind.kubelet.accept()));
    let (mut stream, _kubelet) = (stream.unwrap(), accepted.unwrap());
    let news = tokio::spawn(async move {
        // Until the session that it runs over has ended.
        while stream.writer.write(Bytes::from_static(b"news")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    behind.link.set(Passes::NoDatagramsOut);
    let begun = Instant::now();
    until("a session over TCP", || behind.sessions("tcp")).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    behind.until_a_dial_works().await;
    news.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_to_a_node_that_was_cut_without_a_word_fails_soon() {
    for ways in [Ways::Quic, Ways::Tcp] {
        let behind = Behind::set(ways).await;
        behind.link.set(Passes::Nothing);
        let begun = Instant::now();
        let error = behind.server.dial("edge1").await.unwrap_err();
        assert!(matches!(error, DialError::Unheard), "{ways:?}: {error}");
        assert!(
            begun.elapsed() < Duration::from_secs(6),
            "{ways:?}: {:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_outlives_a_short_cut_and_dials_work_soon_after_it() {
    let behind = Behind::set(Ways::Quic).await;
    let (stream, accepted) = tokio::join!(behind.server.dial("edge1"), soon(behind.kubelet.accept()));
    let (mut stream, (mut kubelet, _)) = (stream.unwrap(), accepted.unwrap());
    behind.link.set(Passes::Nothing);
    stream
        .writer
        .write(Bytes::from_static(b"while cut"))
        .await
        .unwrap();
    // So long that what is sent again by itself comes every eight seconds.
    tokio::time::sleep(Duration::from_secs(12)).await;
    behind.link.set(Passes::All);
    let begun = Instant::now();
    let mut buffer = [0; 9];
    soon(kubelet.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(&buffer, b"while cut");
    let took = behind.until_a_dial_works().await;
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}, {took:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_cut_dials_work_soon_over_either_transport() {
    let both = [Ways::Auto, Ways::Tcp].map(|ways| async move {
        let behind = Behind::set(ways).await;
        behind.link.set(Passes::Nothing);
        // Silence ends a session, after thirty seconds.
        let dialer = behind.server.server.dialer();
        soon_enough(async {
            while dialer.is_connected("edge1") {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        behind.link.set(Passes::All);
        let took = behind.until_a_dial_works().await;
        assert!(took < Duration::from_secs(6), "{ways:?}: {took:?}");
    });
    futures_util::future::join_all(both).await;
}

async fn soon_enough(what: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(90), what)
        .await
        .expect("it took too long");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_costs_little() {
    let behind = Behind::set(Ways::Quic).await;
    let count = &behind.link.udp_bytes;
    // How large packets may be is found out first.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let begun = count.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(12)).await;
    let bytes = count.load(Ordering::Relaxed) - begun;
    // Three or four questions, with their answers.
    assert!((1..1600).contains(&bytes), "{bytes}");
}
