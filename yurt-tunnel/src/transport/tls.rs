//! TLS of both ends: 1.3 only, certificates of both, no resumption, no early data.

use std::sync::Arc;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, Error, RootCertStore, ServerConfig, SignatureScheme};
use tokio::sync::watch;

/// The name that all servers' certificates have, whatever their addresses are.
pub const SERVER_NAME: &str = "yurt-tunnel-server";
/// ALPN over QUIC.
pub const ALPN_QUIC: &[u8] = b"yurt-tunnel/1";
/// ALPN over TCP.
pub const ALPN_TCP: &[u8] = b"h2";

/// Certificate and key of this end, as they are now; none until there are some.
pub type Identity = watch::Receiver<Option<Arc<CertifiedKey>>>;
/// Authorities that are trusted now.
pub type Trust = watch::Receiver<Arc<RootCertStore>>;

/// Shows what the identity is at the time of a handshake.
#[derive(Debug)]
struct Current(Identity);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.borrow().clone()
    }
}

impl ResolvesClientCert for Current {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.borrow().clone()
    }

    fn has_certs(&self) -> bool {
        self.0.borrow().is_some()
    }
}

/// TLS of a server with `identity` that lets in whom `verifier` lets in.
pub fn server(
    identity: Identity,
    verifier: Arc<dyn ClientCertVerifier>,
    alpn: &[u8],
) -> Result<ServerConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(Current(identity)));
    // Who resumes a session is not asked for its certificate again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}

/// TLS of whoever dials a server: it must be one that `roots` vouch for.
pub fn client(identity: Identity, roots: Arc<RootCertStore>, alpn: &[u8]) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(Current(identity)));
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}
