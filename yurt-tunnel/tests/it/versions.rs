//! Ends of two versions: they settle on the newest that both speak, or say at both ends that there is none.

use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use yurt_tunnel::dial::DialError;
use yurt_tunnel::inbound::{Answers, Health, Inbound};
use yurt_tunnel::protocol::{Answer, Dial, Greeting, ProtocolError, VERSIONS, Versions};
use yurt_tunnel::transport::race::{Dialling, Ways};
use yurt_tunnel::transport::stream::TunnelStream;
use yurt_tunnel::transport::{Connection, write_message};

use crate::stage::{Authority, Listed, RunningAgent, RunningServer, WAYS, soon, until};

const OLDER: Versions = Versions {
    oldest: VERSIONS.oldest - 1,
    newest: VERSIONS.newest,
};
const NEWER: Versions = Versions {
    oldest: VERSIONS.oldest,
    newest: VERSIONS.newest + 1,
};
/// Nothing in common with ours, nor with those that are one older.
const LATER: Versions = Versions {
    oldest: VERSIONS.newest + 1,
    newest: VERSIONS.newest + 2,
};

async fn server(authority: &Authority, id: &str, versions: Versions) -> RunningServer {
    RunningServer::speaking(versions, authority, id, true, ([127, 0, 0, 1], 0).into()).await
}

async fn connected(authority: &Authority, to: &RunningServer, ways: Ways) -> Connection {
    let identity = watch::Sender::new(Some(authority.agent("edge1")));
    let trust = watch::Sender::new(authority.roots());
    let mut dialling = Dialling::new(identity.subscribe(), trust.subscribe()).unwrap();
    dialling.ways = ways;
    soon(Arc::new(dialling).connect(&to.address.to_string(), None))
        .await
        .unwrap()
}

/// Answers every dial, and remembers its version.
#[derive(Default)]
struct Recorder(Mutex<Vec<u16>>);

impl Answers for Recorder {
    async fn answer(&self, dial: Dial, mut stream: TunnelStream) {
        self.0.lock().unwrap().push(dial.version);
        write_message(&mut stream.writer, &Answer::Ok).await.unwrap();
        // Dropped, both directions would be reset, and a server between might not pass the answer on any more.
        stream.writer.finish().unwrap();
        while let Ok(Some(_)) = stream.reader.read().await {}
        stream.writer.acknowledged().await;
    }

    fn heard(&self, _: Greeting) {}
}

fn refusals(text: &str) -> Option<&str> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix("yurt_tunnel_connections_refused_total{reason=\"version\"} "))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_and_a_server_settle_on_the_newest_version_that_both_speak() {
    let authority = Authority::new("authority");
    for ways in WAYS {
        for (agent, servers, settled) in [
            (VERSIONS, NEWER, VERSIONS.newest),
            (VERSIONS, OLDER, VERSIONS.newest),
            (NEWER, VERSIONS, VERSIONS.newest),
            (OLDER, VERSIONS, VERSIONS.newest),
            (NEWER, LATER, NEWER.newest),
            (LATER, NEWER, NEWER.newest),
        ] {
            let server = server(&authority, "server-a", servers).await;
            let connection = connected(&authority, &server, ways).await;
            let inbound = soon(Inbound::greet(connection, "server-a".into(), agent))
                .await
                .unwrap();
            assert_eq!(inbound.version, settled, "{agent:?} {servers:?}");
            let answers = Arc::<Recorder>::default();
            let (_tell, told) = mpsc::channel(1);
            let (health, _) = watch::channel(Health::Fine);
            let serving = tokio::spawn(inbound.serve(Arc::clone(&answers), told, health));
            server.holds("edge1").await;
            server.dial("edge1").await.unwrap();
            // What the server says is what the agent has settled on: else it would not have answered.
            assert_eq!(*answers.0.lock().unwrap(), [settled], "{agent:?} {servers:?}");
            assert_eq!(refusals(&server.metrics.text()), None);
            serving.abort();
            server.end().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_and_a_server_without_a_common_version_say_so_at_both_ends() {
    let authority = Authority::new("authority");
    for ways in WAYS {
        for (agents, servers) in [(VERSIONS, LATER), (LATER, VERSIONS)] {
            let server = server(&authority, "server-a", servers).await;
            let connection = connected(&authority, &server, ways).await;
            let refused = soon(Inbound::greet(connection, "server-a".into(), agents)).await;
            let error = refused.err().unwrap();
            assert!(ProtocolError::is_of_versions(&error), "{ways:?}: {error}");
            let (ours, theirs) = (agents, servers);
            let words = format!(
                "no common version: here {} to {}, there {} to {}; upgrade the older end",
                ours.oldest, ours.newest, theirs.oldest, theirs.newest
            );
            assert_eq!(error.to_string(), words);
            until("the server counts it", || {
                refusals(&server.metrics.text()) == Some("1")
            })
            .await;

            // A whole agent counts it, too, and goes on trying; the server does not have the node.
            let listed = Listed {
                servers: &[server.address],
                sessions: 1,
                versions: agents,
                policy: None,
            };
            let identity = authority.agent("edge1");
            let agent = RunningAgent::with(&authority, identity, &listed, (ways, 1));
            let metrics = agent.agent.metrics();
            until("the agent counts it", || refusals(&metrics.text()).is_some()).await;
            assert!(!agent.agent.is_ready());
            let error = server.dial("edge1").await.unwrap_err();
            assert!(matches!(error, DialError::NotConnected { .. }), "{error}");
            drop(agent);
            server.end().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_two_versions_dial_through_each_other_where_they_have_one_in_common() {
    let authority = Authority::new("authority");
    for (own, other) in [
        (VERSIONS, NEWER),
        (NEWER, VERSIONS),
        (VERSIONS, OLDER),
        (OLDER, VERSIONS),
        (NEWER, LATER),
    ] {
        let holds = server(&authority, "server-a", own).await;
        let asks = server(&authority, "server-b", other).await;
        let connection = connected(&authority, &holds, Ways::Quic).await;
        let inbound = soon(Inbound::greet(connection, "server-a".into(), own))
            .await
            .unwrap();
        let (_tell, told) = mpsc::channel(1);
        let (health, _) = watch::channel(Health::Fine);
        let serving = tokio::spawn(inbound.serve(Arc::<Recorder>::default(), told, health));
        holds.holds("edge1").await;
        for server in [&holds, &asks] {
            server.members.send_replace(vec![holds.member(), asks.member()]);
        }
        // It hears so of the one that holds the node.
        asks.holds("edge1").await;
        asks.dial("edge1").await.unwrap();
        serving.abort();
        holds.end().await;
        asks.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_without_a_common_version_count_it_at_both_ends_and_keep_their_own_nodes() {
    let authority = Authority::new("authority");
    let old = server(&authority, "server-a", VERSIONS).await;
    let new = server(&authority, "server-b", LATER).await;
    let kubelet = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listed = Listed {
        servers: &[old.address],
        sessions: 1,
        versions: VERSIONS,
        policy: None,
    };
    let port = kubelet.local_addr().unwrap().port();
    let identity = authority.agent("edge1");
    let _agent = RunningAgent::with(&authority, identity, &listed, (Ways::Quic, port));
    old.holds("edge1").await;
    for server in [&old, &new] {
        server.members.send_replace(vec![old.member(), new.member()]);
    }
    for server in [&old, &new] {
        // As the one that dials, and as the one that is dialled.
        let count = || refusals(&server.metrics.text()).and_then(|count| count.parse().ok());
        until("it counts both", || count().is_some_and(|count: u64| count >= 2)).await;
    }
    let error = new.dial("edge1").await.unwrap_err();
    assert!(matches!(error, DialError::NotConnected { .. }), "{error}");
    old.dial("edge1").await.unwrap();
}
