//! Who may speak through the hub, and as whom.

use serde_json::json;
use yurt_testkit::api::Raw;
use yurt_testkit::ca::{Authority, Leaf};
use yurt_testkit::objects::{pod, secret};
use yurt_testkit::scratch::Scratch;
use yurt_testkit::{Api, wait_for};

use crate::hub::{Hub, JSON, PROTOBUF, SOON, header, json as body, server};

/// One path of every kind.
const PATHS: [&str; 8] = [
    "/api/v1/nodes",
    "/api/v1/nodes?watch=true",
    "/api/v1/namespaces/default/pods/x/log",
    "/apis",
    "/version",
    "/healthz",
    "/metrics",
    "/nothing/of/the/kind",
];

async fn who_am_i(api: &Api) -> String {
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let (status, answer) = api
        .post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
        .await
        .unwrap();
    assert_eq!(status, 201, "{answer}");
    answer["status"]["userInfo"]["username"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn token(hub: &Hub<'_>) -> String {
    let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/default/token", hub.name);
    let (status, answer) = hub.server.admin().post(&path, request).await.unwrap();
    assert_eq!(status, 201, "{answer}");
    answer["status"]["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_proves_nothing_gets_401_on_every_kind_of_path() {
    let hub = Hub::start(server().await, "nobody").await;
    let nobody = hub.api(None);
    for path in PATHS {
        let reply = nobody.send(Raw::get(path, JSON)).await.unwrap();
        assert_eq!(reply.status, 401, "{path}: {reply:?}");
        assert_eq!(body(&reply)["reason"], "Unauthorized", "{path}");
    }
    for (name, value) in [
        ("authorization", "Basic YTpi"),
        ("x-remote-user", "system:node:nobody"),
        ("user-agent", "kubelet/v1.34.0"),
    ] {
        let client = nobody
            .with_header(name.parse().unwrap(), value.parse().unwrap())
            .unwrap();
        assert_eq!(
            client.get("/api/v1/nodes").await.unwrap().0,
            401,
            "{name}: {value}"
        );
    }
}

#[tokio::test]
async fn the_nodes_own_certificate_is_the_node() {
    let hub = Hub::start(server().await, "itself").await;
    assert_eq!(who_am_i(&hub.node()).await, "system:node:itself");
    assert_eq!(hub.node().get("/api/v1/nodes/itself").await.unwrap().0, 200);
    let with_token = hub.node().with_token(&token(&hub).await).unwrap();
    assert_eq!(
        who_am_i(&with_token).await,
        "system:node:itself",
        "the certificate goes first, as in the apiserver"
    );
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_refused_with_a_message_that_says_what_to_do() {
    let hub = Hub::start(server().await, "mine").await;
    let authority = hub.server.authority();
    let strangers = [
        ("system:node:theirs", authority.node_cert("theirs").unwrap()),
        ("kubernetes-admin", authority.admin_cert().unwrap()),
        (
            "system:node:mine",
            authority.issue(&Leaf::new("system:node:mine")).unwrap(),
        ),
    ];
    for (subject, stranger) in strangers {
        for path in PATHS {
            let reply = hub.api(Some(&stranger)).send(Raw::get(path, JSON)).await.unwrap();
            let status = body(&reply);
            assert_eq!(
                (reply.status, &status["reason"]),
                (403, &json!("Forbidden")),
                "{path}"
            );
            let message = status["message"].as_str().unwrap();
            assert!(
                message.contains(subject) && message.contains("bearer token"),
                "{message}"
            );
        }
    }
}

#[tokio::test]
async fn certificates_of_a_foreign_ca_and_expired_ones_fail_in_the_handshake() {
    let hub = Hub::start(server().await, "strict").await;
    hub.cloud_is(true).await;
    let foreign = Authority::new("kubernetes").unwrap().node_cert("strict").unwrap();
    let expired = Leaf::node("strict").expired();
    let expired = hub.server.authority().issue(&expired).unwrap();
    for (what, identity, reason) in [
        ("foreign", foreign, "BadSignature"),
        ("expired", expired, "xpired"),
    ] {
        let answer = hub.api(Some(&identity)).get("/api/v1/nodes/strict").await;
        assert!(answer.is_err(), "{what}: {answer:?}");
        wait_for("the reason in the log", SOON, async || {
            let log = hub.process.log();
            let mut lines = log.lines().filter(|line| line.contains("TLS handshake failed"));
            if lines.any(|line| line.contains(reason)) {
                Ok(())
            } else {
                Err(log)
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_bearer_of_a_token_is_never_the_node_not_even_on_the_same_connection() {
    let hub = Hub::start(server().await, "bearer").await;
    let admin = hub.server.admin();
    let mine = secret("mine").in_namespace("bearer").data("a", "1");
    mine.create(admin).await.unwrap();
    let web = pod("web")
        .in_namespace("bearer")
        .on("bearer")
        .mounting_secret("mine");
    web.create(admin).await.unwrap();
    let path = mine.path();
    wait_for("the node to be allowed to read its secret", SOON, async || {
        hub.node().get(&path).await.unwrap().0 == 200
    })
    .await;
    let watched = "/api/v1/namespaces/bearer/secrets?fieldSelector=metadata.name%3Dmine&resourceVersion=0";
    assert_eq!(hub.node().get(watched).await.unwrap().0, 200);

    let bearer = hub.api(None).with_token(&token(&hub).await).unwrap();
    assert_eq!(who_am_i(&bearer).await, "system:serviceaccount:bearer:default");
    for path in [
        &*path,
        watched,
        "/api/v1/secrets",
        "/api/v1/nodes/bearer?resourceVersion=0",
    ] {
        assert_eq!(bearer.get(path).await.unwrap().0, 403, "{path}");
    }

    // One connection for all that follows: nothing but the header tells them apart.
    let nobody = hub.api(None);
    let value = || format!("Bearer {}", "not.a.token").parse().unwrap();
    let wrong = Raw::get("/api", JSON).header(http::header::AUTHORIZATION, value());
    assert_eq!(nobody.send(wrong).await.unwrap().status, 401);
    let right = format!("Bearer {}", token(&hub).await).parse().unwrap();
    let right = Raw::get("/api", JSON).header(http::header::AUTHORIZATION, right);
    assert_eq!(nobody.send(right).await.unwrap().status, 200);
    assert_eq!(
        nobody.get("/api").await.unwrap().0,
        401,
        "nothing is left of the token"
    );
}

#[tokio::test]
async fn bearers_and_nodes_that_share_the_way_upstream_stay_themselves() {
    let hub = Hub::start(server().await, "mixed").await;
    let bearer = hub.api(None).with_token(&token(&hub).await).unwrap();
    let node = hub.node();
    for _ in 0..20 {
        let (one, other) = tokio::join!(who_am_i(&bearer), who_am_i(&node));
        assert_eq!(
            (&*one, &*other),
            ("system:serviceaccount:mixed:default", "system:node:mixed")
        );
    }
}

#[tokio::test]
async fn a_bearer_never_reads_the_mirror_while_the_cloud_is_away() {
    let hub = Hub::start(server().await, "away").await;
    let token = token(&hub).await;
    let bearer = hub.api(None).with_token(&token).unwrap();
    let paths = [
        "/api/v1/nodes?fieldSelector=metadata.name%3Daway&resourceVersion=0",
        "/api/v1/nodes/away",
        "/version",
    ];
    for path in paths {
        assert_eq!(hub.node().get(path).await.unwrap().0, 200, "{path}");
    }
    hub.cut().await;
    for path in paths {
        let mirrored = hub.node().send(Raw::get(path, JSON)).await.unwrap();
        assert_eq!(mirrored.status, 200, "{path}");
        for accept in [JSON, PROTOBUF] {
            let reply = bearer.send(Raw::get(path, accept)).await.unwrap();
            assert_eq!(
                (reply.status, header(&reply, "retry-after")),
                (503, "1"),
                "{path}"
            );
            assert_eq!(header(&reply, "content-type"), accept);
        }
    }
    let unknown = hub
        .node()
        .send(Raw::get("/api/v1/nodes/other", JSON))
        .await
        .unwrap();
    assert_eq!((unknown.status, header(&unknown, "retry-after")), (503, ""));
}

#[tokio::test]
async fn a_certificate_that_ran_out_after_the_cut_is_accepted_until_the_cloud_is_back() {
    let hub = Hub::start(server().await, "tired").await;
    let path = "/api/v1/nodes?fieldSelector=metadata.name%3Dtired&resourceVersion=0";
    assert_eq!(hub.node().get(path).await.unwrap().0, 200);
    hub.cut().await;
    let now = std::time::SystemTime::now();
    let lived = |until| Leaf::node("tired").valid(now - 2 * SOON, until);
    let soon = hub
        .server
        .authority()
        .issue(&lived(now + std::time::Duration::from_secs(2)))
        .unwrap();
    let long_ago = hub
        .server
        .authority()
        .issue(&Leaf::node("tired").expired())
        .unwrap();
    wait_for("the certificate to run out", SOON, async || {
        now.elapsed().unwrap().as_secs() > 3
    })
    .await;
    assert_eq!(hub.api(Some(&soon)).get(path).await.unwrap().0, 200);
    assert!(hub.api(Some(&long_ago)).get(path).await.is_err());
    hub.join().await;
    assert!(hub.api(Some(&soon)).get(path).await.is_err());
}

#[tokio::test]
async fn another_ca_of_client_certificates_is_followed_and_one_that_is_none_is_not() {
    let folder = Scratch::new().unwrap();
    let file = folder.path().join("client-ca.crt");
    // As programs replace files: in one step.
    let replace = |content: &str| {
        std::fs::write(file.with_extension("new"), content).unwrap();
        std::fs::rename(file.with_extension("new"), &file).unwrap();
    };
    let shared = server().await;
    replace(&shared.authority().pem());
    let flag = format!("--client-ca={}", file.display());
    let hub = Hub::start_with(shared, "another-ca", &[&flag]).await;
    let another = Authority::new("another").unwrap();
    let fresh = hub.api(Some(&another.node_cert("another-ca").unwrap()));
    let path = "/api/v1/nodes/another-ca";
    assert_eq!(hub.node().get(path).await.unwrap().0, 200);
    assert!(fresh.get(path).await.is_err(), "nobody has named this CA yet");

    replace("no certificate at all");
    wait_for("the hub to refuse what is no CA", SOON, async || {
        hub.process
            .log()
            .contains("keeping the present CA of client certificates")
    })
    .await;
    assert_eq!(hub.node().get(path).await.unwrap().0, 200);

    replace(&another.pem());
    wait_for("the hub to notice the CA", SOON, async || {
        hub.process.log().contains("CA of client certificates changed")
    })
    .await;
    assert_eq!(fresh.get(path).await.unwrap().0, 200);
    assert!(hub.node().get(path).await.is_err(), "the old CA is gone");
}
