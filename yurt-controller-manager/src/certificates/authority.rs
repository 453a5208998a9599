//! A certificate authority of our own: made, read, and what it signs.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use yurt_common::node_certificates::BACKDATED;

use super::decide::Grant;
use super::request::Name;
use super::signers::{Kind, Signer};

/// How long an authority is good for; it is replaced long before ([`super::rotation::Times`]).
const VALID: Duration = Duration::from_hours(2 * 365 * 24);

/// An authority with its key.
pub struct Authority {
    /// Its certificate, in PEM.
    pub certificate: String,
    /// Its key, in PEM (PKCS#8).
    pub key: String,
    issuer: Issuer<'static, KeyPair>,
    not_before: SystemTime,
    not_after: SystemTime,
}

/// Why an authority cannot be used.
#[derive(Debug, Error)]
pub enum Fault {
    /// Its certificate cannot be read.
    #[error("its certificate cannot be read")]
    Certificate,
    /// Its certificate is that of no authority.
    #[error("its certificate is that of no authority")]
    NoAuthority,
    /// Its key cannot be read.
    #[error("its key cannot be read: {0}")]
    Key(#[source] rcgen::Error),
    /// Key and certificate do not belong together.
    #[error("its key is not that of its certificate")]
    OtherKey,
    /// It could not be made, or could not sign.
    #[error("signing failed: {0}")]
    Sign(#[source] rcgen::Error),
    /// It has ended before what it should sign begins.
    #[error("it has ended; it is being replaced")]
    Ended,
}

impl std::fmt::Debug for Authority {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// A new one, with a name of its own: verifiers look authorities up by name.
    pub fn new(now: SystemTime) -> Result<Self, Fault> {
        let mut params = CertificateParams::default();
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationName, "yurt");
        let key = KeyPair::generate().map_err(Fault::Sign)?;
        name.push(
            DnType::CommonName,
            format!("yurt nodes {:016x}", fastrand::u64(..)),
        );
        params.distinguished_name = name;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.not_before = (now - BACKDATED).into();
        params.not_after = (now + VALID).into();
        let certificate = params.self_signed(&key).map_err(Fault::Sign)?.pem();
        Self::read(&certificate, &key.serialize_pem())
    }

    /// Reads one, and whether it could sign.
    pub fn read(certificate: &str, key: &str) -> Result<Self, Fault> {
        let pair = KeyPair::from_pem(key).map_err(Fault::Key)?;
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|_| Fault::Certificate)?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| Fault::Certificate)?;
        if !parsed.is_ca() {
            return Err(Fault::NoAuthority);
        }
        if parsed.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(&pair) {
            return Err(Fault::OtherKey);
        }
        let time = |time: x509_parser::time::ASN1Time| {
            let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
        };
        let validity = parsed.validity();
        let (not_before, not_after) = (time(validity.not_before), time(validity.not_after));
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            issuer: Issuer::from_ca_cert_der(&der, pair).map_err(Fault::Sign)?,
            not_before,
            not_after,
        })
    }

    /// When it was made.
    pub fn made(&self) -> SystemTime {
        self.not_before + BACKDATED
    }

    /// Signs what was granted. Returns the certificate in PEM.
    pub fn sign(&self, signer: &Signer, grant: &Grant) -> Result<String, Fault> {
        let not_after = grant.not_after.min(self.not_after);
        let not_before = grant.not_before.max(self.not_before);
        if not_after <= not_before {
            return Err(Fault::Ended);
        }
        let mut params = CertificateParams::default();
        let mut subject = DistinguishedName::new();
        subject.push(DnType::OrganizationName, signer.organization);
        subject.push(DnType::CommonName, grant.node.as_str());
        params.distinguished_name = subject;
        params.subject_alt_names = grant.names.iter().map(san).collect::<Result<_, _>>()?;
        params.serial_number = Some(serial());
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match signer.kind {
            Kind::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Kind::Server(_) => vec![
                ExtendedKeyUsagePurpose::ClientAuth,
                ExtendedKeyUsagePurpose::ServerAuth,
            ],
        };
        params.use_authority_key_identifier_extension = true;
        params.not_before = not_before.into();
        params.not_after = not_after.into();
        let key = SubjectPublicKeyInfo::from_der(&grant.key).map_err(Fault::Sign)?;
        let signed = params.signed_by(&key, &self.issuer).map_err(Fault::Sign)?;
        Ok(signed.pem())
    }
}

fn san(name: &Name) -> Result<SanType, Fault> {
    Ok(match name {
        Name::Dns(name) => SanType::DnsName(name.as_str().try_into().map_err(Fault::Sign)?),
        Name::Ip(address) => SanType::IpAddress(*address),
    })
}

/// 16 bytes that nobody has used; the first one keeps it positive, and as long as it is.
fn serial() -> SerialNumber {
    let mut bytes = fastrand::u128(..).to_be_bytes();
    bytes[0] = bytes[0] & 0x3f | 0x40;
    SerialNumber::from_slice(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::signers::SIGNERS;

    fn grant(now: SystemTime, key: &KeyPair) -> Grant {
        Grant {
            node: "edge1".to_owned(),
            names: vec![Name::Dns("edge1".to_owned()), Name::Ip([10, 0, 0, 1].into())],
            key: rcgen::PublicKeyData::subject_public_key_info(key),
            not_before: now,
            not_after: now + Duration::from_hours(24),
        }
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
    }

    #[test]
    fn what_it_signs_is_a_certificate_of_a_client_with_the_key_that_was_given() {
        let authority = Authority::new(now()).unwrap();
        let key = KeyPair::generate().unwrap();
        let pem = authority.sign(&SIGNERS[0], &grant(now(), &key)).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        let root = CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap();
        let (_, root) = X509Certificate::from_der(&root).unwrap();
        leaf.verify_signature(Some(root.public_key())).unwrap();
        assert_eq!(leaf.subject().to_string(), "O=yurt:tunnel-agents, CN=edge1");
        assert_eq!(
            leaf.public_key().raw,
            rcgen::PublicKeyData::subject_public_key_info(&key)
        );
        assert!(!leaf.is_ca() && root.is_ca());
        let usage = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth && !usage.any);
        let names = leaf.subject_alternative_name().unwrap().unwrap().value;
        assert_eq!(names.general_names.len(), 2);
        let second = authority.sign(&SIGNERS[0], &grant(now(), &key)).unwrap();
        assert_ne!(pem, second, "the same serial number twice");
    }

    #[test]
    fn what_servers_get_is_good_for_both_ends() {
        let authority = Authority::new(now()).unwrap();
        let key = KeyPair::generate().unwrap();
        let pem = authority.sign(&SIGNERS[1], &grant(now(), &key)).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(leaf.subject().to_string(), "O=yurt:tunnel-servers, CN=edge1");
        let usage = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && usage.server_auth && !usage.any);
    }

    #[test]
    fn nothing_outlives_the_authority() {
        let authority = Authority::new(now()).unwrap();
        let key = KeyPair::generate().unwrap();
        let late = grant(now() + VALID - Duration::from_hours(1), &key);
        let pem = authority.sign(&SIGNERS[0], &late).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        let ends = SystemTime::UNIX_EPOCH
            + Duration::from_secs(leaf.validity().not_after.timestamp().cast_unsigned());
        assert_eq!(ends, now() + VALID);
        let later = grant(now() + VALID, &key);
        assert!(matches!(authority.sign(&SIGNERS[0], &later), Err(Fault::Ended)));
    }

    #[test]
    fn what_does_not_belong_together_is_no_authority() {
        let (one, other) = (Authority::new(now()).unwrap(), Authority::new(now()).unwrap());
        assert!(matches!(
            Authority::read(&one.certificate, &other.key),
            Err(Fault::OtherKey)
        ));
        assert!(matches!(Authority::read("", &one.key), Err(Fault::Certificate)));
        assert!(matches!(
            Authority::read(&one.certificate, "x"),
            Err(Fault::Key(_))
        ));
        let key = KeyPair::generate().unwrap();
        let leaf = one.sign(&SIGNERS[0], &grant(now(), &key)).unwrap();
        assert!(matches!(
            Authority::read(&leaf, &key.serialize_pem()),
            Err(Fault::NoAuthority)
        ));
        assert_eq!(Authority::read(&one.certificate, &one.key).unwrap().made(), now());
        assert!(!format!("{one:?}").contains("PRIVATE"));
    }
}
