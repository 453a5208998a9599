//! Endpoints on members of the pool that the cloud does not hear of.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde_json::Value;
use yurt_common::pool::Shown;
use yurt_testkit::{ApiServer, wait_for};
use yurthub_object::watch::EventType;

use super::neighbours::{Kubelet, make_node, may_read_nodes, stand};
use super::slices::{Events, endpoint};
use super::{Site, seen};
use crate::hub::{JSON, PROTOBUF, SOON};
use crate::pool::{Pool, says};

const MATE: &str = "pool-mate";
/// How soon a change of what the manager says must show.
const PROMPT: Duration = Duration::from_secs(2);

/// The pods of the mate: name, and whether it is ready and being deleted in the cloud.
fn slice(site: &Site<'_>, pods: &[(&str, bool, bool)]) -> Value {
    let mut slice = site.slice(&[("a", "10.0.0.1", true)]);
    let endpoints = slice["endpoints"].as_array_mut().unwrap();
    for (pod, ready, terminating) in pods {
        let mut one = endpoint((pod, &format!("uid-{pod}")), MATE, ("10.0.9.9", *ready));
        one["conditions"]["terminating"] = (*terminating).into();
        endpoints.push(one);
    }
    slice
}

#[tokio::test]
async fn endpoints_on_silent_mates_are_kept_as_the_manager_says() {
    let server = ApiServer::start().await.unwrap();
    let name = "pool-kept";
    let mut site = Site::start_on(&server, name, &[&Pool::flag(name)]).await;
    let pool = Pool::make(name, server.admin()).await;
    may_read_nodes(&site.hub).await;
    pool.bind(name).await;
    let mut mate = Kubelet::start(Ipv4Addr::new(127, 0, 0, 7));
    make_node(&site, MATE, mate.address).await;
    site.report("a", "10.0.0.1", true).await;
    // As the controllers leave it when a node is silent: none of its pods is ready.
    let silent = slice(
        &site,
        &[
            ("good", false, false),
            ("sick", false, false),
            ("leaving", false, true),
        ],
    );
    let (status, answer) = server.admin().post(&site.slices(), silent).await.unwrap();
    assert_eq!(status, 201, "{answer}");
    let shown = |good| {
        [
            ("a", "10.0.0.1", true),
            ("good", "10.0.9.9", good),
            ("sick", "10.0.9.9", false),
            ("leaving", "10.0.9.9", false),
        ]
    };
    site.shows("the cloud's slice", &shown(false)).await;
    stand(&site, &[("reachable", 1)]).await;
    pool.silence(&[]).await;
    pool.join(&site.hub).await;
    says(&site.hub, "the pool of this node is known").await;
    let mut watches = [
        Events::open(&site.reader(), &site.all(), JSON).await,
        Events::open(&site.reader(), &site.all(), PROTOBUF).await,
    ];

    for (endpoints, good) in [
        (Shown::Kept, true),
        (Shown::AsInCloud, false),
        (Shown::Kept, true),
    ] {
        let start = Instant::now();
        pool.silence(&[(MATE, "now", endpoints, &["uid-sick"])]).await;
        for watch in &mut watches {
            assert_eq!(
                watch.next().await,
                (EventType::Modified, seen(&shown(good))),
                "once each"
            );
        }
        let took = start.elapsed();
        println!("what the manager says ({endpoints:?}) showed after {took:?}");
        assert!(took < PROMPT, "{took:?}");
        assert_eq!(site.shown().await, Ok(seen(&shown(good))));
    }
    // What nobody understands changes nothing.
    pool.garbage().await;
    says(&site.hub, "what is said of this node's pool cannot be read").await;
    assert_eq!(site.shown().await, Ok(seen(&shown(true))));
    pool.silence(&[(MATE, "now", Shown::Kept, &["uid-sick"])]).await;

    site.hub.store_is_quiet().await;
    site.hub.cut().await;
    site.hub.restart().await;
    site.hub.cloud_is(false).await;
    assert_eq!(site.shown().await, Ok(seen(&shown(true))), "after a restart");
    // What this node finds out by itself is stronger.
    let mut watch = Events::open(&site.reader(), &site.all(), JSON).await;
    mate.vanish().await;
    assert_eq!(watch.next().await, (EventType::Modified, seen(&shown(false))));
    mate.come_back();
    assert_eq!(watch.next().await, (EventType::Modified, seen(&shown(true))));

    // The mate is heard of again: its pods are ready in the cloud before it leaves the list, so there is no gap.
    site.hub.join().await;
    let path = format!("{}/web-1", site.slices());
    let back = slice(
        &site,
        &[
            ("good", true, false),
            ("sick", true, false),
            ("leaving", false, true),
        ],
    );
    assert_eq!(server.admin().put(&path, back).await.unwrap().0, 200);
    let mut healthy = shown(true);
    healthy[2].2 = true;
    assert_eq!(watch.next().await, (EventType::Modified, seen(&healthy)));
    pool.silence(&[]).await;
    wait_for("no overlay to be left", SOON, async || site.overlays().await == 0).await;
    assert_eq!(site.shown().await, Ok(seen(&healthy)));
}

#[tokio::test]
async fn a_node_that_may_not_read_of_its_pool_says_so_once_and_believes_the_cloud() {
    let server = ApiServer::start().await.unwrap();
    let name = "pool-denied";
    let site = Site::start_on(&server, name, &[&Pool::flag(name)]).await;
    let pool = Pool::make(name, server.admin()).await;
    pool.silence(&[(MATE, "now", Shown::Kept, &[])]).await;
    site.report("a", "10.0.0.1", true).await;
    let silent = slice(&site, &[("good", false, false)]);
    assert_eq!(server.admin().post(&site.slices(), silent).await.unwrap().0, 201);
    pool.join(&site.hub).await;
    let complaint = "this node may not read what the controller manager says of its pool";
    says(&site.hub, complaint).await;
    let cloud = |good| [("a", "10.0.0.1", true), ("good", "10.0.9.9", good)];
    site.shows("the cloud's slice", &cloud(false)).await;
    // The rights come, and it is not to be restarted for it.
    pool.bind(name).await;
    site.shows("the mate's endpoints as kept", &cloud(true)).await;
    assert_eq!(site.hub.process.log_tail(2000).matches(complaint).count(), 1);
}
