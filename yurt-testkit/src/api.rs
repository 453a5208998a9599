//! A small client for tests: JSON in and out, raw bytes where a test compares them, and watches.
//!
//! It speaks HTTP/2 where the server's TLS offers it, else HTTP/1.1; a request waits for its answer at most
//! [`DEADLINE`], and answers are bounded. Not here: retries (but for a shared connection found dead before a GET),
//! redirects, decompression (nothing is asked for that would need it).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::Scheme;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use crate::ca::Identity;
use crate::runtime;

mod tls;
mod watch;

pub use watch::Watch;

/// How long a request may take, from its first byte to the last one of its answer.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// How large an answer may be.
const MAX_ANSWER: usize = 256 << 20;

/// HTTP/2 windows: large, so that a reader that takes its time does not hold up its neighbours.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const MERGE_PATCH: HeaderValue = HeaderValue::from_static("application/merge-patch+json");

/// A client of one server, with one identity. Clones share its connection.
#[derive(Clone)]
pub struct Api {
    server: Arc<Server>,
}

struct Server {
    address: SocketAddr,
    tls: Option<TlsConnector>,
    headers: HeaderMap,
    shared: Mutex<Option<http2::SendRequest<Full<Bytes>>>>,
}

enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// All headers, as received.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// A request with nothing implied but `Host` and the client's credentials.
#[derive(Clone, Debug)]
pub struct Raw {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Raw {
    /// `path` includes the query.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// A GET with an `Accept` header.
    pub fn get(path: impl Into<String>, accept: &'static str) -> Self {
        Self::new(Method::GET, path).header(ACCEPT, HeaderValue::from_static(accept))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Sets the body and its type.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = body.into();
        self
    }
}

impl Api {
    /// Talks TLS to `address`, trusts `ca_pem`, and is `identity` (or nobody).
    pub fn https(address: SocketAddr, ca_pem: &str, identity: Option<&Identity>) -> Result<Self> {
        Ok(Self::new(
            address,
            Some(tls::connector(ca_pem, identity)?),
            HeaderMap::new(),
        ))
    }

    /// Talks plain HTTP/1.1 to `address`, one connection per request.
    pub fn http(address: SocketAddr) -> Self {
        Self::new(address, None, HeaderMap::new())
    }

    /// The same client with a bearer token.
    pub fn with_token(&self, token: &str) -> Result<Self> {
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).context("reading a token")?;
        value.set_sensitive(true);
        self.with_header(AUTHORIZATION, value)
    }

    /// The same client with a header on every request, in place of what it sent under that name before.
    pub fn with_header(&self, name: HeaderName, value: HeaderValue) -> Result<Self> {
        let mut headers = self.server.headers.clone();
        headers.insert(name, value);
        Ok(Self::new(self.server.address, self.server.tls.clone(), headers))
    }

    /// The same client, for the same server behind another address (a link, a hub).
    #[must_use]
    pub fn at(&self, address: SocketAddr) -> Self {
        Self::new(address, self.server.tls.clone(), self.server.headers.clone())
    }

    fn new(address: SocketAddr, tls: Option<TlsConnector>, headers: HeaderMap) -> Self {
        Self {
            server: Arc::new(Server {
                address,
                tls,
                headers,
                shared: Mutex::new(None),
            }),
        }
    }

    /// GET: the status and the JSON body.
    pub async fn get(&self, path: &str) -> Result<(u16, Value)> {
        self.json(Raw::new(Method::GET, path)).await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: Value) -> Result<(u16, Value)> {
        self.json_with_body(Method::POST, path, body).await
    }

    /// PUT.
    pub async fn put(&self, path: &str, body: Value) -> Result<(u16, Value)> {
        self.json_with_body(Method::PUT, path, body).await
    }

    /// PATCH with a merge patch (RFC 7386). For other kinds of patches see [`Api::send`].
    pub async fn patch(&self, path: &str, body: Value) -> Result<(u16, Value)> {
        let mut request = Raw::new(Method::PATCH, path).header(CONTENT_TYPE, MERGE_PATCH);
        request.body = body.to_string().into();
        self.json(request).await
    }

    /// DELETE, with a grace period of 0 s where the kind knows one.
    pub async fn delete(&self, path: &str) -> Result<(u16, Value)> {
        let separator = if path.contains('?') { '&' } else { '?' };
        self.json(Raw::new(
            Method::DELETE,
            format!("{path}{separator}gracePeriodSeconds=0"),
        ))
        .await
    }

    async fn json_with_body(&self, method: Method, path: &str, body: Value) -> Result<(u16, Value)> {
        self.json(Raw::new(method, path).body("application/json", body.to_string()))
            .await
    }

    async fn json(&self, request: Raw) -> Result<(u16, Value)> {
        let reply = self.send(request.header(ACCEPT, JSON)).await?;
        // Health endpoints and proxies answer in plain text.
        let body = serde_json::from_slice(&reply.body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&reply.body).into_owned()));
        Ok((reply.status, body))
    }

    /// Sends `request` and reads the whole answer.
    pub async fn send(&self, request: Raw) -> Result<Reply> {
        let server = Arc::clone(&self.server);
        runtime::run(async move {
            let what = format!("{} {} of {}", request.method, request.path, server.address);
            let exchange = tokio::time::timeout(DEADLINE, server.exchange(&request));
            exchange
                .await
                .with_context(|| format!("no answer to {what}"))?
                .with_context(|| what)
        })
        .await
    }

    /// Opens a watch (or any answer to be read as it comes) on a connection of its own.
    pub async fn watch(&self, path: &str, accept: &'static str) -> Result<Watch> {
        self.stream(Raw::get(path, accept)).await
    }

    /// As [`Api::watch`], for any request.
    pub async fn stream(&self, request: Raw) -> Result<Watch> {
        let server = Arc::clone(&self.server);
        runtime::run(async move {
            let opening = async {
                let mut connection = server.connect().await?;
                let response = server.dispatch(&mut connection, &request).await?;
                Ok::<_, anyhow::Error>(Watch::new(response, connection))
            };
            tokio::time::timeout(DEADLINE, opening)
                .await
                .context("no answer to a watch")?
        })
        .await
        .with_context(|| format!("opening a watch at {}", self.server.address))
    }
}

impl Server {
    async fn exchange(&self, request: &Raw) -> Result<Reply> {
        let response = self.respond(request).await?;
        let (head, body) = response.into_parts();
        let body = match Limited::new(body, MAX_ANSWER).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) => bail!("reading an answer: {error}"),
        };
        Ok(Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }

    async fn respond(&self, request: &Raw) -> Result<Response<Incoming>> {
        let mut connection = self.shared_connection().await?;
        match self.dispatch(&mut connection, request).await {
            // The server may have gone away since the last request; reading once more does no harm.
            Err(_) if request.method == Method::GET && connection.is_closed() => {
                let mut fresh = self.shared_connection().await?;
                self.dispatch(&mut fresh, request).await
            }
            outcome => outcome,
        }
    }

    /// The shared HTTP/2 connection if there is a live one, else a new connection (shared from now on if it can be).
    async fn shared_connection(&self) -> Result<Connection> {
        let mut shared = self.shared.lock().await;
        if let Some(sender) = shared.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(Connection::Http2(sender.clone()));
        }
        let connection = self.connect().await?;
        if let Connection::Http2(sender) = &connection {
            *shared = Some(sender.clone());
        }
        Ok(connection)
    }

    async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).await.context("connecting")?;
        stream.set_nodelay(true).context("setting TCP_NODELAY")?;
        let Some(tls) = &self.tls else {
            return handshake_http1(stream).await;
        };
        let stream = tls
            .connect(self.address.ip().into(), stream)
            .await
            .context("the TLS handshake")?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return handshake_http1(stream).await;
        }
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(TokioIo::new(stream))
            .await
            .context("the HTTP/2 handshake")?;
        tokio::spawn(connection);
        Ok(Connection::Http2(sender))
    }

    async fn dispatch(&self, connection: &mut Connection, request: &Raw) -> Result<Response<Incoming>> {
        let uri: Uri = request
            .path
            .parse()
            .with_context(|| format!("reading the path `{}`", request.path))?;
        let mut message = Request::builder()
            .method(&request.method)
            .uri(uri)
            .body(Full::new(request.body.clone()))?;
        message.headers_mut().extend(self.headers.clone());
        message.headers_mut().extend(request.headers.clone());
        let authority = self.address.to_string();
        match connection {
            Connection::Http1(sender) => {
                message
                    .headers_mut()
                    .insert(HOST, HeaderValue::try_from(authority)?);
                sender.send_request(message).await.context("sending a request")
            }
            Connection::Http2(sender) => {
                let mut parts = message.uri().clone().into_parts();
                parts.scheme = Some(Scheme::HTTPS);
                parts.authority = Some(authority.parse()?);
                *message.uri_mut() = Uri::from_parts(parts)?;
                sender.send_request(message).await.context("sending a request")
            }
        }
    }
}

impl Connection {
    fn is_closed(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(sender) => sender.is_closed(),
        }
    }
}

async fn handshake_http1<S>(stream: S) -> Result<Connection>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .context("the HTTP/1.1 handshake")?;
    tokio::spawn(connection);
    Ok(Connection::Http1(sender))
}
