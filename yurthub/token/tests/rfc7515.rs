//! The examples of RFC 7515, appendix A, whose payload is `{"iss":"joe","exp":1300819380,…}`: no token of Kubernetes,
//! so that a good signature shows as the next reason, [`Refusal::WrongAudience`].

#![expect(clippy::unwrap_used, reason = "a helper that cannot unwrap has failed")]

#[path = "../fuzz/signer.rs"]
mod signer;

use serde_json::{Value, json};
use signer::{Signer, key_set};
use yurthub_token::{Expectations, KeySet, Refusal, verify};

const PAYLOAD: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

const HS256: (&str, &str) = (
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
);
const RS256: (&str, &str) = (
    "eyJhbGciOiJSUzI1NiJ9",
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7\
     t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi1\
     2jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGl\
     UPQGe77Rw",
);
const ES256: (&str, &str) = (
    "eyJhbGciOiJFUzI1NiJ9",
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
);
const NONE: (&str, &str) = ("eyJhbGciOiJub25lIn0", "");

fn a3_key() -> Value {
    json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })
}

fn judge(example: (&str, &str), keys: &KeySet) -> Refusal {
    let (header, signature) = example;
    let joe = ["joe".to_owned()];
    let expect = Expectations {
        issuers: &joe,
        audiences: &joe,
        node: "edge-1",
        now: 1_300_819_380,
        offline_since: None,
    };
    verify(&format!("{header}.{PAYLOAD}.{signature}"), keys, &expect).unwrap_err()
}

#[test]
fn the_examples() {
    let rsa = Signer::rsa("");
    let shared = json!({"kty": "oct",
        "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"});
    let keys = key_set(&[shared, rsa.jwk(), a3_key()]);
    assert_eq!(judge(HS256, &keys), Refusal::UnsupportedAlgorithm);
    assert_eq!(judge(RS256, &keys), Refusal::WrongAudience);
    assert_eq!(judge(ES256, &keys), Refusal::WrongAudience);
    assert_eq!(judge(NONE, &keys), Refusal::UnsupportedAlgorithm);
}

#[test]
fn the_examples_with_the_key_of_another() {
    let unknown = Refusal::UnknownKey { kid: None };
    assert_eq!(judge(RS256, &key_set(&[a3_key()])), unknown);
    assert_eq!(judge(ES256, &key_set(&[Signer::rsa("").jwk()])), unknown);
    assert_eq!(judge(ES256, &key_set(&[Signer::p256("").jwk()])), unknown);
}
