//! Key sets and issuers: what an apiserver serves, and what it never would.

#[path = "../fuzz/signer.rs"]
mod signer;

use serde_json::{Value, json};
use signer::{Signer, key_set};
use yurthub_token::{
    BadIssuer, BadKeySet, Expectations, Issuer, KeySet, MAX_KEYS, MAX_SIZE, Refusal, verify,
};

/// What kube-apiserver 1.34 served for a key on P-256 and the RSA key of RFC 7515, byte for byte.
const SERVED: &[u8] = include_bytes!("fixtures/jwks.json");

fn parse(document: &Value) -> Result<KeySet, BadKeySet> {
    KeySet::parse(document.to_string().as_bytes())
}

fn usable(keys: &KeySet) -> Vec<(Option<&str>, bool)> {
    keys.keys().collect()
}

#[test]
fn a_set_is_the_same_after_it_was_kept() {
    let keys = key_set(&[Signer::rsa("a").jwk(), Signer::p256("b").jwk()]);
    let kept = KeySet::parse(keys.as_bytes()).unwrap();
    assert_eq!(kept, keys);
    assert_eq!(usable(&kept), [(Some("a"), true), (Some("b"), true)]);
    assert!(kept.contains("a") && kept.contains("b") && !kept.contains("c") && !kept.contains(""));
    assert_ne!(kept, key_set(&[Signer::rsa("a").jwk()]));
}

#[test]
fn keys_are_read_as_an_apiserver_serves_them() {
    let keys = KeySet::parse(SERVED).unwrap();
    let [p256, rsa] = [
        "ARXFT0blfx0MSIgAGN9u_a_DMYL6fQUqqPHnxo58eF8",
        "b9E8JDWjYefFiM0X9V9a098Bd6ZsFyemogCEX016uIw",
    ];
    assert_eq!(usable(&keys), [(Some(p256), true), (Some(rsa), true)]);
    assert_eq!(keys.as_bytes(), SERVED);

    let issuer = ["https://issuer".to_owned()];
    let expect = Expectations {
        issuers: &issuer,
        audiences: &issuer,
        node: "edge-1",
        now: 0,
        offline_since: None,
    };
    let token = Signer::rsa(rsa).token(&json!({"iss": issuer[0]}));
    assert_eq!(
        verify(&token, &keys, &expect),
        Err(Refusal::WrongAudience),
        "signed well"
    );
}

#[test]
fn keys_that_cannot_be_used_are_known_by_name() {
    let changed = |member: &str, value: Value| {
        let mut jwk = Signer::p256("k").jwk();
        jwk[member] = value;
        jwk
    };
    let rsa = |member: &str, value: Value| {
        let mut jwk = Signer::rsa("k").jwk();
        jwk[member] = value;
        jwk
    };
    // RFC 7515, appendix A.4.
    let p521 = json!({"kty": "EC", "crv": "P-521", "kid": "k", "alg": "ES512", "use": "sig",
        "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
        "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"});
    for jwk in [
        p521,
        json!({"kty": "oct", "kid": "k", "k": "c2VjcmV0"}),
        json!({"kty": "OKP", "kid": "k", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
        changed("use", json!("enc")),
        changed("key_ops", json!(["sign"])),
        changed("alg", json!("ES384")),
        changed("alg", json!("ECDH-ES")),
        changed("kty", json!("RSA")),
        changed("crv", json!("P-384")),
        changed("x", json!("AA")),
        changed("x", json!("not base64url!")),
        changed("y", Value::Null),
        changed("y", json!(["a"])),
        rsa("alg", json!("RS512")),
        rsa("n", json!("AQAB")),
        rsa("n", json!("")),
        rsa("n", json!("A".repeat(1024 * 4 / 3 + 4).replacen('A', "_", 1))),
        rsa("e", json!("AAAA")),
        json!({"kid": "k"}),
    ] {
        let keys = key_set(std::slice::from_ref(&jwk));
        assert_eq!(usable(&keys), [(Some("k"), false)], "{jwk}");
        assert!(keys.contains("k"));
    }
    for jwk in [
        changed("use", Value::Null),
        changed("alg", Value::Null),
        changed("key_ops", json!(["verify"])),
        changed("x5t", json!("later")),
        rsa(
            "n",
            json!(format!("AAAA{}", Signer::rsa("").jwk()["n"].as_str().unwrap())),
        ),
    ] {
        assert_eq!(
            usable(&key_set(std::slice::from_ref(&jwk))),
            [(Some("k"), true)],
            "{jwk}"
        );
    }
}

#[test]
fn what_is_no_key_set_has_its_reason() {
    let many = |count: usize| json!({"keys": vec![json!({"kty": "oct"}); count]});
    for (document, reason) in [
        (json!({"keys": []}), BadKeySet::Empty),
        (json!({}), BadKeySet::Malformed),
        (json!([]), BadKeySet::Malformed),
        (json!({"keys": {}}), BadKeySet::Malformed),
        (json!({"keys": ["key"]}), BadKeySet::Malformed),
        (json!({"keys": [null]}), BadKeySet::Malformed),
        (json!({"kind": "Status", "code": 403}), BadKeySet::Malformed),
        (many(MAX_KEYS + 1), BadKeySet::TooMany { keys: MAX_KEYS + 1 }),
    ] {
        assert_eq!(parse(&document), Err(reason), "{document:.60}");
    }
    assert_eq!(usable(&parse(&many(MAX_KEYS)).unwrap()).len(), MAX_KEYS);
    assert_eq!(KeySet::parse(b"<html>"), Err(BadKeySet::Malformed));
    assert_eq!(KeySet::parse(b""), Err(BadKeySet::Malformed));
    let long = vec![b' '; MAX_SIZE + 1];
    assert_eq!(
        KeySet::parse(&long),
        Err(BadKeySet::TooLong { bytes: MAX_SIZE + 1 })
    );
    let message = BadKeySet::Malformed.to_string();
    assert_eq!(
        message,
        r#"read key set: it is not JSON of the form {"keys": [{…}]}; was it fetched from /openid/v1/jwks?"#
    );
}

#[test]
fn an_issuer_is_read_or_refused() {
    let document = json!({
        "issuer": "https://kubernetes.default.svc.cluster.local",
        "jwks_uri": "https://10.99.0.10:6443/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    let issuer = Issuer::parse(document.to_string().as_bytes()).unwrap();
    assert_eq!(issuer.issuer, "https://kubernetes.default.svc.cluster.local");
    assert_eq!(issuer.jwks_uri, "https://10.99.0.10:6443/openid/v1/jwks");
    assert_eq!(issuer.algorithms, ["RS256"]);
    for bad in [
        r#"{"issuer":"https://a"}"#,
        r#"{"issuer":"","jwks_uri":"https://a"}"#,
        "{}",
        "",
    ] {
        assert_eq!(Issuer::parse(bad.as_bytes()), Err(BadIssuer::Malformed), "{bad}");
    }
    assert_eq!(
        Issuer::parse(&vec![b' '; 1 << 20]),
        Err(BadIssuer::TooLong { bytes: 1 << 20 })
    );
}
