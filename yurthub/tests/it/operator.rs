//! What an operator relies on: health, logs, the quota, and who comes first after an outage.

use http::Method;
use serde_json::Value;
use yurt_testkit::api::Raw;
use yurt_testkit::objects::{config_map, pod};
use yurt_testkit::wait_for;

use crate::hub::{Hub, SOON, may_do_everything, server};

#[tokio::test]
async fn health_is_told_by_every_name_of_it_with_and_without_the_cloud() {
    let hub = Hub::start(server().await, "healthy").await;
    for cut in [false, true] {
        if cut {
            hub.cut().await;
        }
        for path in ["/healthz", "/v1/healthz", "/livez", "/readyz"] {
            let reply = hub.status().send(Raw::new(Method::GET, path)).await.unwrap();
            assert_eq!(
                (reply.status, &reply.body[..]),
                (200, &b"ok"[..]),
                "{path}, cut: {cut}"
            );
        }
    }
    assert_eq!(hub.status().get("/api/v1/nodes").await.unwrap().0, 404);
    let written = hub
        .status()
        .send(Raw::new(Method::POST, "/v1/healthz"))
        .await
        .unwrap();
    assert_eq!(written.status, 404, "nothing is changed here");
}

#[tokio::test]
async fn logs_are_json_where_that_is_wanted() {
    let hub = Hub::start_with(server().await, "json-logs", &["--log-format=json"]).await;
    assert_eq!(hub.node().get("/api/v1/nodes/json-logs").await.unwrap().0, 200);
    let log = hub.process.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let serves = lines
        .iter()
        .find(|line| line["message"] == "yurthub serves")
        .unwrap();
    assert_eq!(
        (&serves["level"], &serves["address"]),
        (&"INFO".into(), &hub.address.to_string().into())
    );
    assert!(serves["timestamp"].is_string(), "{serves}");
    assert!(
        lines
            .iter()
            .any(|line| line["message"] == "request" && line["verb"] == "get")
    );
}

#[tokio::test]
async fn above_its_quota_the_store_loses_what_is_remembered_then_what_nobody_uses() {
    // The hub looks at its size when it starts.
    let flags = [
        "--store-quota-mib=1",
        "--park-after=10ms",
        "--discover-servers=false",
    ];
    let mut hub = Hub::start_with(server().await, "quota", &flags).await;
    may_do_everything(&hub).await;
    for path in ["/openapi/v3/api/v1", "/openapi/v3/apis/apps/v1"] {
        assert_eq!(hub.node().get(path).await.unwrap().0, 200);
    }
    let remembered = hub.metric("yurthub_remembered_bytes", "").await;
    assert!(remembered > 1 << 20, "{remembered}");
    hub.store_is_quiet().await;
    hub.restart().await;
    wait_for("remembered answers to go", SOON, async || {
        hub.metric("yurthub_remembered_bytes", "").await < remembered / 2
    })
    .await;
    assert!(hub.process.log().contains("dropping remembered answers"));
    hub.store_is_quiet().await;

    let filler = "x".repeat(100 << 10);
    for index in 0..40 {
        let map = config_map(&format!("m-{index}"))
            .in_namespace("quota")
            .data("x", &filler);
        map.create(hub.server.admin()).await.unwrap();
    }
    let maps = "/api/v1/namespaces/quota/configmaps?resourceVersion=0";
    let (status, list) = hub.node().get(maps).await.unwrap();
    assert_eq!((status, list["items"].as_array().unwrap().len()), (200, 40));
    wait_for("the scope to be used by nobody", SOON, async || {
        hub.metric("yurthub_scopes", "parked").await > 0
    })
    .await;
    hub.store_is_quiet().await;
    // At one start remembered answers go, such as may have come meanwhile, and at the next one the scope.
    for _ in 0..2 {
        let before = hub.process.log().len();
        hub.restart().await;
        let dropped = wait_for("a look at the size", SOON, async || {
            let log = hub.process.log();
            log[before..]
                .lines()
                .find(|line| line.contains("dropping"))
                .map(str::to_owned)
        })
        .await;
        hub.store_is_quiet().await;
        if dropped.contains("what nobody uses") {
            break;
        }
    }
    assert!(hub.process.log().contains("forgetting a scope that nobody uses"));
    assert!(hub.metric("yurthub_mirror_objects", "").await < 40);
    // The cloud is there: what was dropped comes again.
    assert_eq!(hub.node().get(maps).await.unwrap().1["items"], list["items"]);
}

#[tokio::test]
async fn after_an_outage_the_pods_of_the_node_come_first() {
    let name = "own-first";
    let hub = Hub::start(server().await, name).await;
    may_do_everything(&hub).await;
    pod("web")
        .in_namespace(name)
        .on(name)
        .ensure(hub.server.admin())
        .await
        .unwrap();
    let paths = [
        format!("/api/v1/namespaces/{name}/configmaps?resourceVersion=0"),
        format!("/api/v1/namespaces/{name}/secrets?resourceVersion=0"),
        format!("/api/v1/namespaces/{name}/serviceaccounts?resourceVersion=0"),
        "/api/v1/services?resourceVersion=0".to_owned(),
        format!("/api/v1/nodes?resourceVersion=0&fieldSelector=metadata.name%3D{name}"),
        format!("/api/v1/pods?resourceVersion=0&fieldSelector=spec.nodeName%3D{name}"),
    ];
    for path in &paths {
        assert_eq!(hub.node().get(path).await.unwrap().0, 200, "{path}");
    }
    let told = |what: &str| {
        let log = hub.process.log();
        let lines = log.lines().filter(|line| line.contains(what));
        let scopes = lines.map(|line| {
            line.split("scope=\"")
                .nth(1)
                .unwrap()
                .split([' ', '"'])
                .next()
                .unwrap()
                .to_owned()
        });
        scopes.collect::<Vec<_>>()
    };
    hub.cut().await;
    wait_for("all scopes to wait", SOON, async || {
        told("waiting for the cloud").len() >= paths.len()
    })
    .await;
    hub.join().await;
    let resumed = wait_for("all scopes to be resumed", SOON, async || {
        let resumed = told(": resuming ");
        (resumed.len() >= paths.len()).then_some(resumed)
    })
    .await;
    assert_eq!(resumed[..2], ["pods", "nodes"], "{resumed:?}");
}
