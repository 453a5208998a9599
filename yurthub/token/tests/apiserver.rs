//! Tokens that a real apiserver issues, judged by the keys that it publishes; and the users that it takes their bearers
//! for, next to ours.

#![expect(clippy::unwrap_used, reason = "helpers of one test")]

#[path = "../fuzz/signer.rs"]
mod signer;

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use yurt_testkit::api::Raw;
use yurt_testkit::{Api, ApiServer, objects};
use yurthub_token::{
    CONFIGURATION_PATH, Expectations, Issuer, JWKS_MEDIA_TYPE, JWKS_PATH, KeySet, Refusal, Times, UserInfo,
    Verified, user, verify,
};

/// What the node knows of its cluster.
struct Known {
    issuer: [String; 1],
    keys: KeySet,
}

impl Known {
    async fn ask(api: &Api) -> Self {
        let issuer = api
            .send(Raw::get(CONFIGURATION_PATH, "application/json"))
            .await
            .unwrap();
        assert_eq!(issuer.status, 200);
        let issuer = Issuer::parse(&issuer.body).unwrap();
        let keys = api.send(Raw::get(JWKS_PATH, JWKS_MEDIA_TYPE)).await.unwrap();
        assert_eq!(keys.status, 200);
        Self {
            issuer: [issuer.issuer],
            keys: KeySet::parse(&keys.body).unwrap(),
        }
    }

    fn verify(&self, token: &str, node: &str) -> Result<Verified, Refusal> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let expect = Expectations {
            issuers: &self.issuer,
            audiences: &self.issuer,
            node,
            now: i64::try_from(now).unwrap(),
            offline_since: None,
        };
        verify(token, &self.keys, &expect)
    }
}

/// A token for the account `default`, with this `spec` of its request.
async fn issue(api: &Api, spec: Value) -> String {
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let (status, answer) = api.post(path, request).await.unwrap();
    assert_eq!(status, 201, "{answer}");
    answer["status"]["token"].as_str().unwrap().to_owned()
}

/// Whom the apiserver takes the bearer of a token for.
async fn reviewed(api: &Api, token: &str) -> UserInfo {
    let review =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let (status, answer) = api
        .post("/apis/authentication.k8s.io/v1/tokenreviews", review)
        .await
        .unwrap();
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["status"]["authenticated"], true, "{answer}");
    let user = &answer["status"]["user"];
    let extra: BTreeMap<_, _> = serde_json::from_value(user["extra"].clone()).unwrap();
    UserInfo {
        username: user["username"].as_str().unwrap().to_owned(),
        uid: user["uid"].as_str().unwrap().to_owned(),
        groups: serde_json::from_value(user["groups"].clone()).unwrap(),
        extra,
    }
}

fn bound_to(kind: &str, object: &Value) -> Value {
    let meta = &object["metadata"];
    json!({"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": meta["name"], "uid": meta["uid"]}})
}

#[tokio::test]
async fn our_verdict_and_our_user_are_those_of_the_apiserver() {
    // A cluster that is changing from a key on P-256, which the kit makes, to one of RSA.
    let folder = tempfile::tempdir().unwrap();
    let rsa_file = folder.path().join("rsa.key");
    std::fs::write(&rsa_file, signer::RSA_PEM).unwrap();
    let also = format!("--service-account-key-file={}", rsa_file.display());
    for algorithm in ["ES256", "RS256"] {
        let mut builder = ApiServer::builder().arg(also.clone());
        if algorithm == "RS256" {
            builder = builder.arg(format!(
                "--service-account-signing-key-file={}",
                rsa_file.display()
            ));
        }
        let server = builder.start().await.unwrap();
        judge_tokens(server.admin(), algorithm).await;
    }
}

async fn judge_tokens(api: &Api, algorithm: &str) {
    let known = Known::ask(api).await;
    assert_eq!(known.keys.keys().filter(|(_, usable)| *usable).count(), 2);
    let node = objects::node("edge-1").create(api).await.unwrap();
    let pod = objects::pod("till")
        .on("edge-1")
        .with("/spec/serviceAccountName", "default");
    let pod = pod.create(api).await.unwrap();
    let secret = objects::secret("drawer").create(api).await.unwrap();

    for (spec, in_a_pod) in [
        (bound_to("Pod", &pod), true),
        (bound_to("Node", &node), false),
        (bound_to("Secret", &secret), false),
        (json!({}), false),
    ] {
        let token = issue(api, spec.clone()).await;
        assert!(token.starts_with(&signer::encode(format!(r#"{{"alg":"{algorithm}""#).as_bytes())[..18]));
        let verified = known.verify(&token, "edge-1").unwrap();
        assert_eq!(verified.times, Times::Current);
        assert_eq!(verified.claims.pod.is_some(), in_a_pod, "{spec}");
        assert_eq!(user(&verified.claims), reviewed(api, &token).await, "{spec}");
    }

    let of_pod = issue(api, bound_to("Pod", &pod)).await;
    assert_eq!(known.verify(&of_pod, "edge-2"), Err(Refusal::WrongNode));
    let for_another = issue(api, json!({"audiences": ["vault"]})).await;
    assert_eq!(known.verify(&for_another, "edge-1"), Err(Refusal::WrongAudience));
}
