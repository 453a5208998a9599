//! Connections that die or are slow while the cloud is there: which are closed, and what is concluded.

use std::time::{Duration, Instant};

use serde_json::json;
use yurt_testkit::objects::config_map;
use yurt_testkit::wait_for;

use crate::hub::{Hub, JSON, SOON, may_do_everything, server};

/// The hub has never said that the cloud is away.
fn was_never_away(hub: &Hub<'_>) {
    let log = hub.process.log();
    assert!(!log.contains("cloud is away"), "{log}");
}

#[tokio::test]
async fn half_open_connections_are_closed_alone_and_the_watches_on_them_resume() {
    let hub = Hub::start_with(server().await, "forgotten", &["--keepalive-interval=1s"]).await;
    may_do_everything(&hub).await;
    let map = config_map("m").in_namespace("forgotten").data("n", "0");
    map.create(hub.server.admin()).await.unwrap();
    let list = "/api/v1/namespaces/forgotten/configmaps";
    let (_, first) = hub
        .node()
        .get(&format!("{list}?resourceVersion=0"))
        .await
        .unwrap();
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    let watch = format!("{list}?watch=true&resourceVersion={version}");
    let mut watch = hub.node().watch(&watch, JSON).await.unwrap();
    hub.cloud_is(true).await;
    let start = Instant::now();
    hub.link.forget_connections().await;
    let change = json!({ "data": { "n": "1" } });
    hub.server.admin().patch(&map.path(), change).await.unwrap();
    let seen = async {
        while watch.event().await.unwrap().expect("the watch goes on")["object"]["data"]["n"] != "1" {}
    };
    tokio::time::timeout(SOON, seen).await.unwrap();
    println!(
        "the watch goes on {:?} after its connection was forgotten",
        start.elapsed()
    );
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    was_never_away(&hub);
}

#[tokio::test]
async fn a_link_with_a_long_round_trip_is_neither_doubted_nor_lost_for_it() {
    let hub = Hub::start(server().await, "distant").await;
    hub.cloud_is(true).await;
    hub.link.delay(Duration::from_millis(600)).await;
    // New connections at 1.2 s a round trip, one after another, as after a router has restarted.
    for round in 0..3 {
        hub.link.cut().await;
        hub.link.join().await;
        wait_for("the cloud to answer over a slow link", SOON, async || {
            hub.node().get("/version").await.unwrap().0 == 200
                && hub.metric("yurthub_cloud_up", "").await == 1
        })
        .await;
        println!("round {round}");
    }
    let logged = hub.process.log().len();
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        let (status, _) = hub.node().get("/api/v1/nodes/distant").await.unwrap();
        assert_eq!(status, 200);
    }
    let log = hub.process.log()[logged..].to_owned();
    assert!(
        !log.contains("cloud in doubt") && !log.contains("cloud is away"),
        "{log}"
    );
}
