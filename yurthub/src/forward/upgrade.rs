//! Upgrades (SPDY, WebSocket): once both sides have switched, bytes are relayed until both have ended.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tracing::debug;

use super::{Body, Upstream, UpstreamError, headers};
use crate::forward::BoxError;
use crate::identity::Identity;
use http_body_util::BodyExt;

/// Relays a request that asks to upgrade. The caller has checked that it does. `held` is dropped with the last byte.
pub async fn relay(
    upstream: &Upstream,
    identity: &Identity,
    mut request: Request<Incoming>,
    held: impl Send + 'static,
) -> Result<Response<Body>, UpstreamError> {
    let client = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let protocol = parts.headers.get(UPGRADE).cloned();
    let mut outgoing = Request::new(body.map_err(BoxError::from).boxed_unsync());
    *outgoing.method_mut() = parts.method;
    *outgoing.uri_mut() = parts.uri;
    *outgoing.headers_mut() = headers::to_upstream(parts.headers, identity);
    ask_to_upgrade(outgoing.headers_mut(), protocol);

    let mut response = upstream.send_upgrade(identity, outgoing).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        headers::to_client(response.headers_mut());
        return Ok(response.map(|body| body.map_err(BoxError::from).boxed_unsync()));
    }
    let protocol = response.headers().get(UPGRADE).cloned();
    let server = hyper::upgrade::on(&mut response);
    headers::to_client(response.headers_mut());
    ask_to_upgrade(response.headers_mut(), protocol);
    tokio::spawn(async move {
        let (client, server) = match tokio::try_join!(client, server) {
            Ok(both) => both,
            Err(error) => return debug!(%error, "upgrade failed"),
        };
        let relayed =
            tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(server)).await;
        if let Err(error) = relayed {
            debug!(%error, "upgraded connection broke");
        }
        drop(held);
    });
    Ok(response.map(|_| super::empty_body()))
}

fn ask_to_upgrade(headers: &mut HeaderMap, protocol: Option<HeaderValue>) {
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, protocol);
    }
}
