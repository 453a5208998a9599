//! The same question to the apiserver and to the hub gets the same answer, byte for byte.
//!
//! Left out of the comparison: the version of a list itself, which moves with everything in the cluster, and
//! bookmarks in the middle of a watch, which each server sends in its own time.

use http::header::ACCEPT;
use http::{HeaderValue, Method};
use serde_json::json;
use yurt_testkit::api::Raw;
use yurt_testkit::objects::{config_map, pod};
use yurt_testkit::parity::Answer;
use yurt_testkit::{Api, wait_for};

use crate::hub::{Hub, JSON, PROTOBUF, SOON, header, may_do_everything, server};

mod errors;
mod metadata;
mod watches;

const EITHER: &str = "application/vnd.kubernetes.protobuf,application/json";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str =
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

async fn ask(api: &Api, request: Raw) -> Answer {
    let reply = api.send(request).await.unwrap();
    Answer::whole(reply.status, header(&reply, "content-type"), &reply.body)
}

/// Asks both until they agree: objects of the cluster may change between the two questions.
async fn differences(hub: &Hub<'_>, requests: &[Raw]) -> Vec<String> {
    let (direct, over_hub) = (hub.direct(), hub.node());
    let mut found = Vec::new();
    for request in requests {
        let mut last = None;
        for _ in 0..5 {
            let expected = ask(&direct, request.clone()).await;
            let given = ask(&over_hub, request.clone()).await;
            last =
                (expected != given).then(|| format!("{request:?}\n  cloud {expected:?}\n  hub   {given:?}"));
            if last.is_none() {
                break;
            }
        }
        found.extend(last);
    }
    found
}

async fn assert_same(hub: &Hub<'_>, requests: &[Raw]) {
    let found = differences(hub, requests).await;
    assert!(
        found.is_empty(),
        "{} of {} differ:\n{}",
        found.len(),
        requests.len(),
        found.join("\n")
    );
}

async fn with_objects(name: &str) -> Hub<'static> {
    let hub = Hub::start(server().await, name).await;
    may_do_everything(&hub).await;
    for index in 0..12 {
        let object = config_map(&format!("conf-{index:02}"))
            .in_namespace(name)
            .label("parity", if index % 2 == 0 { "even" } else { "odd" })
            .label("test", name)
            .data("key", &"äß\"<>&\u{2028}".repeat(index));
        object.create(hub.server.admin()).await.unwrap();
    }
    hub
}

async fn version_of(api: &Api, path: &str) -> u64 {
    let (status, list) = api.get(path).await.unwrap();
    assert_eq!(status, 200, "{list}");
    list["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn lists_and_gets_are_the_apiservers() {
    let hub = with_objects("parity").await;
    let maps = "/api/v1/namespaces/parity/configmaps";
    let first = version_of(&hub.direct(), maps).await;
    let mut requests = Vec::new();
    for accept in [
        JSON,
        PROTOBUF,
        EITHER,
        TABLE,
        METADATA,
        METADATA_LIST,
        "*/*",
        "application/yaml",
    ] {
        for path in [
            maps.to_owned(),
            format!("{maps}?resourceVersion=0"),
            format!("{maps}?resourceVersion=0&limit=3"),
            format!("{maps}?resourceVersion={first}"),
            format!("{maps}?resourceVersion={first}&resourceVersionMatch=NotOlderThan"),
            format!("{maps}?resourceVersion={first}&resourceVersionMatch=Exact"),
            format!("{maps}?resourceVersion=1&resourceVersionMatch=NotOlderThan"),
            format!("{maps}?labelSelector=parity%3Deven&resourceVersion=0"),
            format!("{maps}?labelSelector=parity+in+(odd,none),test&resourceVersion=0"),
            format!("{maps}?labelSelector=parity%21%3Deven"),
            format!("{maps}?fieldSelector=metadata.name%3Dconf-03&resourceVersion=0"),
            format!("{maps}?fieldSelector=metadata.name%21%3Dconf-03&resourceVersion=0"),
            format!("{maps}?labelSelector=parity%3Dnone&resourceVersion=0"),
            format!("{maps}?pretty=true"),
            format!("{maps}?resourceVersion=0&pretty=true"),
            format!("{maps}/conf-05"),
            format!("{maps}/conf-05?resourceVersion=0"),
            format!("{maps}/conf-05?resourceVersion={first}"),
            format!("{maps}/conf-05?pretty=1"),
            "/api/v1/configmaps?labelSelector=test%3Dparity&resourceVersion=0".to_owned(),
        ] {
            requests.push(Raw::new(Method::GET, path).header(ACCEPT, HeaderValue::from_static(accept)));
        }
    }
    assert_same(&hub, &requests).await;
}

#[tokio::test]
async fn a_list_of_a_mirrored_scope_is_the_apiservers_after_changes() {
    let hub = with_objects("changed").await;
    let admin = hub.server.admin();
    let maps = "/api/v1/namespaces/changed/configmaps";
    let requests: Vec<Raw> = [JSON, PROTOBUF]
        .map(|accept| Raw::get(format!("{maps}?resourceVersion=0"), accept))
        .into();
    assert_same(&hub, &requests).await;
    for index in 0..12 {
        let path = format!("{maps}/conf-{index:02}");
        if index % 3 == 0 {
            admin.delete(&path).await.unwrap();
        } else {
            admin
                .patch(&path, json!({ "data": { "key": index.to_string() } }))
                .await
                .unwrap();
        }
        let new = config_map(&format!("new-{index:02}"))
            .in_namespace("changed")
            .data("key", "new");
        new.create(admin).await.unwrap();
    }
    wait_for("the mirror to follow", SOON, async || {
        let found = differences(&hub, &requests).await;
        if found.is_empty() {
            Ok(())
        } else {
            Err(found.join("\n"))
        }
    })
    .await;
}

#[tokio::test]
async fn pages_are_the_apiservers() {
    let hub = with_objects("paged").await;
    let maps = "/api/v1/namespaces/paged/configmaps";
    for accept in [JSON, PROTOBUF] {
        let mut token = String::new();
        let mut pages = 0;
        while pages == 0 || !token.is_empty() {
            let path = format!("{maps}?limit=5&continue={token}");
            let expected = hub.direct().send(Raw::get(path.clone(), accept)).await.unwrap();
            let given = hub.node().send(Raw::get(path, accept)).await.unwrap();
            assert_eq!(given.status, 200);
            if token.is_empty() {
                // Each first page is of a version of its own, which is in its token.
                assert_eq!(given.body.len(), expected.body.len(), "{accept}");
            } else {
                assert_eq!(given.body, expected.body, "{accept}");
            }
            let encoding = if accept == JSON {
                yurthub_object::Encoding::Json
            } else {
                yurthub_object::Encoding::Protobuf
            };
            token = yurthub_object::list::decode(encoding, &given.body)
                .unwrap()
                .continue_token;
            pages += 1;
        }
        assert_eq!(pages, 3, "{accept}");
    }
}

#[tokio::test]
async fn discovery_is_the_apiservers() {
    let hub = Hub::start(server().await, "explorer").await;
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let mut requests = Vec::new();
    for accept in [JSON, PROTOBUF, aggregated] {
        for path in [
            "/api",
            "/apis",
            "/api/v1",
            "/apis/apps",
            "/apis/apps/v1",
            "/version",
        ] {
            requests.push(Raw::get(path, accept));
        }
    }
    requests.push(Raw::get("/openapi/v3", JSON));
    requests.push(Raw::get("/openapi/v3/api/v1", JSON));
    requests.push(Raw::get("/healthz", "*/*"));
    requests.push(Raw::get("/readyz", "*/*"));
    assert_same(&hub, &requests).await;
}

/// As kubectl and client-go ask, on a node where nobody ever did.
#[tokio::test]
async fn discovery_is_there_offline_though_nobody_asked_before() {
    let hub = Hub::start(server().await, "ahead").await;
    let kubectl = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
        application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    // Other tests add groups meanwhile, so that only the version is compared as a whole.
    let questions = [
        ("/version?timeout=32s", "application/json, */*", "gitVersion"),
        ("/api?timeout=32s", kubectl, "\"v1\""),
        ("/apis?timeout=32s", kubectl, "\"coordination.k8s.io\""),
        ("/api", JSON, "\"v1\""),
        ("/apis", JSON, "\"coordination.k8s.io\""),
    ];
    let get = |path, accept| Raw::new(Method::GET, path).header(ACCEPT, HeaderValue::from_static(accept));
    wait_for("discovery to be read", SOON, async || {
        hub.process.log_tail(500).contains("discovery is kept")
    })
    .await;
    let mut expected = Vec::new();
    for (path, accept, _) in questions {
        expected.push(ask(&hub.direct(), get(path, accept)).await);
    }
    let bytes: usize = expected.iter().map(|answer| answer.parts[0].len()).sum();
    println!("discovery of the test's apiserver: {bytes} bytes");
    hub.cut().await;
    for ((path, accept, known), expected) in questions.into_iter().zip(expected) {
        let given = ask(&hub.node(), get(path, accept)).await;
        let heads = [&given, &expected].map(|answer| (answer.status, answer.content_type.clone()));
        assert_eq!((heads[0].0, &heads[0]), (200, &heads[1]), "{path}");
        let text = String::from_utf8_lossy(&given.parts[0]);
        assert!(text.contains(known), "{path} {given:?}");
        assert!(!path.starts_with("/version") || given == expected, "{given:?}");
    }
}

/// A custom resource with three objects in `namespace`. Returns the path of their list.
async fn create_lamps(admin: &Api, namespace: &str, group: &str) -> String {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("lamps.{group}") },
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": { "plural": "lamps", "singular": "lamp", "kind": "Lamp" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } }],
        },
    });
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    assert_eq!(admin.post(crds, crd).await.unwrap().0, 201);
    let lamps = format!("/apis/{group}/v1/namespaces/{namespace}/lamps");
    for index in 0..3 {
        let lamp = json!({
            "apiVersion": format!("{group}/v1"), "kind": "Lamp",
            "metadata": { "name": format!("lamp-{index}") }, "spec": { "ä": [1.5, 1e300, null, "<"], "b": {} },
        });
        wait_for("the resource to be served", SOON, async || {
            let answer = admin.post(&lamps, lamp.clone()).await.unwrap();
            if answer.0 == 201 { Ok(()) } else { Err(answer) }
        })
        .await;
    }
    lamps
}

#[tokio::test]
async fn custom_resources_are_the_apiservers() {
    let hub = Hub::start(server().await, "custom").await;
    may_do_everything(&hub).await;
    let lamps = create_lamps(hub.server.admin(), "custom", "parity.example.com").await;
    let requests: Vec<Raw> = [JSON, EITHER, TABLE]
        .into_iter()
        .flat_map(|accept| {
            [
                lamps.clone(),
                format!("{lamps}?resourceVersion=0"),
                format!("{lamps}/lamp-1"),
                format!("{lamps}/lamp-1?resourceVersion=0"),
                format!("{lamps}?fieldSelector=metadata.name%3Dlamp-1&resourceVersion=0"),
                format!("{lamps}/none?resourceVersion=0"),
            ]
            .map(|path| Raw::get(path, accept))
        })
        .collect();
    assert_same(&hub, &requests).await;
    let without_json: Vec<Raw> = [
        lamps.clone(),
        format!("{lamps}?resourceVersion=0"),
        format!("{lamps}?resourceVersion=0&watch=true&timeoutSeconds=1"),
        format!("{lamps}/lamp-1"),
    ]
    .into_iter()
    .map(|path| Raw::get(path, PROTOBUF))
    .collect();
    assert_same(&hub, &without_json).await;
    let reply = hub.node().send(without_json[1].clone()).await.unwrap();
    assert_eq!(reply.status, 406, "custom resources have no protobuf: {reply:?}");
}

#[tokio::test]
async fn writes_go_through_as_they_are() {
    let hub = Hub::start(server().await, "writer").await;
    may_do_everything(&hub).await;
    let node = hub.node();
    let map = config_map("made").in_namespace("writer").data("a", "1");
    let made = map.create(&node).await.unwrap();
    assert_eq!(made["data"]["a"], "1");
    let (status, again) = node
        .post(&map.collection(), map.clone().into_value())
        .await
        .unwrap();
    assert_eq!((status, &again["reason"]), (409, &json!("AlreadyExists")));
    let (status, patched) = node
        .patch(&map.path(), json!({ "data": { "a": "2" } }))
        .await
        .unwrap();
    assert_eq!((status, &patched["data"]["a"]), (200, &json!("2")));
    let mut stale = made.clone();
    stale["data"]["a"] = "3".into();
    let (status, conflict) = node.put(&map.path(), stale).await.unwrap();
    assert_eq!((status, &conflict["reason"]), (409, &json!("Conflict")));
    assert_eq!(node.delete(&map.path()).await.unwrap().0, 200);
    assert_eq!(node.get(&map.path()).await.unwrap().0, 404);
    let pod = pod("quick").in_namespace("writer").on("writer");
    pod.create(hub.server.admin()).await.unwrap();
    let status = json!({ "status": { "phase": "Running" } });
    let request = crate::hub::patch(&format!("{}/status", pod.path()), crate::hub::STRATEGIC, &status);
    assert_eq!(node.send(request).await.unwrap().status, 200);
    assert_eq!(
        hub.direct().get(&pod.path()).await.unwrap().1["status"]["phase"],
        "Running"
    );
}

fn encoding(accept: &str) -> yurthub_object::Encoding {
    if accept == JSON {
        yurthub_object::Encoding::Json
    } else {
        yurthub_object::Encoding::Protobuf
    }
}
