//! The node-local CA and the serving certificate that it signs for loopback.
//!
//! Both are valid from 1970 on: a node whose clock is wrong after a power cut must still reach its own hub. The
//! CA's key never leaves the node and signs nothing but this certificate, which is made anew at each start and
//! kept in memory only.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rcgen::{KeyUsagePurpose, SanType, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use thiserror::Error;

use yurt_common::fs::{read_optional, write_atomic};

/// Names of the apiserver inside a cluster.
const SERVICE_NAMES: [&str; 3] = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"];

/// A chain and its key, ready to be served.
pub struct ServingCertificate {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
}

/// Why the node-local CA cannot be used.
#[derive(Debug, Error)]
pub enum LocalCaError {
    /// A file could not be read or written.
    #[error("failed to read or write `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The files do not hold a CA.
    #[error(
        "`{path}` does not hold the node-local CA; remove the folder to make a new one, then restart the kubelet"
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rcgen::Error,
    },
    /// A certificate could not be made.
    #[error("failed to make a certificate")]
    Make(#[from] rcgen::Error),
}

/// Reads the CA in `folder`, or makes one there, and signs a serving certificate with it: for loopback, and for the
/// address and names by which pods know the apiserver, where they are served.
pub fn load_or_create(folder: &Path, pods: Option<IpAddr>) -> Result<ServingCertificate, LocalCaError> {
    let certificate_path = folder.join("ca.crt");
    let key_path = folder.join("ca.key");
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| LocalCaError::File { path, source }
    };
    std::fs::create_dir_all(folder).map_err(file(folder))?;
    let certificate = read_optional(&certificate_path).map_err(file(&certificate_path))?;
    let key = read_optional(&key_path).map_err(file(&key_path))?;
    if let (Some(certificate), Some(key)) = (certificate, key) {
        return sign(&certificate, &key, pods).map_err(|source| LocalCaError::Content {
            path: certificate_path,
            source,
        });
    }
    let (certificate, key) = create()?;
    // The key first: a certificate without its key would be trusted but useless.
    write_atomic(&key_path, key.as_bytes(), 0o600).map_err(file(&key_path))?;
    write_atomic(&certificate_path, certificate.as_bytes(), 0o644).map_err(file(&certificate_path))?;
    Ok(sign(certificate.as_bytes(), key.as_bytes(), pods)?)
}

fn create() -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut parameters = valid_for_ever();
    parameters
        .distinguished_name
        .push(DnType::CommonName, "yurthub node-local CA");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok((parameters.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn sign(
    ca_certificate: &[u8],
    ca_key: &[u8],
    pods: Option<IpAddr>,
) -> Result<ServingCertificate, rcgen::Error> {
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| rcgen::Error::CouldNotParseCertificate);
    let ca_key = KeyPair::from_pem(text(ca_key)?)?;
    let ca_der =
        CertificateDer::from_pem_slice(ca_certificate).map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
    let issuer = Issuer::from_ca_cert_der(&ca_der, ca_key)?;
    let key = KeyPair::generate()?;
    let mut parameters = valid_for_ever();
    parameters.distinguished_name.push(DnType::CommonName, "yurthub");
    parameters.subject_alt_names = vec![
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::DnsName("localhost".try_into()?),
    ];
    if let Some(address) = pods {
        let names = SERVICE_NAMES
            .iter()
            .map(|name| Ok(SanType::DnsName((*name).try_into()?)));
        parameters
            .subject_alt_names
            .extend(names.collect::<Result<Vec<_>, rcgen::Error>>()?);
        parameters.subject_alt_names.push(SanType::IpAddress(address));
    }
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let leaf = parameters.signed_by(&key, &issuer)?;
    Ok(ServingCertificate {
        chain: vec![leaf.der().clone(), ca_der],
        key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
    })
}

fn valid_for_ever() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.not_before = date_time_ymd(1970, 1, 1);
    parameters.not_after = date_time_ymd(9999, 12, 31);
    parameters
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::UnixTime;

    use super::*;
    use crate::identity::node_cert::{provider, root_store};

    #[test]
    fn the_ca_is_kept_and_its_key_is_for_root_only() {
        let folder = tempfile::tempdir().unwrap();
        let first = load_or_create(folder.path(), None).unwrap();
        let second = load_or_create(folder.path(), None).unwrap();
        assert_eq!(first.chain[1], second.chain[1]);
        assert_ne!(first.chain[0], second.chain[0]);
        let mode = std::fs::metadata(folder.path().join("ca.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_serving_certificate_is_good_whatever_the_clock_says() {
        let folder = tempfile::tempdir().unwrap();
        let serving = load_or_create(folder.path(), None).unwrap();
        let ca = std::fs::read(folder.path().join("ca.crt")).unwrap();
        let roots = root_store(&ca, "node-local CA").unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .unwrap();
        let year = 365 * 24 * 3600;
        for now in [0, 1, 30 * year, 56 * year, 57 * year, 150 * year, 8000 * year] {
            for name in ["127.0.0.1", "localhost"] {
                let verdict = verifier.verify_server_cert(
                    &serving.chain[0],
                    &serving.chain[1..],
                    &name.try_into().unwrap(),
                    &[],
                    UnixTime::since_unix_epoch(Duration::from_secs(now)),
                );
                assert!(verdict.is_ok(), "{name} at {now}: {verdict:?}");
            }
        }
    }

    #[test]
    fn a_broken_ca_is_said_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        load_or_create(folder.path(), None).unwrap();
        std::fs::write(folder.path().join("ca.crt"), "garbage").unwrap();
        let error = load_or_create(folder.path(), None).err().unwrap();
        assert!(error.to_string().contains("ca.crt"), "{error}");
        assert_eq!(std::fs::read(folder.path().join("ca.crt")).unwrap(), b"garbage");
    }
}
