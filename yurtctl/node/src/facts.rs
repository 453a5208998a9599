//! How a node is, as far as a plan must know. Reads only; nothing is changed, nothing leaves the node but what is here.
//!
//! Facts travel in a pod's termination message ([`crate::message`]), so they are few and short.

mod kubeconfig;
mod kubelet;
mod leftovers;
mod pods;
mod sockets;
mod unit;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::host::Machine;
use crate::systemd::{self, CallError};
use crate::transaction::{Installed, Store};
use crate::{FOLDER, HUB_PORTS};

pub use kubeconfig::{Credentials, KubeconfigError};
pub use kubelet::{KubeletError, is_turned};
pub use pods::PodRoute;
pub use unit::UnitFacts;

/// All that a plan must know of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// Name of the Node, as the kubelet has it.
    pub node: String,
    /// `x86_64`, `aarch64`, …
    pub architecture: String,
    /// The node's clock, in milliseconds since 1970.
    pub clock_ms: u64,
    /// Version of systemd; `None`: another init, which yurtctl cannot work with.
    pub systemd: Option<u32>,
    /// The kubelet, and how it was started.
    pub kubelet: KubeletFacts,
    /// Free bytes where programs go, where yurthub's data goes, and where configuration goes.
    pub free: Free,
    /// Ports that yurthub needs and somebody else listens on.
    pub ports_taken: Vec<u16>,
    /// Whether yurthub's address for pods belongs to somebody else on this node.
    pub address_taken: bool,
    /// Files of an earlier converter or of another product, that are in the way.
    pub leftovers: Vec<PathBuf>,
    /// What yurtctl has put here.
    pub installed: Option<Installed>,
    /// SHA-256 of the programs in the image that gathered the facts.
    pub image_programs: Vec<crate::spec::Program>,
    /// Which pods reach the API through yurthub, and which directly, by the environment they were born with.
    pub pods: Vec<PodRoute>,
    /// Whether `pods` was cut short to fit.
    pub pods_cut: bool,
}

/// The kubelet, and how it was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KubeletFacts {
    /// The service whose process it is.
    pub unit: String,
    /// Whether the kubelet is a part of k3s.
    pub is_k3s: bool,
    /// How the unit starts it.
    pub unit_facts: UnitFacts,
    /// The kubeconfig that the running kubelet uses.
    pub kubeconfig: PathBuf,
    /// The kubeconfig from before yurthub stood in front, where it does.
    pub original_kubeconfig: Option<PathBuf>,
    /// Apiserver and client certificate in the (original) kubeconfig.
    pub credentials: Credentials,
    /// Its folder.
    pub root_dir: PathBuf,
    /// Port of its health endpoint on loopback; 0: none.
    pub healthz_port: u16,
    /// How often `--kubeconfig` is given; more than once, and a drop-in may not have the last word.
    pub kubeconfig_flags: usize,
}

/// Free space in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Free {
    /// Of `/usr/local/bin`.
    pub programs: u64,
    /// Of `/var/lib`.
    pub data: u64,
    /// Of `/etc`.
    pub configuration: u64,
}

/// Why facts could not be had.
#[derive(Debug, Error)]
pub enum FactsError {
    /// About the kubelet.
    #[error(transparent)]
    Kubelet(#[from] KubeletError),
    /// About its kubeconfig.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// systemd did not answer.
    #[error("failed to ask this node's systemd")]
    Systemd(#[from] CallError),
    /// A file could not be read.
    #[error("failed to read `{path}` on the node")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Looks at the node that this process is on. `pods_address`: where yurthub serves pods.
pub fn gather(image_programs: Vec<crate::spec::Program>, pods_address: &str) -> Result<Facts, FactsError> {
    let systemd = systemd_version()?;
    let store = Store::at(Path::new(FOLDER));
    let read = |source| FactsError::Read {
        path: PathBuf::from(FOLDER),
        source,
    };
    let installed = store.installed(&Machine::here()).map_err(read)?;
    let spec = store.known_spec().map_err(read)?;
    let (node, kubelet) = kubelet::look(spec.and_then(|spec| spec.switch.original_kubeconfig))?;
    let own = installed.is_some();
    Ok(Facts {
        node,
        architecture: std::env::consts::ARCH.to_owned(),
        clock_ms: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        systemd,
        kubelet,
        free: Free {
            programs: free(Path::new(crate::spec::PROGRAMS))?,
            data: free(Path::new("/var/lib"))?,
            configuration: free(Path::new("/etc"))?,
        },
        // Once converted, yurthub itself listens there.
        ports_taken: if own {
            Vec::new()
        } else {
            sockets::taken(&HUB_PORTS)
        },
        address_taken: !own && sockets::is_own_address(pods_address),
        leftovers: if own { Vec::new() } else { leftovers::found() },
        installed,
        image_programs,
        pods: pods::routes(pods_address),
        pods_cut: false,
    })
}

/// `None` where the node was not started by systemd (`sd_booted(3)`).
fn systemd_version() -> Result<Option<u32>, FactsError> {
    if !Path::new("/run/systemd/system").exists() {
        return Ok(None);
    }
    let text = systemd::systemctl(&["--version"], std::time::Duration::from_secs(10))?;
    Ok(text
        .split_whitespace()
        .nth(1)
        .and_then(|version| version.parse().ok()))
}

fn free(folder: &Path) -> Result<u64, FactsError> {
    let stat = rustix::fs::statvfs(folder).map_err(|error| FactsError::Read {
        path: folder.to_owned(),
        source: error.into(),
    })?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
