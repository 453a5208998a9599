//! What yurt-controller-manager and the yurthubs of a pool tell each other through the API: names, and what is in them.
//!
//! A pool is the value of the label [`LABEL`] of its Nodes. A yurthub that takes part says where its peers find it
//! ([`PEER`]). Of these Nodes the manager makes the list of [`Members`]; each member is probed by a few others
//! ([`votes::voters`]). When the cloud no longer hears of a member, it stands in the pool's [`Silence`]: its voters write
//! what they see of it on their own Nodes ([`VOTES`]), and all members show its endpoints as the manager says.
//!
//! Two ConfigMaps, because they change at different times: who is a member changes with a node that comes or goes, who is
//! silent with each cut.

pub mod votes;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The label of a Node that names its pool; OpenYurt's.
pub const LABEL: &str = "apps.openyurt.io/nodepool";
/// The annotation of a Node at whose address and port its yurthub answers peers, as `10.0.0.5:10269`. It stands there
/// while the node takes part.
pub const PEER: &str = "yurthub.openyurt.io/peer";
/// The annotation of a Node with what its yurthub sees of silent members: [`votes::Votes`] as JSON.
pub const VOTES: &str = "yurthub.openyurt.io/peer-votes";
/// The port where yurthubs answer peers, where nothing else is said; that of OpenYurt's multiplexer.
pub const PORT: u16 = 10269;
/// The key of [`Members`] and [`Silence`] in their ConfigMaps.
pub const KEY: &str = "pool.json";
/// The label of these ConfigMaps.
pub const KIND_LABEL: &str = "yurt.openyurt.io/pool-state";

/// The names of the ConfigMaps of a pool: of its [`Members`] and its [`Silence`].
pub fn config_maps(pool: &str) -> [String; 2] {
    // A label may have capital letters and `_`, an object's name may not; the digest tells those apart that look alike.
    let readable = pool.to_ascii_lowercase().replace('_', "-");
    let digest = votes::hash(pool, "");
    ["members", "silence"].map(|what| format!("yurt-pool-{readable}-{digest:016x}-{what}"))
}

/// The members of a pool: who takes part, and where each one answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// The pool.
    pub pool: String,
    /// Addresses by the names of Nodes.
    pub members: BTreeMap<String, SocketAddr>,
}

/// The nodes of a pool that the cloud does not hear of. Nodes that take no part in probing may be among them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// The pool.
    pub pool: String,
    /// By the names of Nodes. One stays here after its return until the cloud calls its pods ready again.
    pub silent: BTreeMap<String, Silent>,
}

/// A node that the cloud does not hear of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silent {
    /// When the cloud noticed (RFC 3339), which tells this silence from another one.
    pub since: String,
    /// How its pods stand in the pool.
    pub endpoints: Shown,
    /// UIDs of its pods that were not ready before it fell silent; looked at where endpoints are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unready: Vec<String>,
}

/// How the endpoints of a silent node are shown to the other members of its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Shown {
    /// As they were before: it is taken to be alive.
    Kept,
    /// As in the cloud: nobody knows better, or it is dead.
    AsInCloud,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_that_look_alike_have_objects_of_their_own() {
        let [members, silence] = config_maps("Shop_7.a");
        assert!(members.starts_with("yurt-pool-shop-7.a-"), "{members}");
        assert!(members.ends_with("-members") && silence.ends_with("-silence"));
        assert_ne!(config_maps("shop-7.a")[0], members);
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        assert!(members.chars().all(allowed), "{members}");
        let longest = config_maps(&"X".repeat(63));
        assert!(longest[0].len() <= 253);
    }

    #[test]
    fn what_is_written_is_read() {
        let silence = Silence {
            pool: "p".into(),
            silent: BTreeMap::from([(
                "edge1".into(),
                Silent {
                    since: "2026-01-01T00:00:00Z".into(),
                    endpoints: Shown::Kept,
                    unready: vec!["u1".into()],
                },
            )]),
        };
        let text = serde_json::to_string(&silence).unwrap();
        assert_eq!(
            text,
            r#"{"pool":"p","silent":{"edge1":{"since":"2026-01-01T00:00:00Z","endpoints":"kept","unready":["u1"]}}}"#
        );
        assert_eq!(serde_json::from_str::<Silence>(&text).unwrap(), silence);
    }
}
