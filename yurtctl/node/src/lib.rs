//! What yurtctl does on a node. It knows nothing of the cluster: no client, no credentials, no network but loopback.
//!
//! A node changes its state in one *transaction*: a list of steps that is written down before the first of them, with a
//! journal that says which were begun and done. A service of its own carries it out, so that neither the end of the pod
//! that brought it, nor a cut, nor a reboot can leave the node in between: the service goes on, or takes back what was
//! done. In reading order:
//!
//! - [`facts`]: how the node is, as far as a plan must know;
//! - [`layout`] (pure): from facts to what shall be on the node, a [`spec::NodeSpec`];
//! - [`transaction`]: what shall happen; [`journal`]: what has happened;
//! - [`course`] (pure): what happens next;
//! - [`steps`]: each step's effect, and its way back;
//! - [`host`]: the node as all these meet it;
//! - [`conductor`]: the loop of the service; [`service`]: the service itself;
//! - [`message`]: how a pod says all that in 4,096 bytes;
//! - [`entrance`]: from a privileged pod into the node.

pub mod facts;
pub mod layout;
pub mod spec;
pub mod transaction;

pub mod course;
pub mod journal;

pub mod conductor;
pub mod service;
pub mod steps;

pub mod entrance;
pub mod message;

mod digest;
mod disk;
pub mod host;
pub mod systemd;

#[cfg(test)]
mod model;

/// Where yurtctl keeps its journal, and what it needs for the way back. Nothing else is in it.
pub const FOLDER: &str = "/var/lib/yurt-conversion";
/// Where yurthub listens for the kubelet, says how it is, and listens for pods.
pub const HUB_PORTS: [u16; 3] = [10261, 10267, 10268];
