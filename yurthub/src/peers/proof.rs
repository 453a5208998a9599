//! Proof of being a node of this cluster: the certificate by which a kubelet, and its yurthub, speak to the apiserver.
//!
//! Such a certificate is for clients only (`kubernetes.io/kube-apiserver-client-kubelet` in
//! `k8s.io/api/certificates/v1/types.go`), and names no host: both ends of a connection show it, and both judge it as the
//! apiserver would, by the CA of client certificates, its time, its usage, and its subject.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};

use crate::identity::node_cert::{NodeCredentials, provider};
use crate::identity::{KubeletVerifier, subject};

/// The name of the node whose certificate this is; `None`: of no node. The subject is what the apiserver's authorizer for
/// nodes asks for (`NodeIdentity` in `k8s.io/kubernetes/pkg/auth/nodeidentifier/default.go`).
pub fn node_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let subject = subject(certificate)?;
    let is_node = subject.organizations.iter().any(|group| group == "system:nodes");
    let name = subject.common_name.strip_prefix("system:node:")?;
    (is_node && !name.is_empty()).then(|| name.to_owned())
}

/// TLS for the end that is connected to: any node of this cluster may.
pub fn server(
    verifier: &Arc<KubeletVerifier>,
    credentials: &Arc<NodeCredentials>,
) -> Result<ServerConfig, Error> {
    let any = Arc::new(Proof {
        verifier: Arc::clone(verifier),
        expected: None,
    });
    let own = Arc::new(Own(Arc::clone(credentials)));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(any)
        .with_cert_resolver(own);
    // A resumed session would skip the proof.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// TLS for the end that connects: nobody but the node `expected` will do.
pub fn client(
    verifier: &Arc<KubeletVerifier>,
    credentials: &Arc<NodeCredentials>,
    expected: &str,
) -> Result<ClientConfig, Error> {
    let expected = Arc::new(Proof {
        verifier: Arc::clone(verifier),
        expected: Some(expected.to_owned()),
    });
    let own = Arc::new(Own(Arc::clone(credentials)));
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous() // it is rustls' name for a verifier of one's own
        .with_custom_certificate_verifier(expected)
        .with_client_cert_resolver(own);
    config.resumption = Resumption::disabled();
    config.enable_sni = false; // the peer has no name in DNS
    Ok(config)
}

/// Judges the other end.
#[derive(Debug)]
struct Proof {
    verifier: Arc<KubeletVerifier>,
    /// The only node that will do; `None`: any.
    expected: Option<String>,
}

impl Proof {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        self.verifier.verify_client_cert(end_entity, intermediates, now)?;
        match (node_of(end_entity), &self.expected) {
            (Some(node), Some(expected)) if node == *expected => Ok(()),
            (Some(_), None) => Ok(()),
            _ => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }
}

impl ClientCertVerifier for Proof {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(end_entity, intermediates, now)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

impl ServerCertVerifier for Proof {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>, // an address; the subject says who it is
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(end_entity, intermediates, now)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Shows this node's own certificate, the present one: kubelets rotate it.
struct Own(Arc<NodeCredentials>);

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Own")
    }
}

impl ResolvesServerCert for Own {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.current().certified))
    }
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.current().certified))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::SystemTime;

    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::{TlsAcceptor, TlsConnector};
    use yurt_testkit::ca::{Authority, Identity, Leaf};

    use super::*;
    use crate::health::staged::Stage;
    use crate::kubeconfig::Kubeconfig;

    /// A node as its yurthub sees it: it trusts `authority`, and shows `identity`.
    struct End {
        verifier: Arc<KubeletVerifier>,
        credentials: Arc<NodeCredentials>,
        folder: TempDir,
    }

    impl End {
        fn new(authority: &Authority, identity: &Identity) -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
            identity
                .write_combined(&folder.path().join("kubelet.pem"))
                .unwrap();
            let text = "apiVersion: v1
kind: Config
current-context: kubelet
contexts: [{name: kubelet, context: {cluster: cloud, user: kubelet}}]
clusters: [{name: cloud, cluster: {certificate-authority: ca.crt, server: 'https://127.0.0.1:1'}}]
users: [{name: kubelet, user: {client-certificate: kubelet.pem, client-key: kubelet.pem}}]
";
            let path = folder.path().join("kubeconfig");
            std::fs::write(&path, text).unwrap();
            let credentials = NodeCredentials::load(Kubeconfig::read(&path, None).unwrap()).unwrap();
            let stage = Stage::new(SystemTime::now(), None);
            stage.join();
            let pem = authority.pem().into_bytes();
            Self {
                verifier: Arc::new(KubeletVerifier::new(pem, stage.cloud).unwrap()),
                credentials: Arc::new(credentials),
                folder,
            }
        }
    }

    #[derive(Debug)]
    struct Nobody;

    impl ResolvesClientCert for Nobody {
        fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            None
        }

        fn has_certs(&self) -> bool {
            false
        }
    }

    /// Whether `asking` accepts `answering` as the node `expected`, and is accepted by it.
    async fn meet(asking: &End, answering: &End, expected: &str) -> (bool, bool) {
        let socket = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .await
            .unwrap();
        let address = socket.local_addr().unwrap();
        let tls = server(&answering.verifier, &answering.credentials).unwrap();
        let answering = async {
            let (stream, _) = socket.accept().await.unwrap();
            let mut stream = TlsAcceptor::from(Arc::new(tls)).accept(stream).await.ok()?;
            stream.write_all(b"x").await.ok()?;
            stream.shutdown().await.ok()
        };
        let tls = client(&asking.verifier, &asking.credentials, expected).unwrap();
        let asking = async {
            let stream = TcpStream::connect(address).await.unwrap();
            let connector = TlsConnector::from(Arc::new(tls));
            let name = ServerName::from(address.ip());
            let Ok(mut stream) = connector.connect(name, stream).await else {
                return (false, false);
            };
            let mut byte = [0];
            (true, stream.read_exact(&mut byte).await.is_ok())
        };
        tokio::join!(asking, answering).0
    }

    fn self_signed(node: &str) -> Identity {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        let name = &mut params.distinguished_name;
        name.push(rcgen::DnType::CommonName, format!("system:node:{node}"));
        name.push(rcgen::DnType::OrganizationName, "system:nodes");
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        Identity {
            cert_pem: params.self_signed(&key).unwrap().pem(),
            key_pem: key.serialize_pem(),
        }
    }

    #[tokio::test]
    async fn only_a_node_of_this_cluster_proves_anything_and_only_the_expected_one_answers() {
        let authority = Authority::new("cluster").unwrap();
        let own = End::new(&authority, &authority.node_cert("edge1").unwrap());
        let issue = |leaf: Leaf| authority.issue(&leaf).unwrap();
        let other_cluster = Authority::new("cluster").unwrap().node_cert("edge2").unwrap();
        // Certificate of the other end, whether it answers as `edge2`, and whether it is answered.
        for (what, identity, answers, is_answered) in [
            ("edge2", issue(Leaf::node("edge2")), true, true),
            ("another node", issue(Leaf::node("edge3")), false, true),
            ("another cluster", other_cluster, false, false),
            ("expired", issue(Leaf::node("edge2").expired()), false, false),
            ("self-signed", self_signed("edge2"), false, false),
            (
                "a user",
                issue(Leaf::new("admin").organization("system:masters")),
                false,
                false,
            ),
            ("no group", issue(Leaf::new("system:node:edge2")), false, false),
            (
                "another group",
                issue(Leaf::new("system:node:edge2").organization("nodes")),
                false,
                false,
            ),
            (
                "no name",
                issue(Leaf::new("system:node:").organization("system:nodes")),
                false,
                false,
            ),
            (
                "a node's group alone",
                issue(Leaf::new("edge2").organization("system:nodes")),
                false,
                false,
            ),
        ] {
            let other = End::new(&authority, &identity);
            assert_eq!(meet(&own, &other, "edge2").await.0, answers, "{what} answers");
            let (_, accepted) = meet(&other, &own, "edge1").await;
            assert_eq!(accepted, is_answered, "{what} asks");
        }
    }

    #[tokio::test]
    async fn who_shows_no_certificate_is_not_answered() {
        let authority = Authority::new("cluster").unwrap();
        let own = End::new(&authority, &authority.node_cert("edge1").unwrap());
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let tls = TlsAcceptor::from(Arc::new(server(&own.verifier, &own.credentials).unwrap()));
        let accepted = async { tls.accept(socket.accept().await.unwrap().0).await.is_ok() };
        let mut anonymous = client(&own.verifier, &own.credentials, "edge1").unwrap();
        anonymous.client_auth_cert_resolver = Arc::new(Nobody);
        let asking = async {
            let stream = TcpStream::connect(address).await.unwrap();
            let connector = TlsConnector::from(Arc::new(anonymous));
            drop(connector.connect(ServerName::from(address.ip()), stream).await);
        };
        assert!(!tokio::join!(accepted, asking).0);
    }

    #[tokio::test]
    async fn a_certificate_that_was_rotated_is_shown_from_then_on() {
        let authority = Authority::new("cluster").unwrap();
        let own = End::new(&authority, &authority.node_cert("edge1").unwrap());
        let other = End::new(
            &authority,
            &authority.issue(&Leaf::node("edge2").expired()).unwrap(),
        );
        assert_eq!(meet(&own, &other, "edge2").await, (false, false));
        let rotated = authority.node_cert("edge2").unwrap();
        rotated
            .write_combined(&other.folder.path().join("kubelet.pem"))
            .unwrap();
        assert!(other.credentials.reload().unwrap());
        assert_eq!(meet(&own, &other, "edge2").await, (true, true));
    }
}
