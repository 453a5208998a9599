//! Annotates this node's own Node, as this node: what yurthub tells the cloud of itself.
//!
//! A node may annotate its own Node (`NodeRestriction`), and the kubelet leaves annotations alone that it does not know.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use serde_json::{Map, Value, json};
use thiserror::Error;
use tokio::time::timeout;

use crate::forward::exchange::ExchangeError;
use crate::forward::{Upstream, full_body};
use crate::mirror::USER_AGENT as OURS;
use crate::mirror::key::Escaped;

/// How long the cloud may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer that is read.
const MAX_ANSWER: usize = 1 << 20;
/// Of what the cloud answers, metadata is enough.
const METADATA: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json";

/// Why the cloud did not take it.
#[derive(Debug, Error)]
pub enum AnnotateError {
    /// It took too long.
    #[error("the answer took longer than {TIMEOUT:?}")]
    Timeout,
    /// There was no whole answer.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// It refused.
    #[error("the apiserver answered {0}")]
    Status(StatusCode),
}

/// One merge patch of the Node `node`, without a version: nothing else in it is touched. `null` takes an annotation away.
pub async fn annotate(
    upstream: &Upstream,
    node: &str,
    annotations: Map<String, Value>,
) -> Result<(), AnnotateError> {
    let patch = json!({"metadata": {"annotations": annotations}});
    let mut request = Request::new(full_body(patch.to_string().into()));
    *request.method_mut() = Method::PATCH;
    let path = format!("/api/v1/nodes/{}?fieldManager=yurthub", Escaped(node));
    *request.uri_mut() = path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    let merge_patch = HeaderValue::from_static("application/merge-patch+json");
    headers.insert(CONTENT_TYPE, merge_patch);
    headers.insert(ACCEPT, HeaderValue::from_static(METADATA));
    headers.insert(USER_AGENT, HeaderValue::from_static(OURS));
    let exchange = async {
        match upstream.exchange(request, MAX_ANSWER).await?.status() {
            StatusCode::OK => Ok(()),
            status => Err(AnnotateError::Status(status)),
        }
    };
    timeout(TIMEOUT, exchange)
        .await
        .unwrap_or(Err(AnnotateError::Timeout))
}
