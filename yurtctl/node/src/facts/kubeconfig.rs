//! Apiserver and client certificate in a kubelet's kubeconfig.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where the apiserver is, and the files that prove who the kubelet is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// The apiserver's URL.
    pub server: String,
    /// PEM with the client certificate.
    pub client_certificate: PathBuf,
    /// PEM with its key; the same file with kubeadm.
    pub client_key: PathBuf,
}

/// What is wrong with a kubelet's kubeconfig.
#[derive(Debug, Error)]
pub enum KubeconfigError {
    /// It cannot be read.
    #[error("failed to read the kubelet's kubeconfig `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what a kubeconfig is.
    #[error("failed to parse the kubelet's kubeconfig `{path}`")]
    Parse {
        /// Which.
        path: PathBuf,
        /// Where and why.
        source: serde_yaml::Error,
    },
    /// Something that yurthub needs is not in it.
    #[error(
        "the kubelet's kubeconfig `{path}` names no {what}; yurthub needs a client certificate in a file, as kubeadm and \
         `rotateCertificates: true` leave it"
    )]
    Lacks {
        /// Which.
        path: PathBuf,
        /// What.
        what: &'static str,
    },
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "current-context", default)]
    current_context: String,
    #[serde(default)]
    contexts: Vec<Named<ContextOf>>,
    #[serde(default)]
    clusters: Vec<Named<ClusterOf>>,
    #[serde(default)]
    users: Vec<Named<UserOf>>,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "context", alias = "cluster", alias = "user")]
    of: T,
}

#[derive(Deserialize)]
struct ContextOf {
    cluster: String,
    user: String,
}

#[derive(Deserialize)]
struct ClusterOf {
    server: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct UserOf {
    client_certificate: Option<PathBuf>,
    client_key: Option<PathBuf>,
}

/// Reads the file.
pub(crate) fn read(path: &Path) -> Result<Credentials, KubeconfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| KubeconfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Credentials, KubeconfigError> {
    let file: File = serde_yaml::from_str(text).map_err(|source| KubeconfigError::Parse {
        path: path.to_owned(),
        source,
    })?;
    let lacks = |what| KubeconfigError::Lacks {
        path: path.to_owned(),
        what,
    };
    let context = named(&file.contexts, &file.current_context).ok_or_else(|| lacks("current context"))?;
    let cluster = named(&file.clusters, &context.cluster).ok_or_else(|| lacks("cluster of its context"))?;
    let user = named(&file.users, &context.user).ok_or_else(|| lacks("user of its context"))?;
    // Paths in a kubeconfig are relative to its folder.
    let absolute = |file: &PathBuf| path.parent().unwrap_or_else(|| Path::new("/")).join(file);
    let certificate = user.client_certificate.as_ref();
    Ok(Credentials {
        server: cluster.server.clone().ok_or_else(|| lacks("server"))?,
        client_certificate: certificate
            .map(absolute)
            .ok_or_else(|| lacks("client certificate"))?,
        client_key: user
            .client_key
            .as_ref()
            .map(absolute)
            .ok_or_else(|| lacks("client key"))?,
    })
}

fn named<'a, T>(entries: &'a [Named<T>], name: &str) -> Option<&'a T> {
    entries
        .iter()
        .find(|entry| entry.name == name)
        .map(|entry| &entry.of)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBEADM: &str = "
apiVersion: v1
kind: Config
clusters: [{name: kubernetes, cluster: {certificate-authority-data: Zm9v, server: 'https://10.0.0.1:6443'}}]
contexts: [{name: a, context: {cluster: kubernetes, user: default-auth}}]
current-context: a
users:
- name: default-auth
  user:
    client-certificate: pki/current.pem
    client-key: /var/lib/kubelet/pki/current.pem
";

    #[test]
    fn server_and_certificate_are_those_of_the_current_context() {
        let found = parse(Path::new("/etc/kubernetes/kubelet.conf"), KUBEADM).unwrap();
        assert_eq!(found.server, "https://10.0.0.1:6443");
        assert_eq!(
            found.client_certificate,
            Path::new("/etc/kubernetes/pki/current.pem")
        );
        assert_eq!(found.client_key, Path::new("/var/lib/kubelet/pki/current.pem"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let without = KUBEADM.replace("client-certificate:", "token:");
        let error = parse(Path::new("/k"), &without).unwrap_err().to_string();
        assert!(error.contains("no client certificate"), "{error}");
        assert!(matches!(
            parse(Path::new("/k"), "}{"),
            Err(KubeconfigError::Parse { .. })
        ));
    }
}
