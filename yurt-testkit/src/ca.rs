//! Certificates for tests: authorities, and leafs for servers, nodes and administrators.
//!
//! Not here: key rotation and signing requests; the real signer is part of the end-to-end cluster.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};

/// How far a certificate of the kit reaches into past and future unless a test says otherwise.
const VALIDITY: Duration = Duration::from_hours(24);

/// A certificate authority with its key (ECDSA P-256).
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A self-signed authority.
    pub fn new(common_name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(common_name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        set_validity(
            &mut params,
            SystemTime::now() - VALIDITY,
            SystemTime::now() + VALIDITY,
        );
        let key = KeyPair::generate().context("generating the key of an authority")?;
        let issuer = CertifiedIssuer::self_signed(params, key).context("signing an authority")?;
        Ok(Self { issuer })
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its key, for a component that signs by itself.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Issues `leaf` with a fresh key.
    pub fn issue(&self, leaf: &Leaf) -> Result<Identity> {
        let mut params =
            CertificateParams::new(leaf.alt_names.clone()).context("reading the names of a certificate")?;
        params.distinguished_name = subject(&leaf.common_name, leaf.organization.as_deref());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if !leaf.alt_names.is_empty() {
            params
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, leaf.not_before, leaf.not_after);
        let key = KeyPair::generate().context("generating the key of a certificate")?;
        let signed = params.signed_by(&key, &self.issuer);
        let cert = signed.with_context(|| format!("signing the certificate of `{}`", leaf.common_name))?;
        Ok(Identity {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    /// The certificate of a kubelet: what the node authorizer takes for `node`
    /// (kubernetes/pkg/auth/nodeidentifier/default.go).
    pub fn node_cert(&self, node: &str) -> Result<Identity> {
        self.issue(&Leaf::node(node))
    }

    /// A certificate that may do everything (`system:masters`).
    pub fn admin_cert(&self) -> Result<Identity> {
        self.issue(&Leaf::new("kubernetes-admin").organization("system:masters"))
    }
}

/// What a certificate says. Unless told otherwise: valid from yesterday until tomorrow, for clients.
#[derive(Clone, Debug)]
pub struct Leaf {
    common_name: String,
    organization: Option<String>,
    alt_names: Vec<String>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Leaf {
    /// A certificate for the user `common_name`.
    pub fn new(common_name: impl Into<String>) -> Self {
        Self {
            common_name: common_name.into(),
            organization: None,
            alt_names: Vec::new(),
            not_before: SystemTime::now() - VALIDITY,
            not_after: SystemTime::now() + VALIDITY,
        }
    }

    /// A kubelet's: the user `system:node:<node>` in the group `system:nodes`.
    pub fn node(node: &str) -> Self {
        Self::new(format!("system:node:{node}")).organization("system:nodes")
    }

    /// A server's, for these host names and addresses.
    pub fn server<N: Into<String>>(alt_names: impl IntoIterator<Item = N>) -> Self {
        let mut leaf = Self::new("server");
        leaf.alt_names = alt_names.into_iter().map(Into::into).collect();
        leaf
    }

    /// Sets the organization, which Kubernetes reads as the user's group.
    #[must_use]
    pub fn organization(mut self, organization: impl Into<String>) -> Self {
        self.organization = Some(organization.into());
        self
    }

    /// Sets the names of a server; with some, the certificate is for servers, too.
    #[must_use]
    pub fn alt_names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.alt_names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets when it is valid, to the second.
    #[must_use]
    pub fn valid(mut self, not_before: SystemTime, not_after: SystemTime) -> Self {
        (self.not_before, self.not_after) = (not_before, not_after);
        self
    }

    /// Lets it have expired an hour ago.
    #[must_use]
    pub fn expired(self) -> Self {
        let now = SystemTime::now();
        self.valid(now - VALIDITY, now - Duration::from_hours(1))
    }
}

/// A certificate and its key, as PEM (PKCS#8 for the key).
#[derive(Clone, Debug)]
pub struct Identity {
    /// The leaf alone, without its issuer.
    pub cert_pem: String,
    /// The key.
    pub key_pem: String,
}

impl Identity {
    /// Writes `<name>.crt` and `<name>.key` into `folder` and gives their paths.
    pub fn write(&self, folder: &Path, name: &str) -> Result<(PathBuf, PathBuf)> {
        let cert = folder.join(format!("{name}.crt"));
        let key = folder.join(format!("{name}.key"));
        fs::write(&cert, &self.cert_pem).with_context(|| format!("writing `{}`", cert.display()))?;
        write_private(&key, &self.key_pem)?;
        Ok((cert, key))
    }

    /// Both in one file, key last: the form of the kubelet's `kubelet-client-current.pem`.
    pub fn write_combined(&self, path: &Path) -> Result<()> {
        write_private(path, &format!("{}{}", self.cert_pem, self.key_pem))
    }
}

/// Writes a fresh ECDSA key with which an apiserver signs service account tokens: `tokens.key`, and `tokens.pub`.
pub(crate) fn write_token_keys(folder: &Path) -> Result<()> {
    let key = KeyPair::generate().context("generating the key for tokens")?;
    write_private(&folder.join("tokens.key"), &key.serialize_pem())?;
    fs::write(folder.join("tokens.pub"), key.public_key_pem()).context("writing the public key for tokens")
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, content: &str) -> Result<()> {
    let opened = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    let mut file = opened.with_context(|| format!("creating `{}`", path.display()))?;
    file.write_all(content.as_bytes())
        .with_context(|| format!("writing `{}`", path.display()))
}

fn subject(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(organization) = organization {
        subject.push(DnType::OrganizationName, organization);
    }
    subject.push(DnType::CommonName, common_name);
    subject
}

fn set_validity(params: &mut CertificateParams, not_before: SystemTime, not_after: SystemTime) {
    params.not_before = not_before.into();
    params.not_after = not_after.into();
}
