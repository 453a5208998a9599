//! The root-only Unix socket: HTTP/1.1, JSON answers.
//!
//! - `GET /status`: all that a tired operator needs, in one answer;
//! - `GET /cloud`: phase, since when, connections;
//! - `GET /scopes`: each scope with state, version, objects, watchers;
//! - `GET /journal`: statuses and events that wait for the cloud;
//! - `GET /objects?resource=…`: what the mirror holds of a resource;
//! - `POST /warm?timeoutSeconds=…`: mirrors what the kubelet will ask for at its start ([`crate::warm`]);
//! - `PUT /log`: the body is the new log filter.
//!
//! The file's mode keeps others out. Answers are built whole and bounded by what they list.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{debug, info};

use super::Overview;
use crate::warm;

/// Connections at a time.
const CONNECTIONS: usize = 8;

/// Binds the socket; only root may connect. A socket left over by an earlier run is replaced.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(socket)
}

/// Serves until cancelled. Connections beyond the bound wait.
pub async fn serve(socket: UnixListener, overview: Arc<Overview>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await;
        let Ok((stream, _)) = socket.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let overview = Arc::clone(&overview);
        tokio::spawn(async move {
            let _slot = slot;
            let service = service_fn(move |request| {
                let overview = Arc::clone(&overview);
                async move { Ok::<_, Infallible>(answer(request, &overview).await) }
            });
            if let Err(error) = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
            {
                debug!(%error, "admin connection ended early");
            }
        });
    }
}

async fn answer(request: Request<Incoming>, overview: &Arc<Overview>) -> Response<Full<Bytes>> {
    let ok = |body: Value| (StatusCode::OK, body.to_string());
    let (code, body) = match (request.method().clone(), request.uri().path()) {
        (Method::GET, "/status") => ok(overview.status()),
        (Method::GET, "/cloud") => ok(overview.cloud()),
        (Method::GET, "/scopes") => ok(overview.scopes()),
        (Method::GET, "/journal") => ok(overview.journal()),
        (Method::GET, "/objects") => overview.objects(request.uri().query().unwrap_or_default()).await,
        (Method::POST, "/warm") => {
            let (code, body) = warm(request.uri().query(), overview).await;
            (code, body.to_string())
        }
        (Method::PUT, "/log") => {
            let (code, body) = set_log(request, overview).await;
            (code, body.to_string())
        }
        _ => (
            StatusCode::NOT_FOUND,
            json!({"error": "see /status /cloud /scopes /journal /objects /warm /log"}).to_string(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = code;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}

/// Ends early with the connection of who asks.
async fn warm(query: Option<&str>, overview: &Overview) -> (StatusCode, Value) {
    let Some(patience) = warm::patience(query) else {
        let error = format!(
            "timeoutSeconds must be a number from 1 to {}",
            warm::LONGEST.as_secs()
        );
        return (StatusCode::BAD_REQUEST, json!({"error": error}));
    };
    if !overview.is_ready() {
        let error = "yurthub does not serve yet; ask again in a moment";
        return (StatusCode::SERVICE_UNAVAILABLE, json!({"error": error}));
    }
    let start = Instant::now();
    let report = warm::run(&overview.hub, patience).await;
    (StatusCode::OK, report.json(start.elapsed()))
}

async fn set_log(request: Request<Incoming>, overview: &Overview) -> (StatusCode, Value) {
    let body = Limited::new(request.into_body(), 4 << 10).collect().await;
    let filter = body
        .ok()
        .and_then(|body| String::from_utf8(body.to_bytes().to_vec()).ok());
    let Some(filter) = filter else {
        return (
            StatusCode::BAD_REQUEST,
            json!({"error": "the body must be a log filter"}),
        );
    };
    match overview.log.set(filter.trim()) {
        Ok(()) => {
            info!(filter = filter.trim(), "log filter changed");
            (StatusCode::OK, json!({"log": filter.trim()}))
        }
        Err(error) => (StatusCode::BAD_REQUEST, json!({"error": error})),
    }
}
