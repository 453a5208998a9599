//! Tokens of each kind of key, each reason for a refusal, and time.

#![expect(clippy::unwrap_used, reason = "a helper that cannot unwrap has failed")]

#[path = "verify/form.rs"]
mod form;
#[path = "verify/signature.rs"]
mod signature;
#[path = "../fuzz/signer.rs"]
mod signer;
#[path = "verify/time.rs"]
mod time;

use serde_json::{Value, json};
use signer::{Signer, encode, key_set};
use yurthub_token::{
    Bound, Claims, Expectations, KeySet, LEEWAY, MAX_KID, MAX_TOKEN, Refusal, Times, Verified, user, verify,
};

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// When the tokens here begin, and when they end.
const FROM: i64 = 1_700_000_000;
const UNTIL: i64 = FROM + 3600;

fn claims() -> Value {
    json!({
        "aud": [ISSUER], "exp": UNTIL, "iat": FROM, "nbf": FROM, "iss": ISSUER,
        "jti": "0b0c3f43-7f0a-4d4f-8c2c-6f7cfc1f1a01",
        "kubernetes.io": {
            "namespace": "shop",
            "node": {"name": "edge-1", "uid": "uid-of-node"},
            "pod": {"name": "till-0", "uid": "uid-of-pod"},
            "serviceaccount": {"name": "till", "uid": "uid-of-account"},
            "warnafter": FROM + 3607,
        },
        "sub": "system:serviceaccount:shop:till",
    })
}

/// The claims with one changed, by JSON pointer; `null` takes it away.
fn with(pointer: &str, value: Value) -> Value {
    let mut claims = claims();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = claims.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(name).unwrap();
    } else {
        parent.insert(name.to_owned(), value);
    }
    claims
}

fn unbound() -> Value {
    let mut claims = with("/kubernetes.io/pod", Value::Null);
    claims["kubernetes.io"].as_object_mut().unwrap().remove("node");
    claims
}

fn verify_at(token: &str, keys: &KeySet, now: i64, offline_since: Option<i64>) -> Result<Verified, Refusal> {
    let expected = [ISSUER.to_owned()];
    verify(
        token,
        keys,
        &Expectations {
            issuers: &expected,
            audiences: &expected,
            node: "edge-1",
            now,
            offline_since,
        },
    )
}

fn refused(token: &str, keys: &KeySet) -> Refusal {
    verify_at(token, keys, FROM, None).unwrap_err()
}

#[test]
fn a_token_of_each_kind_of_key_is_verified() {
    let signers = [Signer::rsa("a"), Signer::p256("b"), Signer::p384("c")];
    let keys = key_set(&signers.each_ref().map(Signer::jwk));
    for signer in &signers {
        let verified = verify_at(&signer.token(&claims()), &keys, FROM, None).unwrap();
        let expected = Claims {
            namespace: "shop".into(),
            service_account: "till".into(),
            service_account_uid: "uid-of-account".into(),
            pod: Some(Bound {
                name: "till-0".into(),
                uid: "uid-of-pod".into(),
            }),
            secret: None,
            node: Some(Bound {
                name: "edge-1".into(),
                uid: "uid-of-node".into(),
            }),
            jti: Some("0b0c3f43-7f0a-4d4f-8c2c-6f7cfc1f1a01".into()),
            audiences: vec![ISSUER.into()],
            expires: UNTIL,
            issued: Some(FROM),
            not_before: Some(FROM),
            warn_after: Some(FROM + 3607),
        };
        assert_eq!(verified.claims, expected, "{}", signer.algorithm());
        assert_eq!(verified.times, Times::Current);

        // Without a key's name all keys are tried.
        let nameless = signer.sign(
            &json!({"alg": signer.algorithm()}),
            claims().to_string().as_bytes(),
        );
        assert_eq!(verify_at(&nameless, &keys, FROM, None), Ok(verified));
    }
}

#[test]
fn a_refusal_shows_nothing_of_the_token() {
    let signer = Signer::p256("k");
    let others = key_set(&[Signer::p256("other").jwk(), Signer::p256("k").jwk()]);
    let own = key_set(&[signer.jwk()]);
    for (token, keys) in [
        (signer.token(&claims()), &others),
        (Signer::p256("unknown").token(&claims()), &own),
        (signer.token(&with("/aud", json!("vault"))), &own),
        (signer.token(&with("/sub", json!("vault"))), &own),
        (signer.token(&claims()).replace('.', "!"), &own),
    ] {
        let refusal = refused(&token, keys);
        let shown = format!("{refusal} {refusal:?}");
        for part in token.split(['.', '!']).chain(["vault", ISSUER, "shop", "till"]) {
            assert!(!shown.contains(part), "{shown}");
        }
    }
    // The one thing out of a token, printed so that it cannot forge lines of a log.
    let refusal = refused(&Signer::p256("a\nb").token(&claims()), &own);
    assert_eq!(
        refusal.to_string(),
        r#"verify token: its key "a\nb" is not among the known keys of the cluster; fetch them anew"#
    );
}

#[test]
fn only_what_the_cloud_would_refuse_too_is_final() {
    let signer = Signer::p256("k");
    let keys = key_set(&[signer.jwk()]);
    let expired = verify_at(&signer.token(&claims()), &keys, 0, Some(UNTIL + LEEWAY + 1)).unwrap_err();
    assert!(expired.is_final());
    assert!(refused(&Signer::p256("k").token(&claims()), &keys).is_final());
    assert!(!refused(&Signer::p256("rotated").token(&claims()), &keys).is_final());
    assert!(!refused("a token of a webhook", &keys).is_final());
    assert!(!refused(&signer.token(&with("/iss", json!("another"))), &keys).is_final());
}

#[test]
fn the_user_has_only_what_the_token_names() {
    let signer = Signer::p256("k");
    let keys = key_set(&[signer.jwk()]);
    let user_of = |claims: &Value| {
        user(
            &verify_at(&signer.token(claims), &keys, FROM, None)
                .unwrap()
                .claims,
        )
    };
    let keys_of = |claims: &Value| user_of(claims).extra.into_keys().collect::<Vec<_>>();
    let key = |name: &str| format!("authentication.kubernetes.io/{name}");
    assert_eq!(
        keys_of(&claims()),
        ["credential-id", "node-name", "node-uid", "pod-name", "pod-uid"].map(key)
    );
    assert_eq!(keys_of(&unbound()), ["credential-id"].map(key));
    assert_eq!(
        keys_of(&with("/kubernetes.io/pod", Value::Null)),
        ["credential-id", "node-name", "node-uid"].map(key)
    );
    assert_eq!(
        keys_of(&with("/kubernetes.io/node/uid", Value::Null)),
        ["credential-id", "node-name", "pod-name", "pod-uid"].map(key)
    );
    assert_eq!(
        keys_of(&with("/jti", Value::Null)),
        ["node-name", "node-uid", "pod-name", "pod-uid"].map(key)
    );
    let user = user_of(&claims());
    assert_eq!(user.username, "system:serviceaccount:shop:till");
    assert_eq!(user.uid, "uid-of-account");
    assert_eq!(
        user.groups,
        [
            "system:serviceaccounts",
            "system:serviceaccounts:shop",
            "system:authenticated"
        ]
    );
}
