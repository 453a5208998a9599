//! A key with its certificate, read from PEM and checked: they belong together, and are those of this role and node.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use yurt_common::node_certificates::Role;

use super::renewal::Term;

/// More certificates than there are in any chain of ours: the authority signs leafs itself.
const LONGEST_CHAIN: usize = 4;

/// Key and certificate.
pub struct Held {
    /// As TLS takes them.
    pub certified: Arc<CertifiedKey>,
    /// How long it is good for.
    pub term: Term,
    /// Both in PEM, as they are kept in a file.
    pub pem: String,
}

impl std::fmt::Debug for Held {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held")
            .field("term", &self.term)
            .finish_non_exhaustive()
    }
}

/// Why key and certificate cannot be used.
#[derive(Debug, Error)]
pub enum Unfit {
    /// One of them cannot be read.
    #[error("the {0} cannot be read")]
    Unreadable(&'static str),
    /// They do not belong together.
    #[error("the certificate is not that of this key")]
    OtherKey(#[source] rustls::Error),
    /// It is for somebody else.
    #[error("the certificate is that of `{found}`, and not of `{wanted}`")]
    Other {
        /// Its subject.
        found: String,
        /// What it should be.
        wanted: String,
    },
}

impl Held {
    /// Reads a text with a key and a certificate in PEM, in any order. `chance`: see [`Term`].
    pub fn read(pem: &str, role: Role, node: &str, chance: f64) -> Result<Self, Unfit> {
        let certificate = |_| Unfit::Unreadable("certificate");
        let chain = CertificateDer::pem_slice_iter(pem.as_bytes())
            .take(LONGEST_CHAIN)
            .collect::<Result<Vec<_>, _>>()
            .map_err(certificate)?;
        let leaf = chain.first().ok_or(Unfit::Unreadable("certificate"))?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| Unfit::Unreadable("certificate"))?;
        let (found, wanted) = (
            parsed.subject().to_string(),
            format!("O={}, CN={node}", role.organization()),
        );
        if found != wanted {
            return Err(Unfit::Other { found, wanted });
        }
        let time = |time: x509_parser::time::ASN1Time| {
            let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
        };
        let validity = parsed.validity();
        let term = Term {
            not_before: time(validity.not_before),
            not_after: time(validity.not_after),
            chance,
        };
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| Unfit::Unreadable("key"))?;
        let provider = rustls::crypto::ring::default_provider();
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(Unfit::OtherKey)?;
        Ok(Self {
            certified: Arc::new(certified),
            term,
            pem: pem.to_owned(),
        })
    }

    /// Whether one of `roots` has signed it, whatever the time is.
    pub fn is_signed_by(&self, roots: &Arc<RootCertStore>) -> bool {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider).build();
        let (Ok(verifier), [leaf, between @ ..]) = (verifier, self.certified.cert.as_slice()) else {
            return false;
        };
        let begin = self.term.not_before.duration_since(SystemTime::UNIX_EPOCH);
        let then = UnixTime::since_unix_epoch(begin.unwrap_or_default() + Duration::from_secs(1));
        verifier.verify_client_cert(leaf, between, then).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use yurt_common::node_certificates::verifier::authorities;
    use yurt_testkit::ca::{Authority, Leaf};

    use super::*;

    fn issued(authority: &Authority, node: &str) -> String {
        let leaf = Leaf::new(node).organization(Role::TunnelAgent.organization());
        let identity = authority.issue(&leaf).unwrap();
        format!("{}{}", identity.key_pem, identity.cert_pem)
    }

    fn read(pem: &str) -> Result<Held, Unfit> {
        Held::read(pem, Role::TunnelAgent, "edge1", 0.5)
    }

    #[test]
    fn what_belongs_together_is_held_and_nothing_else() {
        let authority = Authority::new("a").unwrap();
        let pem = issued(&authority, "edge1");
        let held = read(&pem).unwrap();
        assert!(held.term.not_before < SystemTime::now() && held.term.not_after > SystemTime::now());
        assert!(!format!("{held:?}").contains("PRIVATE"));
        let (key, certificate) = pem.split_at(pem.find("-----BEGIN CERTIFICATE").unwrap());
        let other = issued(&authority, "edge1");
        let other_key = &other[..other.find("-----BEGIN CERTIFICATE").unwrap()];
        for (what, text) in [
            ("nothing", String::new()),
            ("a key", key.to_owned()),
            ("a certificate", certificate.to_owned()),
            ("another key", format!("{other_key}{certificate}")),
            ("another node's", issued(&authority, "edge2")),
            ("half", pem[..pem.len() - 60].to_owned()),
        ] {
            assert!(read(&text).is_err(), "{what}");
        }
        assert!(matches!(
            Held::read(&pem, Role::TunnelServer, "edge1", 0.5),
            Err(Unfit::Other { .. })
        ));
    }

    #[test]
    fn who_has_signed_it_is_known_among_others_and_after_its_end() {
        let (one, other) = (Authority::new("a").unwrap(), Authority::new("a").unwrap());
        let leaf = Leaf::new("edge1").organization(Role::TunnelAgent.organization());
        let ended = one.issue(&leaf.expired()).unwrap();
        let held = read(&format!("{}{}", ended.key_pem, ended.cert_pem)).unwrap();
        let roots = |pem: &str| Arc::new(authorities(pem).unwrap());
        assert!(held.is_signed_by(&roots(&one.pem())));
        assert!(held.is_signed_by(&roots(&format!("{}{}", other.pem(), one.pem()))));
        assert!(!held.is_signed_by(&roots(&other.pem())), "of the same name");
        assert!(!held.is_signed_by(&Arc::new(RootCertStore::empty())));
    }
}
