//! Several apiservers of one cluster: what happens when one of them dies, and where further ones come from.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use yurt_testkit::api::Watch;
use yurt_testkit::api_server::outward_address;
use yurt_testkit::objects::config_map;
use yurt_testkit::{ApiServer, Link, wait_for};

use crate::forward::echo;
use crate::hub::{Hub, JSON, SOON, may_do_everything, server};
use crate::mirror::until;

fn url(link: &Link) -> String {
    format!("https://{}", link.address())
}

/// Whether the hub says that the server behind `address` answers.
async fn is_up(hub: &Hub<'_>, address: SocketAddr) -> bool {
    hub.metric("yurthub_cloud_server_up", &format!("\"{address}\""))
        .await
        == 1
}

/// Asks for what only the cloud can answer, for as long as `what` has not happened; returns the longest wait.
async fn asking_until(hub: &Hub<'_>, what: &str, mut happened: impl AsyncFnMut() -> bool) -> Duration {
    let (node, start) = (hub.node(), Instant::now());
    let mut longest = Duration::ZERO;
    while !happened().await {
        assert!(
            start.elapsed() < SOON,
            "waited in vain for {what}:\n{}",
            told(hub)
        );
        let asked = Instant::now();
        let (status, answer) = node.get(&format!("/api/v1/nodes/{}", hub.name)).await.unwrap();
        assert_eq!(status, 200, "{what}: {answer}");
        longest = longest.max(asked.elapsed());
    }
    longest
}

/// The hub's log without requests.
fn told(hub: &Hub<'_>) -> String {
    let log = hub.process.log();
    let lines = log.lines().filter(|line| !line.contains("DEBUG request"));
    lines.collect::<Vec<_>>().join("\n")
}

/// A watch of `ConfigMap`s, and the check that it goes on.
async fn watching(hub: &Hub<'_>) -> Watch {
    let list = format!("/api/v1/namespaces/{}/configmaps", hub.name);
    let (_, first) = hub
        .node()
        .get(&format!("{list}?resourceVersion=0"))
        .await
        .unwrap();
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{list}?watch=true&resourceVersion={version}");
    hub.node().watch(&path, JSON).await.unwrap()
}

async fn goes_on(hub: &Hub<'_>, watch: &mut Watch, name: &str) {
    let map = config_map(name).in_namespace(&hub.name);
    map.create(hub.server.admin()).await.unwrap();
    let seen = tokio::time::timeout(SOON, until(watch, name)).await.unwrap();
    assert_eq!(seen.len(), 1, "one event and no other: {seen:?}");
}

fn was_never_away(hub: &Hub<'_>) {
    let log = told(hub);
    assert!(!log.contains("cloud is away"), "{log}");
}

#[tokio::test]
async fn when_an_apiserver_dies_the_other_carries_on_and_when_it_is_back_it_is_used_again() {
    let server = server().await;
    let mut preferred = server.replica().await.unwrap();
    let [first, second] = [preferred.address(), server.address()].map(|address| Link::to(address).unwrap());
    let servers = format!("--server={},{}", url(&first), url(&second));
    let hub = Hub::start_with(server, "twofold", &[&servers]).await;
    may_do_everything(&hub).await;
    hub.cloud_is(true).await;
    let mut watch = watching(&hub).await;
    asking_until(&hub, "the preferred one to be used", async || {
        is_up(&hub, first.address()).await
    })
    .await;

    preferred.kill().unwrap();
    let gap = asking_until(&hub, "the second to be used", async || {
        is_up(&hub, second.address()).await
    })
    .await;
    println!("killed: the longest answer took {gap:?}");
    assert!(gap < Duration::from_secs(1), "{gap:?}");
    goes_on(&hub, &mut watch, "a").await;
    assert!(!is_up(&hub, first.address()).await);

    preferred.resume(server.admin()).await.unwrap();
    asking_until(&hub, "the first to be back", async || {
        is_up(&hub, first.address()).await
    })
    .await;
    let back = Instant::now();
    let before = first.bytes().up;
    asking_until(&hub, "requests to go to the first", async || {
        first.bytes().up > before + 20_000
    })
    .await;
    // Watches stay where they are until they end.
    assert!(second.connections() > 0);
    println!("back: moved after {:?}", back.elapsed());
    goes_on(&hub, &mut watch, "b").await;
    was_never_away(&hub);
    let restores = hub.metric("yurthub_mirror_restores_total", "").await;
    assert_eq!(restores, 0, "another apiserver is not another cloud");
}

#[tokio::test]
async fn a_black_hole_around_one_apiserver_is_noticed_and_only_both_are_an_outage() {
    let server = server().await;
    let [first, second] = [(); 2].map(|()| Link::to(server.address()).unwrap());
    let servers = format!("--server={},{}", url(&first), url(&second));
    let hub = Hub::start_with(server, "halfblind", &[&servers]).await;
    may_do_everything(&hub).await;
    hub.cloud_is(true).await;
    let mut watch = watching(&hub).await;

    let start = Instant::now();
    first.blackhole().await;
    let gap = asking_until(&hub, "the black hole to be noticed", async || {
        is_up(&hub, second.address()).await && !is_up(&hub, first.address()).await
    });
    let gap = gap.await;
    println!(
        "black hole: noticed after {:?}, the longest answer took {gap:?}",
        start.elapsed()
    );
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    goes_on(&hub, &mut watch, "a").await;
    was_never_away(&hub);

    second.cut().await;
    wait_for("the outage to be noticed", SOON, async || {
        hub.process.log().contains("cloud is away")
    })
    .await;
    second.join().await;
    hub.cloud_is(true).await;
    goes_on(&hub, &mut watch, "b").await;
}

#[tokio::test]
async fn further_apiservers_are_learned_from_the_cluster_and_known_after_a_restart() {
    let server = ApiServer::start().await.unwrap();
    let outward = outward_address().expect("this machine has an address beside loopback");
    let good = Link::at(outward, server.address()).unwrap();
    let wrong = Link::at(outward, echo(crate::hub::server().await).await).unwrap();
    for (name, address, port) in [
        ("good", outward.to_string(), good.address().port()),
        ("wrong", outward.to_string(), wrong.address().port()),
        ("far", "198.51.100.1".to_owned(), 6443),
    ] {
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": name, "labels": { "kubernetes.io/service-name": "kubernetes" } },
            "endpoints": [{ "addresses": [address], "conditions": { "ready": true } }],
            "ports": [{ "name": "https", "port": port, "protocol": "TCP" }],
        });
        let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
        let (status, answer) = server.admin().post(path, slice).await.unwrap();
        assert_eq!(status, 201, "{answer}");
    }
    let mut hub = Hub::start(&server, "curious").await;
    may_do_everything(&hub).await;
    hub.restart().await; // it asks the cluster when it starts, and the rights came later
    hub.cloud_is(true).await;
    wait_for("the learned server to be known to work", SOON, async || {
        is_up(&hub, good.address()).await
    })
    .await;
    wait_for("the other to be dismissed", SOON, async || {
        hub.process
            .log()
            .contains("its certificate is not for this address")
    })
    .await;
    let gap = {
        hub.link.cut().await;
        asking_until(&hub, "the learned server to be used", async || {
            good.connections() > 0
        })
        .await
    };
    println!("learned server used; the longest answer took {gap:?}");
    was_never_away(&hub);
    assert!(!is_up(&hub, wrong.address()).await);

    hub.store_is_quiet().await;
    hub.restart().await;
    hub.cloud_is(true).await;
    asking_until(&hub, "an answer after the restart", async || {
        good.connections() > 0
    })
    .await;
    good.cut().await;
    hub.cloud_is(false).await;
}
