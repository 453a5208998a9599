//! The measuring client: one HTTP/2 connection over TLS each, with the windows of a Go client, and no thread between
//! the request and its answer.
//!
//! Not here: decompression, retries, HTTP/1.1. Invariant: an answer is read to its end before its time is taken.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use yurt_testkit::ApiServer;
use yurt_testkit::ca::Identity;

/// What the kubelet accepts.
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf,application/json";
const JSON: &str = "application/json";
/// The kubelet's kind of patch.
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// Go's HTTP/2 client (net/http: transportDefaultStreamFlow, transportDefaultConnFlow).
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 1 << 30;

/// No exchange on loopback takes as long.
const DEADLINE: Duration = Duration::from_mins(1);
/// How long a frame of a watch may be.
const MAX_FRAME: usize = 16 << 20;

/// A server, and who we are there.
#[derive(Clone)]
pub(crate) struct Door {
    address: SocketAddr,
    tls: TlsConnector,
    /// The value of the header `Authorization`, where no certificate speaks for us.
    authorization: Option<String>,
}

/// One connection.
#[derive(Clone)]
pub(crate) struct Connection {
    sender: http2::SendRequest<Full<Bytes>>,
    authority: String,
    authorization: Option<String>,
}

impl Door {
    /// `ca_pem` signed the server's certificate, `identity` is ours.
    pub(crate) fn new(address: SocketAddr, ca_pem: &str, identity: &Identity) -> Result<Self> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(identity.cert_pem.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).context("read a key")?;
        let config = verifying(ca_pem)?
            .with_client_auth_cert(chain.context("read a certificate")?, key)
            .context("use a client certificate")?;
        Ok(Self::of(address, config, None))
    }

    /// `ca_pem` signed the server's certificate, `token` says who we are.
    pub(crate) fn with_token(address: SocketAddr, ca_pem: &str, token: &str) -> Result<Self> {
        let config = verifying(ca_pem)?.with_no_client_auth();
        Ok(Self::of(address, config, Some(format!("Bearer {token}"))))
    }

    /// The way to the apiserver itself, by token.
    pub(crate) fn direct_with_token(server: &ApiServer, token: &str) -> Result<Self> {
        Self::with_token(server.address(), &server.authority().pem(), token)
    }

    fn of(address: SocketAddr, mut config: ClientConfig, authorization: Option<String>) -> Self {
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self {
            address,
            tls: TlsConnector::from(Arc::new(config)),
            authorization,
        }
    }

    /// Opens a connection of its own.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        let opening = async {
            let stream = TcpStream::connect(self.address).await.context("connect")?;
            stream.set_nodelay(true).context("set TCP_NODELAY")?;
            let tls = self.tls.connect(self.address.ip().into(), stream);
            let stream = tls.await.context("shake hands (TLS)")?;
            http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .handshake(TokioIo::new(stream))
                .await
                .context("shake hands (HTTP/2)")
        };
        let opened = tokio::time::timeout(DEADLINE, opening).await;
        let (sender, connection) = opened
            .context("the server does not answer")?
            .with_context(|| format!("open a connection to {}", self.address))?;
        tokio::spawn(connection);
        Ok(Connection {
            sender,
            authority: self.address.to_string(),
            authorization: self.authorization.clone(),
        })
    }

    /// Opens a watch on a connection of its own, from `version` on, without bookmarks.
    pub(crate) async fn watch(&self, collection: &str, version: u64) -> Result<Watch> {
        let mut connection = self.connect().await?;
        let separator = if collection.contains('?') { '&' } else { '?' };
        let path = format!("{collection}{separator}watch=true&resourceVersion={version}&timeoutSeconds=3000");
        connection.watch(&path).await
    }
}

fn verifying(ca_pem: &str) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(cert.context("read a CA")?).context("trust a CA")?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("choose TLS versions")?;
    Ok(builder.with_root_certificates(roots))
}

impl Connection {
    /// GET in protobuf, as client-go asks for it; the size of the answer.
    pub(crate) async fn get(&mut self, path: &str) -> Result<usize> {
        Ok(self.exchange(Method::GET, path, ("", Bytes::new())).await?.len())
    }

    /// Sends a body of a content type; the answer (protobuf).
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        (content_type, body): (&str, impl Into<Bytes>),
    ) -> Result<Bytes> {
        self.exchange(method, path, (content_type, body.into())).await
    }

    /// Sends JSON and reads JSON.
    pub(crate) async fn json(&mut self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let body = (JSON, Bytes::from(body.to_string()));
        let answer = self.exchange_as(JSON, method, path, body).await?;
        serde_json::from_slice(&answer).with_context(|| format!("read the answer to {path}"))
    }

    /// Opens a watch of protobuf frames.
    pub(crate) async fn watch(&mut self, path: &str) -> Result<Watch> {
        let opening = self.dispatch(PROTOBUF, Method::GET, path, ("", Bytes::new()));
        let response = tokio::time::timeout(DEADLINE, opening)
            .await
            .with_context(|| format!("no answer to the watch {path}"))??;
        if response.status() != 200 {
            bail!("the watch {path} was answered with {}", response.status());
        }
        Ok(Watch {
            body: response.into_body(),
            unread: BytesMut::new(),
            _connection: self.clone(),
        })
    }

    async fn exchange(&mut self, method: Method, path: &str, body: (&str, Bytes)) -> Result<Bytes> {
        self.exchange_as(PROTOBUF, method, path, body).await
    }

    async fn exchange_as(
        &mut self,
        accept: &'static str,
        method: Method,
        path: &str,
        body: (&str, Bytes),
    ) -> Result<Bytes> {
        let what = format!("{method} {path} of {}", self.authority);
        let exchange = async {
            let response = self.dispatch(accept, method, path, body).await?;
            let status = response.status();
            let body = response.into_body().collect().await.context("read an answer")?;
            let body = body.to_bytes();
            ensure!(
                status.is_success(),
                "{status}: {}",
                String::from_utf8_lossy(&body[..body.len().min(500)])
            );
            Ok(body)
        };
        let answered = tokio::time::timeout(DEADLINE, exchange).await;
        answered
            .with_context(|| format!("no answer to {what}"))?
            .with_context(|| what)
    }

    async fn dispatch(
        &mut self,
        accept: &'static str,
        method: Method,
        path: &str,
        (content_type, body): (&str, Bytes),
    ) -> Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.authority))
            .header(ACCEPT, accept)
            .header(ACCEPT_ENCODING, "gzip")
            .header(USER_AGENT, "kubelet/v1.34.4 (linux/amd64) kubernetes/bench");
        if !content_type.is_empty() {
            request = request.header(CONTENT_TYPE, content_type);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        self.sender.ready().await.context("wait for the connection")?;
        let sending = self.sender.send_request(request.body(Full::new(body))?);
        sending.await.context("send a request")
    }
}

/// A running watch; dropping it closes its connection.
pub(crate) struct Watch {
    body: Incoming,
    unread: BytesMut,
    /// The last sender keeps the connection open.
    _connection: Connection,
}

impl Watch {
    /// The size of the next frame: four bytes of length (big endian) and one event
    /// (apimachinery/pkg/util/framer/framer.go). `None` at the end.
    pub(crate) async fn event(&mut self) -> Result<Option<usize>> {
        loop {
            if let Some(size) = take_frame(&mut self.unread)? {
                return Ok(Some(size));
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            if let Ok(bytes) = frame.context("read a watch")?.into_data() {
                self.unread.extend_from_slice(&bytes);
            }
        }
    }

    /// Reads `count` events within `deadline`; their size.
    pub(crate) async fn events(&mut self, count: usize, deadline: Duration) -> Result<u64> {
        let mut total = 0;
        let reading = async {
            for seen in 0..count {
                let size = self.event().await?;
                total += size.with_context(|| format!("a watch ended after {seen} events"))? as u64;
            }
            Ok(total)
        };
        tokio::time::timeout(deadline, reading)
            .await
            .with_context(|| format!("{count} events did not come within {} s", deadline.as_secs()))?
    }
}

/// Drops a whole frame from the front and gives its size.
fn take_frame(unread: &mut BytesMut) -> Result<Option<usize>> {
    let Some(head) = unread.first_chunk::<4>() else {
        return Ok(None);
    };
    let size = 4 + u32::from_be_bytes(*head) as usize;
    ensure!(size <= MAX_FRAME, "a frame of a watch has {size} bytes");
    if unread.len() < size {
        return Ok(None);
    }
    unread.advance(size);
    Ok(Some(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_whole() {
        let mut unread = BytesMut::from(&[0, 0, 0, 2, 7, 7, 0, 0, 0][..]);
        assert_eq!(take_frame(&mut unread).unwrap(), Some(6));
        assert_eq!(take_frame(&mut unread).unwrap(), None);
        unread.extend_from_slice(&[1]);
        assert_eq!(take_frame(&mut unread).unwrap(), None);
        unread.extend_from_slice(&[9]);
        assert_eq!(take_frame(&mut unread).unwrap(), Some(5));
        assert!(unread.is_empty());
    }

    #[test]
    fn a_frame_without_end_is_refused() {
        let mut unread = BytesMut::from(&[0xff, 0, 0, 0][..]);
        assert!(take_frame(&mut unread).is_err());
    }
}
