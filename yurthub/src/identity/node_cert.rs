//! The kubelet's client certificate and the cluster's CA, as they are on disk now.
//!
//! The kubelet rotates its certificate by replacing a symbolic link. A poll finds that: no file watcher, nothing
//! to go deaf. Each change gets a new generation, by which upstream connections of the old one are retired.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tracing::{info, warn};

use super::{Subject, subject};
use crate::kubeconfig::{Kubeconfig, Pem};
use crate::telemetry::ErrorChain;

/// How often the files are compared with what is in use.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// One state of the files: what connections are made with.
pub struct Credentials {
    /// Rises by one with each change on disk.
    pub generation: u64,
    /// Whose certificate it is.
    pub subject: Subject,
    /// When the certificate ends; `None` where that cannot be read.
    pub expires: Option<SystemTime>,
    /// TLS towards the apiserver as this node.
    pub as_node: Arc<ClientConfig>,
    /// TLS towards the apiserver without a certificate, for requests that carry a token.
    pub without_certificate: Arc<ClientConfig>,
    /// Certificate and key, for connections with others than the apiserver.
    pub certified: Arc<CertifiedKey>,
    raw: Raw,
}

#[derive(PartialEq, Eq)]
struct Raw {
    ca: Vec<u8>,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Why the credentials cannot be used.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// A file could not be read.
    #[error("failed to read the {what}")]
    Read {
        /// Which one.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// PEM without the expected content.
    #[error("the {what} is not valid PEM, or holds none")]
    Pem {
        /// Which one.
        what: &'static str,
    },
    /// rustls refuses it.
    #[error("the {what} cannot be used for TLS")]
    Tls {
        /// Which one.
        what: &'static str,
        /// Why.
        source: rustls::Error,
    },
    /// A client certificate without user name.
    #[error("the client certificate has no readable common name")]
    Subject,
}

/// The credentials in use; swapped when the files change.
pub struct NodeCredentials {
    kubeconfig: Kubeconfig,
    current: ArcSwap<Credentials>,
}

impl NodeCredentials {
    /// Reads the files that `kubeconfig` names.
    pub fn load(kubeconfig: Kubeconfig) -> Result<Self, CredentialsError> {
        let first = Credentials::build(Raw::read(&kubeconfig)?, 0)?;
        Ok(Self {
            kubeconfig,
            current: ArcSwap::from_pointee(first),
        })
    }

    /// What is in use now.
    pub fn current(&self) -> Arc<Credentials> {
        self.current.load_full()
    }

    /// Compares with the files; returns whether something changed. What cannot be used is left aside.
    pub fn reload(&self) -> Result<bool, CredentialsError> {
        // A kubeconfig that is being replaced is not there or not whole for a moment: the one from the start names the files.
        let raw = Raw::read(
            &self
                .kubeconfig
                .read_again()
                .unwrap_or_else(|_| self.kubeconfig.clone()),
        )?;
        let current = self.current();
        if raw == current.raw {
            return Ok(false);
        }
        self.current
            .store(Arc::new(Credentials::build(raw, current.generation + 1)?));
        Ok(true)
    }

    /// Follows the files until cancelled.
    pub async fn follow(self: Arc<Self>) {
        let mut poll = tokio::time::interval(POLL_INTERVAL);
        loop {
            poll.tick().await;
            match self.reload() {
                Ok(true) => info!(
                    generation = self.current().generation,
                    "client certificate or CA changed"
                ),
                Ok(false) => {}
                Err(error) => {
                    warn!(error = %ErrorChain(&error), "keeping the present client certificate and CA");
                }
            }
        }
    }
}

impl Raw {
    fn read(kubeconfig: &Kubeconfig) -> Result<Self, CredentialsError> {
        let read = |pem: &Pem, what| {
            pem.read()
                .map_err(|source| CredentialsError::Read { what, source })
        };
        Ok(Self {
            ca: read(&kubeconfig.ca, "CA of the apiserver")?,
            certificate: read(&kubeconfig.certificate, "client certificate of the kubelet")?,
            key: read(&kubeconfig.key, "client key of the kubelet")?,
        })
    }
}

impl Credentials {
    fn build(raw: Raw, generation: u64) -> Result<Self, CredentialsError> {
        const CERTIFICATE: &str = "client certificate of the kubelet";
        let roots = root_store(&raw.ca, "CA of the apiserver")?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&raw.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| CredentialsError::Pem { what: CERTIFICATE })?;
        let leaf = chain.first().ok_or(CredentialsError::Pem { what: CERTIFICATE })?;
        let subject = subject(leaf).ok_or(CredentialsError::Subject)?;
        let expires = super::expiry(leaf);
        let key = PrivateKeyDer::from_pem_slice(&raw.key).map_err(|_| CredentialsError::Pem {
            what: "client key of the kubelet",
        })?;
        let tls = |source| CredentialsError::Tls {
            what: CERTIFICATE,
            source,
        };
        let certified = CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider()).map_err(tls)?;
        let builder =
            || ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let as_node = builder().map_err(tls)?.with_root_certificates(roots.clone());
        let as_node = as_node.with_client_auth_cert(chain, key).map_err(tls)?;
        let without_certificate = builder()
            .map_err(tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            generation,
            subject,
            expires,
            as_node: Arc::new(as_node),
            without_certificate: Arc::new(without_certificate),
            certified: Arc::new(certified),
            raw,
        })
    }

    /// The CA of the apiserver, as PEM.
    pub fn ca_pem(&self) -> &[u8] {
        &self.raw.ca
    }
}

/// The one crypto provider of this process.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Reads all certificates of a PEM file as trusted roots; `what` names it in errors.
pub fn root_store(pem: &[u8], what: &'static str) -> Result<RootCertStore, CredentialsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| CredentialsError::Pem { what })?;
        roots
            .add(certificate)
            .map_err(|source| CredentialsError::Tls { what, source })?;
    }
    if roots.is_empty() {
        Err(CredentialsError::Pem { what })
    } else {
        Ok(roots)
    }
}
