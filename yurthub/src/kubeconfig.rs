//! The part of a kubeconfig that yurthub uses: the server, its CA, and a client certificate in files or inline.
//!
//! Tokens, exec plugins and proxies are not supported: the kubelet's own kubeconfig has none of them.

use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use thiserror::Error;

/// A file, or its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pem {
    /// Read again whenever it changes.
    File(PathBuf),
    /// Given inline.
    Inline(Vec<u8>),
}

impl Pem {
    /// The present content.
    pub fn read(&self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::File(path) => std::fs::read(path),
            Self::Inline(bytes) => Ok(bytes.clone()),
        }
    }
}

/// What yurthub takes from a kubeconfig.
#[derive(Clone)]
pub struct Kubeconfig {
    path: PathBuf,
    server_override: Option<Vec<String>>,
    /// Host and port of each apiserver, the preferred first; at least one.
    pub servers: Vec<http::uri::Authority>,
    /// CA of the apiserver's certificate.
    pub ca: Pem,
    /// The client certificate.
    pub certificate: Pem,
    /// Its key.
    pub key: Pem,
}

impl std::fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubeconfig")
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a kubeconfig.
#[derive(Debug, Error)]
pub enum KubeconfigError {
    /// It could not be read.
    #[error("failed to read kubeconfig `{path}`; --kubeconfig names the kubelet's")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not YAML of the right shape.
    #[error("failed to parse kubeconfig `{path}`")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_yaml::Error,
    },
    /// An address that was given instead of the kubeconfig's is none.
    #[error(
        "`{0}` of the setting `servers` is no address of an apiserver; it must look like https://HOST:PORT"
    )]
    Server(String),
    /// Something needed is not there.
    #[error("kubeconfig `{path}` has no usable {what}")]
    Lacks {
        /// The file.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    current_context: String,
    #[serde(default)]
    clusters: Vec<Named<ClusterEntry>>,
    #[serde(default)]
    users: Vec<Named<UserEntry>>,
    #[serde(default)]
    contexts: Vec<Named<ContextEntry>>,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "cluster", alias = "user", alias = "context")]
    entry: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ClusterEntry {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::struct_field_names, reason = "the names of kubeconfig")]
struct UserEntry {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
}

#[derive(Deserialize)]
struct ContextEntry {
    cluster: String,
    user: String,
}

impl Kubeconfig {
    /// Reads the same file again: what is inline in it may have been rotated.
    pub fn read_again(&self) -> Result<Self, KubeconfigError> {
        Self::read(&self.path, self.server_override.as_deref())
    }

    /// Reads `path`; `servers` replaces the address in it.
    pub fn read(path: &Path, servers: Option<&[String]>) -> Result<Self, KubeconfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| KubeconfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let file: File = serde_yaml::from_str(&text).map_err(|source| KubeconfigError::Parse {
            path: path.to_owned(),
            source,
        })?;
        let lacks = |what| KubeconfigError::Lacks {
            path: path.to_owned(),
            what,
        };
        let context = find(file.contexts, &file.current_context).ok_or_else(|| lacks("current context"))?;
        let cluster = find(file.clusters, &context.cluster).ok_or_else(|| lacks("cluster"))?;
        let user = find(file.users, &context.user).ok_or_else(|| lacks("user"))?;
        let folder = path.parent().unwrap_or_else(|| Path::new("/"));
        let pem = |file: Option<PathBuf>, data: Option<String>, what| match (data, file) {
            (Some(data), _) => decode_base64(&data).map(Pem::Inline).ok_or_else(|| lacks(what)),
            (None, Some(file)) => Ok(Pem::File(folder.join(file))),
            (None, None) => Err(lacks(what)),
        };
        Ok(Self {
            path: path.to_owned(),
            server_override: servers.map(<[String]>::to_vec),
            servers: match servers {
                Some(servers) => authorities(servers)?,
                None => vec![authority(&cluster.server).ok_or_else(|| lacks("https server address"))?],
            },
            ca: pem(
                cluster.certificate_authority,
                cluster.certificate_authority_data,
                "certificate authority",
            )?,
            certificate: pem(
                user.client_certificate,
                user.client_certificate_data,
                "client certificate",
            )?,
            key: pem(user.client_key, user.client_key_data, "client key")?,
        })
    }
}

fn find<T>(entries: Vec<Named<T>>, name: &str) -> Option<T> {
    entries
        .into_iter()
        .find(|entry| entry.name == name)
        .map(|entry| entry.entry)
}

fn authorities(urls: &[String]) -> Result<Vec<http::uri::Authority>, KubeconfigError> {
    let mut servers = Vec::new();
    for url in urls {
        let server = authority(url).ok_or_else(|| KubeconfigError::Server(url.clone()))?;
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    if servers.is_empty() {
        return Err(KubeconfigError::Server(String::new()));
    }
    Ok(servers)
}

/// Host and port of an https address; the port is 443 where none is given.
fn authority(url: &str) -> Option<http::uri::Authority> {
    let uri: http::Uri = url.parse().ok()?;
    if uri.scheme_str() != Some("https") {
        return None;
    }
    let authority = uri.authority()?;
    if authority.port().is_some() {
        Some(authority.clone())
    } else {
        format!("{authority}:443").parse().ok()
    }
}

/// Kubeconfig data is base64 of PEM. rustls' PEM reader has a base64 decoder: wrap the text as one section.
fn decode_base64(data: &str) -> Option<Vec<u8>> {
    let text: String = data.split_whitespace().collect();
    let wrapped = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    rustls::pki_types::CertificateDer::from_pem_slice(wrapped.as_bytes())
        .ok()
        .map(|bytes| bytes.as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBELET: &str = "
apiVersion: v1
kind: Config
clusters:
- cluster: {certificate-authority-data: aGVsbG8=, server: 'https://10.99.0.10:6443'}
  name: kubernetes
contexts:
- context: {cluster: kubernetes, user: system:node:edge1}
  name: system:node:edge1@kubernetes
current-context: system:node:edge1@kubernetes
users:
- name: system:node:edge1
  user: {client-certificate: pki/current.pem, client-key: /abs/key.pem}
";

    fn read(text: &str, servers: Option<&[String]>) -> Result<Kubeconfig, KubeconfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubelet.conf");
        std::fs::write(&path, text).unwrap();
        Kubeconfig::read(&path, servers).map(|mut kubeconfig| {
            if let Pem::File(file) = &mut kubeconfig.certificate {
                *file = file.strip_prefix(folder.path()).unwrap().to_owned();
            }
            kubeconfig
        })
    }

    #[test]
    fn reads_what_kubeadm_writes() {
        let kubeconfig = read(KUBELET, None).unwrap();
        assert_eq!(kubeconfig.servers, ["10.99.0.10:6443"]);
        assert_eq!(kubeconfig.ca, Pem::Inline(b"hello".to_vec()));
        assert_eq!(kubeconfig.certificate, Pem::File("pki/current.pem".into()));
        assert_eq!(kubeconfig.key, Pem::File("/abs/key.pem".into()));
    }

    #[test]
    fn servers_given_by_flag_win_and_get_the_default_port() {
        let given = [
            "https://api.example",
            "https://[fd00::1]:6443",
            "https://api.example:443",
        ];
        let kubeconfig = read(KUBELET, Some(&given.map(str::to_owned))).unwrap();
        assert_eq!(kubeconfig.servers, ["api.example:443", "[fd00::1]:6443"]);
        let wrong = read(KUBELET, Some(&["http://api.example".into()])).unwrap_err();
        assert!(wrong.to_string().contains("http://api.example"), "{wrong}");
    }

    #[test]
    fn says_what_is_missing() {
        for (from, to, what) in [
            (
                "current-context: system:node:edge1@kubernetes",
                "current-context: other",
                "current context",
            ),
            ("client-key: /abs/key.pem", "token: abc", "client key"),
            (
                "https://10.99.0.10:6443",
                "http://10.99.0.10",
                "https server address",
            ),
            ("aGVsbG8=", "'%%'", "certificate authority"),
        ] {
            let error = read(&KUBELET.replace(from, to), None).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
