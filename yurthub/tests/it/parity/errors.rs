//! What is refused is refused as by the apiserver.

use http::Method;
use yurt_testkit::api::{Raw, Reply};

use super::{TABLE, ask, assert_same, version_of, with_objects};
use crate::hub::{Hub, JSON, PROTOBUF, json, may_do_everything, server};

/// How far the version is from the present one.
const AHEAD: u64 = 1_000_000;

#[tokio::test]
async fn versions_of_the_future_and_of_the_past_are_judged_as_by_the_apiserver() {
    let hub = with_objects("times").await;
    let maps = "/api/v1/namespaces/times/configmaps";
    let future = version_of(&hub.direct(), maps).await + AHEAD;
    let exact = format!("resourceVersion={future}&resourceVersionMatch=Exact");
    for accept in [JSON, PROTOBUF] {
        for path in [
            format!("{maps}?{exact}"),
            format!("{maps}?resourceVersion={future}"),
            format!("{maps}/conf-01?resourceVersion={future}"),
        ] {
            let text = judged_alike(&hub, &Raw::get(path.clone(), accept), future).await;
            assert!(text.contains("ResourceVersionTooLarge"), "{path}: {text}");
        }
    }
    let wrong: Vec<Raw> = ["resourceVersion=x", "resourceVersion=-1", "limit=x"]
        .into_iter()
        .map(|query| Raw::get(format!("{maps}?{query}"), JSON))
        .collect();
    assert_same(&hub, &wrong).await;
}

/// Asks both until they agree: the version that the apiserver had reached may grow by a digit between the two, and with it
/// the lengths in protobuf.
async fn judged_alike(hub: &Hub<'_>, request: &Raw, future: u64) -> String {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let (direct, over_hub) = (hub.direct(), hub.node());
        let (expected, given) = tokio::join!(direct.send(request.clone()), over_hub.send(request.clone()));
        let (expected, given) = (expected.unwrap(), given.unwrap());
        let texts = [&expected, &given].map(|reply| (reply.status, without_present(reply, future)));
        if texts[0] == texts[1] && given.status == 504 {
            return String::from_utf8_lossy(&given.body).into_owned();
        }
        assert!(attempt < 5, "{request:?}: {texts:?}");
    }
}

/// The text of an answer without the version that the apiserver had reached in that moment.
fn without_present(reply: &Reply, future: u64) -> String {
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    let is_present = |number: &str| {
        let number: u64 = number.parse().unwrap_or(u64::MAX);
        (future - AHEAD..future).contains(&number)
    };
    let (mut seen, mut digits) = (String::new(), String::new());
    for letter in text.chars().chain(['\n']) {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        seen.push_str(if is_present(&digits) { "_" } else { &digits });
        digits.clear();
        seen.push(letter);
    }
    seen
}

#[tokio::test]
async fn errors_are_the_apiservers() {
    let hub = with_objects("wrong").await;
    let maps = "/api/v1/namespaces/wrong/configmaps";
    let mut requests = Vec::new();
    for accept in [JSON, PROTOBUF, TABLE] {
        for path in [
            format!("{maps}/none"),
            format!("{maps}/none?resourceVersion=0"),
            "/api/v1/nothings".into(),
            "/api/v1/nothings?resourceVersion=0".into(),
            "/apis/apps/v7/deployments?resourceVersion=0".into(),
            "/nothing".into(),
            "/".into(),
            "/api/v1/namespaces/none/configmaps?resourceVersion=0".into(),
            format!("{maps}?fieldSelector=data.key%3Db&resourceVersion=0"),
            format!("{maps}/%2e%2e"),
            format!("{maps}/a%2fb"),
        ] {
            requests.push(Raw::get(path, accept));
        }
    }
    for (method, path) in [
        (Method::PUT, maps.to_owned()),
        (Method::POST, format!("{maps}/conf-00")),
        (Method::PATCH, maps.to_owned()),
        (Method::DELETE, "/api/v1".into()),
        (Method::POST, "/version".into()),
        (Method::OPTIONS, maps.to_owned()),
        (Method::HEAD, format!("{maps}/conf-00")),
    ] {
        requests.push(Raw::new(method, path));
    }
    requests.push(Raw::new(Method::POST, maps).body("text/plain", "x"));
    requests.push(Raw::new(Method::POST, maps).body(JSON, "{"));
    requests.push(Raw::new(Method::POST, maps).body(PROTOBUF, "k8s\0garbage"));
    requests.push(Raw::new(Method::PATCH, format!("{maps}/conf-00")).body("text/plain", "x"));
    requests
        .push(Raw::new(Method::PATCH, format!("{maps}/conf-00")).body("application/merge-patch+json", "{"));
    let large = "x".repeat((3 << 20) + 1);
    let status = "/api/v1/namespaces/wrong/pods/none/status";
    requests.push(Raw::new(Method::PATCH, status).body(crate::hub::STRATEGIC, large));
    requests.push(Raw::get(maps, "image/png"));
    requests.push(Raw::get(format!("{maps}?resourceVersion=0"), "image/png"));
    assert_same(&hub, &requests).await;
}

#[tokio::test]
async fn requests_that_are_wrong_by_themselves_are_refused_in_the_apiservers_words() {
    let hub = with_objects("senseless").await;
    let maps = "/api/v1/namespaces/senseless/configmaps";
    let mut requests = Vec::new();
    for accept in [JSON, PROTOBUF, TABLE, "application/yaml"] {
        for query in [
            "labelSelector=a%3D%3D%3Db",
            "labelSelector=a%3D%3D%3Db&resourceVersion=0",
            "labelSelector=-a%3Db&resourceVersion=0",
            "fieldSelector=nothing&resourceVersion=0",
            "resourceVersion=x",
            "resourceVersion=-1&watch=true",
            "limit=x",
            "timeout=x",
            "continue=abc&resourceVersion=5",
            "resourceVersionMatch=Exact",
            "resourceVersionMatch=NotOlderThan",
            "resourceVersionMatch=Newest&resourceVersion=0",
            "resourceVersion=0&resourceVersionMatch=Exact",
            "watch=true&sendInitialEvents=true",
            "watch=true&sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=5",
            "watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=0",
            "pretty=true&resourceVersionMatch=Exact",
        ] {
            requests.push(Raw::get(format!("{maps}?{query}"), accept));
        }
        requests.push(Raw::get(
            "/api/v1/namespaces/senseless/pods/x?resourceVersion=x",
            accept,
        ));
        requests.push(Raw::get("/api/v1/watch", accept));
    }
    requests.push(Raw::new(Method::DELETE, format!("{maps}?labelSelector=-a")));
    assert_same(&hub, &requests).await;
    // Without the cloud the code, the reason and the message are the same.
    let mut before = Vec::new();
    for request in &requests[..5] {
        before.push((
            request.clone(),
            json(&hub.node().send(request.clone()).await.unwrap()),
        ));
    }
    hub.cut().await;
    for (request, before) in before {
        let now = json(&hub.node().send(request.clone()).await.unwrap());
        for field in ["code", "reason", "message"] {
            assert_eq!(now[field], before[field], "{request:?}");
        }
    }
}

#[tokio::test]
async fn what_is_denied_or_does_not_exist_is_refused_in_the_apiservers_words() {
    let hub = Hub::start(server().await, "denied").await;
    let requests: Vec<Raw> = [JSON, PROTOBUF]
        .into_iter()
        .flat_map(|accept| {
            [
                "/api/v1/namespaces/denied/secrets?watch=true",
                "/api/v1/namespaces/denied/secrets?resourceVersion=0",
                "/api/v1/nothings?watch=true",
                "/api/v1/nothings?resourceVersion=0",
                "/apis/no.group/v1/things?watch=true",
                "/apis/no.group/v1/things?resourceVersion=0",
                "/api/v1/services?watch=true&fieldSelector=a.b%3Dc",
                "/api/v1/services?resourceVersion=0&fieldSelector=a.b%3Dc",
            ]
            .map(|path| Raw::get(path, accept))
        })
        .collect();
    assert_same(&hub, &requests).await;
    may_do_everything(&hub).await;
    // The groups and resources that do not exist, by one who may read everything.
    assert_same(&hub, &requests[2..6]).await;
    assert_same(&hub, &requests[10..14]).await;
}

/// What this node can say for sure while it is cut off, it says as the apiserver would.
#[tokio::test]
async fn what_is_known_offline_is_told_in_the_apiservers_words() {
    let hub = with_objects("known").await;
    let node = "/api/v1/nodes?fieldSelector=metadata.name%3Dknown&resourceVersion=0";
    let maps = "/api/v1/namespaces/known/configmaps";
    let leases = "/apis/coordination.k8s.io/v1/namespaces/known/leases";
    let mut requests = vec![Raw::new(Method::POST, "/api/v1/nodes").body(
        JSON,
        yurt_testkit::objects::node("known").into_value().to_string(),
    )];
    for accept in [JSON, PROTOBUF] {
        for path in [
            node.to_owned(),
            format!("{maps}?resourceVersion=0"),
            format!("{leases}?resourceVersion=0"),
        ] {
            assert_eq!(hub.node().send(Raw::get(path, accept)).await.unwrap().status, 200);
        }
        requests
            .extend([format!("{maps}/none"), format!("{leases}/none")].map(|path| Raw::get(path, accept)));
    }
    let mut expected = Vec::new();
    for request in &requests {
        expected.push(ask(&hub.direct(), request.clone()).await);
    }
    hub.cut().await;
    for (request, expected) in requests.into_iter().zip(expected) {
        let given = ask(&hub.node(), request.clone()).await;
        assert_eq!(given, expected, "{request:?}");
    }
}

#[tokio::test]
async fn what_the_node_may_not_do_is_refused_in_the_apiservers_words() {
    let hub = Hub::start(server().await, "meek").await;
    let requests: Vec<Raw> = [JSON, PROTOBUF]
        .into_iter()
        .flat_map(|accept| {
            [
                "/api/v1/pods",
                "/api/v1/pods?resourceVersion=0",
                "/api/v1/nodes/other",
                "/api/v1/nodes/other?resourceVersion=0",
                "/api/v1/namespaces/meek/secrets?resourceVersion=0",
                "/api/v1/namespaces/meek/secrets/x",
            ]
            .map(|path| Raw::get(path, accept))
        })
        .collect();
    assert_same(&hub, &requests).await;
}
