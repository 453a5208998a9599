//! Whose signature it is.

use ring::hmac;

use super::*;

#[test]
fn of_several_keys_of_one_name_each_is_tried() {
    let signers = [Signer::p256("same"), Signer::rsa("same"), Signer::p256("same")];
    let keys = key_set(&signers.each_ref().map(Signer::jwk));
    for signer in &signers {
        assert!(verify_at(&signer.token(&claims()), &keys, FROM, None).is_ok());
    }
}

#[test]
fn no_byte_of_a_token_can_be_changed() {
    for signer in [Signer::rsa("k"), Signer::p256("k"), Signer::p384("k")] {
        let keys = key_set(&[signer.jwk()]);
        let token = signer.token(&claims());
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(verify_at(&changed, &keys, FROM, None).is_err(), "byte {at}");
            assert!(verify_at(&token[..at], &keys, FROM, None).is_err(), "{at} bytes");
        }
    }
}

/// A cluster with a key of each kind, named after its kind.
struct Cluster {
    rsa: Signer,
    p256: Signer,
    p384: Signer,
    keys: KeySet,
}

impl Cluster {
    fn new() -> Self {
        let [rsa, p256, p384] = [Signer::rsa("rsa"), Signer::p256("p256"), Signer::p384("p384")];
        let keys = key_set(&[rsa.jwk(), p256.jwk(), p384.jwk()]);
        Self {
            rsa,
            p256,
            p384,
            keys,
        }
    }

    fn refuses(&self, token: &str, reason: &Refusal) {
        assert_eq!(refused(token, &self.keys), *reason, "{token:.60}");
    }
}

fn header(alg: &str, kid: &str) -> Value {
    json!({"alg": alg, "kid": kid})
}

/// Good claims under a header, signed by `signer`.
fn signed(signer: &Signer, header: &Value) -> String {
    signer.sign(header, claims().to_string().as_bytes())
}

/// The same with any signature.
fn with_signature(header: &Value, signature: &[u8]) -> String {
    let parts = [header.to_string(), claims().to_string()].map(|part| encode(part.as_bytes()));
    format!("{}.{}", parts.join("."), encode(signature))
}

#[test]
fn algorithms_that_kubernetes_does_not_sign_with_are_refused() {
    let cluster = Cluster::new();
    for token in [
        with_signature(&json!({"alg": "none"}), b""),
        with_signature(&header("none", "rsa"), b""),
        with_signature(&header("es256", "p256"), b""),
        with_signature(&header("", "p256"), b""),
        // The signatures are good.
        signed(&cluster.rsa, &header("RS512", "rsa")),
        signed(&cluster.rsa, &header("PS256", "rsa")),
    ] {
        cluster.refuses(&token, &Refusal::UnsupportedAlgorithm);
    }
    let p521 = with_signature(&header("ES512", "p521"), &[1; 132]);
    cluster.refuses(&p521, &Refusal::UnsupportedKey);
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let cluster = Cluster::new();
    let header = header("HS256", "rsa");
    let unsigned = with_signature(&header, b"");
    for secret in [cluster.rsa.jwk().to_string(), cluster.rsa.jwk()["n"].to_string()] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = hmac::sign(&key, unsigned.trim_end_matches('.').as_bytes());
        cluster.refuses(
            &with_signature(&header, tag.as_ref()),
            &Refusal::UnsupportedAlgorithm,
        );
    }
}

#[test]
fn an_algorithm_must_be_that_of_its_key() {
    let cluster = Cluster::new();
    for token in [
        signed(&cluster.p256, &header("RS256", "p256")),
        signed(&cluster.rsa, &header("ES256", "rsa")),
        signed(&cluster.p384, &header("ES256", "p384")),
        // Signed well, by another key than the one that is named.
        signed(&cluster.p384, &header("ES384", "rsa")),
    ] {
        cluster.refuses(&token, &Refusal::WrongAlgorithm);
    }
}

#[test]
fn the_named_key_must_have_signed() {
    let cluster = Cluster::new();
    let stranger = Signer::p256("p256");
    for token in [
        stranger.token(&claims()),
        // A key that the token brings along is not looked at.
        signed(
            &stranger,
            &json!({"alg": "ES256", "kid": "p256", "jwk": stranger.jwk()}),
        ),
        // None, one of ASN.1's length, zeros.
        with_signature(&header("ES256", "p256"), b""),
        with_signature(&header("ES256", "p256"), &[0x30; 71]),
        with_signature(&header("ES256", "p256"), &[0; 64]),
        with_signature(&header("ES384", "p384"), &[0; 96]),
        with_signature(&header("RS256", "rsa"), &[0; 256]),
    ] {
        cluster.refuses(&token, &Refusal::BadSignature);
    }
}

#[test]
fn a_key_may_be_one_that_is_not_known_yet() {
    let cluster = Cluster::new();
    let stranger = Signer::p256("unheard of");
    let unknown = |kid: Option<&str>| Refusal::UnknownKey {
        kid: kid.map(str::to_owned),
    };
    cluster.refuses(&stranger.token(&claims()), &unknown(Some("unheard of")));
    cluster.refuses(&signed(&stranger, &json!({"alg": "ES256"})), &unknown(None));
    cluster.refuses(&signed(&stranger, &header("ES256", "")), &unknown(None));
}

#[test]
fn a_key_that_cannot_be_used_here_is_no_unknown_one() {
    let signer = Signer::rsa("k");
    let mut jwk = signer.jwk();
    jwk["alg"] = json!("RS512");
    assert_eq!(
        refused(&signer.token(&claims()), &key_set(&[jwk])),
        Refusal::UnsupportedKey
    );
}

#[test]
fn extensions_are_refused() {
    let cluster = Cluster::new();
    for critical in [json!(["b64"]), json!(["exp"]), json!([])] {
        let header = json!({"alg": "ES256", "kid": "p256", "crit": critical, "b64": false});
        cluster.refuses(&signed(&cluster.p256, &header), &Refusal::Critical);
    }
}
