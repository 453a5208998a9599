//! What the hub answers while the cloud is away: how soon it knows, and reads.

use std::time::{Duration, Instant};

use serde_json::json;
use yurt_testkit::Api;
use yurt_testkit::api::{Raw, Reply};
use yurt_testkit::objects::config_map;
use yurthub_object::{Encoding, list};

use crate::hub::{Hub, JSON, PROTOBUF, header, json as body, may_do_everything, server};

pub(crate) mod mirror_pods;
mod untaken;
mod writes;

async fn read(api: &Api, path: &str, accept: &'static str) -> Reply {
    api.send(Raw::get(path, accept)).await.unwrap()
}

#[tokio::test]
async fn a_black_hole_is_noticed_in_seconds_and_so_is_its_end() {
    let hub = Hub::start(server().await, "measured").await;
    hub.cloud_is(true).await;
    for accept in [JSON, PROTOBUF] {
        let path = "/api/v1/nodes?fieldSelector=metadata.name%3Dmeasured&resourceVersion=0";
        assert_eq!(read(&hub.node(), path, accept).await.status, 200);
    }
    let start = Instant::now();
    hub.link.blackhole().await;
    hub.cloud_is(false).await;
    let noticed = start.elapsed();
    let start = Instant::now();
    hub.link.join().await;
    hub.cloud_is(true).await;
    let returned = start.elapsed();
    println!("black hole noticed after {noticed:?}, its end after {returned:?}");
    assert!(noticed < Duration::from_secs(15), "{noticed:?}");
    assert!(returned < Duration::from_secs(6), "{returned:?}");
    let start = Instant::now();
    hub.link.cut().await;
    hub.cloud_is(false).await;
    println!("cut noticed after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn reads_go_on_from_what_is_mirrored_and_remembered_and_never_say_404_without_knowing() {
    let mut hub = Hub::start(server().await, "reader").await;
    may_do_everything(&hub).await;
    let admin = hub.server.admin();
    let csi_node = json!({ "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": { "name": "reader" }, "spec": { "drivers": [] } });
    assert_eq!(
        admin
            .post("/apis/storage.k8s.io/v1/csinodes", csi_node)
            .await
            .unwrap()
            .0,
        201
    );
    for index in 0..3 {
        let map = config_map(&format!("m-{index}"))
            .in_namespace("reader")
            .label("n", &index.to_string());
        map.create(admin).await.unwrap();
    }
    let maps = "/api/v1/namespaces/reader/configmaps";
    let remembered = [
        "/apis/storage.k8s.io/v1/csinodes/reader",
        "/api",
        "/apis",
        "/version",
        "/openapi/v3",
        "/apis/apps/v1",
        "/api/v1/namespaces/reader",
    ];
    let node = hub.node();
    let mut before = Vec::new();
    for path in remembered {
        before.push(read(&node, path, JSON).await);
    }
    for accept in [JSON, PROTOBUF] {
        assert_eq!(
            read(&node, &format!("{maps}?resourceVersion=0"), accept)
                .await
                .status,
            200
        );
    }
    let list = read(&node, maps, JSON).await;
    for restarted in [false, true] {
        if restarted {
            hub.store_is_quiet().await;
            hub.restart().await;
        } else {
            hub.cut().await;
        }
        for (path, before) in remembered.iter().zip(&before) {
            let reply = read(&node, path, JSON).await;
            assert_eq!((reply.status, &reply.body), (200, &before.body), "{path}");
            assert_eq!(
                header(&reply, "content-type"),
                header(before, "content-type"),
                "{path}"
            );
            assert!(
                header(&reply, "warning").contains("cloud unreachable for"),
                "{path}"
            );
        }
        let now = read(&node, maps, JSON).await;
        assert_eq!(body(&now)["items"], body(&list)["items"]);
        for (path, count) in [
            (format!("{maps}?labelSelector=n%3D1"), 1),
            (format!("{maps}?labelSelector=n%21%3D1"), 2),
            (format!("{maps}?fieldSelector=metadata.name%3Dm-2"), 1),
            (format!("{maps}?limit=500"), 3),
        ] {
            for (accept, encoding) in [(JSON, Encoding::Json), (PROTOBUF, Encoding::Protobuf)] {
                let reply = read(&node, &path, accept).await;
                assert_eq!(
                    (reply.status, header(&reply, "content-type")),
                    (200, accept),
                    "{path}"
                );
                assert_eq!(
                    list::decode(encoding, &reply.body).unwrap().items.len(),
                    count,
                    "{path}"
                );
            }
        }
        assert_eq!(read(&node, &format!("{maps}/m-1"), JSON).await.status, 200);
        let absent = read(&node, &format!("{maps}/none"), JSON).await;
        assert_eq!(
            (absent.status, body(&absent)["reason"].as_str()),
            (404, Some("NotFound"))
        );
        for path in [
            "/api/v1/namespaces/other/configmaps/none",
            "/api/v1/namespaces/other/configmaps",
            "/api/v1/secrets",
            "/api/v1/pods?resourceVersion=0",
            "/apis/storage.k8s.io/v1/csinodes/other",
            "/apis/batch/v1",
            "/openapi/v2",
            "/nothing",
        ] {
            let start = Instant::now();
            let reply = read(&node, path, JSON).await;
            assert_eq!(reply.status, 503, "{path}");
            assert_eq!(
                header(&reply, "retry-after"),
                "",
                "{path}: the kubelet would sleep"
            );
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "{path}: {:?}",
                start.elapsed()
            );
            assert!(
                body(&reply)["message"]
                    .as_str()
                    .unwrap()
                    .contains("cloud unreachable for"),
                "{path}"
            );
        }
        for (query, code) in [
            ("continue=abc&limit=1", 410),
            ("resourceVersion=5&resourceVersionMatch=Exact", 410),
            ("resourceVersion=999999999", 504),
        ] {
            let reply = read(&node, &format!("{maps}?{query}"), JSON).await;
            assert_eq!(reply.status, code, "{query}: {}", body(&reply));
        }
    }
}
