//! Certificates that yurt-controller-manager gives to nodes, and what a server of ours must know to judge them: names,
//! who signs them, and which nodes are [`forgotten`]. The verifier of a server is in `verifier` (feature
//! `node-verifier`).
//!
//! They are good for servers of ours only. The apiserver does not know this authority.

pub mod forgotten;
#[cfg(feature = "node-verifier")]
pub mod verifier;

/// The signer of the client certificates of tunnel agents.
pub const TUNNEL_AGENT_SIGNER: &str = "yurt.openyurt.io/tunnel-agent";
/// The organization in such a certificate; the common name is that of the Node.
pub const TUNNEL_AGENTS: &str = "yurt:tunnel-agents";
/// The ConfigMap with the authorities that are trusted.
pub const TRUST: &str = "yurt-tunnel-trust";
/// Its key: certificates in PEM.
pub const TRUST_KEY: &str = "ca.crt";
/// The ConfigMap with the nodes that are forgotten; its absence is that of such nodes.
pub const FORGOTTEN: &str = "yurt-forgotten-nodes";
/// How far the beginning of a certificate lies in the past when it is signed, for clocks that are late.
pub const BACKDATED: std::time::Duration = std::time::Duration::from_mins(5);
/// No certificate of ours is valid for longer.
pub const LONGEST_LIFETIME: std::time::Duration = std::time::Duration::from_hours(7 * 24);

/// Whether Kubernetes would take this for the name of a Node: a DNS subdomain of at most 253 characters (RFC 1123).
pub fn is_node_name(name: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let label = |label: &str| {
        label.bytes().all(inner) && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_nodes_are_told_from_others() {
        for good in ["a", "edge1", "edge-1.shop.example", "10.0.0.1"] {
            assert!(is_node_name(good), "{good}");
        }
        let long = "a".repeat(254);
        for bad in ["", ".", "a.", "-a", "a-", "A", "a_b", "a b", "a/b", "ä", &long] {
            assert!(!is_node_name(bad), "{bad}");
        }
    }
}
