//! Identity and trust from files, which are read again when they change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

/// How often they are looked at.
pub const LOOK: Duration = Duration::from_secs(5);
/// Bytes of a file, at most.
const LARGEST: u64 = 1 << 20;

/// Where they are.
#[derive(Debug, Clone)]
pub struct Files {
    /// The certificate and those above it, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
    /// Authorities that are trusted, in PEM.
    pub trust: PathBuf,
}

/// What was read.
#[derive(Clone)]
pub struct Material {
    /// Certificate and key.
    pub identity: Arc<CertifiedKey>,
    /// Authorities, as a store.
    pub roots: Arc<RootCertStore>,
    /// Authorities, as they were read.
    pub trust: String,
}

impl Files {
    /// Reads all of them.
    pub fn read(&self) -> Result<Material> {
        let (certificate, key, trust) = (text(&self.certificate)?, text(&self.key)?, text(&self.trust)?);
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
        let chain = chain
            .with_context(|| format!("failed to read certificates in {}", self.certificate.display()))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .with_context(|| format!("failed to read a key in {}", self.key.display()))?;
        let identity = CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
            .with_context(|| format!("key and certificate do not match: {}", self.certificate.display()))?;
        let roots = roots(&trust)
            .with_context(|| format!("failed to read authorities in {}", self.trust.display()))?;
        Ok(Material {
            identity: Arc::new(identity),
            roots: Arc::new(roots),
            trust,
        })
    }

    /// Reads them again and again, each time after `every`; `changed` hears of it when something is different from what it
    /// was at this call.
    pub fn follow(
        self,
        every: Duration,
        mut changed: impl FnMut(&Material) + Send,
    ) -> impl Future<Output = ()> + Send {
        let mut before = self.contents();
        async move {
            loop {
                sleep(every).await;
                let now = self.contents();
                if now == before {
                    continue;
                }
                match self.read() {
                    Ok(material) => {
                        before = now;
                        info!(certificate = %self.certificate.display(), "certificate, key or authorities are new");
                        changed(&material);
                    }
                    // They may be half written.
                    Err(error) => warn!(error = format!("{error:#}"), "what is new is not taken yet"),
                }
            }
        }
    }

    fn contents(&self) -> [Option<String>; 3] {
        [&self.certificate, &self.key, &self.trust].map(|path| text(path).ok())
    }
}

/// Authorities in PEM.
pub fn roots(pem: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        bail!("there is none");
    }
    Ok(roots)
}

/// Keys and values of a folder, as a ConfigMap is mounted.
pub fn folder(path: &Path) -> Result<BTreeMap<String, String>> {
    let mut data = BTreeMap::new();
    let entries = std::fs::read_dir(path).with_context(|| format!("failed to read {}", path.display()))?;
    for entry in entries {
        let path = entry?.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str())
            && !name.starts_with('.')
        {
            data.insert(name.to_owned(), text(&path)?);
        }
    }
    Ok(data)
}

/// Channels that are kept up from files, and a task that does it.
pub fn channels(
    material: &Material,
) -> (
    watch::Sender<Option<Arc<CertifiedKey>>>,
    watch::Sender<Arc<RootCertStore>>,
) {
    (
        watch::Sender::new(Some(Arc::clone(&material.identity))),
        watch::Sender::new(Arc::clone(&material.roots)),
    )
}

fn text(path: &Path) -> Result<String> {
    let failed = || format!("failed to read {}", path.display());
    if std::fs::metadata(path).with_context(failed)?.len() > LARGEST {
        bail!("{} is too large", path.display());
    }
    std::fs::read_to_string(path).with_context(failed)
}
