//! Sends requests on to the apiserver: bodies stream both ways, upgrades are relayed byte for byte.

mod connection;
mod dial;
pub mod exchange;
pub mod headers;
mod holding;
pub mod inflate;
pub mod learned;
mod patience;
mod pool;
mod resolve;
mod server;
mod silence;
mod target;
mod tcp;
pub mod transport;
pub mod upgrade;
mod vigil;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

pub use holding::Holding;
pub use transport::{Lane, ServerView, Upstream, UpstreamError};

/// Whatever goes wrong while a body streams.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body in either direction.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A body without content.
pub fn empty_body() -> Body {
    http_body_util::Empty::new()
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body that is there as a whole.
pub fn full_body(bytes: Bytes) -> Body {
    http_body_util::Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Reads a whole body of at most `limit` bytes.
pub async fn collect(body: Body, limit: usize) -> Result<Bytes, BoxError> {
    collect_seeing(body, limit, || {}).await
}

/// The same; `seen` is called with each part that comes.
pub async fn collect_seeing(mut body: Body, limit: usize, seen: impl Fn()) -> Result<Bytes, BoxError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        seen();
        if whole.len() + data.len() > limit {
            return Err(format!("the body is larger than {limit} bytes").into());
        }
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data); // the common case: one piece, no copy
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}
