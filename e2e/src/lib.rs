//! A real kubeadm cluster on this machine, and what tests need to drive it.
//!
//! The cluster's nodes are namespaces that boot systemd, containerd and the unmodified kubelet; the scripts in
//! `cluster/` make them, this crate drives the scripts. `README.md` beside this crate explains both.
//!
//! This crate knows nothing of async runtimes and Kubernetes clients: it runs `kubectl` and other programs, each
//! with a deadline. Invariant: whatever an instance creates outside of its state folder carries its name, and
//! [`Instance::down`] finds and removes it, however the processes that made it ended.

pub mod background;
pub mod builds;
pub mod caller;
pub mod cgroup;
pub mod cluster;
pub mod command;
pub mod containers;
pub mod conversion;
pub mod hub;
pub mod image;
pub mod informer;
pub mod instance;
pub mod lock;
pub mod machine;
pub mod namespace;
pub mod node;
pub mod objects;
pub mod programs;
pub mod progress;
pub mod up;
pub mod wait;

pub use background::Background;
pub use caller::Caller;
pub use cluster::Cluster;
pub use command::{Cmd, CommandError, Output};
pub use informer::Informer;
pub use instance::{Instance, Profile};
pub use link_emulator;
pub use namespace::Namespace;
pub use node::{BrokenNode, Node};
pub use objects::{Pod, pod};
pub use wait::wait_for;

/// How often a test repeats what it does: `test` rounds in `cargo xtask test`, `soak` rounds in `cargo xtask soak`
/// (which sets `YURT_SOAK`).
pub fn rounds(test: usize, soak: usize) -> usize {
    if std::env::var_os("YURT_SOAK").is_some() {
        soak
    } else {
        test
    }
}
