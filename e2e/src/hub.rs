//! Putting yurthub on a node of the cluster, between its kubelet and the apiserver.
//!
//! [`client`] asks it as the kubelet would, [`clients`] leads pods to it, [`twice`] asks the apiserver the same,
//! [`guard`] gives tests a node that stands behind it, [`first_sync`] lets it begin with nothing.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::conversion;
use crate::node::{BrokenNode, Node};
use crate::programs::{self, Architecture};
use crate::wait::wait_for;

pub mod client;
pub mod clients;
pub mod first_sync;
pub mod guard;
pub mod twice;

pub use client::ask;
pub use guard::{lock_any, share_any};

/// Builds yurthub as it is shipped (release, static), and returns where it is.
///
/// # Errors
/// When cargo fails.
pub fn build() -> Result<PathBuf> {
    programs::build("yurthub", Architecture::X86_64)
}

/// What a node gets beside the binary, and how it comes there: another one is converted anew.
const SHIPPED: [&str; 3] = [
    include_str!("../../yurthub/packaging/yurthub.service"),
    include_str!("../../manifests/yurt.yaml"),
    include_str!("../../yurtctl/node/src/layout.rs"),
];

/// Says which yurthub is on the node, with its configuration.
const STAMP: &str = "/etc/yurthub/installed";
const CONFIG: &str = "/etc/yurthub/config.yaml";

const READY_DEADLINE: Duration = Duration::from_mins(1);

/// The yurthub that tests install.
///
/// # Errors
/// When cargo fails.
pub fn built() -> Result<&'static Path> {
    programs::yurthub()
}

/// Makes sure that the kubelet of `node` stands behind the yurthub of [`built`]. Quick when it does. Only for who has
/// the node for himself.
///
/// # Errors
/// When a step fails; the message says which.
pub fn ensure(node: &Node) -> Result<()> {
    if stands(node)? {
        return Ok(());
    }
    let binary = built()?;
    put_in_front_of_kubelet(node, binary)?;
    wait_mirrored(node)?;
    node.push_file(STAMP, stamp(binary)?.as_bytes(), 0o600)
}

/// Whether the kubelet of `node` stands behind the yurthub of [`built`], and both run.
///
/// # Errors
/// When the node is not up.
pub fn stands(node: &Node) -> Result<bool> {
    let script = format!(
        "systemctl is-active --quiet yurthub && systemctl is-active --quiet kubelet && \
         grep -q /etc/yurthub/ /proc/$(systemctl show -P MainPID kubelet)/cmdline && cat {STAMP}"
    );
    let output = node.exec(["sh", "-c", &script])?;
    Ok(output.status.success() && output.text() == stamp(built()?)?)
}

/// A number for everything that [`put_in_front_of_kubelet`] puts on a node.
fn stamp(binary: &Path) -> Result<String> {
    let program = std::fs::read(binary).with_context(|| format!("read {}", binary.display()))?;
    let mut hasher = DefaultHasher::new();
    (program, SHIPPED).hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

/// Converts `node` with the yurthub at `binary` (static), and waits until its kubelet is a client of it.
///
/// # Errors
/// When a step fails; the message says which.
pub fn put_in_front_of_kubelet(node: &Node, binary: &Path) -> Result<()> {
    conversion::convert(node, binary)?;
    wait_for("the kubelet to watch through yurthub", READY_DEADLINE, || {
        let watchers = metric(node, "yurthub_mirror_watchers")?;
        Ok((watchers > 0.0).then_some(()))
    })
}

/// Adds `lines` to the configuration of yurthub on `node` and starts it anew. Who takes the node next gets yurthub as it
/// is shipped again.
///
/// # Errors
/// When yurthub does not become ready with it.
pub fn reconfigure(node: &BrokenNode, lines: &str) -> Result<()> {
    node.exec_ok(["rm", "-f", STAMP])?;
    let installed = node.read_file("/var/lib/yurt-conversion/installed.json")?;
    let installed: Value = serde_json::from_slice(&installed).context("read what yurtctl has written")?;
    let files = installed["files"].as_array().into_iter().flatten();
    let config = files.clone().find(|file| file["path"] == CONFIG);
    let config = config.and_then(|file| file["content"]["private"].as_str());
    let config = format!("{}{lines}\n", config.context("find yurthub's configuration")?);
    node.push_file(CONFIG, config.as_bytes(), 0o600)?;
    node.exec_ok(["systemctl", "restart", "yurthub.service"])?;
    wait_ready(node)
}

/// Takes yurthub off `node`: its kubelet talks to the apiserver as before.
///
/// # Errors
/// When a step fails; the message says which.
pub fn take_away(node: &Node) -> Result<()> {
    conversion::revert(node)
}

/// Waits until yurthub on `node` says that it is ready.
///
/// # Errors
/// When it does not in time.
pub fn wait_ready(node: &Node) -> Result<()> {
    wait_for("yurthub to be ready", READY_DEADLINE, || {
        let answer = node.exec(["curl", "-sS", "-m", "2", "http://127.0.0.1:10267/readyz"])?;
        ensure!(answer.text().trim() == "ok", "{}", answer.text());
        Ok(Some(()))
    })
}

/// Waits until yurthub on `node` knows that the cloud is away.
///
/// # Errors
/// When it does not notice in time.
pub fn wait_offline(node: &Node) -> Result<()> {
    wait_for("yurthub to notice the outage", READY_DEADLINE, || {
        let cloud = admin(node, "/cloud")?;
        ensure!(cloud["phase"] == "down", "{cloud}");
        Ok(Some(()))
    })
}

/// Waits until the mirror of `node` holds what its kubelet needs first: the pods of the node. From then on the node may
/// be cut (what its pods use is mirrored as the kubelet starts them).
///
/// # Errors
/// When it does not in time.
pub fn wait_mirrored(node: &Node) -> Result<()> {
    wait_for("the mirror to hold the node's pods", READY_DEADLINE, || {
        let scopes = admin(node, "/scopes")?;
        // A test may have listed pods too, in an encoding or with a selector of its own.
        let of_kubelet = format!("pods [spec.nodeName={}]", node.name());
        let live = |scope: &Value| {
            scope["scope"] == of_kubelet
                && scope["encoding"] == "application/vnd.kubernetes.protobuf"
                && scope["state"] == "live"
        };
        ensure!(scopes.as_array().into_iter().flatten().any(live), "{scopes}");
        Ok(Some(()))
    })
}

/// The sum of a metric of yurthub on `node`, over all its labels.
///
/// # Errors
/// When yurthub does not answer.
pub fn metric(node: &Node, name: &str) -> Result<f64> {
    let text = node.exec_ok(["curl", "-sS", "-m", "2", "http://127.0.0.1:10267/metrics"])?;
    let of_metric = |line: &&str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with([' ', '{', '_']))
    };
    let values = text
        .lines()
        .filter(of_metric)
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum())
}

/// What yurthub on `node` says on its admin socket, such as `/scopes`.
///
/// # Errors
/// When yurthub does not answer.
pub fn admin(node: &Node, path: &str) -> Result<Value> {
    let url = format!("http://localhost{path}");
    let text = node.exec_ok([
        "curl",
        "-sS",
        "-m",
        "5",
        "--unix-socket",
        "/run/yurthub/admin.sock",
        &url,
    ])?;
    serde_json::from_str(&text).with_context(|| format!("read {path} of yurthub on {}", node.name()))
}
