//! Lists over a link that is thin and breaks: what has come is kept, and bytes are packed.

use std::time::Duration;

use futures_util::future::try_join_all;
use serde_json::json;
use yurt_testkit::api::Raw;
use yurt_testkit::objects::config_map;
use yurt_testkit::{ApiServer, wait_for};

use crate::hub::{Hub, JSON, PROTOBUF, SOON, may_do_everything};
use crate::mirror::moody;
use crate::relist::same_as_cloud;

/// More than two full pages.
const MAPS: usize = 1200;
const PAGES: &str = "yurthub_mirror_pages_total";
const BYTES: &str = "yurthub_mirror_page_bytes_total";
const TORN: &str = "yurthub_mirror_lists_torn_total";

/// ConfigMaps that compress as text does, not more.
async fn make_maps(server: &ApiServer, namespace: &str) {
    let mut random = fastrand::Rng::with_seed(7);
    let all: Vec<_> = (0..MAPS)
        .map(|number| {
            let text: String = std::iter::repeat_with(|| random.alphanumeric())
                .take(400)
                .collect();
            config_map(&format!("m-{number:04}"))
                .in_namespace(namespace)
                .data("n", &text)
        })
        .collect();
    for some in all.chunks(20) {
        try_join_all(some.iter().map(|map| map.create(server.admin())))
            .await
            .unwrap();
    }
}

/// Begins a list, lets its first two pages come, and pulls the cable.
async fn break_after_two_pages(hub: &Hub<'_>, maps: &str, accept: &'static str) {
    let before = hub.metric(PAGES, "").await;
    let node = hub.node();
    let list = format!("{maps}?resourceVersion=0");
    let asked = node.send(Raw::get(list, accept));
    let broken = async {
        wait_for("two pages", SOON, async || {
            hub.metric(PAGES, "").await >= before + 2
        })
        .await;
        hub.cut().await;
    };
    let (answer, ()) = tokio::join!(asked, broken);
    assert_eq!(
        answer.unwrap().status,
        503,
        "the list is not complete, and the cloud away"
    );
}

async fn wait_for_list(hub: &Hub<'_>, maps: &str, accept: &'static str) -> usize {
    let list = format!("{maps}?resourceVersion=0");
    wait_for("the list", SOON, async || {
        let node = hub.node();
        let reply = node.send(Raw::get(list.clone(), accept)).await;
        reply.unwrap().status == 200
    })
    .await;
    same_as_cloud(hub, maps, accept).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_breaks_goes_on_where_it_was_and_comes_compressed() {
    let server = moody().await;
    let hub = Hub::start(&server, "patient").await;
    may_do_everything(&hub).await;
    make_maps(&server, "patient").await;
    let maps = "/api/v1/namespaces/patient/configmaps";
    // A round trip of half a second makes the link a thin one for small pages.
    hub.link.delay(Duration::from_millis(250)).await;
    for accept in [JSON, PROTOBUF] {
        let before = (hub.metric(PAGES, "").await, hub.metric(BYTES, "").await);
        break_after_two_pages(&hub, maps, accept).await;
        hub.join().await;
        let plain = wait_for_list(&hub, maps, accept).await as u64;
        let pages = hub.metric(PAGES, "").await - before.0;
        let bytes = hub.metric(BYTES, "").await - before.1;
        println!("{accept}: {bytes} of {plain} bytes in {pages} pages");
        // Two before the break and one after it: whatever came before did not come again.
        assert_eq!(pages, 3);
        assert!(bytes * 10 < plain * 8, "{bytes} of {plain}");
    }
    assert_eq!(hub.metric(TORN, "").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_waits_for_a_list_need_not_begin_again_after_a_short_break() {
    let server = moody().await;
    let hub = Hub::start(&server, "waiting").await;
    may_do_everything(&hub).await;
    make_maps(&server, "waiting").await;
    let list = "/api/v1/namespaces/waiting/configmaps?resourceVersion=0";
    hub.link.delay(Duration::from_millis(250)).await;
    let (before, node) = (hub.metric(PAGES, "").await, hub.node());
    let asked = node.send(Raw::get(list, PROTOBUF));
    let broken = async {
        wait_for("a page", SOON, async || hub.metric(PAGES, "").await > before).await;
        hub.cut().await;
        // Another one, who comes when nothing is here and the cloud is away.
        let other = hub.node();
        let (other, ()) = tokio::join!(other.send(Raw::get(list, PROTOBUF)), hub.join());
        other.unwrap().status
    };
    let (answer, other) = tokio::join!(asked, broken);
    assert_eq!((answer.unwrap().status, other), (200, 200));
    assert_eq!(hub.metric("yurthub_mirror_timeouts_total", "").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_whose_snapshot_ran_out_is_mended_not_begun_anew() {
    let server = moody().await;
    let hub = Hub::start(&server, "mending").await;
    may_do_everything(&hub).await;
    let admin = server.admin();
    make_maps(&server, "mending").await;
    let maps = "/api/v1/namespaces/mending/configmaps";
    let map = |number: usize| config_map(&format!("m-{number:04}")).in_namespace("mending");
    hub.link.delay(Duration::from_millis(250)).await;
    for (round, accept) in [(0_usize, JSON), (1, PROTOBUF)] {
        let before = (
            hub.metric(TORN, "").await,
            hub.metric("yurthub_mirror_lists_total", "").await,
        );
        break_after_two_pages(&hub, maps, accept).await;
        // On both sides of where the list broke.
        for number in [1, 1100] {
            let data = json!({ "data": { "n": format!("changed in round {round}") } });
            assert_eq!(admin.patch(&map(number).path(), data).await.unwrap().0, 200);
            assert_eq!(
                admin.delete(&map(number + 1 + round).path()).await.unwrap().0,
                200
            );
        }
        config_map(&format!("a-{round}"))
            .in_namespace("mending")
            .create(admin)
            .await
            .unwrap();
        server.expire_watches().await.unwrap();
        hub.join().await;
        wait_for_list(&hub, maps, accept).await;
        assert_eq!(hub.metric(TORN, "").await, before.0 + 1);
        // The other scope is listed, too, now or in a moment.
        let lists = hub.metric("yurthub_mirror_lists_total", "").await - before.1;
        assert!((1..=1 + round as u64).contains(&lists), "{lists} lists");
    }
}
