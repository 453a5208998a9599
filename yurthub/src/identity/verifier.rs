//! Verifies client certificates with the cluster's CA, and keeps accepting, while the cloud is away, a kubelet
//! certificate that ran out after the cut: it could not be renewed, and the node must live on. Likewise one that the
//! clock calls not valid yet: a node without a battery for its clock boots somewhere in the past.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::node_cert::{CredentialsError, provider, root_store};
use crate::health::Monitor;

/// The verifier; its CA can be replaced while running.
pub struct KubeletVerifier {
    inner: ArcSwap<Inner>,
    cloud: Arc<Monitor>,
}

struct Inner {
    pem: Vec<u8>,
    webpki: Arc<dyn ClientCertVerifier>,
}

impl std::fmt::Debug for KubeletVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KubeletVerifier")
    }
}

impl KubeletVerifier {
    /// Trusts the CAs in `pem`.
    pub fn new(pem: Vec<u8>, cloud: Arc<Monitor>) -> Result<Self, CredentialsError> {
        Ok(Self {
            inner: ArcSwap::from_pointee(Inner::new(pem)?),
            cloud,
        })
    }

    /// Trusts the CAs in `pem` from now on; returns whether they differ from before.
    pub fn replace(&self, pem: Vec<u8>) -> Result<bool, CredentialsError> {
        if self.inner.load().pem == pem {
            return Ok(false);
        }
        self.inner.store(Arc::new(Inner::new(pem)?));
        Ok(true)
    }

    /// The moment that counts beside the clock's: when the cloud was last there.
    fn grace(&self) -> Option<UnixTime> {
        let state = self.cloud.state();
        if state.reachable() {
            None
        } else {
            state.last_there.map(unix_time)
        }
    }
}

impl Inner {
    fn new(pem: Vec<u8>) -> Result<Self, CredentialsError> {
        let roots = Arc::new(root_store(&pem, "CA of client certificates")?);
        let webpki = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .allow_unauthenticated()
            .build()
            .map_err(|_| CredentialsError::Pem {
                what: "CA of client certificates",
            })?;
        Ok(Self { pem, webpki })
    }
}

fn unix_time(time: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Whether nothing is wrong but the time.
fn is_a_matter_of_time(error: &Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(
        error,
        Error::InvalidCertificate(Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
    )
}

impl ClientCertVerifier for KubeletVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[] // the CA may change during the life of this object; clients then offer what they have
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let webpki = &self.inner.load().webpki;
        match (
            webpki.verify_client_cert(end_entity, intermediates, now),
            self.grace(),
        ) {
            (Err(error), Some(last_seen)) if is_a_matter_of_time(&error) => {
                webpki.verify_client_cert(end_entity, intermediates, last_seen)
            }
            (verdict, _) => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .load()
            .webpki
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .load()
            .webpki
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.load().webpki.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject;
    use yurt_testkit::ca::{Authority, Leaf};

    use super::*;
    use crate::health::staged::Stage;

    const HOUR: Duration = Duration::from_hours(1);
    const YEAR: Duration = Duration::from_hours(365 * 24);

    /// A kubelet with a certificate that is valid for four hours around noon, as its node's yurthub sees it.
    struct Node {
        authority: Authority,
        certificate: CertificateDer<'static>,
        noon: SystemTime,
    }

    impl Node {
        fn new() -> Self {
            let authority = Authority::new("cluster").unwrap();
            let noon = UNIX_EPOCH + 50 * YEAR;
            let certificate = issue(&authority, noon);
            Self {
                authority,
                certificate,
                noon,
            }
        }

        fn verifier(&self, stage: &Stage) -> KubeletVerifier {
            KubeletVerifier::new(self.authority.pem().into_bytes(), Arc::clone(&stage.cloud)).unwrap()
        }
    }

    fn issue(authority: &Authority, noon: SystemTime) -> CertificateDer<'static> {
        let leaf = Leaf::node("edge1").valid(noon - 2 * HOUR, noon + 2 * HOUR);
        CertificateDer::from_pem_slice(authority.issue(&leaf).unwrap().cert_pem.as_bytes()).unwrap()
    }

    fn accepts(verifier: &KubeletVerifier, certificate: &CertificateDer<'_>, now: SystemTime) -> bool {
        verifier
            .verify_client_cert(certificate, &[], unix_time(now))
            .is_ok()
    }

    #[test]
    fn a_certificate_that_was_valid_at_the_cut_is_accepted_at_any_time_until_the_cloud_is_back() {
        let node = Node::new();
        let (noon, certificate) = (node.noon, &node.certificate);
        let stage = Stage::new(noon, None);
        let verifier = node.verifier(&stage);
        let wrong = [noon + 3 * HOUR, noon + YEAR, noon - YEAR, UNIX_EPOCH];
        stage.join();
        assert!(accepts(&verifier, certificate, noon));
        for now in wrong {
            assert!(!accepts(&verifier, certificate, now), "online, {now:?}");
        }
        stage.set_clock(noon + HOUR);
        stage.cut();
        for now in wrong {
            stage.set_clock(now);
            assert!(accepts(&verifier, certificate, now), "cut, {now:?}");
        }
        let stranger = issue(&Authority::new("cluster").unwrap(), noon);
        assert!(!accepts(&verifier, &stranger, noon + 3 * HOUR));
        stage.join();
        for now in wrong {
            assert!(!accepts(&verifier, certificate, now), "online again, {now:?}");
        }
    }

    #[test]
    fn a_certificate_that_was_not_valid_at_the_cut_is_refused() {
        let node = Node::new();
        for cut in [node.noon + 3 * HOUR, node.noon - 3 * HOUR] {
            let stage = Stage::new(cut, None);
            let verifier = node.verifier(&stage);
            stage.join();
            stage.cut();
            for now in [cut, cut + YEAR, UNIX_EPOCH] {
                assert!(
                    !accepts(&verifier, &node.certificate, now),
                    "cut at {cut:?}, {now:?}"
                );
            }
            // Not by the clock of the cut, but by the present one.
            assert!(accepts(&verifier, &node.certificate, node.noon));
        }
    }

    #[test]
    fn a_yurthub_that_starts_without_cloud_goes_by_what_the_one_before_it_knew() {
        let node = Node::new();
        let wrong = [node.noon + 3 * HOUR, node.noon + YEAR, UNIX_EPOCH];
        for now in wrong {
            let stage = Stage::new(now, Some(node.noon));
            assert!(
                accepts(&node.verifier(&stage), &node.certificate, now),
                "before the first verdict, {now:?}"
            );
            stage.cut();
            assert!(
                accepts(&node.verifier(&stage), &node.certificate, now),
                "away, {now:?}"
            );
            let stage = Stage::new(now, None);
            stage.cut();
            assert!(
                !accepts(&node.verifier(&stage), &node.certificate, now),
                "nothing known, {now:?}"
            );
        }
    }
}
