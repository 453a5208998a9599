//! The signers that there are: a row for each (pure).

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use yurt_common::node_certificates::{Role, TUNNEL_SERVER_NAME, is_node_name};

/// The user of a kubelet (kubernetes/pkg/auth/nodeidentifier/default.go).
const NODE_USER: &str = "system:node:";
const NODE_GROUP: &str = "system:nodes";
/// What the apiserver says of a token that is bound to a pod: the node of that pod
/// (kubernetes/staging/src/k8s.io/apiserver/pkg/authentication/serviceaccount/util.go; beta in 1.30, stable in 1.32).
const NODE_OF_TOKEN: &str = "authentication.kubernetes.io/node-name";

/// A signer of ours. All of them give certificates of clients, whose common name is the node's.
#[derive(Debug, PartialEq, Eq)]
pub struct Signer {
    /// The signer's name in the API.
    pub name: &'static str,
    /// As metrics have it.
    pub label: &'static str,
    /// The organization in the certificate.
    pub organization: &'static str,
    /// The service account in our namespace whose pods may ask, each for its own node.
    pub account: &'static str,
    /// Whom else it serves, and what else it gives.
    pub kind: Kind,
}

/// What a signer's certificates are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Clients on any node. Its kubelet may ask, too: it stands for the node anyhow.
    Client,
    /// Servers with this DNS name, which are clients of each other. They say where traffic to nodes goes, so that no edge
    /// node gets one, whose disk may be stolen, and no kubelet, which is the node and not what runs there.
    Server(&'static str),
}

/// All of them.
pub const SIGNERS: [Signer; 2] = [
    Signer {
        name: Role::TunnelAgent.signer(),
        label: "tunnel-agent",
        organization: Role::TunnelAgent.organization(),
        account: "yurt-tunnel-agent",
        kind: Kind::Client,
    },
    Signer {
        name: Role::TunnelServer.signer(),
        label: "tunnel-server",
        organization: Role::TunnelServer.organization(),
        account: "yurt-tunnel-server",
        kind: Kind::Server(TUNNEL_SERVER_NAME),
    },
];

impl Signer {
    /// The name that it gives by itself.
    pub fn server_name(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Client => None,
            Kind::Server(name) => Some(name),
        }
    }
}

/// Whether a DNS name is one by which clients know servers of ours. It is in no certificate of anybody else, whatever a Node
/// says that it is called.
pub fn is_server_name(name: &str) -> bool {
    SIGNERS.iter().any(|signer| signer.server_name() == Some(name))
}

/// The signer of that name.
pub fn of(name: &str) -> Option<&'static Signer> {
    SIGNERS.iter().find(|signer| signer.name == name)
}

/// The node for which a request is made, by what the apiserver has proved: a pod of `signer`'s service account by its token,
/// or the user of its kubelet where `signer` serves clients. `None` for anybody else.
pub fn requester(signer: &Signer, request: &CertificateSigningRequest, namespace: &str) -> Option<String> {
    let spec = &request.spec;
    let user = spec.username.as_deref()?;
    let node = if let Some(node) = user.strip_prefix(NODE_USER) {
        let mut groups = spec.groups.iter().flatten();
        let is_node = groups.any(|group| group == NODE_GROUP);
        (is_node && signer.kind == Kind::Client).then_some(node)
    } else if user == format!("system:serviceaccount:{namespace}:{}", signer.account) {
        match spec.extra.as_ref()?.get(NODE_OF_TOKEN)?.as_slice() {
            [node] => Some(node.as_str()),
            _ => None,
        }
    } else {
        None
    };
    node.filter(|node| is_node_name(node)).map(str::to_owned)
}
