//! Lets nodes into a server of ours: by a certificate of an authority that is trusted now, of one of the roles that this
//! server takes, of a node that is not forgotten. Both lists are kept up by [`follow`].
//!
//! A connection that is established outlives any list. The server asks for its [`Peer`] when it begins, and ends it when
//! [`Verifier::refused`] returns. A resumed session shows no certificate again, so [`Verifier::server_config`] has none.
//!
//! Invariant: nobody is let in before both lists were read once. After that the last ones that could be read count: a
//! cloud whose API is down for a while does not lose its nodes.

pub mod follow;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use thiserror::Error as ThisError;
use tokio::sync::watch;
use x509_parser::oid_registry::{OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::forgotten::Forgotten;
use super::{Role, is_node_name};

/// More authorities than there ever are: one that signs, and another one while it is replaced.
const MOST_AUTHORITIES: usize = 16;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// What it is: agents and servers of the same node are different peers.
    pub role: Role,
    /// The node; that of a server is the server's own name.
    pub node: String,
    /// When its certificate begins.
    pub not_before: SystemTime,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum Refusal {
    /// Nothing was shown.
    #[error("no certificate was shown")]
    Nothing,
    /// It cannot be read.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// It is for something else.
    #[error("the certificate is not that of a node with the organization {0}")]
    OtherSubject(String),
    /// The node is forgotten, or its certificate is from before it was.
    #[error("the certificate of node `{0}` is revoked, as the node is forgotten, or was when it got it")]
    Forgotten(String),
}

/// Why a list of authorities is not taken.
#[derive(Debug, ThisError)]
pub enum BadTrust {
    /// It has none, or one that cannot be read.
    #[error("it has no certificate in PEM, or one that cannot be read")]
    Pem,
    /// It has too many.
    #[error("it has more than {MOST_AUTHORITIES} certificates")]
    TooMany,
    /// They cannot be trusted.
    #[error("its certificates are those of no authorities")]
    NoAuthority,
}

/// The verifier.
pub struct Verifier {
    roles: Box<[Role]>,
    trust: ArcSwap<Option<Arc<dyn ClientCertVerifier>>>,
    roots: watch::Sender<Arc<RootCertStore>>,
    forgotten: ArcSwap<Option<Forgotten>>,
    changes: watch::Sender<()>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// Lets nodes in whose certificates are of one of `roles`, once it knows whom to trust.
    pub fn new(roles: &[Role]) -> Self {
        Self {
            roles: roles.into(),
            trust: ArcSwap::default(),
            roots: watch::Sender::new(Arc::new(RootCertStore::empty())),
            forgotten: ArcSwap::default(),
            changes: watch::Sender::new(()),
        }
    }

    /// Trusts the authorities in `pem`, and no others, from now on.
    pub fn trust(&self, pem: &str) -> Result<(), BadTrust> {
        let roots = Arc::new(authorities(pem)?);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let webpki = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider).build();
        let webpki = webpki.map_err(|_| BadTrust::NoAuthority)?;
        self.trust.store(Arc::new(Some(webpki)));
        self.roots.send_replace(roots);
        Ok(())
    }

    /// The authorities that are trusted, for a server that is a client of other servers, too. None before they were read.
    pub fn roots(&self) -> watch::Receiver<Arc<RootCertStore>> {
        self.roots.subscribe()
    }

    /// Refuses the nodes in the `data` of the ConfigMap of forgotten nodes from now on, and no others.
    pub fn forget(&self, data: &BTreeMap<String, String>) {
        self.forgotten.store(Arc::new(Some(Forgotten::of(data))));
        self.changes.send_replace(());
    }

    /// Whether both lists were read.
    pub fn is_ready(&self) -> bool {
        self.trust.load().is_some() && self.forgotten.load().is_some()
    }

    /// Who has shown these certificates in a handshake that has succeeded.
    pub fn peer(&self, certificates: Option<&[CertificateDer<'_>]>) -> Result<Peer, Refusal> {
        let leaf = certificates.and_then(<[_]>::first).ok_or(Refusal::Nothing)?;
        let peer = read(leaf, &self.roles)?;
        if self.is_forgotten(&peer) {
            return Err(Refusal::Forgotten(peer.node));
        }
        Ok(peer)
    }

    /// Whether a peer is refused now. True of everybody until the list was read.
    pub fn is_forgotten(&self, peer: &Peer) -> bool {
        match &**self.forgotten.load() {
            None => true,
            Some(forgotten) => forgotten.refuses(&peer.node, peer.not_before),
        }
    }

    /// Waits until a peer that was let in is refused.
    pub async fn refused(&self, peer: &Peer) {
        let mut changes = self.changes.subscribe();
        while !self.is_forgotten(peer) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// The TLS of a server that lets nobody in but nodes, with one certificate for all its life.
    pub fn server_config(
        self: &Arc<Self>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<ServerConfig, Error> {
        let provider = rustls::crypto::ring::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider)?;
        self.server_config_of(Arc::new(SingleCertAndKey::from(key)))
    }

    /// The same, with the certificate that `certificates` has at the time of each handshake.
    pub fn server_config_of(
        self: &Arc<Self>,
        certificates: Arc<dyn ResolvesServerCert>,
    ) -> Result<ServerConfig, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let verifier = Arc::clone(self) as Arc<dyn ClientCertVerifier>;
        let mut config = builder
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(certificates);
        // Who resumes a session is not asked for his certificate again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

/// The authorities in a text in PEM, as ConfigMap [`TRUST`](super::TRUST) has it.
pub fn authorities(pem: &str) -> Result<RootCertStore, BadTrust> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        if roots.len() == MOST_AUTHORITIES {
            return Err(BadTrust::TooMany);
        }
        let certificate = certificate.map_err(|_| BadTrust::Pem)?;
        roots.add(certificate).map_err(|_| BadTrust::NoAuthority)?;
    }
    if roots.is_empty() {
        return Err(BadTrust::Pem);
    }
    Ok(roots)
}

/// Role, node and beginning of a certificate: a node's name as CN and the organization of one of `roles` as O, and nothing
/// else.
fn read(certificate: &CertificateDer<'_>, roles: &[Role]) -> Result<Peer, Refusal> {
    let other = || {
        let taken: Vec<_> = roles.iter().map(|role| role.organization()).collect();
        Refusal::OtherSubject(taken.join(" or "))
    };
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| Refusal::Unreadable)?;
    let (mut node, mut group) = (None, None);
    for attribute in parsed.subject().iter_attributes() {
        let slot = if *attribute.attr_type() == OID_X509_COMMON_NAME {
            &mut node
        } else if *attribute.attr_type() == OID_X509_ORGANIZATION_NAME {
            &mut group
        } else {
            return Err(other());
        };
        let text = attribute.as_str().map_err(|_| Refusal::Unreadable)?;
        if slot.replace(text).is_some() {
            return Err(other());
        }
    }
    let role = roles.iter().find(|role| group == Some(role.organization()));
    let node = node.filter(|node| is_node_name(node));
    let (role, node) = role.zip(node).ok_or_else(other)?;
    let begins = u64::try_from(parsed.validity().not_before.timestamp()).unwrap_or_default();
    Ok(Peer {
        role: *role,
        node: node.to_owned(),
        not_before: SystemTime::UNIX_EPOCH + Duration::from_secs(begins),
    })
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[] // authorities change during the life of this object; clients then offer what they have
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let Some(webpki) = &**self.trust.load() else {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        };
        webpki.verify_client_cert(end_entity, intermediates, now)?;
        match self.peer(Some(std::slice::from_ref(end_entity))) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(Refusal::Forgotten(_)) => Err(Error::InvalidCertificate(CertificateError::Revoked)),
            Err(_) => Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            )),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use yurt_testkit::ca::{Authority, Leaf};

    use super::*;
    use crate::node_certificates::{TUNNEL_AGENTS, TUNNEL_SERVERS};

    fn der(authority: &Authority, leaf: &Leaf) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(authority.issue(leaf).unwrap().cert_pem.as_bytes()).unwrap()
    }

    fn node(name: &str) -> Leaf {
        Leaf::new(name).organization(TUNNEL_AGENTS)
    }

    fn verdict(verifier: &Verifier, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let verified = verifier.verify_client_cert(certificate, &[], UnixTime::now());
        verified.map(|_| ())
    }

    #[test]
    fn nobody_is_let_in_before_both_lists_were_read() {
        let authority = Authority::new("a").unwrap();
        let certificate = der(&authority, &node("edge1"));
        let verifier = Verifier::new(&[Role::TunnelAgent]);
        assert!(!verifier.is_ready());
        verdict(&verifier, &certificate).unwrap_err();
        verifier.trust(&authority.pem()).unwrap();
        assert!(!verifier.is_ready());
        verdict(&verifier, &certificate).unwrap_err();
        verifier.forget(&BTreeMap::new());
        assert!(verifier.is_ready());
        verdict(&verifier, &certificate).unwrap();
    }

    #[test]
    fn only_nodes_of_a_trusted_authority_are_let_in() {
        let (authority, other) = (Authority::new("a").unwrap(), Authority::new("a").unwrap());
        let verifier = Verifier::new(&[Role::TunnelAgent]);
        verifier.trust(&authority.pem()).unwrap();
        verifier.forget(&BTreeMap::new());
        verdict(&verifier, &der(&authority, &node("edge1"))).unwrap();
        for (what, certificate) in [
            ("of another authority", der(&other, &node("edge1"))),
            ("without an organization", der(&authority, &Leaf::new("edge1"))),
            ("of a kubelet", der(&authority, &Leaf::node("edge1"))),
            (
                "of another role",
                der(&authority, &Leaf::new("edge1").organization(TUNNEL_SERVERS)),
            ),
            ("with no node's name", der(&authority, &node("edge1 or 2"))),
            ("that has ended", der(&authority, &node("edge1").expired())),
            ("that is none", CertificateDer::from(vec![0x30, 0x80, 1])),
        ] {
            assert!(verdict(&verifier, &certificate).is_err(), "{what}");
        }
        // Both are trusted while one is replaced, and then the other alone.
        verifier
            .trust(&format!("{}{}", authority.pem(), other.pem()))
            .unwrap();
        verdict(&verifier, &der(&authority, &node("edge1"))).unwrap();
        verdict(&verifier, &der(&other, &node("edge1"))).unwrap();
        verifier.trust(&other.pem()).unwrap();
        verdict(&verifier, &der(&authority, &node("edge1"))).unwrap_err();
        // What makes no sense changes nothing.
        let leaf = authority.issue(&node("edge1")).unwrap();
        for bad in [
            "",
            "x",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &leaf.key_pem,
        ] {
            assert!(verifier.trust(bad).is_err(), "{bad}");
        }
        assert!(matches!(
            verifier.trust(&other.pem().repeat(17)),
            Err(BadTrust::TooMany)
        ));
        verdict(&verifier, &der(&other, &node("edge1"))).unwrap();
    }

    #[test]
    fn a_server_that_takes_two_roles_tells_which_one_it_has_before_it() {
        let authority = Authority::new("a").unwrap();
        let verifier = Verifier::new(&[Role::TunnelAgent, Role::TunnelServer]);
        verifier.trust(&authority.pem()).unwrap();
        verifier.forget(&BTreeMap::new());
        for role in [Role::TunnelAgent, Role::TunnelServer] {
            let shown = der(&authority, &Leaf::new("n1").organization(role.organization()));
            verdict(&verifier, &shown).unwrap();
            let peer = verifier.peer(Some(std::slice::from_ref(&shown))).unwrap();
            assert_eq!((peer.role, peer.node.as_str()), (role, "n1"));
        }
        let kubelet = der(&authority, &Leaf::node("n1"));
        let refusal = verifier.peer(Some(&[kubelet])).unwrap_err().to_string();
        assert!(
            refusal.contains("yurt:tunnel-agents or yurt:tunnel-servers"),
            "{refusal}"
        );
    }

    #[tokio::test]
    async fn who_is_forgotten_is_refused_and_his_connections_hear_of_it() {
        let authority = Authority::new("a").unwrap();
        let verifier = Arc::new(Verifier::new(&[Role::TunnelAgent]));
        verifier.trust(&authority.pem()).unwrap();
        verifier.forget(&BTreeMap::new());
        let hour = Duration::from_hours(1);
        let now = SystemTime::now();
        let certificate = der(&authority, &node("edge1").valid(now - hour, now + hour));
        let peer = verifier.peer(Some(std::slice::from_ref(&certificate))).unwrap();
        assert_eq!(peer.node, "edge1");
        let waits = {
            let (verifier, peer) = (Arc::clone(&verifier), peer.clone());
            tokio::spawn(async move { verifier.refused(&peer).await })
        };
        let list = |node: &str, text: String| BTreeMap::from([(node.to_owned(), text)]);
        let time = |time| humantime::format_rfc3339_seconds(time).to_string();
        verifier.forget(&list("edge2", time(now)));
        assert!(!verifier.is_forgotten(&peer));
        verifier.forget(&list("edge1", time(now)));
        waits.await.unwrap();
        let error = verdict(&verifier, &certificate).unwrap_err();
        assert_eq!(error, Error::InvalidCertificate(CertificateError::Revoked));
        // Remembered: what it had before stays refused, what it gets now is not.
        let (before, after) = (now - hour / 2, now - hour / 4);
        verifier.forget(&list(
            "edge1",
            format!("{} remembered {}", time(before), time(before)),
        ));
        assert!(verifier.is_forgotten(&peer));
        verdict(
            &verifier,
            &der(&authority, &node("edge1").valid(after, now + hour)),
        )
        .unwrap();
    }
}
