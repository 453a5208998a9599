//! What is no token of Kubernetes: its form and its claims.

use super::*;

#[test]
fn claims_may_have_other_forms() {
    let signer = Signer::p256("k");
    let keys = key_set(&[signer.jwk()]);
    for claims in [
        with("/aud", json!(ISSUER)),
        with("/aud", json!(["others", ISSUER])),
        with("/exp", json!(1_700_003_600.5)),
        with("/jti", Value::Null),
        with("/nbf", Value::Null),
        with("/kubernetes.io/warnafter", Value::Null),
        with("/kubernetes.io/later-version", json!({"of": ["Kubernetes"]})),
        with("/kubernetes.io/node/uid", Value::Null),
        unbound(),
    ] {
        let verified = verify_at(&signer.token(&claims), &keys, FROM, None);
        assert!(verified.is_ok(), "{verified:?}: {claims}");
    }
}

#[test]
fn each_wrong_claim_has_its_reason() {
    let signer = Signer::p256("k");
    let keys = key_set(&[signer.jwk()]);
    let malformed = "its claims are not of the form of Kubernetes";
    for (claims, reason) in [
        (
            with("/iss", json!("https://accounts.example.com")),
            Refusal::WrongIssuer,
        ),
        (with("/iss", Value::Null), Refusal::WrongIssuer),
        (with("/iss", json!(format!("{ISSUER}/"))), Refusal::WrongIssuer),
        (with("/iss", json!("kubernetes/serviceaccount")), Refusal::Legacy),
        (
            with("/iss", json!(5)),
            Refusal::Malformed("its payload is not JSON with an issuer"),
        ),
        (with("/aud", json!("vault")), Refusal::WrongAudience),
        (with("/aud", json!(["vault", "other"])), Refusal::WrongAudience),
        (with("/aud", json!([])), Refusal::WrongAudience),
        (with("/aud", Value::Null), Refusal::WrongAudience),
        (with("/aud", json!({"a": ISSUER})), Refusal::Malformed(malformed)),
        (with("/sub", Value::Null), Refusal::BadClaim("sub")),
        (
            with("/sub", json!("system:serviceaccount:shop:admin")),
            Refusal::BadClaim("sub"),
        ),
        (with("/sub", json!("system:admin")), Refusal::BadClaim("sub")),
        (with("/exp", Value::Null), Refusal::BadClaim("exp")),
        (with("/exp", json!("1700003600")), Refusal::Malformed(malformed)),
        (with("/exp", json!(1e300)), Refusal::Malformed(malformed)),
        (
            with("/kubernetes.io", Value::Null),
            Refusal::BadClaim("kubernetes.io"),
        ),
        (
            with("/kubernetes.io/namespace", json!("")),
            Refusal::BadClaim("kubernetes.io"),
        ),
        (
            with("/kubernetes.io/serviceaccount/uid", Value::Null),
            Refusal::BadClaim("kubernetes.io"),
        ),
        (
            with("/kubernetes.io/pod/uid", Value::Null),
            Refusal::BadClaim("pod"),
        ),
        (
            with("/kubernetes.io/secret", json!({"uid": "5"})),
            Refusal::BadClaim("secret"),
        ),
        (
            with("/kubernetes.io/node/name", json!("")),
            Refusal::BadClaim("node"),
        ),
        (
            with("/kubernetes.io/node/name", json!("edge-2")),
            Refusal::WrongNode,
        ),
        (
            with("/kubernetes.io/pod", json!("till-0")),
            Refusal::Malformed(malformed),
        ),
    ] {
        assert_eq!(refused(&signer.token(&claims), &keys), reason, "{claims}");
    }
    // What a claim says twice, it does not say.
    let twice = claims().to_string().replacen('{', r#"{"sub":"system:admin","#, 1);
    let token = signer.sign(&json!({"alg": "ES256", "kid": "k"}), twice.as_bytes());
    assert_eq!(refused(&token, &keys), Refusal::Malformed(malformed));
}

#[test]
fn each_wrong_form_has_its_reason() {
    let signer = Signer::p256("k");
    let keys = key_set(&[signer.jwk()]);
    let good = signer.token(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let three = Refusal::Malformed("it has not the three parts of a JWT");
    let header = Refusal::Malformed("its header is not base64url");
    let no_algorithm = Refusal::Malformed("its header is not JSON with an algorithm");
    let signature = Refusal::Malformed("its signature is not base64url");
    for (token, reason) in [
        (String::new(), three.clone()),
        ("t0k3n".to_owned(), three.clone()),
        (format!("{}.{}", parts[0], parts[1]), three),
        ("..".to_owned(), no_algorithm.clone()),
        (
            format!("{good}.{}", parts[2]),
            Refusal::Malformed("its payload is not base64url"),
        ),
        (format!("{good}="), signature.clone()),
        (format!("{good}\n"), signature.clone()),
        (format!(" {good}"), header.clone()),
        (good.replacen('e', "é", 1), header),
        (
            format!("{}.{}.{}", encode(b"[]"), parts[1], parts[2]),
            no_algorithm.clone(),
        ),
        (
            format!(
                "{}.{}.{}",
                encode(br#"{"alg":"ES256","alg":"none"}"#),
                parts[1],
                parts[2]
            ),
            no_algorithm,
        ),
        (
            "x".repeat(MAX_TOKEN + 1),
            Refusal::TooLong { bytes: MAX_TOKEN + 1 },
        ),
        (
            signer.sign(&json!({"alg": "ES256", "kid": "k".repeat(MAX_KID + 1)}), b"{}"),
            Refusal::Malformed("the name of its key is too long"),
        ),
        (
            signer.sign(
                &json!({"alg": "ES256", "kid": "k"}),
                &[b"[".repeat(9000), b"]".repeat(9)].concat()[..9000],
            ),
            Refusal::Malformed("its payload is not JSON with an issuer"),
        ),
    ] {
        assert_eq!(refused(&token, &keys), reason, "{token:.60}");
    }
}
