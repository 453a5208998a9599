//! The Secret with the authorities: one that signs, and another one while it is replaced.
//!
//! | key | what |
//! |---|---|
//! | `tls.crt`, `tls.key` | who signs |
//! | `next.crt`, `next.key`, `next.trusted-since` | who will, and since when servers trust it |
//! | `retired.crt`, `retired.trusted-until` | who did |
//!
//! Invariant: written by its version only, so of two replicas one succeeds; what cannot be read is never written over.

use std::collections::BTreeMap;
use std::time::SystemTime;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::authority::Authority;
use super::rotation::Phase;
use super::seen;
use crate::MANAGER;
use crate::failure::Failure;

/// The name of the Secret.
pub use yurt_common::node_certificates::TUNNEL_CA as SECRET;
/// The annotation by which somebody asks that authorities from before a time (RFC 3339) are replaced.
pub const REPLACE_BEFORE: &str = "yurt.openyurt.io/replace-before";

/// All authorities.
#[derive(Debug)]
pub struct Authorities {
    /// Who signs.
    pub current: Authority,
    /// Who else there is.
    pub other: Other,
}

/// The authority beside the one that signs.
#[derive(Debug)]
pub enum Other {
    /// None.
    None,
    /// The next one, and since when it is trusted.
    Next(Box<Authority>, Option<SystemTime>),
    /// The certificate of the one before, and until when it is trusted.
    Retired(String, SystemTime),
}

impl Authorities {
    /// How far a rotation is.
    pub fn phase(&self) -> Phase {
        match &self.other {
            Other::None => Phase::Alone,
            Other::Next(_, since) => Phase::Announced(*since),
            Other::Retired(_, until) => Phase::Retiring(*until),
        }
    }

    /// The certificates of all that are trusted, in PEM.
    pub fn trusted(&self) -> String {
        let other = match &self.other {
            Other::None => "",
            Other::Next(next, _) => &next.certificate,
            Other::Retired(certificate, _) => certificate,
        };
        format!("{}{other}", self.current.certificate)
    }

    /// As the data of a Secret.
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let time = |time: SystemTime| humantime::format_rfc3339_seconds(time).to_string();
        let mut data = vec![
            ("tls.crt", self.current.certificate.clone()),
            ("tls.key", self.current.key.clone()),
        ];
        match &self.other {
            Other::None => {}
            Other::Next(next, since) => {
                data.push(("next.crt", next.certificate.clone()));
                data.push(("next.key", next.key.clone()));
                data.extend(since.map(|since| ("next.trusted-since", time(since))));
            }
            Other::Retired(certificate, until) => {
                data.push(("retired.crt", certificate.clone()));
                data.push(("retired.trusted-until", time(*until)));
            }
        }
        let bytes = |(key, text): (&str, String)| (key.to_owned(), ByteString(text.into_bytes()));
        data.into_iter().map(bytes).collect()
    }

    /// Of the data of a Secret; the error says what is wrong with it.
    pub fn read(data: &BTreeMap<String, ByteString>) -> Result<Self, String> {
        let text = |key: &str| match data.get(key) {
            None => Ok(None),
            Some(bytes) => match std::str::from_utf8(&bytes.0) {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(format!("`{key}` is no text")),
            },
        };
        let need = |key: &str| text(key)?.ok_or_else(|| format!("`{key}` is missing"));
        let time = |key: &str| {
            let time = text(key)?.map(humantime::parse_rfc3339).transpose();
            time.map_err(|_| format!("`{key}` is no RFC 3339 time"))
        };
        let pair = |name: &str| {
            let (certificate, key) = (need(&format!("{name}.crt"))?, need(&format!("{name}.key"))?);
            Authority::read(certificate, key).map_err(|fault| format!("`{name}`: {fault}"))
        };
        let other = match (text("next.crt")?, text("retired.crt")?) {
            (None, None) => Other::None,
            (Some(_), None) => Other::Next(Box::new(pair("next")?), time("next.trusted-since")?),
            (None, Some(certificate)) => {
                CertificateDer::from_pem_slice(certificate.as_bytes())
                    .map_err(|_| "`retired.crt` is no certificate".to_owned())?;
                let until = time("retired.trusted-until")?;
                let until = until.ok_or("`retired.trusted-until` is missing")?;
                Other::Retired(certificate.to_owned(), until)
            }
            (Some(_), Some(_)) => return Err("it has both `next.crt` and `retired.crt`".to_owned()),
        };
        Ok(Self {
            current: pair("tls")?,
            other,
        })
    }
}

/// Where the Secret is.
#[derive(Clone)]
pub struct Safe {
    secrets: Api<Secret>,
    namespace: String,
}

/// The Secret as it was read.
pub struct Opened {
    /// Who is in it.
    pub authorities: Authorities,
    secret: Secret,
}

impl Opened {
    /// Authorities from before are to be replaced. What is no time is told, and asks for nothing.
    pub fn replace_before(&self) -> Option<SystemTime> {
        let annotations = self.secret.metadata.annotations.as_ref()?;
        let text = annotations.get(REPLACE_BEFORE)?;
        match humantime::parse_rfc3339(text) {
            Ok(time) => Some(time),
            Err(error) => {
                tracing::warn!(annotation = REPLACE_BEFORE, text, %error, "not understood");
                None
            }
        }
    }
}

impl Safe {
    /// In `namespace`.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self {
            secrets: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
        }
    }

    /// The authority that signs now. Read anew for each certificate: another replica may have replaced it.
    pub async fn signing(&self) -> Result<Authority, Failure> {
        match self.open().await? {
            Some(opened) => Ok(opened.authorities.current),
            // The keeper makes it within a moment.
            None => Err(Failure::Conflict),
        }
    }

    /// Reads it; `None` where there is none yet.
    pub async fn open(&self) -> Result<Option<Opened>, Failure> {
        let Some(secret) = self.secrets.get_opt(SECRET).await.map_err(seen)? else {
            return Ok(None);
        };
        match Authorities::read(&secret.data.clone().unwrap_or_default()) {
            Ok(authorities) => Ok(Some(Opened { authorities, secret })),
            Err(why) => Err(Failure::Damaged(format!(
                "Secret {}/{SECRET} cannot be used: {why}; put it back from a backup, or delete it: nodes get new \
                 certificates of a new authority then, and are not let in until they have them",
                self.namespace
            ))),
        }
    }

    /// Makes it.
    pub async fn create(&self, authorities: &Authorities) -> Result<(), Failure> {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(SECRET.to_owned()),
                ..super::labelled()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(authorities.data()),
            ..Secret::default()
        };
        self.secrets.create(&params(), &secret).await.map_err(seen)?;
        Ok(())
    }

    /// Writes it, where nobody else has since.
    pub async fn replace(&self, opened: Opened) -> Result<(), Failure> {
        let secret = Secret {
            data: Some(opened.authorities.data()),
            ..opened.secret
        };
        self.secrets
            .replace(SECRET, &params(), &secret)
            .await
            .map_err(seen)?;
        Ok(())
    }
}

fn params() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
    }

    fn authority() -> Authority {
        Authority::new(now()).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let retired = authority().certificate;
        for other in [
            Other::None,
            Other::Next(Box::new(authority()), None),
            Other::Next(Box::new(authority()), Some(now())),
            Other::Retired(retired, now()),
        ] {
            let written = Authorities {
                current: authority(),
                other,
            };
            let read = Authorities::read(&written.data()).unwrap();
            assert_eq!(read.data(), written.data());
            assert_eq!(
                (read.phase(), read.trusted()),
                (written.phase(), written.trusted())
            );
        }
    }

    #[test]
    fn what_is_damaged_is_said() {
        let whole = Authorities {
            current: authority(),
            other: Other::Next(Box::new(authority()), Some(now())),
        };
        for (key, value, expected) in [
            ("tls.key", None, "`tls.key` is missing"),
            (
                "tls.crt",
                Some("x".to_owned()),
                "`tls`: its certificate cannot be read",
            ),
            (
                "tls.key",
                Some(authority().key),
                "`tls`: its key is not that of its certificate",
            ),
            ("next.key", None, "`next.key` is missing"),
            (
                "next.trusted-since",
                Some("soon".to_owned()),
                "is no RFC 3339 time",
            ),
            (
                "retired.crt",
                Some("x".to_owned()),
                "both `next.crt` and `retired.crt`",
            ),
        ] {
            let mut data = whole.data();
            match value {
                Some(text) => data.insert(key.to_owned(), ByteString(text.into_bytes())),
                None => data.remove(key),
            };
            let why = Authorities::read(&data).unwrap_err();
            assert!(why.contains(expected), "{key}: {why}");
        }
        let mut binary = whole.data();
        binary.insert("tls.crt".to_owned(), ByteString(vec![0xff]));
        assert!(Authorities::read(&binary).is_err());
        assert!(Authorities::read(&BTreeMap::new()).is_err());
    }
}
