//! TLS connections of tests that write bytes by hand.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use yurt_testkit::ca::Identity;

use crate::hub::Hub;

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn chain(identity: &Identity) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let certificate = CertificateDer::from_pem_slice(identity.cert_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    (vec![certificate], key)
}

/// A connection of the kubelet to the hub, on which nothing has been said; HTTP/1.1.
pub(crate) async fn connect(hub: &Hub<'_>) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(hub.ca().as_bytes()).unwrap())
        .unwrap();
    let (certificates, key) = chain(&hub.kubelet);
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates, key)
        .unwrap();
    let address: SocketAddr = hub.address;
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config))
        .connect(address.ip().into(), stream)
        .await
}

/// An HTTP/2 connection of somebody without a certificate, which reads no more of an answer than it asks for.
pub(crate) struct Plain {
    sender: SendRequest<Empty<Bytes>>,
    /// Runs the connection; ends with it.
    pub(crate) running: JoinHandle<hyper::Result<()>>,
    authority: String,
}

impl Plain {
    /// Connects to a listener of the hub from `source`, an address of the loopback network.
    pub(crate) async fn connect(hub: &Hub<'_>, to: SocketAddr, source: IpAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        let stream = socket.connect(to).await?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(hub.ca().as_bytes())?)?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TlsConnector::from(Arc::new(config))
            .connect(to.ip().into(), stream)
            .await?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .initial_stream_window_size(1000)
            .initial_connection_window_size(64 << 20);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        Ok(Self {
            sender,
            running: tokio::spawn(connection),
            authority: to.to_string(),
        })
    }

    /// Sends a GET; the answer's body is not read here.
    pub(crate) async fn get(
        &mut self,
        path: &str,
        (accept, token): (&str, Option<&str>),
    ) -> hyper::Result<Response<Incoming>> {
        let mut request = Request::get(format!("https://{}{path}", self.authority))
            .version(Version::HTTP_2)
            .header("accept", accept);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.sender
            .send_request(request.body(Empty::new()).unwrap())
            .await
    }
}

/// TLS for a server of a test.
pub(crate) fn acceptor(identity: &Identity) -> TlsAcceptor {
    let (certificates, key) = chain(identity);
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
