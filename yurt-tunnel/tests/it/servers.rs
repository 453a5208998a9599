//! Servers that come, go and come again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::time::timeout;
use yurt_tunnel::agent::servers;
use yurt_tunnel::protocol::Target;
use yurt_tunnel::server::Dialer;
use yurt_tunnel::transport::race::Ways;
use yurt_tunnel::transport::stream::TunnelStream;

use crate::stage::{Authority, RunningAgent, RunningServer, soon, until};

/// Streams that run meanwhile.
const STREAMS: usize = 50;

/// Listens in a kubelet's place, and sends back what comes.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = socket.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    port
}

async fn says_the_same(stream: &mut TunnelStream, word: &'static str) {
    stream
        .writer
        .write(Bytes::from_static(word.as_bytes()))
        .await
        .unwrap();
    let mut answer = vec![0; word.len()];
    soon(stream.reader.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, word.as_bytes());
}

/// Waits until a server has a session of the node, and not only knows who has.
async fn has_itself(server: &RunningServer) {
    until("the node has a session with it", || {
        server.metrics.nodes.get() == 1
    })
    .await;
}

fn introduce(servers: &[&RunningServer]) {
    let members: Vec<_> = servers.iter().map(|server| server.member()).collect();
    for server in servers {
        server.members.send_replace(members.clone());
    }
}

/// Dials again and again until told to stop; returns the longest time without success.
async fn dials(dialer: Dialer, stop: Arc<AtomicBool>) -> Duration {
    let (mut worked, mut longest) = (Instant::now(), Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let dialled = dialer
            .dial("edge1", Target::Kubelet, Duration::from_secs(10))
            .await;
        longest = longest.max(worked.elapsed());
        if let Ok(mut stream) = dialled {
            says_the_same(&mut stream, "hello").await;
            worked = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    longest
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_that_restart_in_turn_cut_nothing_that_runs_through_the_other_one() {
    let authority = Authority::new("authority");
    let mut a = RunningServer::start(&authority, "server-a", true).await;
    let mut b = RunningServer::start(&authority, "server-b", true).await;
    introduce(&[&a, &b]);
    let identity = authority.agent("edge1");
    let agent = RunningAgent::start(&authority, identity, &[a.address], Ways::Auto, echo().await);
    let mut held = agent.agent.held();
    for _ in 0..2 {
        soon(held.wait_for(|held| held.len() == 2)).await.unwrap();
        has_itself(&b).await;
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            streams.push(b.dial("edge1").await.unwrap());
        }
        let stop = Arc::new(AtomicBool::new(false));
        let dialling = tokio::spawn(dials(b.server.dialer(), Arc::clone(&stop)));
        let (id, address) = (a.server.id(), a.address);
        a.end().await;
        soon(held.wait_for(|held| held.len() == 1)).await.unwrap();
        for stream in &mut streams {
            says_the_same(stream, "while it is away").await;
        }
        a = RunningServer::start_at(&authority, &id, true, address).await;
        introduce(&[&a, &b]);
        soon(held.wait_for(|held| held.len() == 2)).await.unwrap();
        has_itself(&a).await;
        stop.store(true, Ordering::Relaxed);
        let longest = soon(dialling).await.unwrap();
        assert!(longest < Duration::from_secs(6), "{longest:?}");
        for stream in &mut streams {
            says_the_same(stream, "after all").await;
        }
        std::mem::swap(&mut a, &mut b);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_moves_to_a_server_that_comes_first_without_cutting_a_stream() {
    let authority = Authority::new("authority");
    let order = servers::order(
        "whatever-it-says",
        &["server-a", "server-b", "server-c"]
            .map(|id| (id.to_owned(), Vec::new()))
            .into(),
    );
    // The last two in the order of this node, then the first one joins.
    let second = RunningServer::start(&authority, &order[1], true).await;
    let third = RunningServer::start(&authority, &order[2], true).await;
    introduce(&[&second, &third]);
    let identity = authority.agent("edge1");
    let agent = RunningAgent::start(&authority, identity, &[second.address], Ways::Quic, echo().await);
    let mut held = agent.agent.held();
    soon(held.wait_for(|held| held.len() == 2)).await.unwrap();
    has_itself(&third).await;
    let mut stream = third.dial("edge1").await.unwrap();
    says_the_same(&mut stream, "before").await;
    let first = RunningServer::start(&authority, &order[0], true).await;
    introduce(&[&first, &second, &third]);
    // It is looked for every 300 ms, and a stream runs.
    let moved = held.wait_for(|held| held.values().any(|id| *id == order[0]));
    assert!(timeout(Duration::from_secs(2), moved).await.is_err());
    says_the_same(&mut stream, "meanwhile").await;
    stream.writer.finish().unwrap();
    assert!(soon(stream.reader.read()).await.unwrap().is_none());
    drop(stream);
    soon(held.wait_for(|held| held.values().any(|id| *id == order[0])))
        .await
        .unwrap();
    has_itself(&first).await;
    let mut stream = first.dial("edge1").await.unwrap();
    says_the_same(&mut stream, "after").await;
    // The session that was left ends.
    let metrics = &third.metrics;
    until("the third server holds nothing", || metrics.nodes.get() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_that_it_ends_is_dialled_again_when_it_has_ended_and_soon_then() {
    let authority = Authority::new("authority");
    let server = RunningServer::start(&authority, "server-a", true).await;
    let address = server.address;
    let identity = authority.agent("edge1");
    let agent = RunningAgent::with_sessions(1, &authority, identity, &[address], (Ways::Auto, 1));
    server.holds("edge1").await;
    let mut held = agent.agent.held();
    server.server.drain();
    soon(held.wait_for(HashMap::is_empty)).await.unwrap();
    // It would be told the same again. As long as a server takes to end.
    let again = timeout(Duration::from_secs(3), held.wait_for(|held| !held.is_empty()));
    assert!(again.await.is_err(), "a server that ends was dialled");
    assert!(
        server.server.dialer().is_connected("edge1"),
        "the session goes on meanwhile"
    );
    server.end().await;
    // A container takes a while to be started anew.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let server = RunningServer::start_at(&authority, "server-a", true, address).await;
    let begun = Instant::now();
    server.holds("edge1").await;
    // Three times what is usual, as everywhere.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
