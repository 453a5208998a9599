//! Who is asking, by proof only: a client certificate of the cluster's CA, or a bearer token.
//!
//! Names that a client merely claims (User-Agent, headers of front proxies) are never looked at.

mod account_tokens;
mod client;
pub mod node_cert;
mod verifier;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

pub use account_tokens::AccountTokens;
pub use client::Client;
pub use verifier::KubeletVerifier;

/// Who stands behind a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// This node's kubelet, or whoever may read its private key (root on this node).
    Node,
    /// A service account of a pod on this node, by a token that this node has verified.
    Account(Arc<Account>),
    /// The bearer of a token, which only the apiserver can judge.
    Bearer,
}

impl Identity {
    /// For whom answers to this identity are kept; `None` where nothing is kept.
    pub fn client(&self) -> Option<&Client> {
        match self {
            Self::Node => Some(&Client::Node),
            Self::Account(account) => Some(&account.client),
            Self::Bearer => None,
        }
    }
}

/// What a verified token says of its bearer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The service account.
    pub client: Client,
    /// As whom the cloud judges it.
    pub user: yurthub_token::UserInfo,
}

/// Why nobody in particular is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unproved {
    /// Neither certificate nor token.
    Nothing,
    /// A token that the cluster's keys do not bear out, while the cloud cannot be asked.
    Token(yurthub_token::Refusal),
    /// A certificate of the cluster, but not this node's: yurthub cannot speak for it upstream.
    ForeignCertificate {
        /// The common name in it.
        subject: String,
    },
}

/// What the certificate of a connection proves; read once per connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// No certificate was shown.
    Anonymous,
    /// This node's kubelet.
    Node,
    /// Somebody else of this cluster.
    Other(Arc<str>),
}

impl Peer {
    /// Reads the certificate that the TLS handshake has verified.
    pub fn from_certificates(certificates: Option<&[CertificateDer<'_>]>, node_user: &str) -> Self {
        let Some(leaf) = certificates.and_then(<[_]>::first) else {
            return Self::Anonymous;
        };
        match subject(leaf) {
            Some(subject) if subject.is_node(node_user) => Self::Node,
            Some(subject) => Self::Other(subject.common_name.into()),
            None => Self::Other("unreadable".into()),
        }
    }

    /// Who stands behind a request of this connection. The certificate goes first, as in the apiserver.
    pub fn prove(&self, headers: &HeaderMap) -> Result<Identity, Unproved> {
        match self {
            Self::Node => Ok(Identity::Node),
            Self::Other(subject) => Err(Unproved::ForeignCertificate {
                subject: subject.to_string(),
            }),
            Self::Anonymous if has_bearer_token(headers) => Ok(Identity::Bearer),
            Self::Anonymous => Err(Unproved::Nothing),
        }
    }
}

fn has_bearer_token(headers: &HeaderMap) -> bool {
    headers.get(AUTHORIZATION).is_some_and(|value| {
        let (scheme, token) = value.as_bytes().split_at(value.len().min(7));
        scheme.eq_ignore_ascii_case(b"bearer ") && !token.trim_ascii().is_empty()
    })
}

/// The names in a client certificate: user and groups, as the apiserver reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The user.
    pub common_name: String,
    /// The groups.
    pub organizations: Vec<String>,
}

impl Subject {
    fn is_node(&self, node_user: &str) -> bool {
        self.common_name == node_user && self.organizations.iter().any(|group| group == "system:nodes")
    }
}

/// Reads the subject of a certificate; `None` where it cannot be read.
pub fn subject(certificate: &CertificateDer<'_>) -> Option<Subject> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let subject = parsed.subject();
    let common_name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let organizations = subject
        .iter_organization()
        .filter_map(|name| name.as_str().ok().map(str::to_owned))
        .collect();
    Some(Subject {
        common_name,
        organizations,
    })
}

/// When a certificate ends; `None` where that cannot be read.
fn expiry(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(authorization: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        headers.insert("x-remote-user", "system:admin".parse().unwrap());
        headers.insert("user-agent", "kubelet/v1.34.4".parse().unwrap());
        headers
    }

    #[test]
    fn only_a_certificate_or_a_token_proves_anything() {
        for (peer, authorization, expected) in [
            (Peer::Node, None, Ok(Identity::Node)),
            (Peer::Node, Some("Bearer abc"), Ok(Identity::Node)),
            (Peer::Anonymous, Some("Bearer abc"), Ok(Identity::Bearer)),
            (Peer::Anonymous, Some("bearer abc"), Ok(Identity::Bearer)),
            (Peer::Anonymous, Some("Bearer  "), Err(Unproved::Nothing)),
            (Peer::Anonymous, Some("Basic abc"), Err(Unproved::Nothing)),
            (Peer::Anonymous, None, Err(Unproved::Nothing)),
            (
                Peer::Other("admin".into()),
                Some("Bearer abc"),
                Err(Unproved::ForeignCertificate {
                    subject: "admin".into(),
                }),
            ),
        ] {
            assert_eq!(
                peer.prove(&headers(authorization)),
                expected,
                "{peer:?} {authorization:?}"
            );
        }
    }

    #[test]
    fn the_node_is_known_by_user_and_group_together() {
        let certificate = |user: &str, group: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut parameters = rcgen::CertificateParams::default();
            parameters
                .distinguished_name
                .push(rcgen::DnType::CommonName, user);
            parameters
                .distinguished_name
                .push(rcgen::DnType::OrganizationName, group);
            parameters.self_signed(&key).unwrap().der().clone()
        };
        for (user, group, node) in [
            ("system:node:edge1", "system:nodes", true),
            ("system:node:edge2", "system:nodes", false),
            ("system:node:edge1", "system:masters", false),
        ] {
            let chain = [certificate(user, group)];
            let peer = Peer::from_certificates(Some(&chain), "system:node:edge1");
            assert_eq!(peer == Peer::Node, node, "{user} {group}: {peer:?}");
        }
        assert_eq!(
            Peer::from_certificates(None, "system:node:edge1"),
            Peer::Anonymous
        );
    }
}
