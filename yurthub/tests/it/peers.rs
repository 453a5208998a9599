//! The yurthubs of a pool probe each other: three of them on loopback, each behind a link that can fail, and one node that
//! has none.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use yurt_common::pool::votes::{Seen, Vote, Votes};
use yurt_common::pool::{PEER, Shown, VOTES};
use yurt_testkit::ca::{Authority, Identity};
use yurt_testkit::objects::node;
use yurt_testkit::scratch::Scratch;
use yurt_testkit::{Api, Link, wait_for};
use yurthub::health::{Monitor, Patience};
use yurthub::identity::KubeletVerifier;
use yurthub::identity::node_cert::NodeCredentials;
use yurthub::kubeconfig::Kubeconfig;
use yurthub::peers::proof;

use crate::hub::{Hub, SOON, server, write_kubeconfig};
use crate::pool::Pool;

/// How long three attempts of 1.5 s may take with all that follows, on a busy machine.
const PROMPT: Duration = Duration::from_secs(20);

async fn annotation(admin: &Api, node: &str, name: &str) -> Option<String> {
    let (_, node) = admin.get(&format!("/api/v1/nodes/{node}")).await.unwrap();
    node["metadata"]["annotations"][name].as_str().map(str::to_owned)
}

/// What a node says of silent members, but for the beat.
async fn votes(admin: &Api, node: &str) -> BTreeMap<String, Vote> {
    let text = annotation(admin, node, VOTES).await;
    text.map_or_else(BTreeMap::new, |text| {
        serde_json::from_str::<Votes>(&text).unwrap().of
    })
}

async fn wait_votes(admin: &Api, node: &str, expected: &[(&str, &str, Seen)]) {
    let expected: BTreeMap<_, _> = expected
        .iter()
        .map(|(of, since, sees)| {
            let vote = Vote {
                since: (*since).to_owned(),
                sees: *sees,
            };
            ((*of).to_owned(), vote)
        })
        .collect();
    wait_for(&format!("votes of {node}"), SOON, async || {
        let found = votes(admin, node).await;
        if found == expected { Ok(()) } else { Err(found) }
    })
    .await;
}

async fn wait_standing(hub: &Hub<'_>, state: &str, count: u64) {
    let filter = format!("state=\"{state}\"");
    let what = format!("{count} members to be {state} as {} sees it", hub.name);
    wait_for(&what, SOON, async || {
        let found = hub.metric("yurthub_peers", &filter).await;
        if found == count { Ok(()) } else { Err(found) }
    })
    .await;
}

async fn start<'s>(pool: &Pool<'_>, name: &str, flag: &str, last: u8) -> Hub<'s> {
    let listen = format!("--listen-peers=127.0.0.{last}:0");
    let hub = Hub::start_with(server().await, name, &["--peer-health=true", &listen, flag]).await;
    pool.bind(name).await;
    pool.join(&hub).await;
    hub
}

async fn address_of(admin: &Api, node: &str) -> SocketAddr {
    wait_for("the node to say where it answers", SOON, async || {
        annotation(admin, node, PEER).await.is_some()
    })
    .await;
    annotation(admin, node, PEER).await.unwrap().parse().unwrap()
}

#[tokio::test]
async fn members_tell_the_cloud_whom_they_see_and_whom_not() {
    let (name, admin) = ("peers", server().await.admin());
    let pool = Pool::make(name, admin).await;
    let flag = Pool::flag(name);
    let names = ["peers-1", "peers-2", "peers-3"];
    let (mut hubs, mut links) = (vec![], vec![]);
    for (number, name) in names.into_iter().enumerate() {
        hubs.push(start(&pool, name, &flag, 21 + number as u8).await);
        let address = address_of(admin, name).await;
        assert_eq!(address.ip().to_string(), format!("127.0.0.{}", 21 + number));
        links.push(Link::to(address).unwrap());
    }
    let mute = Link::to(links[0].address()).unwrap();
    mute.blackhole().await;
    let mut members: Vec<_> = names.into_iter().zip(links.iter().map(Link::address)).collect();
    members.push(("peers-mute", mute.address()));
    pool.members(&members).await;
    pool.silence(&[]).await;
    for hub in &hubs {
        wait_standing(hub, "answering", 2).await;
        wait_standing(hub, "mute", 1).await;
    }
    let traffic = links[0].bytes();
    println!(
        "a probe takes {} bytes up and {} down",
        traffic.up / links[0].accepted(),
        traffic.down / links[0].accepted()
    );
    for name in names {
        assert_eq!(
            annotation(admin, name, VOTES).await,
            None,
            "there is nothing to say"
        );
    }

    // One is cut from the cloud, and runs; of the one that never answered nothing can be said.
    let start = Instant::now();
    let never = ("peers-mute", "s0", Shown::AsInCloud, &[][..]);
    pool.silence(&[never, ("peers-2", "s1", Shown::AsInCloud, &[])])
        .await;
    for voter in ["peers-1", "peers-3"] {
        wait_votes(admin, voter, &[("peers-2", "s1", Seen::Alive)]).await;
    }
    println!("alive {:?} after it fell silent", start.elapsed());
    assert!(start.elapsed() < PROMPT);

    // One is powered off.
    links[2].blackhole().await;
    let start = Instant::now();
    let alive = ("peers-2", "s1", Shown::Kept, &[][..]);
    pool.silence(&[never, alive, ("peers-3", "s2", Shown::AsInCloud, &[])])
        .await;
    wait_votes(
        admin,
        "peers-1",
        &[("peers-2", "s1", Seen::Alive), ("peers-3", "s2", Seen::Dead)],
    )
    .await;
    wait_votes(admin, "peers-2", &[("peers-3", "s2", Seen::Dead)]).await;
    println!("dead {:?} after it fell silent", start.elapsed());
    assert!(start.elapsed() < PROMPT);
    wait_standing(&hubs[0], "lost", 1).await;
    let status = status(&hubs[0]);
    let said = &status["pool"];
    assert_eq!(said["name"], name);
    assert_eq!(said["members"], 4);
    assert_eq!(
        said["peers"],
        json!({"peers-2": "answering", "peers-3": "lost", "peers-mute": "mute"})
    );
    assert_eq!(said["kept"], json!(["peers-2"]));
    assert_eq!(said["votes"], json!({"peers-2": "alive", "peers-3": "dead"}));

    // A machine that refuses connections is there: its yurthub may just be stopped.
    links[2].cut().await;
    wait_votes(admin, "peers-1", &[("peers-2", "s1", Seen::Alive)]).await;
    wait_votes(admin, "peers-2", &[]).await;
    links[2].join().await;
    wait_votes(
        admin,
        "peers-1",
        &[("peers-2", "s1", Seen::Alive), ("peers-3", "s2", Seen::Alive)],
    )
    .await;

    // All are heard of again.
    pool.silence(&[]).await;
    for voter in names {
        wait_votes(admin, voter, &[]).await;
        assert!(annotation(admin, voter, PEER).await.is_some());
    }
    // What was seen of an answer is kept: after a restart its silence counts at once.
    links[2].blackhole().await;
    hubs[0].store_is_quiet().await;
    hubs[0].restart().await;
    pool.join(&hubs[0]).await;
    pool.silence(&[("peers-3", "s3", Shown::AsInCloud, &[])]).await;
    wait_votes(admin, "peers-1", &[("peers-3", "s3", Seen::Dead)]).await;
}

/// What `yurthub status -o json` says.
fn status(hub: &Hub<'_>) -> Value {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_yurthub"))
        .arg(format!(
            "--admin-socket={}",
            hub.folder().join("admin.sock").display()
        ))
        .args(["status", "-o", "json"])
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What `identity` is answered at `address` to a GET of `path`; nothing where it is not.
async fn ask(address: SocketAddr, expected: &str, identity: &Identity, path: &str) -> String {
    let (folder, server) = (Scratch::new().unwrap(), server().await);
    write_kubeconfig(folder.path(), "127.0.0.1:1", server);
    identity
        .write_combined(&folder.path().join("kubelet.pem"))
        .unwrap();
    let kubeconfig = Kubeconfig::read(&folder.path().join("kubeconfig"), None).unwrap();
    let credentials = Arc::new(NodeCredentials::load(kubeconfig).unwrap());
    let patience = Patience {
        first_verdict: Duration::from_secs(1),
        doubt: Duration::from_secs(1),
    };
    let cloud = Arc::new(Monitor::new(patience, None));
    let pem = server.authority().pem().into_bytes();
    let verifier = Arc::new(KubeletVerifier::new(pem, cloud).unwrap());
    let tls = proof::client(&verifier, &credentials, expected).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(tls));
    let mut text = Vec::new();
    if let Ok(mut stream) = connector.connect(ServerName::from(address.ip()), stream).await {
        let request = format!("GET {path} HTTP/1.1\r\nhost: peer\r\nconnection: close\r\n\r\n");
        drop(stream.write_all(request.as_bytes()).await);
        drop(stream.read_to_end(&mut text).await);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn only_members_of_the_pool_are_answered_and_nothing_but_health() {
    let (name, server) = ("peers-door", server().await);
    let pool = Pool::make(name, server.admin()).await;
    let hub = start(&pool, name, &Pool::flag(name), 31).await;
    let address = address_of(server.admin(), name).await;
    pool.members(&[(name, address), ("peers-mate", "127.0.0.1:1".parse().unwrap())])
        .await;
    let authority = server.authority();
    let mate = authority.node_cert("peers-mate").unwrap();
    wait_for("the member to be known", SOON, async || {
        ask(address, name, &mate, "/healthz")
            .await
            .starts_with("HTTP/1.1 200 ")
    })
    .await;
    for path in ["/", "/metrics", "/healthz/x", "/api/v1/pods"] {
        let answer = ask(address, name, &mate, path).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    let other = Authority::new("cluster").unwrap();
    for (what, identity) in [
        (
            "a node of another pool",
            authority.node_cert("peers-stranger").unwrap(),
        ),
        ("an administrator", authority.admin_cert().unwrap()),
        (
            "a node of another cluster",
            other.node_cert("peers-mate").unwrap(),
        ),
    ] {
        assert_eq!(ask(address, name, &identity, "/healthz").await, "", "{what}");
    }
    assert_eq!(
        ask(address, "peers-other", &mate, "/healthz").await,
        "",
        "not that node"
    );
    drop(hub);
}

#[tokio::test]
async fn switched_off_nothing_is_said_any_more() {
    let (name, server) = ("peers-off", server().await);
    let left = node(name)
        .annotation(PEER, "127.0.0.1:10269")
        .annotation(VOTES, r#"{"beat":7,"of":{}}"#)
        .annotation("other", "stays");
    left.ensure(server.admin()).await.unwrap();
    let pool = Pool::make(name, server.admin()).await;
    let hub = Hub::start_with(server, name, &[&Pool::flag(name)]).await;
    pool.join(&hub).await;
    wait_for("nothing to be said", SOON, async || {
        let peer = annotation(server.admin(), name, PEER).await;
        let votes = annotation(server.admin(), name, VOTES).await;
        peer.is_none() && votes.is_none()
    })
    .await;
    let other = annotation(server.admin(), name, "other").await;
    assert_eq!(other.as_deref(), Some("stays"));
    assert_eq!(hub.metric("yurthub_peer_probes_total", "").await, 0);
}
