//! Signs tokens, for tests and fuzz targets, with keys of each kind that a cluster may have.
//!
//! EC keys are made on the spot. ring makes no RSA keys: that one is the published key of RFC 7515, appendix A.2.
#![allow(dead_code, unreachable_pub, reason = "each test uses some of it")]
#![allow(clippy::unwrap_used, reason = "a key that does not sign is a failed test")]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    RsaPublicKeyComponents,
};
use serde_json::{Value, json};
use yurthub_token::KeySet;

/// The private key of RFC 7515, appendix A.2.
pub const RSA_PEM: &str = include_str!("../tests/fixtures/rfc7515-a2.pem");

/// A key that signs, with its name.
pub struct Signer {
    pub kid: String,
    key: Key,
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ec(&'static str, &'static str, Box<EcdsaKeyPair>),
}

impl Signer {
    pub fn rsa(kid: &str) -> Self {
        let text: String = RSA_PEM.lines().filter(|line| !line.starts_with('-')).collect();
        let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(text).unwrap()).unwrap();
        Self {
            kid: kid.to_owned(),
            key: Key::Rsa(Box::new(key)),
        }
    }

    pub fn p256(kid: &str) -> Self {
        Self::ec(kid, ("ES256", "P-256"), &ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    pub fn p384(kid: &str) -> Self {
        Self::ec(kid, ("ES384", "P-384"), &ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    fn ec(kid: &str, names: (&'static str, &'static str), algorithm: &'static EcdsaSigningAlgorithm) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        Self {
            kid: kid.to_owned(),
            key: Key::Ec(names.0, names.1, Box::new(pair)),
        }
    }

    /// The name of its algorithm.
    pub fn algorithm(&self) -> &'static str {
        match &self.key {
            Key::Rsa(_) => "RS256",
            Key::Ec(name, ..) => name,
        }
    }

    /// The public key, as an apiserver publishes it.
    pub fn jwk(&self) -> Value {
        let mut jwk = json!({"use": "sig", "kid": self.kid, "alg": self.algorithm()});
        match &self.key {
            Key::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                jwk["kty"] = "RSA".into();
                jwk["n"] = encode(&public.n).into();
                jwk["e"] = encode(&public.e).into();
            }
            Key::Ec(_, curve, pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
                jwk["kty"] = "EC".into();
                jwk["crv"] = (*curve).into();
                jwk["x"] = encode(x).into();
                jwk["y"] = encode(y).into();
            }
        }
        jwk
    }

    /// A token with the header of Kubernetes.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(
            &json!({"alg": self.algorithm(), "kid": self.kid}),
            claims.to_string().as_bytes(),
        )
    }

    /// A token with any header and payload; RSA signs as `alg` says, where it can.
    pub fn sign(&self, header: &Value, payload: &[u8]) -> String {
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(payload));
        let random = SystemRandom::new();
        let signature = match &self.key {
            Key::Ec(.., pair) => pair.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
            Key::Rsa(pair) => {
                let encoding: &'static dyn RsaEncoding = match header["alg"].as_str() {
                    Some("RS512") => &RSA_PKCS1_SHA512,
                    Some("PS256") => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &random, signed.as_bytes(), &mut signature)
                    .unwrap();
                signature
            }
        };
        format!("{signed}.{}", encode(&signature))
    }
}

/// A set of these keys.
pub fn key_set(jwks: &[Value]) -> KeySet {
    KeySet::parse(json!({"keys": jwks}).to_string().as_bytes()).unwrap()
}

/// base64url without padding.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
