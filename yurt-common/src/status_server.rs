//! Health and metrics, without authentication: shows no objects and changes nothing.
//!
//! - `/healthz`, `/v1/healthz`, `/livez`: 200 while the program runs.
//! - `/readyz`: 200 once it can do its work.
//! - `/metrics`: `OpenMetrics` text.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::debug;

/// What a program tells of itself.
pub trait Status: Send + Sync + 'static {
    /// Whether it can do its work.
    fn is_ready(&self) -> bool;

    /// Its metrics, as `OpenMetrics` text.
    fn metrics_text(&self) -> String;
}

/// Connections at a time.
const MAX_CONNECTIONS: usize = 32;
const HEADER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Serves until cancelled.
pub async fn serve(socket: TcpListener, status: Arc<impl Status>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = socket.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let status = Arc::clone(&status);
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let answer = answer(&request, &*status);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                debug!(%error, "status connection ended early");
            }
            drop(slot);
        });
    }
}

fn answer<B>(request: &Request<B>, status: &impl Status) -> Response<Full<Bytes>> {
    let (code, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/healthz" | "/v1/healthz" | "/livez") => {
            (StatusCode::OK, "ok".into())
        }
        (&Method::GET | &Method::HEAD, "/readyz") if status.is_ready() => (StatusCode::OK, "ok".into()),
        (&Method::GET | &Method::HEAD, "/readyz") => (StatusCode::SERVICE_UNAVAILABLE, "not ready".into()),
        (&Method::GET, "/metrics") => (StatusCode::OK, Bytes::from(status.metrics_text())),
        _ => (
            StatusCode::NOT_FOUND,
            "not found; see /healthz /readyz /metrics".into(),
        ),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = code;
    let kind = if request.uri().path() == "/metrics" {
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        "text/plain; charset=utf-8"
    };
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}
