//! Watches of the apiserver and of the hub, event by event.

use serde_json::json;
use yurt_testkit::api::{Raw, Watch};
use yurt_testkit::objects::config_map;
use yurt_testkit::parity::events;
use yurt_testkit::{Api, wait_for};

use super::{encoding, version_of, with_objects};
use crate::hub::{JSON, PROTOBUF, SOON};

/// All of a watch that ends by itself.
pub(super) async fn whole_watch(api: &Api, path: &str, accept: &'static str) -> (u16, String, Vec<u8>) {
    let mut watch = api.watch(path, accept).await.unwrap();
    let content_type = watch.headers["content-type"].to_str().unwrap().to_owned();
    let mut body = Vec::new();
    while let Some(chunk) = watch.chunk().await.unwrap() {
        body.extend_from_slice(&chunk);
    }
    (watch.status, content_type, body)
}

#[tokio::test]
async fn watches_that_end_by_themselves_are_the_apiservers() {
    let hub = with_objects("watched").await;
    let admin = hub.server.admin();
    let maps = "/api/v1/namespaces/watched/configmaps";
    // The hub's history begins with its first list.
    for accept in [JSON, PROTOBUF] {
        let list = Raw::get(format!("{maps}?resourceVersion=0"), accept);
        assert_eq!(hub.node().send(list).await.unwrap().status, 200);
    }
    let from = version_of(&hub.direct(), maps).await;
    for index in 0..4 {
        let path = format!("{maps}/conf-{index:02}");
        admin
            .patch(&path, json!({ "data": { "key": "again" } }))
            .await
            .unwrap();
        admin
            .patch(&path, json!({ "metadata": { "labels": { "parity": "none" } } }))
            .await
            .unwrap();
        admin.delete(&path).await.unwrap();
    }
    config_map("last")
        .in_namespace("watched")
        .create(admin)
        .await
        .unwrap();
    let caught_up = async || {
        let direct = hub.direct().get(&format!("{maps}/last")).await.unwrap().1;
        let version = &direct["metadata"]["resourceVersion"];
        let version: u64 = version.as_str().unwrap().parse().unwrap();
        let mut behind = false;
        for accept in [JSON, PROTOBUF] {
            let list = Raw::get(format!("{maps}?resourceVersion=0"), accept);
            let reply = hub.node().send(list).await.unwrap();
            let page = yurthub_object::list::decode(encoding(accept), &reply.body).unwrap();
            behind |= page.resource_version < version;
        }
        !behind
    };
    wait_for("the mirror to follow", SOON, caught_up).await;
    let future = from + 1_000_000;
    let now = version_of(&hub.direct(), maps).await;
    let mut failures = Vec::new();
    for accept in [JSON, PROTOBUF] {
        for query in [
            format!("resourceVersion={from}"),
            format!("resourceVersion={now}"),
            format!("resourceVersion={future}"),
            "resourceVersion=0".into(),
            String::new(),
            format!("resourceVersion={from}&allowWatchBookmarks=true"),
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true".into(),
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion=0".into(),
            format!("sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion={from}"),
            "sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=0".into(),
            "fieldSelector=metadata.name%3Dconf-07&resourceVersion=0".into(),
            "resourceVersion=1".into(),
        ] {
            let path = format!("{maps}?watch=true&timeoutSeconds=1&{query}");
            let (direct, node) = (hub.direct(), hub.node());
            let (expected, given) = tokio::join!(
                whole_watch(&direct, &path, accept),
                whole_watch(&node, &path, accept)
            );
            let heads = ((expected.0, &expected.1), (given.0, &given.1));
            if heads.0 != heads.1 {
                failures.push(format!(
                    "{accept} {query}: {heads:?}\n  {}\n  {}",
                    String::from_utf8_lossy(&expected.2),
                    String::from_utf8_lossy(&given.2)
                ));
            } else if expected.0 != 200 {
                if expected.2 != given.2 {
                    failures.push(format!(
                        "{accept} {query}:\n  {}\n  {}",
                        String::from_utf8_lossy(&expected.2),
                        String::from_utf8_lossy(&given.2)
                    ));
                }
            } else {
                let (expected, given) = (events(accept, &expected.2), events(accept, &given.2));
                let same = if query == "resourceVersion=1" {
                    // Each server says where its own memory begins.
                    given.len() == 1 && given[0].contains("too old resource version: 1 (")
                } else {
                    expected == given
                };
                if !same {
                    let brief = |events: &[String]| -> Vec<String> {
                        events.iter().map(|event| event.chars().take(120).collect()).collect()
                    };
                    failures.push(format!("{accept} {query}:\n  {:?}\n  {:?}", brief(&expected), brief(&given)));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn the_events_of_the_same_changes_are_the_same_bytes() {
    let hub = with_objects("stream").await;
    let admin = hub.server.admin();
    let maps = "/api/v1/namespaces/stream/configmaps";
    for accept in [JSON, PROTOBUF] {
        for query in [
            "",
            "&labelSelector=parity",
            "&fieldSelector=metadata.name%21%3Dother",
        ] {
            let list = Raw::get(format!("{maps}?resourceVersion=0{query}"), accept);
            let list = hub.node().send(list).await.unwrap();
            let from = yurthub_object::list::decode(encoding(accept), &list.body)
                .unwrap()
                .resource_version;
            let path = format!("{maps}?watch=true&resourceVersion={from}{query}");
            let mut expected = hub.direct().watch(&path, accept).await.unwrap();
            let mut given = hub.node().watch(&path, accept).await.unwrap();
            for round in 0..5 {
                for name in ["one", "other"] {
                    let object = config_map(name).in_namespace("stream").label("parity", "odd");
                    object.create(admin).await.unwrap();
                    let path = object.path();
                    admin
                        .patch(&path, json!({ "data": { "round": round.to_string() } }))
                        .await
                        .unwrap();
                    admin
                        .patch(&path, json!({ "metadata": { "labels": { "parity": null } } }))
                        .await
                        .unwrap();
                    admin.delete(&path).await.unwrap();
                }
            }
            let last = config_map("zz-last")
                .in_namespace("stream")
                .label("parity", "odd")
                .data("mark", "ThisIsTheEnd");
            last.create(admin).await.unwrap();
            let [expected, given] = [read_until(&mut expected).await, read_until(&mut given).await]
                .map(|body| events(accept, &body));
            assert_eq!(given, expected, "{accept} {query}");
            assert!(given.len() > 10, "{accept} {query}");
            admin.delete(&last.path()).await.unwrap();
        }
    }
}

async fn read_until(watch: &mut Watch) -> Vec<u8> {
    let mut body = Vec::new();
    let mark = b"ThisIsTheEnd";
    while !body.windows(mark.len()).any(|window| window == mark) {
        body.extend_from_slice(&watch.chunk().await.unwrap().unwrap());
    }
    body
}
