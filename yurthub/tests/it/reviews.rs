//! Reviews that the kubelet asks for about its own clients, with and without the cloud.

use http::Method;
use serde_json::{Value, json};
use yurt_testkit::api::Raw;
use yurt_testkit::objects::{ensure_namespace, service_account};
use yurt_testkit::{Api, wait_for};
use yurthub_object::{Encoding, TypeMeta, single, wire};

use crate::hub::{Hub, JSON, PROTOBUF, SOON, server};

const TOKENS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

fn token_review(token: &str) -> Value {
    json!({ "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": { "token": token } })
}

fn access_review(user: &str, verb: &str) -> Value {
    json!({
        "kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "spec": { "user": user, "resourceAttributes": { "verb": verb, "resource": "nodes", "subresource": "proxy" } },
    })
}

async fn ask(api: &Api, path: &str, review: Value) -> (u16, Value) {
    let (code, answer) = api.post(path, review).await.unwrap();
    (code, answer["status"].clone())
}

async fn token(hub: &Hub<'_>) -> String {
    let admin = hub.server.admin();
    ensure_namespace(admin, &hub.name).await.unwrap();
    service_account("metrics")
        .in_namespace(&hub.name)
        .ensure(admin)
        .await
        .unwrap();
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/metrics/token", hub.name);
    let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let (status, answer) = admin.post(&path, request).await.unwrap();
    assert_eq!(status, 201, "{answer}");
    answer["status"]["token"].as_str().unwrap().to_owned()
}

/// A `TokenReview` as the kubelet writes it.
fn in_protobuf(token: &str) -> Raw {
    let (mut spec, mut item) = (Vec::new(), Vec::new());
    wire::put_bytes(&mut spec, 1, token.as_bytes());
    wire::put_bytes(&mut item, 1, b"");
    wire::put_bytes(&mut item, 2, &spec);
    let kind = TypeMeta::new("authentication.k8s.io/v1", "TokenReview");
    let body = single::join(Encoding::Protobuf, &kind, &item.into());
    Raw::new(Method::POST, TOKENS)
        .body(PROTOBUF, body)
        .header(http::header::ACCEPT, http::HeaderValue::from_static(PROTOBUF))
}

#[tokio::test]
async fn the_clouds_last_reviews_stand_while_it_is_away() {
    let mut hub = Hub::start(server().await, "reviewer").await;
    let token = token(&hub).await;
    let node = hub.node();
    let questions = [
        (TOKENS, token_review(&token)),
        (TOKENS, token_review("no-token-of-anybody")),
        (ACCESS, access_review("system:node:reviewer", "get")),
        (ACCESS, access_review("nobody-in-particular", "create")),
    ];
    let mut before = Vec::new();
    for (path, question) in &questions {
        let answer = ask(&node, path, question.clone()).await;
        assert_eq!(answer.0, 201, "{answer:?}");
        before.push(answer);
    }
    assert_eq!(before[0].1["authenticated"], true);
    assert_eq!(before[3].1["allowed"], false);
    let protobuf = node.send(in_protobuf(&token)).await.unwrap();
    assert_eq!(protobuf.status, 201);
    hub.store_is_quiet().await;
    hub.cut().await;
    for restarted in [false, true] {
        if restarted {
            hub.restart().await;
            hub.cloud_is(false).await;
        }
        for ((path, question), before) in questions.iter().zip(&before) {
            let answer = ask(&node, path, question.clone()).await;
            assert_eq!(answer, *before, "restarted: {restarted}");
        }
        let again = node.send(in_protobuf(&token)).await.unwrap();
        assert_eq!(again.status, 201);
        let status = |reply: &yurt_testkit::api::Reply| {
            let (_, item) = single::split(Encoding::Protobuf, &reply.body).unwrap();
            wire::message(&item, &[3]).unwrap().to_vec()
        };
        assert_eq!(status(&again), status(&protobuf));
        for (path, question) in [
            (TOKENS, token_review("another-token")),
            (ACCESS, access_review("system:node:reviewer", "delete")),
        ] {
            assert_eq!(ask(&node, path, question).await.0, 503);
        }
    }
    let stored = std::fs::read_dir(hub.store()).unwrap();
    for file in stored {
        let content = std::fs::read(file.unwrap().path()).unwrap();
        let holds = |text: &str| content.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(
            !holds(&token) && !holds("no-token-of-anybody"),
            "a token is on disk"
        );
        assert!(
            !holds("system:serviceaccount:reviewer:metrics"),
            "a user is readable on disk"
        );
    }
    hub.join().await;
    let (code, _) = ask(&node, ACCESS, access_review("system:node:reviewer", "delete")).await;
    assert_eq!(code, 201);
}

#[tokio::test]
async fn a_review_is_forgotten_when_the_outage_lasts() {
    let hub = Hub::start_with(server().await, "short-memory", &["--authorization-memory=2s"]).await;
    let question = access_review("system:node:short-memory", "get");
    assert_eq!(ask(&hub.node(), ACCESS, question.clone()).await.0, 201);
    hub.cut().await;
    wait_for("the review to be too old", SOON, async || {
        ask(&hub.node(), ACCESS, question.clone()).await.0 == 503
    })
    .await;
}

#[tokio::test]
async fn a_certificate_cannot_be_asked_for_while_the_cloud_is_away() {
    let hub = Hub::start(server().await, "renewing").await;
    hub.cut().await;
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let request = json!({
        "kind": "CertificateSigningRequest", "apiVersion": "certificates.k8s.io/v1",
        "metadata": { "generateName": "csr-" }, "spec": { "signerName": "kubernetes.io/kube-apiserver-client-kubelet" },
    });
    for accept in [JSON, PROTOBUF] {
        let raw = Raw::new(Method::POST, path)
            .body(JSON, request.to_string())
            .header(http::header::ACCEPT, http::HeaderValue::from_static(accept));
        let reply = hub.node().send(raw).await.unwrap();
        assert_eq!(reply.status, 503, "401, 403 and 404 make the kubelet exit");
    }
}
