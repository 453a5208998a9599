//! The public keys of a cluster's tokens, as the apiserver serves them, and which of them fits a token.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Refusal;
use crate::compact::{Compact, MAX_KID};
use crate::public_key::{Algorithm, Jwk, PublicKey};

/// Where the apiserver serves them (`JWKSPath` in `pkg/serviceaccount/openidmetadata.go`).
pub const JWKS_PATH: &str = "/openid/v1/jwks";

/// What it serves them as. A request that accepts `application/json` only is answered with 406.
pub const JWKS_MEDIA_TYPE: &str = "application/jwk-set+json";

/// How many keys a set may have. A cluster has one, and two or three while it rotates them.
pub const MAX_KEYS: usize = 64;

/// How long a set may be, in bytes. A key of RSA 4096 takes 800.
pub const MAX_SIZE: usize = 128 << 10;

/// A JSON Web Key Set (RFC 7517, section 5): the keys that sign the cluster's tokens.
///
/// Keys that cannot be used here (other types or curves, other purposes) are remembered by their name only, so that
/// [`Refusal::UnsupportedKey`] and [`Refusal::UnknownKey`] differ: only for the latter it helps to fetch the set anew.
#[derive(Clone)]
pub struct KeySet {
    raw: Box<[u8]>,
    keys: Vec<NamedKey>,
}

#[derive(Clone)]
struct NamedKey {
    kid: Option<String>,
    key: Option<PublicKey>,
}

/// Why bytes are no key set. The set that was in use before should stay in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKeySet {
    /// Longer than [`MAX_SIZE`].
    #[error("read key set: it has {bytes} bytes, more than {MAX_SIZE}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// No JSON object with an array `keys` of objects.
    #[error(
        "read key set: it is not JSON of the form {{\"keys\": [{{…}}]}}; was it fetched from {JWKS_PATH}?"
    )]
    Malformed,
    /// More than [`MAX_KEYS`].
    #[error("read key set: it has {keys} keys, more than {MAX_KEYS}")]
    TooMany {
        /// How many there are.
        keys: usize,
    },
    /// Not a single key; an apiserver never serves that.
    #[error("read key set: it has no keys")]
    Empty,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl KeySet {
    /// Reads the answer to a GET of [`JWKS_PATH`] as [`JWKS_MEDIA_TYPE`], or what [`KeySet::as_bytes`] gave.
    pub fn parse(json: &[u8]) -> Result<Self, BadKeySet> {
        if json.len() > MAX_SIZE {
            return Err(BadKeySet::TooLong { bytes: json.len() });
        }
        let document: Document<'_> = serde_json::from_slice(json).map_err(|_| BadKeySet::Malformed)?;
        match document.keys.len() {
            0 => return Err(BadKeySet::Empty),
            keys if keys > MAX_KEYS => return Err(BadKeySet::TooMany { keys }),
            _ => {}
        }
        let keys = document
            .keys
            .into_iter()
            .map(named_key)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            raw: json.into(),
            keys,
        })
    }

    /// The bytes that it was read from, to be kept for the time without cloud.
    pub fn as_bytes(&self) -> &[u8] {
        &self.raw
    }

    /// Whether it has a key of this name, usable or not.
    pub fn contains(&self, kid: &str) -> bool {
        self.named(Some(kid)).next().is_some()
    }

    /// The names of its keys, with whether each can be used here; for logs.
    pub fn keys(&self) -> impl Iterator<Item = (Option<&str>, bool)> {
        self.keys
            .iter()
            .map(|key| (key.kid.as_deref(), key.key.is_some()))
    }

    /// The keys that a token may be signed with: those of its `kid`, or all where it names none.
    fn named(&self, kid: Option<&str>) -> impl Iterator<Item = &NamedKey> {
        self.keys
            .iter()
            .filter(move |key| kid.is_none() || key.kid.as_deref() == kid)
    }

    /// Whether one of these keys signed the token.
    pub(crate) fn check(&self, token: &Compact<'_>) -> Result<(), Refusal> {
        let kid = token.header.kid.as_deref();
        let name = token.header.alg.as_str();
        let algorithm = Algorithm::from_name(name);
        // The signature of an unsupported kind of key is told from an algorithm that Kubernetes never uses.
        let Some(algorithm) = algorithm else {
            return Err(if name == "ES512" {
                Refusal::UnsupportedKey
            } else {
                Refusal::UnsupportedAlgorithm
            });
        };
        let mut seen = Seen::default();
        for candidate in self.named(kid) {
            seen.any = true;
            let Some(key) = &candidate.key else {
                seen.unusable = true;
                continue;
            };
            if key.algorithm() != algorithm {
                continue;
            }
            if key.verifies(token.signed, &token.signature) {
                return Ok(());
            }
            seen.fitting = true;
        }
        Err(seen.refusal(kid))
    }
}

/// What was found among the keys for a token that none of them verified.
#[derive(Default)]
struct Seen {
    any: bool,
    fitting: bool,
    unusable: bool,
}

impl Seen {
    fn refusal(&self, kid: Option<&str>) -> Refusal {
        match kid {
            // No key was named: it may be one that is not in this set.
            None => Refusal::UnknownKey { kid: None },
            Some(kid) if !self.any => Refusal::UnknownKey {
                kid: Some(kid.to_owned()),
            },
            Some(_) if self.unusable => Refusal::UnsupportedKey,
            Some(_) if self.fitting => Refusal::BadSignature,
            Some(_) => Refusal::WrongAlgorithm,
        }
    }
}

/// Keys with members of unknown form are ignored, as RFC 7517, section 5 wants it; what is no object is not a key.
fn named_key(raw: &RawValue) -> Result<NamedKey, BadKeySet> {
    #[derive(Deserialize)]
    struct OnlyName {
        kid: Option<String>,
    }
    let raw = raw.get();
    let (kid, key) = match serde_json::from_str::<Jwk>(raw) {
        Ok(jwk) => {
            let key = PublicKey::from_jwk(&jwk);
            (jwk.kid, key)
        }
        Err(_) if raw.starts_with('{') => {
            let kid = serde_json::from_str::<OnlyName>(raw)
                .ok()
                .and_then(|name| name.kid);
            (kid, None)
        }
        Err(_) => return Err(BadKeySet::Malformed),
    };
    let kid = kid.filter(|kid| !kid.is_empty());
    let too_long = kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID);
    Ok(NamedKey {
        key: key.filter(|_| !too_long),
        kid,
    })
}

/// Two sets are the same when their bytes are.
impl PartialEq for KeySet {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Eq for KeySet {}

impl fmt::Debug for KeySet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.keys()).finish()
    }
}
