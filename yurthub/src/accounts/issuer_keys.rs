//! What the cluster publishes about the tokens of its service accounts: who issues them, and the keys that sign them.

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing::warn;
use yurthub_store::{Batch, Lookup, Protection, Store, StoreError};
use yurthub_token::{
    BadIssuer, BadKeySet, CONFIGURATION_PATH, Issuer, JWKS_MEDIA_TYPE, JWKS_PATH, KeySet, MAX_SIZE,
};

use crate::forward::{BoxError, Lane, Upstream, UpstreamError, collect, empty_body};
use crate::identity::Identity;

const KEY: &[u8] = b"k";

/// Why the keys are not known.
#[derive(Debug, Error)]
pub(super) enum KeysError {
    #[error("failed to get `{path}`")]
    Upstream {
        path: &'static str,
        source: UpstreamError,
    },
    #[error("the answer to `{path}` broke off")]
    Body { path: &'static str, source: BoxError },
    #[error(
        "the apiserver answered {status} to `{path}`; bind this node's user to the ClusterRole `yurthub-node`"
    )]
    Refused { path: &'static str, status: StatusCode },
    #[error(transparent)]
    Issuer(#[from] BadIssuer),
    #[error(transparent)]
    Keys(#[from] BadKeySet),
    #[error("failed to keep the keys")]
    Store(#[from] StoreError),
}

impl KeysError {
    /// Whether somebody else might be given them.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::FORBIDDEN)
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IssuerKeys {
    pub(super) issuers: Vec<String>,
    pub(super) keys: KeySet,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    issuers: Vec<String>,
    keys: String,
}

impl IssuerKeys {
    /// For whom tokens must be meant.
    pub(super) fn audiences(&self, further: &[String]) -> Vec<String> {
        self.issuers.iter().chain(further).cloned().collect()
    }

    /// Finds what the store holds.
    pub(super) fn load(store: &Store) -> Result<Option<Self>, StoreError> {
        let Lookup::Found(value) = store.get(KEY)? else {
            return Ok(None);
        };
        let stored: Option<Stored> = serde_json::from_slice(&value).ok();
        let loaded = stored.and_then(|stored| {
            let keys = KeySet::parse(stored.keys.as_bytes()).ok()?;
            Some(Self {
                issuers: stored.issuers,
                keys,
            })
        });
        if loaded.is_none() {
            warn!("the stored keys of the cluster's tokens cannot be read; they are asked for again");
        }
        Ok(loaded)
    }

    pub(super) fn save(&self, store: &Store) -> Result<(), StoreError> {
        let stored = Stored {
            issuers: self.issuers.clone(),
            keys: String::from_utf8_lossy(self.keys.as_bytes()).into_owned(),
        };
        let value = serde_json::to_vec(&stored).unwrap_or_default();
        let mut batch = Batch::new();
        batch.put(Bytes::from_static(KEY), Bytes::from(value), Protection::Plain);
        store.write(batch)
    }

    /// Asks the apiserver, as the node or with a token.
    pub(super) async fn fetch(
        upstream: &Upstream,
        authorization: Option<&HeaderValue>,
    ) -> Result<Self, KeysError> {
        let issuer = Issuer::parse(&get(upstream, CONFIGURATION_PATH, authorization).await?)?;
        let keys = KeySet::parse(&get(upstream, JWKS_PATH, authorization).await?)?;
        Ok(Self {
            issuers: vec![issuer.issuer],
            keys,
        })
    }
}

async fn get(
    upstream: &Upstream,
    path: &'static str,
    authorization: Option<&HeaderValue>,
) -> Result<Bytes, KeysError> {
    let mut request = Request::new(empty_body());
    *request.uri_mut() = http::Uri::from_static(path);
    let accept = HeaderValue::from_static(if path == JWKS_PATH {
        JWKS_MEDIA_TYPE
    } else {
        "application/json"
    });
    request.headers_mut().insert(header::ACCEPT, accept);
    let identity = match authorization {
        Some(authorization) => {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, authorization.clone());
            Identity::Bearer
        }
        None => Identity::Node,
    };
    let response = upstream
        .send(&identity, Lane::Request, request)
        .await
        .map_err(|source| KeysError::Upstream { path, source })?;
    let status = response.status();
    if status != StatusCode::OK {
        return Err(KeysError::Refused { path, status });
    }
    collect(response.into_body(), MAX_SIZE)
        .await
        .map_err(|source| KeysError::Body { path, source })
}
