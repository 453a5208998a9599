//! What shall be on a node that is converted: files, and which service takes them up.
//!
//! Invariant: every path is one of ours; `layout` makes no other, and the servant checks it again.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest;

/// All that a converted node has more than it had before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSpec {
    /// Version of the software.
    pub version: String,
    /// Name of the Node.
    pub node: String,
    /// The programs.
    pub programs: Vec<Program>,
    /// Configuration and units, without what turns the kubelet.
    pub files: Vec<TextFile>,
    /// The address that yurthub gives the node for its pods; it goes with yurthub.
    pub pods_address: Option<IpAddr>,
    /// What turns the kubelet to yurthub.
    pub switch: Switch,
}

/// A program out of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Program {
    /// Its name in the image and on the node.
    pub name: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// A small file, or a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TextFile {
    /// Where, absolute.
    pub path: PathBuf,
    /// What it holds.
    pub content: Content,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Content {
    /// Text, for everybody to read.
    Public(String),
    /// Text that only root reads.
    Private(String),
    /// A symbolic link to this target.
    Link(PathBuf),
}

/// How the kubelet is turned to yurthub and back: by one file, and a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Switch {
    /// The service whose process the kubelet is.
    pub unit: String,
    /// The file that turns it.
    pub file: TextFile,
    /// The kubeconfig that a turned kubelet uses.
    pub kubeconfig: PathBuf,
    /// The kubeconfig that it used before: it may have come from where nobody finds it again, as from a file of variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_kubeconfig: Option<PathBuf>,
    /// Port of the kubelet's own health endpoint on loopback; 0: it has none.
    pub healthz_port: u16,
}

/// Where programs are put.
pub const PROGRAMS: &str = "/usr/local/bin";
/// yurthub's configuration.
pub const CONFIG_FOLDER: &str = "/etc/yurthub";
/// How a turned kubelet reaches yurthub.
pub const KUBECONFIG: &str = "/etc/yurthub/kubelet.kubeconfig";
/// yurthub's data.
pub const DATA_FOLDER: &str = "/var/lib/yurthub";
/// yurthub's service.
pub const HUB_UNIT: &str = "yurthub.service";

/// Why a spec is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A file that is none of ours.
    #[error(
        "the plan would write `{0}`, which is no place of ours; it was made by another version, or tampered with"
    )]
    ForeignPath(PathBuf),
    /// A program with a name that is a path.
    #[error("the plan names a program `{0}`; the image has yurthub and yurtctl")]
    ForeignProgram(String),
}

impl NodeSpec {
    /// Whether all that it would write is ours.
    pub fn check(&self) -> Result<(), SpecError> {
        for program in &self.programs {
            if !["yurthub", "yurtctl"].contains(&program.name.as_str()) {
                return Err(SpecError::ForeignProgram(program.name.clone()));
            }
        }
        for file in self.files.iter().chain([&self.switch.file]) {
            if !is_ours(&file.path) {
                return Err(SpecError::ForeignPath(file.path.clone()));
            }
        }
        Ok(())
    }

    /// Every path that it writes, in the order of writing.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let programs = self.programs.iter().map(Program::path);
        let files = self.files.iter().map(|file| file.path.clone());
        programs.chain(files).chain([self.switch.file.path.clone()])
    }
}

impl Program {
    /// The program of this name with these bytes.
    pub fn of(name: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            sha256: digest::of(bytes),
        }
    }

    /// Where it is on the node.
    pub fn path(&self) -> PathBuf {
        Path::new(PROGRAMS).join(&self.name)
    }
}

/// Whether a file of this path belongs to us, whatever it holds.
fn is_ours(path: &Path) -> bool {
    let plain = path.components().all(|part| {
        matches!(
            part,
            std::path::Component::RootDir | std::path::Component::Normal(_)
        )
    });
    let named = path
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| ["20-yurthub.conf", "20-yurthub.yaml", HUB_UNIT].contains(&name));
    let in_etc =
        path.starts_with("/etc/systemd/system") || path.starts_with("/etc/rancher/k3s/config.yaml.d");
    plain && (path.starts_with(CONFIG_FOLDER) || (named && in_etc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_places_are_written() {
        for path in [
            "/etc/yurthub/config.yaml",
            "/etc/systemd/system/yurthub.service",
            "/etc/systemd/system/multi-user.target.wants/yurthub.service",
            "/etc/systemd/system/kubelet.service.d/20-yurthub.conf",
            "/etc/rancher/k3s/config.yaml.d/20-yurthub.yaml",
        ] {
            assert!(is_ours(Path::new(path)), "{path}");
        }
        for path in [
            "/etc/passwd",
            "/etc/yurthub/../passwd",
            "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf",
            "/usr/lib/systemd/system/yurthub.service",
            "etc/yurthub/config.yaml",
        ] {
            assert!(!is_ours(Path::new(path)), "{path}");
        }
    }
}
