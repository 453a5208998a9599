//! Who may connect to a server: agents of nodes and other servers, each by a certificate of an authority that is trusted.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use yurt_common::node_certificates::TUNNEL_AGENTS;
use yurt_common::node_certificates::verifier::{BadTrust, Peer, Refusal, Verifier};

/// The organization in the certificates of servers; the common name is the server's id.
pub const TUNNEL_SERVERS: &str = "yurt:tunnel-servers";

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visitor {
    /// The agent of a node.
    Agent(Peer),
    /// Another server; its id stands for the node's name.
    Server(Peer),
}

/// Judges both. The lists of the two are the same: a node that is forgotten is let in as nothing.
#[derive(Debug)]
pub struct Visitors {
    /// Judges agents.
    pub agents: Arc<Verifier>,
    /// Judges servers.
    pub servers: Arc<Verifier>,
}

impl Default for Visitors {
    fn default() -> Self {
        Self {
            agents: Arc::new(Verifier::new(TUNNEL_AGENTS)),
            servers: Arc::new(Verifier::new(TUNNEL_SERVERS)),
        }
    }
}

impl Visitors {
    /// Trusts the authorities in `pem`, and no others, from now on.
    pub fn trust(&self, pem: &str) -> Result<(), BadTrust> {
        self.agents.trust(pem)?;
        self.servers.trust(pem)
    }

    /// Refuses the nodes in the `data` of the ConfigMap of forgotten nodes from now on, and no others.
    pub fn forget(&self, data: &BTreeMap<String, String>) {
        self.agents.forget(data);
        self.servers.forget(data);
    }

    /// Whether anybody can be let in.
    pub fn is_ready(&self) -> bool {
        self.agents.is_ready() && self.servers.is_ready()
    }

    /// Who has shown these certificates in a handshake that has succeeded.
    pub fn who(&self, certificates: Option<&[CertificateDer<'_>]>) -> Result<Visitor, Refusal> {
        match self.agents.peer(certificates) {
            Ok(peer) => Ok(Visitor::Agent(peer)),
            Err(Refusal::OtherSubject(_)) => self.servers.peer(certificates).map(Visitor::Server),
            Err(refusal) => Err(refusal),
        }
    }

    /// Waits until somebody who was let in is refused.
    pub async fn refused(&self, visitor: &Visitor) {
        match visitor {
            Visitor::Agent(peer) => self.agents.refused(peer).await,
            Visitor::Server(peer) => self.servers.refused(peer).await,
        }
    }
}

impl ClientCertVerifier for Visitors {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.agents.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let shown = std::slice::from_ref(end_entity);
        if matches!(self.agents.peer(Some(shown)), Err(Refusal::OtherSubject(_))) {
            return self.servers.verify_client_cert(end_entity, intermediates, now);
        }
        self.agents.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.agents
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.agents
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.agents.supported_verify_schemes()
    }
}
