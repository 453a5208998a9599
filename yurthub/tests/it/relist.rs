//! After the cloud has forgotten a version, the mirror comes to the cloud's state and the link carries little more
//! than what changed.

mod front;

use futures_util::future::try_join_all;
use serde_json::{Value, json};
use yurt_testkit::api::{Raw, Watch};
use yurt_testkit::objects::{config_map, pod};
use yurt_testkit::wait_for;

use crate::hub::{Hub, JSON, PROTOBUF, SOON, may_do_everything};
use crate::mirror::{moody, names, until, watch_now};

const RELISTS: &str = "yurthub_mirror_relists_total";
const LISTS: &str = "yurthub_mirror_lists_total";

/// Lets the cloud forget what the hub knows and change meanwhile; gives the bytes that came down until `scopes`
/// scopes were compared in this way.
async fn forget(hub: &Hub<'_>, change: impl AsyncFnOnce(), (kind, scopes): (&str, u64)) -> u64 {
    let label = format!("kind=\"{kind}\"");
    let before = hub.metric(RELISTS, &label).await;
    hub.cut().await;
    change().await;
    hub.server.expire_watches().await.unwrap();
    let down = hub.link.bytes().down;
    hub.join().await;
    wait_for("the scopes to be compared", SOON, async || {
        let compared = hub.metric(RELISTS, &label).await - before;
        let live = hub.metric("yurthub_scopes", "state=\"live\"").await;
        if compared >= scopes && live >= scopes {
            Ok(())
        } else {
            Err((compared, live))
        }
    })
    .await;
    hub.link.bytes().down - down
}

/// The mirror's bytes of a list, and the cloud's, where their items are the same.
pub(crate) async fn same_as_cloud(hub: &Hub<'_>, list: &str, accept: &'static str) -> usize {
    let path = |version: &str| format!("{list}{}{version}", if list.contains('?') { '&' } else { '?' });
    let mirror = hub
        .node()
        .send(Raw::get(path("resourceVersion=0"), accept))
        .await
        .unwrap();
    let cloud = hub.direct().send(Raw::get(path(""), accept)).await.unwrap();
    assert_eq!((mirror.status, cloud.status), (200, 200));
    // The versions of the lists differ, but not in their length; they stand in the first hundred bytes.
    let items = |body: &[u8]| body[100.min(body.len())..].to_vec();
    assert_eq!(mirror.body.len(), cloud.body.len());
    assert!(
        items(&mirror.body) == items(&cloud.body),
        "the mirror has other items"
    );
    cloud.body.len()
}

/// What the watch tells up to a marker that is created now; versions must rise.
async fn told(hub: &Hub<'_>, watch: &mut Watch, marker: &str) -> Vec<String> {
    let map = config_map(marker).in_namespace(&hub.name);
    map.create(hub.server.admin()).await.unwrap();
    let events = until(watch, marker).await;
    assert!(events.is_sorted_by(|one, other| one.2 < other.2), "{events:?}");
    let mut told = names(&events);
    assert_eq!(told.pop(), Some(format!("ADDED {marker}")));
    told
}

/// Four KiB that are different each time, and that no compression makes small.
fn noise() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(4096)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_after_forgotten_history_are_those_of_the_changes() {
    let server = moody().await;
    let hub = Hub::start(&server, "thrifty").await;
    may_do_everything(&hub).await;
    let admin = server.admin();
    let map = |number: usize| {
        config_map(&format!("m-{number:03}"))
            .in_namespace("thrifty")
            .data("n", &noise())
    };
    let all: Vec<_> = (0..300).map(map).collect();
    for some in all.chunks(20) {
        try_join_all(some.iter().map(|map| map.create(admin)))
            .await
            .unwrap();
    }
    let set = async |number: usize, value: &str| {
        let data = json!({ "data": { "n": format!("{value}{}", noise()) } });
        let (status, answer) = admin.patch(&map(number).path(), data).await.unwrap();
        assert_eq!(status, 200, "{answer}");
    };
    let maps = "/api/v1/namespaces/thrifty/configmaps";
    let mut watch = watch_now(&hub, maps).await;
    let full = same_as_cloud(&hub, maps, JSON).await + same_as_cloud(&hub, maps, PROTOBUF).await;
    let lists = hub.metric(LISTS, "").await;

    let some = async || {
        set(7, "1").await;
        assert_eq!(admin.delete(&map(100).path()).await.unwrap().0, 200);
        set(5, "1").await;
        set(5, "2").await;
        map(400).create(admin).await.unwrap();
        set(6, "1").await;
        assert_eq!(admin.delete(&map(101).path()).await.unwrap().0, 200);
        // Another object of the same name.
        assert_eq!(admin.delete(&map(102).path()).await.unwrap().0, 200);
        map(102).create(admin).await.unwrap();
    };
    let changed = forget(&hub, some, ("fetched", 2)).await;
    let events = told(&hub, &mut watch, "zz-1").await;
    // Each once. Between them a list does not say when something was deleted: only the order of the others is known.
    let of = |name: &str| -> Vec<&str> {
        let mine = events.iter().filter(|event| event.ends_with(name));
        mine.map(|event| event.split(' ').next().unwrap()).collect()
    };
    for (name, expected) in [
        ("m-005", &["MODIFIED"][..]),
        ("m-006", &["MODIFIED"]),
        ("m-007", &["MODIFIED"]),
        ("m-100", &["DELETED"]),
        ("m-101", &["DELETED"]),
        ("m-102", &["DELETED", "ADDED"]),
        ("m-400", &["ADDED"]),
    ] {
        assert_eq!(of(name), expected, "{name} in {events:?}");
    }
    assert_eq!(events.len(), 8, "{events:?}");
    let there: Vec<_> = events
        .iter()
        .filter(|event| !event.starts_with("DELETED"))
        .collect();
    assert_eq!(
        there,
        [
            "MODIFIED m-007",
            "MODIFIED m-005",
            "ADDED m-400",
            "MODIFIED m-006",
            "ADDED m-102"
        ]
    );
    same_as_cloud(&hub, maps, JSON).await;
    same_as_cloud(&hub, maps, PROTOBUF).await;

    let nothing = forget(&hub, async || {}, ("metadata", 2)).await;
    assert_eq!(told(&hub, &mut watch, "zz-2").await, [""; 0]);
    assert_eq!(hub.metric(LISTS, "").await, lists, "nothing was listed whole");

    let many = async || {
        for number in 200..280 {
            set(number, "3").await;
        }
    };
    let whole = forget(&hub, many, ("full", 2)).await;
    let expected: Vec<_> = (200..280).map(|number| format!("MODIFIED m-{number}")).collect();
    assert_eq!(told(&hub, &mut watch, "zz-3").await, expected);
    assert_eq!(hub.metric(LISTS, "").await, lists + 2);
    same_as_cloud(&hub, maps, JSON).await;
    same_as_cloud(&hub, maps, PROTOBUF).await;

    println!(
        "bytes: {full} in full lists, {nothing} for nothing, {changed} for 5 of 300, {whole} for 80 of 300"
    );
    let full = full as u64;
    assert!(
        nothing < full / 5 && changed < full / 5,
        "{nothing} and {changed} of {full}"
    );
    // It came compressed; noise of letters and digits takes six bits of eight.
    assert!(whole > full / 2, "{whole} of {full}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_fetches_what_changed_with_the_rights_of_a_node() {
    let server = moody().await;
    let hub = Hub::start(&server, "humble").await;
    let admin = server.admin();
    let padding = "x".repeat(4096);
    config_map("settings")
        .in_namespace("humble")
        .data("n", &padding)
        .create(admin)
        .await
        .unwrap();
    let made = |name: &str| {
        pod(name)
            .in_namespace("humble")
            .on("humble")
            .mounting_config_map("settings")
            .with(
                "/spec/containers",
                json!([{ "name": "c", "image": "c", "args": [padding] }]),
            )
    };
    for name in ["a", "b", "c", "d"] {
        made(name).create(admin).await.unwrap();
    }
    let settings = "/api/v1/namespaces/humble/configmaps?fieldSelector=metadata.name=settings";
    let pods = "/api/v1/pods?fieldSelector=spec.nodeName=humble";
    for list in [settings, pods] {
        wait_for("the node to be allowed", SOON, async || {
            hub.direct().get(list).await.unwrap().0 == 200
        })
        .await;
        same_as_cloud(&hub, list, PROTOBUF).await;
    }
    let lists = hub.metric(LISTS, "").await;
    let change = async || {
        for path in [
            made("b").path(),
            config_map("settings").in_namespace("humble").path(),
        ] {
            let patch: Value = json!({ "metadata": { "labels": { "changed": "yes" } } });
            assert_eq!(admin.patch(&path, patch).await.unwrap().0, 200);
        }
        assert_eq!(
            admin
                .delete(&format!("{}?gracePeriodSeconds=0", made("c").path()))
                .await
                .unwrap()
                .0,
            200
        );
    };
    forget(&hub, change, ("fetched", 2)).await;
    for list in [settings, pods] {
        same_as_cloud(&hub, list, PROTOBUF).await;
    }
    assert_eq!(hub.metric(LISTS, "").await, lists, "nothing was listed whole");
}
