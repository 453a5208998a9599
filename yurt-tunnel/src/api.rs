//! The way to the Kubernetes API: a pod's own account, or a kubeconfig.
//!
//! On an edge node the API's address is that of yurthub, for pods that were born after its conversion; nothing here knows.

use std::path::Path;
use std::time::Duration;

use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use thiserror::Error;

/// The longest that a connection may take to be there.
const CONNECT: Duration = Duration::from_secs(10);
/// Longer than any watch is silent for: bookmarks come each minute.
const READ: Duration = Duration::from_secs(330);

/// Why there is no client.
#[derive(Debug, Error)]
pub enum NoClient {
    /// This is no pod with an account.
    #[error("find the API: run as a pod with an account, or give --kubeconfig")]
    NoPod(#[source] InClusterError),
    /// The file cannot be read.
    #[error("read the kubeconfig `{0}`")]
    Kubeconfig(String, #[source] KubeconfigError),
    /// What was found makes no client.
    #[error("make a client of the API")]
    Client(#[source] Box<kube::Error>),
}

/// A client of the API by `kubeconfig`, or by the account of this pod. Does not connect yet: the API may be away.
pub async fn client(kubeconfig: Option<&Path>) -> Result<Client, NoClient> {
    let mut config = match kubeconfig {
        None => Config::incluster().map_err(NoClient::NoPod)?,
        Some(path) => {
            let failed = |error| NoClient::Kubeconfig(path.display().to_string(), error);
            let file = Kubeconfig::read_from(path).map_err(failed)?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .map_err(failed)?
        }
    };
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    config.write_timeout = Some(CONNECT);
    Client::try_from(config).map_err(|error| NoClient::Client(Box::new(error)))
}
