//! A JWS in compact serialization taken apart (RFC 7515, 7.1). Nothing in it is believed here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::Refusal;

/// How long a token may be, in bytes. One of Kubernetes has about 1,000.
pub const MAX_TOKEN: usize = 16 << 10;

/// How long the name of a key may be, in bytes (`validateJWTHeader` in `externaljwt/plugin/plugin.go`).
pub const MAX_KID: usize = 1024;

/// The parts of a token.
pub(crate) struct Compact<'a> {
    pub(crate) header: Header,
    pub(crate) payload: Vec<u8>,
    /// What the signature is of: header and payload as they came.
    pub(crate) signed: &'a [u8],
    pub(crate) signature: Vec<u8>,
}

/// The members of a JOSE header that are looked at. Keys in it (`jwk`, `jku`, `x5c`) never are.
#[derive(Deserialize)]
pub(crate) struct Header {
    pub(crate) alg: String,
    pub(crate) kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'a> Compact<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self, Refusal> {
        if token.len() > MAX_TOKEN {
            return Err(Refusal::TooLong { bytes: token.len() });
        }
        let parts = token.rsplit_once('.');
        let two = parts.and_then(|(signed, _)| signed.split_once('.'));
        let (Some((signed, signature)), Some((header, payload))) = (parts, two) else {
            return Err(Refusal::Malformed("it has not the three parts of a JWT"));
        };
        let decode = |text, what| URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::Malformed(what));
        let header = decode(header, "its header is not base64url")?;
        let mut header: Header = serde_json::from_slice(&header)
            .map_err(|_| Refusal::Malformed("its header is not JSON with an algorithm"))?;
        if header.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(Refusal::Malformed("the name of its key is too long"));
        }
        // An empty name is none: `GetPublicKeys` in `pkg/serviceaccount/jwt.go`.
        header.kid = header.kid.filter(|kid| !kid.is_empty());
        Ok(Self {
            header,
            payload: decode(payload, "its payload is not base64url")?,
            signed: signed.as_bytes(),
            signature: decode(signature, "its signature is not base64url")?,
        })
    }

    /// Whether it insists on an extension.
    pub(crate) fn is_critical(&self) -> bool {
        self.header.crit.is_some()
    }
}
