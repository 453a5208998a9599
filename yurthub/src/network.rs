//! The address at which pods of this node reach yurthub: a link-local one that exists on every node alike, on a link
//! of its own.
//!
//! Desired state: [`ensure`] makes what is missing and leaves what is there. The link is a dummy, where the kernel has
//! those; else a bridge without ports; else the address goes on the loopback link.
//!
//! By `ip`, which every node of Kubernetes has (kubeadm's preflight checks require it): a netlink library would be a
//! seventh of the program.

use std::net::IpAddr;
use std::process::Stdio;
use std::time::Duration;

use thiserror::Error;
use tokio::process::Command;
use tracing::{debug, info, warn};

use crate::telemetry::ErrorChain;

/// Name of the link.
pub const LINK: &str = "yurthub0";
/// How often the address is looked for.
const INTERVAL: Duration = Duration::from_secs(30);
/// How long `ip` may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Where `ip` may be, beside what the unit's environment says.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Why the node cannot have the address.
#[derive(Debug, Error)]
pub enum NetworkError {
    /// The program could not be run.
    #[error("failed to run `ip`; is iproute2 installed?")]
    Run(#[from] std::io::Error),
    /// It did not end.
    #[error("`ip {0}` took more than {TIMEOUT:?}")]
    Timeout(String),
    /// It refused.
    #[error("`ip {command}` failed: {message}; adding addresses needs CAP_NET_ADMIN")]
    Refused {
        /// What was attempted.
        command: String,
        /// What it said.
        message: String,
    },
}

/// Whether something was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// The node had the address.
    WasThere,
    /// The address was added.
    Added,
}

/// Makes sure that this node has `address`.
pub async fn ensure(address: IpAddr) -> Result<Ensured, NetworkError> {
    let text = address.to_string();
    if address.is_loopback()
        || !ip(&["-oneline", "address", "show", "to", &text])
            .await?
            .is_empty()
    {
        return Ok(Ensured::WasThere);
    }
    let prefix = if address.is_ipv4() { 32 } else { 128 };
    let link = link().await?;
    ip(&["address", "replace", &format!("{address}/{prefix}"), "dev", link]).await?;
    Ok(Ensured::Added)
}

/// The link that is to hold the address, up.
async fn link() -> Result<&'static str, NetworkError> {
    if ip(&["link", "show", "dev", LINK]).await.is_err() {
        let mut made = false;
        for kind in ["dummy", "bridge"] {
            match ip(&["link", "add", LINK, "type", kind]).await {
                Ok(_) => {
                    made = true;
                    break;
                }
                Err(error) => debug!(kind, error = %ErrorChain(&error), "this kernel has no such link"),
            }
        }
        if !made {
            return Ok("lo");
        }
    }
    ip(&["link", "set", "dev", LINK, "up"]).await?;
    Ok(LINK)
}

async fn ip(args: &[&str]) -> Result<String, NetworkError> {
    let running = Command::new("ip")
        .args(args)
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(TIMEOUT, running)
        .await
        .map_err(|_| NetworkError::Timeout(args.join(" ")))??;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(NetworkError::Refused {
        command: args.join(" "),
        message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// Puts the address back whenever something takes it away, until cancelled.
pub async fn keep(address: IpAddr) {
    let mut rounds = tokio::time::interval(INTERVAL);
    let mut failing = false;
    loop {
        rounds.tick().await;
        match ensure(address).await {
            Ok(Ensured::WasThere) => failing = false,
            Ok(Ensured::Added) => {
                failing = false;
                info!(%address, "added the address for pods");
            }
            Err(error) if !failing => {
                failing = true;
                warn!(error = %ErrorChain(&error), "pods cannot reach yurthub");
            }
            Err(_) => {}
        }
    }
}
