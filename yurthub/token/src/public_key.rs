//! One public key, the one algorithm that it is for, and whether it made a signature.
//!
//! The algorithm follows from the key, never from a token: that rules out algorithm confusion (RFC 8725, 2.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, EcdsaVerificationAlgorithm, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

/// Sizes of an RSA modulus that ring verifies with, in bytes: 2048 to 8192 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

/// What a token may be signed with (RFC 7518, 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Es256,
    Es384,
}

impl Algorithm {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "ES384" => Some(Self::Es384),
            _ => None,
        }
    }
}

/// A member of `keys` (RFC 7517, section 4; RFC 7518, section 6): what is looked at here.
#[derive(Deserialize)]
pub(crate) struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    pub(crate) kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A key that signatures can be checked with.
#[derive(Clone)]
pub(crate) enum PublicKey {
    /// Modulus and exponent, big-endian without leading zeros.
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// A point on P-256, uncompressed (SEC 1, 2.3.3).
    P256(Vec<u8>),
    /// A point on P-384, likewise.
    P384(Vec<u8>),
}

impl PublicKey {
    /// The key of a JWK; `None` where it is not for verifying signatures, or not of a kind that is known here.
    pub(crate) fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let verifies = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && jwk
                .key_ops
                .as_ref()
                .is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        if !verifies {
            return None;
        }
        let key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => Self::rsa(jwk)?,
            ("EC", Some("P-256")) => Self::P256(point(jwk, 32)?),
            ("EC", Some("P-384")) => Self::P384(point(jwk, 48)?),
            _ => return None,
        };
        let named = jwk.alg.as_deref().map(Algorithm::from_name);
        named
            .is_none_or(|named| named == Some(key.algorithm()))
            .then_some(key)
    }

    fn rsa(jwk: &Jwk) -> Option<Self> {
        let n = integer(jwk.n.as_deref()?)?;
        let e = integer(jwk.e.as_deref()?)?;
        MODULUS
            .contains(&n.len())
            .then_some(Self::Rsa(RsaPublicKeyComponents { n, e }))
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(_) => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
            Self::P384(_) => Algorithm::Es384,
        }
    }

    /// Whether this key signed `message`. An EC signature is `R || S` (RFC 7518, 3.4).
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let ec = |algorithm: &'static EcdsaVerificationAlgorithm, point: &[u8]| {
            UnparsedPublicKey::new(algorithm, point).verify(message, signature)
        };
        match self {
            Self::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
            Self::P256(point) => ec(&ECDSA_P256_SHA256_FIXED, point),
            Self::P384(point) => ec(&ECDSA_P384_SHA384_FIXED, point),
        }
        .is_ok()
    }
}

/// A `Base64urlUInt` (RFC 7518, section 2). Leading zeros, which it must not have, are dropped.
fn integer(text: &str) -> Option<Vec<u8>> {
    let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    (!bytes.is_empty()).then_some(bytes)
}

/// The uncompressed point of coordinates that must have the full length of the field (RFC 7518, 6.2.1.2).
fn point(jwk: &Jwk, length: usize) -> Option<Vec<u8>> {
    let mut point = vec![4];
    for coordinate in [jwk.x.as_deref()?, jwk.y.as_deref()?] {
        let bytes = URL_SAFE_NO_PAD.decode(coordinate).ok()?;
        if bytes.len() != length {
            return None;
        }
        point.extend(bytes);
    }
    Some(point)
}
