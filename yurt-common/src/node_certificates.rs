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
/// The signer of the certificates of tunnel servers.
pub const TUNNEL_SERVER_SIGNER: &str = "yurt.openyurt.io/tunnel-server";
/// The organization in such a certificate; the common name is that of the Node that the server runs on.
pub const TUNNEL_SERVERS: &str = "yurt:tunnel-servers";
/// The DNS name in such a certificate, the same in all of them: who dials a server checks what it is, not where it is.
pub const TUNNEL_SERVER_NAME: &str = "yurt-tunnel-server";
/// The label of a Node that is an edge node, with the value `true`.
pub const EDGE_LABEL: &str = "openyurt.io/is-edge-worker";
/// The ConfigMap with the authorities that are trusted.
pub const TRUST: &str = "yurt-tunnel-trust";
/// Its key: certificates in PEM.
pub const TRUST_KEY: &str = "ca.crt";
/// The Secret with the authority that signs, which yurt-controller-manager alone reads.
pub const TUNNEL_CA: &str = "yurt-tunnel-ca";
/// The ConfigMap with the addresses of the tunnel's servers: a key for each server, `HOST:PORT` lines.
pub const TUNNEL_MEMBERS: &str = "yurt-tunnel-servers";
/// The ConfigMap with the nodes that are forgotten; its absence is that of such nodes.
pub const FORGOTTEN: &str = "yurt-forgotten-nodes";
/// How far the beginning of a certificate lies in the past when it is signed, for clocks that are late.
pub const BACKDATED: std::time::Duration = std::time::Duration::from_mins(5);
/// No certificate of ours is valid for longer.
pub const LONGEST_LIFETIME: std::time::Duration = std::time::Duration::from_hours(7 * 24);

/// What the holder of a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The agent of a node.
    TunnelAgent,
    /// A server of the tunnel, on the node that it is called after.
    TunnelServer,
}

impl Role {
    /// Who signs its certificates.
    pub const fn signer(self) -> &'static str {
        match self {
            Self::TunnelAgent => TUNNEL_AGENT_SIGNER,
            Self::TunnelServer => TUNNEL_SERVER_SIGNER,
        }
    }

    /// The organization in its certificates.
    pub const fn organization(self) -> &'static str {
        match self {
            Self::TunnelAgent => TUNNEL_AGENTS,
            Self::TunnelServer => TUNNEL_SERVERS,
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TunnelAgent => "tunnel agent",
            Self::TunnelServer => "tunnel server",
        })
    }
}

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
