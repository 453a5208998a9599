//! What the filters are told: which are on, and where yurthub is.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use thiserror::Error;

/// Where pods of this node find yurthub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Server {
    /// An address of this node that pods reach; yurthub's certificate names it.
    pub host: IpAddr,
    /// The TCP port, not 0.
    pub port: u16,
}

impl fmt::Display for Server {
    /// `169.254.2.1:10268`, `[fd00::2:1]:10268`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.host, self.port).fmt(f)
    }
}

/// Which filters are on: one with `None` is off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// PEM of the CA, or CAs during a rotation, that yurthub's certificate for pods is signed by. Text
    /// around the certificates is dropped.
    pub trust_bundle: Option<String>,
    /// What Service `default/kubernetes` shows.
    pub kubernetes_service: Option<Server>,
    /// What pods that name the API's address themselves get; the same as `kubernetes_service`, and on
    /// together with it.
    pub service_env: Option<Server>,
    /// Where kube-proxy finds the API.
    pub kube_proxy_config: Option<Server>,
}

/// Settings that no filter can be built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadSettings {
    /// The bundle is not PEM.
    #[error("the trust bundle for pods holds no certificate in PEM")]
    NoCertificate,
    /// A port that nothing can listen on.
    #[error("port 0 cannot be given to pods as yurthub's port")]
    PortZero,
}
