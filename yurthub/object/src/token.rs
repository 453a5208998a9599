//! Requests for service account tokens (`POST serviceaccounts/NAME/token`): what tells two requests
//! apart, and the token and its expiry in the answer.
//!
//! Never verifies or decodes the token itself. Bodies are single objects of
//! `authentication.k8s.io/v1` `TokenRequest` (`k8s.io/api/authentication/v1/generated.proto`).

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;

use crate::{
    Encoding, Malformed, Reason,
    edit::{NewValue, set_field, set_member},
    json, single, time, wire,
};

const SUBJECT: &str = "token request";

/// How long a token is asked for when the request does not say
/// (`k8s.io/kubernetes/pkg/apis/authentication/v1/defaults.go`).
const DEFAULT_EXPIRATION_SECONDS: i64 = 3600;

/// What tells one request for a token of an account from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenKey {
    /// For whom the token is meant, in the order of the request; empty means the apiserver itself.
    pub audiences: Vec<String>,
    /// How long it should be valid, in seconds.
    pub expiration_seconds: i64,
    /// The object whose end ends the token.
    pub bound: Option<BoundObject>,
}

/// The object that a token is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(default)]
pub struct BoundObject {
    /// Kind: `Pod`, `Secret` or `Node`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// UID; may be empty.
    pub uid: String,
}

/// An issued token.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// The token.
    pub token: String,
    /// When the client is told that it ends, in seconds since 1970.
    pub expiration: i64,
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("IssuedToken")
            .field("expiration", &self.expiration)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct JsonSpec {
    audiences: Option<Vec<String>>,
    expiration_seconds: Option<i64>,
    bound_object_ref: Option<BoundObject>,
}

/// What the body of a request asks for.
pub fn request_key(encoding: Encoding, body: &Bytes) -> Result<TokenKey, Malformed> {
    match encoding {
        Encoding::Json => json_key(body),
        Encoding::Protobuf => single::unknown(body).and_then(protobuf_key),
    }
    .map_err(|reason| reason.reading(SUBJECT))
}

fn json_key(body: &[u8]) -> Result<TokenKey, Reason> {
    let raw = json::find(body, &["spec"])?.unwrap_or(b"{}");
    let spec: JsonSpec = serde_json::from_slice(raw).map_err(|_| Reason::WrongType)?;
    Ok(TokenKey {
        audiences: spec.audiences.unwrap_or_default(),
        expiration_seconds: spec.expiration_seconds.unwrap_or(DEFAULT_EXPIRATION_SECONDS),
        bound: spec.bound_object_ref,
    })
}

fn protobuf_key(unknown: &[u8]) -> Result<TokenKey, Reason> {
    let mut key = TokenKey {
        audiences: Vec::new(),
        expiration_seconds: DEFAULT_EXPIRATION_SECONDS,
        bound: None,
    };
    for field in wire::fields(wire::message(unknown, &[2, 2])?) {
        let wire::Field { number, value, .. } = field?;
        match number {
            1 => key.audiences.push(value.text()?.to_owned()),
            3 => {
                let message = value.bytes()?;
                let text = |number| wire::text(message, &[number]).map(str::to_owned);
                key.bound = Some(BoundObject {
                    kind: text(1)?,
                    name: text(3)?,
                    uid: text(4)?,
                });
            }
            4 => key.expiration_seconds = value.varint()?.cast_signed(),
            _ => {}
        }
    }
    Ok(key)
}

/// The token in the body of an answer, and when it ends.
pub fn read(encoding: Encoding, response: &Bytes) -> Result<IssuedToken, Malformed> {
    match encoding {
        Encoding::Json => read_json(response),
        Encoding::Protobuf => single::unknown(response).and_then(read_protobuf),
    }
    .map_err(|reason| reason.reading(SUBJECT))
}

fn read_json(body: &[u8]) -> Result<IssuedToken, Reason> {
    let text = |name| match json::find(body, &["status", name])? {
        None | Some(b"null" | b"\"\"") => Err(Reason::Missing),
        Some(raw) => json::string(raw),
    };
    let expiration = time::parse(&text("expirationTimestamp")?)?.seconds;
    Ok(IssuedToken {
        token: text("token")?.into_owned(),
        expiration,
    })
}

fn read_protobuf(unknown: &[u8]) -> Result<IssuedToken, Reason> {
    let token = wire::text(unknown, &[2, 3, 1])?;
    let expiration = wire::find(unknown, &[2, 3, 2, 1])?
        .ok_or(Reason::Missing)?
        .varint()?;
    if token.is_empty() {
        return Err(Reason::Missing);
    }
    Ok(IssuedToken {
        token: token.to_owned(),
        expiration: expiration.cast_signed(),
    })
}

/// The same answer with another `status.expirationTimestamp`, in seconds since 1970.
pub fn with_expiry(encoding: Encoding, response: &Bytes, unix_seconds: i64) -> Result<Bytes, Malformed> {
    let edited = match encoding {
        Encoding::Json => {
            let quoted = format!("\"{}\"", time::format(unix_seconds));
            set_member(response, &["status", "expirationTimestamp"], quoted.as_bytes())
        }
        Encoding::Protobuf => single::unknown(response).and_then(|unknown| {
            let mut timestamp = Vec::with_capacity(16);
            wire::put_number(&mut timestamp, 1, unix_seconds.cast_unsigned());
            wire::put_number(&mut timestamp, 2, 0);
            let edited = set_field(unknown, &[2, 3, 2], &NewValue::Bytes(&timestamp))?;
            Ok([&single::MAGIC[..], &edited].concat())
        }),
    };
    edited.map(Bytes::from).map_err(|reason| reason.reading(SUBJECT))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_without_content_get_the_defaults() {
        let defaults = TokenKey {
            audiences: vec![],
            expiration_seconds: 3600,
            bound: None,
        };
        for (encoding, body) in [
            (Encoding::Json, &b"{}"[..]),
            (
                Encoding::Json,
                br#"{"spec":{"audiences":null,"expirationSeconds":null}}"#,
            ),
            (Encoding::Protobuf, b"k8s\0"),
        ] {
            assert_eq!(
                request_key(encoding, &Bytes::from_static(body)),
                Ok(defaults.clone())
            );
        }
        let wrong = Bytes::from_static(br#"{"spec":{"audiences":"a"}}"#);
        assert_eq!(
            request_key(Encoding::Json, &wrong),
            Err(Reason::WrongType.reading(SUBJECT))
        );
    }

    #[test]
    fn tokens_are_not_shown_in_debug_output() {
        let token = IssuedToken {
            token: "secret".into(),
            expiration: 5,
        };
        assert!(!format!("{token:?}").contains("secret"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let protobuf = Bytes::from([&single::MAGIC[..], &bytes].concat());
            for (encoding, body) in [(Encoding::Protobuf, protobuf), (Encoding::Json, bytes.into())] {
                let _ = request_key(encoding, &body);
                let _ = read(encoding, &body);
                let _ = with_expiry(encoding, &body, 5);
            }
        }
    }
}
