//! Who issues the cluster's tokens, as the apiserver tells it (OIDC Discovery 1.0, section 3;
//! `openIDMetadata` in `pkg/serviceaccount/openidmetadata.go`).

use serde::Deserialize;

/// Where the apiserver tells it (`OpenIDConfigPath`).
pub const CONFIGURATION_PATH: &str = "/.well-known/openid-configuration";

/// How long the document may be, in bytes. Kubernetes' has 300.
const MAX_SIZE: usize = 64 << 10;

/// The issuer of a cluster's tokens. An apiserver serves this only where the issuer is an `https` URL; one that accepts
/// several issuers names the first, which is the one that it issues with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Issuer {
    /// What tokens have as `iss`, to be compared as it is.
    pub issuer: String,
    /// Where those outside the cluster find the keys. A node asks the apiserver instead.
    pub jwks_uri: String,
    /// The algorithms of its keys (RFC 7518, 3.1), e.g. to warn of `ES512`.
    #[serde(rename = "id_token_signing_alg_values_supported", default)]
    pub algorithms: Vec<String>,
}

/// Why a document names no issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadIssuer {
    /// Longer than it may be.
    #[error("read issuer: the document has {bytes} bytes, more than {MAX_SIZE}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// Not JSON with a URL of an issuer and one of its keys.
    #[error(
        "read issuer: it is not JSON with `issuer` and `jwks_uri`; was it fetched from {CONFIGURATION_PATH}?"
    )]
    Malformed,
}

impl Issuer {
    /// Reads the answer to a GET of [`CONFIGURATION_PATH`].
    pub fn parse(json: &[u8]) -> Result<Self, BadIssuer> {
        if json.len() > MAX_SIZE {
            return Err(BadIssuer::TooLong { bytes: json.len() });
        }
        let issuer: Self = serde_json::from_slice(json).map_err(|_| BadIssuer::Malformed)?;
        if issuer.issuer.is_empty() || issuer.jwks_uri.is_empty() {
            return Err(BadIssuer::Malformed);
        }
        Ok(issuer)
    }
}
