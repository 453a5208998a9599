//! What yurthub asks the apiserver on its own behalf, as this node: a request, and its whole answer, bounded.

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderValue, Request, Response};
use thiserror::Error;

use super::{Body, BoxError, Lane, Upstream, UpstreamError, collect, empty_body};
use crate::identity::Identity;
use crate::mirror::USER_AGENT as OURS;

/// Why there is no whole answer.
#[derive(Debug, Error)]
pub enum ExchangeError {
    /// None came.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// It is not whole, or too long.
    #[error("the answer broke off")]
    Body(#[source] BoxError),
}

/// A GET of `path`, with its query. A path that is none asks for `/`, which tells nobody anything.
pub fn get(path: &str, accept: &'static str) -> Request<Body> {
    let mut request = Request::new(empty_body());
    *request.uri_mut() = path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(USER_AGENT, HeaderValue::from_static(OURS));
    request
}

impl Upstream {
    /// Sends `request` as this node and reads its answer, of at most `limit` bytes and whatever status.
    pub async fn exchange(
        &self,
        request: Request<Body>,
        limit: usize,
    ) -> Result<Response<Bytes>, ExchangeError> {
        let response = self.send(&Identity::Node, Lane::Request, request).await?;
        let (parts, body) = response.into_parts();
        let body = collect(body, limit).await.map_err(ExchangeError::Body)?;
        Ok(Response::from_parts(parts, body))
    }
}
