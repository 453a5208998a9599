//! From a privileged pod into the node: this process joins the namespaces of process 1.
//!
//! Nothing of the node is run to get there, no shell and no `nsenter`; from then on `/` is the node's root.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use thiserror::Error;

/// Why the node could not be entered.
#[derive(Debug, Error)]
#[error("failed to enter the node by `{path}`; the pod must be privileged, with hostPID")]
pub struct EntranceError {
    path: PathBuf,
    source: io::Error,
}

/// Joins the node. Only before any thread was started: a mount namespace is joined by a process with one thread.
pub fn enter_node() -> Result<(), EntranceError> {
    // The mount namespace last: the others' files are found through this one's /proc.
    let spaces = [
        ("uts", LinkNameSpaceType::HostNameAndNISDomainName),
        ("ipc", LinkNameSpaceType::InterProcessCommunication),
        ("net", LinkNameSpaceType::Network),
        ("cgroup", LinkNameSpaceType::ControlGroup),
        ("mnt", LinkNameSpaceType::Mount),
    ];
    for (name, kind) in spaces {
        let path = PathBuf::from(format!("/proc/1/ns/{name}"));
        let failed = |source| EntranceError {
            path: path.clone(),
            source,
        };
        let file = File::open(&path).map_err(failed)?;
        move_into_link_name_space(file.as_fd(), Some(kind)).map_err(|error| failed(error.into()))?;
    }
    let root = PathBuf::from("/");
    std::env::set_current_dir(&root).map_err(|source| EntranceError { path: root, source })
}
