//! Metadata alone, derived here while the cloud is away, is what the apiserver would have sent.

use http::header::ACCEPT;
use http::{HeaderValue, Method};
use serde_json::json;
use yurt_testkit::Api;
use yurt_testkit::api::Raw;
use yurt_testkit::objects::config_map;
use yurt_testkit::parity::Answer;

use super::watches::whole_watch;
use super::{ask, assert_same, create_lamps, version_of, with_objects};
use crate::hub::{JSON, PROTOBUF, SOON};

/// For an object and a watch, and for a list: the apiserver tells them apart.
type Forms = [&'static str; 2];

const PARTIAL: Forms = [
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
];
/// What client-go's metadata client accepts.
const CLIENT_GO: Forms = [
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,\
     application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,\
     application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
];
const BETA: Forms = [
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1",
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1beta1",
];

fn get(path: impl Into<String>, accept: &'static str) -> Raw {
    Raw::new(Method::GET, path).header(ACCEPT, HeaderValue::from_static(accept))
}

async fn watched(api: &Api, path: &str, accept: &'static str) -> Answer {
    let (status, content_type, body) = whole_watch(api, path, accept).await;
    Answer::watch(status, &content_type, &body.into())
}

#[tokio::test]
async fn metadata_alone_is_derived_offline_as_by_the_apiserver() {
    let hub = with_objects("partial").await;
    let admin = hub.server.admin();
    let maps = "/api/v1/namespaces/partial/configmaps";
    let lamps = create_lamps(admin, "partial", "partial.example.com").await;
    let whole: Vec<Raw> = [(maps, JSON), (maps, PROTOBUF), (&lamps, JSON)]
        .map(|(path, accept)| Raw::get(format!("{path}?resourceVersion=0"), accept))
        .into();
    assert_same(&hub, &whole).await;
    let from = version_of(&hub.direct(), maps).await;
    let owned = json!({ "metadata": {
        "labels": { "new": "yes" }, "annotations": { "a": "<&>" }, "finalizers": ["example.com/wait"],
        "ownerReferences": [{ "apiVersion": "v1", "kind": "ConfigMap", "name": "conf-00", "uid": "1-2", "controller": true }],
    } });
    for path in [format!("{maps}/conf-01"), format!("{lamps}/lamp-1")] {
        assert_eq!(admin.patch(&path, owned.clone()).await.unwrap().0, 200);
    }
    config_map("new")
        .in_namespace("partial")
        .create(admin)
        .await
        .unwrap();
    admin.delete(&format!("{maps}/conf-02")).await.unwrap();
    yurt_testkit::wait_for("the mirror to follow", SOON, async || {
        let found = super::differences(&hub, &whole).await;
        if found.is_empty() {
            Ok(())
        } else {
            Err(found.join("\n"))
        }
    })
    .await;
    let initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let lists = |path: &str| {
        [
            path.to_owned(),
            format!("{path}?resourceVersion=0"),
            format!("{path}?labelSelector=new"),
        ]
    };
    let streams = |path: &str| {
        [
            format!("resourceVersion={from}"),
            "resourceVersion=0".into(),
            initial.into(),
        ]
        .map(|query| format!("{path}?watch=true&timeoutSeconds=1&{query}"))
    };
    let mut expected = Vec::new();
    for (path, name, accepts) in [
        (maps, "conf-01", &[PARTIAL, CLIENT_GO, BETA][..]),
        (&lamps, "lamp-1", &[PARTIAL, BETA]),
    ] {
        for [of_object, of_list] in accepts {
            for path in lists(path) {
                let answer = ask(&hub.direct(), get(path.clone(), of_list)).await;
                expected.push((path, *of_list, answer));
            }
            let object = format!("{path}/{name}");
            let answer = ask(&hub.direct(), get(object.clone(), of_object)).await;
            expected.push((object, *of_object, answer));
            for path in streams(path) {
                let answer = watched(&hub.direct(), &path, of_object).await;
                expected.push((path, *of_object, answer));
            }
        }
    }
    hub.cut().await;
    let mut failures = Vec::new();
    for (path, accept, expected) in expected {
        let given = if path.contains("watch=true") {
            watched(&hub.node(), &path, accept).await
        } else {
            ask(&hub.node(), get(path.clone(), accept)).await
        };
        if given != expected {
            failures.push(format!(
                "{path} {accept}\n  cloud {expected:?}\n  hub   {given:?}"
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let absent = hub
        .node()
        .send(get(format!("{maps}/none"), PARTIAL[0]))
        .await
        .unwrap();
    assert_eq!(absent.status, 404);
    let unknown = hub.node().send(get("/api/v1/secrets", PARTIAL[1])).await.unwrap();
    assert_eq!(unknown.status, 503, "nobody follows them");
}
