//! Runs the bodies of the fuzz targets over their corpus, over the corpus damaged, and over what proptest makes up.

#![expect(clippy::unwrap_used, reason = "a corpus that cannot be read is a failed test")]

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

/// Each input whole, cut short, and with single bits changed.
fn run(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let mut data = fs::read(entry.unwrap().path()).unwrap();
        body(&data);
        for at in (0..data.len()).step_by(data.len() / 100 + 1) {
            body(&data[..at]);
            data[at] ^= 0x04;
            body(&data);
            data[at] ^= 0x04;
        }
        inputs += 1;
    }
    assert!(inputs > 0, "the corpus of {target} is not empty");
}

#[test]
fn tokens_of_the_corpus() {
    run("token", bodies::token);
}

#[test]
fn claims_of_the_corpus() {
    run("claims", bodies::claims);
}

#[test]
fn what_is_published_of_the_corpus() {
    run("published", bodies::published);
}

proptest! {
    #[test]
    fn arbitrary_bytes(data: Vec<u8>) {
        bodies::token(&data);
        bodies::claims(&data);
        bodies::published(&data);
    }

    #[test]
    fn text_that_looks_like_a_token(token in r"[A-Za-z0-9_-]{0,400}\.[A-Za-z0-9_-]{0,400}\.[A-Za-z0-9_-]{0,100}") {
        bodies::token(token.as_bytes());
    }

    #[test]
    fn headers_and_claims_of_any_kind(
        alg in r#""(none|HS256|RS256|ES256|ES384|PS256|ES512)"|null|5"#,
        kid in r#""(k|rsa|x)"|null|\[\]"#,
        aud in r#""https://issuer"|\["https://issuer"\]|null|\[null\]"#,
        exp in "-?[0-9]{1,25}(\\.[0-9]{1,3})?(e[0-9]{1,4})?",
    ) {
        let claims = format!(
            r#"{{"iss":"https://issuer","aud":{aud},"exp":{exp},"nbf":{exp},"sub":"system:serviceaccount:a:b",
            "kubernetes.io":{{"namespace":"a","serviceaccount":{{"name":"b","uid":"c"}}}}}}"#
        );
        bodies::claims(claims.as_bytes());
        let header = format!(r#"{{"alg":{alg},"kid":{kid}}}"#);
        let token = [header.as_bytes(), claims.as_bytes(), &[7; 64]].map(bodies::encode).join(".");
        bodies::token(token.as_bytes());
    }

    #[test]
    fn huge_tokens(part in 0..3usize, length in 0..200_000usize) {
        let mut parts = ["eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ".to_owned(), "e30".to_owned(), "AAAA".to_owned()];
        parts[part] = "A".repeat(length);
        bodies::token(parts.join(".").as_bytes());
    }
}
