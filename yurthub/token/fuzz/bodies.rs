//! What the fuzz targets check. Plain functions, also run by `tests/corpus.rs` over the corpus.
#![allow(clippy::expect_used, reason = "what breaks a property is to be found")]
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each fuzz target uses one of the functions"
)]

#[path = "signer.rs"]
mod signer;

use std::sync::LazyLock;

use serde_json::json;
use signer::Signer;
pub use signer::encode;
use yurthub_token::{Expectations, Issuer, KeySet, Refusal, Verified, user, verify};

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::p256("k"));
static KEYS: LazyLock<KeySet> = LazyLock::new(|| signer::key_set(&[SIGNER.jwk(), Signer::rsa("rsa").jwk()]));

fn judge(token: &str, offline_since: Option<i64>) -> Result<Verified, Refusal> {
    let expected = ["https://issuer".to_owned()];
    let expect = Expectations {
        issuers: &expected,
        audiences: &expected,
        node: "edge-1",
        now: 1_700_000_000,
        offline_since,
    };
    verify(token, &KEYS, &expect)
}

/// Nothing that this key set has not signed is ever accepted, and no refusal repeats it.
pub fn token(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let refusal = judge(&text, Some(0)).expect_err("nobody signed it");
    assert!(!refusal.reason().is_empty());
    if text.len() > 64 {
        assert!(!refusal.to_string().contains(&*text));
    }
}

/// Whatever was signed gives a user or a refusal; what holds while the cloud is there also holds while it is away.
pub fn claims(data: &[u8]) {
    let token = SIGNER.sign(&json!({"alg": "ES256", "kid": "k"}), data);
    let online = judge(&token, None);
    let offline = judge(&token, Some(1_600_000_000));
    if let Ok(verified) = &offline {
        let user = user(&verified.claims);
        assert!(user.username.starts_with("system:serviceaccount:"));
        assert_eq!(user.groups.len(), 3);
    }
    if online.is_ok() {
        assert_eq!(online, offline);
    }
    assert_ne!(online, Err(Refusal::BadSignature));
}

/// A key set that can be read can be kept and read again, and knows its own names.
pub fn published(data: &[u8]) {
    let _ = Issuer::parse(data);
    let Ok(keys) = KeySet::parse(data) else {
        return;
    };
    let again = KeySet::parse(keys.as_bytes()).expect("what was read can be read again");
    assert!(keys.keys().eq(again.keys()));
    assert!(
        keys.keys()
            .all(|(kid, _)| kid.is_none_or(|kid| keys.contains(kid)))
    );
    let token = SIGNER.token(&json!({"iss": "https://issuer"}));
    let expected = ["https://issuer".to_owned()];
    let expect = Expectations {
        issuers: &expected,
        audiences: &[],
        node: "",
        now: 0,
        offline_since: None,
    };
    verify(&token, &keys, &expect).expect_err("there is no audience");
}
