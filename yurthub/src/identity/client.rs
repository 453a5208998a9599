//! For whom something is kept on this node. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose view of the API a scope or a remembered answer is.
///
/// What one client was given is never given to another: the cloud decided for this one only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Client {
    /// This node's kubelet.
    #[default]
    Node,
    /// A service account; one of the same name with another UID is another.
    Account {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its UID.
        uid: String,
    },
    /// All clients of this node; each of them is authorized before it is served.
    Shared,
}

impl fmt::Display for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => out.write_str("node"),
            Self::Account { namespace, name, .. } => write!(out, "{namespace}/{name}"),
            Self::Shared => out.write_str("shared"),
        }
    }
}
