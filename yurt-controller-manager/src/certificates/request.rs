//! What somebody asks for, read from the bytes of a PKCS#10 request (pure). Whoever may create requests has written
//! these bytes.

use std::net::IpAddr;

use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{GeneralName, KeyUsage, ParsedExtension};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_SIG_ED25519, OID_X509_COMMON_NAME,
    OID_X509_ORGANIZATION_NAME,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

use super::decide::Reason;

/// Longer requests are not read: ours have some 500 bytes.
const LARGEST: usize = 16 << 10;
/// Names beside the subject.
const MOST_NAMES: usize = 16;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The common name.
    pub common_name: String,
    /// The organization.
    pub organization: String,
    /// Further names.
    pub names: Vec<Name>,
    /// Whether it is to be that of a server, too.
    pub serves: bool,
    /// The key, as a DER `SubjectPublicKeyInfo`. Who asks has proved that he holds it.
    pub key: Vec<u8>,
}

/// A name beside the subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// Of the DNS.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// Reads a request in PEM. What is not known to be harmless is refused.
pub fn read(pem: &[u8]) -> Result<Asked, Reason> {
    if pem.len() > LARGEST {
        return Err(Reason::Unreadable("it is longer than 16 KiB"));
    }
    let der =
        CertificateSigningRequestDer::from_pem_slice(pem).map_err(|_| Reason::Unreadable("it is no PEM"))?;
    let Ok((rest, request)) = X509CertificationRequest::from_der(&der) else {
        return Err(Reason::Unreadable("it is no PKCS#10"));
    };
    if !rest.is_empty() {
        return Err(Reason::Unreadable("bytes follow it"));
    }
    let info = &request.certification_request_info;
    if !is_strong(&info.subject_pki) {
        return Err(Reason::WeakKey);
    }
    if request.verify_signature().is_err() {
        return Err(Reason::Unreadable("it is not signed with its own key"));
    }
    let (common_name, organization) = subject(&info.subject)?;
    let (mut names, mut serves) = (Vec::new(), false);
    match info.attributes() {
        [] => {}
        [one] => match one.parsed_attribute() {
            ParsedCriAttribute::ExtensionRequest(asked) => {
                for extension in &asked.extensions {
                    let extension = extension.parsed_extension();
                    names.extend(names_of(extension)?);
                    serves |=
                        matches!(extension, ParsedExtension::ExtendedKeyUsage(usage) if usage.server_auth);
                }
            }
            _ => return Err(Reason::Extension("an attribute that is not known")),
        },
        _ => return Err(Reason::Extension("several attributes")),
    }
    if names.len() > MOST_NAMES {
        return Err(Reason::ForeignName("more than 16 names".to_owned()));
    }
    Ok(Asked {
        common_name,
        organization,
        names,
        serves,
        key: info.subject_pki.raw.to_vec(),
    })
}

fn is_strong(key: &SubjectPublicKeyInfo<'_>) -> bool {
    let kind = &key.algorithm;
    if kind.algorithm == OID_SIG_ED25519 {
        return true;
    }
    let curve = kind.parameters.as_ref().and_then(|any| any.as_oid().ok());
    kind.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY
        && curve.is_some_and(|curve| curve == OID_EC_P256 || curve == OID_NIST_EC_P384)
}

/// Common name and organization: these two and nothing else.
fn subject(subject: &X509Name<'_>) -> Result<(String, String), Reason> {
    let (mut common_name, mut organization) = (None, None);
    for attribute in subject.iter_attributes() {
        let text = attribute.as_str().map_err(|_| Reason::Subject)?.to_owned();
        let slot = if *attribute.attr_type() == OID_X509_COMMON_NAME {
            &mut common_name
        } else if *attribute.attr_type() == OID_X509_ORGANIZATION_NAME {
            &mut organization
        } else {
            return Err(Reason::Subject);
        };
        if slot.replace(text).is_some() {
            return Err(Reason::Subject);
        }
    }
    common_name.zip(organization).ok_or(Reason::Subject)
}

fn names_of(extension: &ParsedExtension<'_>) -> Result<Vec<Name>, Reason> {
    match extension {
        ParsedExtension::SubjectAlternativeName(names) => names.general_names.iter().map(name).collect(),
        ParsedExtension::BasicConstraints(constraints) if !constraints.ca => Ok(Vec::new()),
        ParsedExtension::BasicConstraints(_) => Err(Reason::Extension("to be an authority")),
        ParsedExtension::KeyUsage(usage) if is_harmless(*usage) => Ok(Vec::new()),
        ParsedExtension::KeyUsage(_) => Err(Reason::Extension("a use of the key beyond signatures")),
        ParsedExtension::ExtendedKeyUsage(usage) => {
            let others = usage.any
                || usage.code_signing
                || usage.email_protection
                || usage.time_stamping
                || usage.ocsp_signing
                || !usage.other.is_empty();
            if others {
                Err(Reason::Extension("a use beyond those of clients and servers"))
            } else {
                Ok(Vec::new())
            }
        }
        _ => Err(Reason::Extension("an extension that is not known")),
    }
}

fn is_harmless(usage: KeyUsage) -> bool {
    !(usage.key_cert_sign() || usage.crl_sign())
}

fn name(name: &GeneralName<'_>) -> Result<Name, Reason> {
    match name {
        GeneralName::DNSName(name) => Ok(Name::Dns((*name).to_owned())),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address
                .map(Name::Ip)
                .map_err(|_| Reason::ForeignName("an address of another length".to_owned()))
        }
        GeneralName::RFC822Name(_) => Err(Reason::ForeignName("an e-mail address".to_owned())),
        GeneralName::URI(_) => Err(Reason::ForeignName("a URI".to_owned())),
        _ => Err(Reason::ForeignName("a name of another kind".to_owned())),
    }
}
