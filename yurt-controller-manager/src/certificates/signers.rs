//! The signers that there are: a row for each (pure).

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use yurt_common::node_certificates::{TUNNEL_AGENT_SIGNER, TUNNEL_AGENTS, is_node_name};

/// The user of a kubelet (kubernetes/pkg/auth/nodeidentifier/default.go).
const NODE_USER: &str = "system:node:";
const NODE_GROUP: &str = "system:nodes";
/// What the apiserver says of a token that is bound to a pod: the node of that pod
/// (kubernetes/staging/src/k8s.io/apiserver/pkg/authentication/serviceaccount/util.go; beta in 1.30, stable in 1.32).
const NODE_OF_TOKEN: &str = "authentication.kubernetes.io/node-name";

/// A signer of ours. All of them give client certificates whose common name is the node's.
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
}

/// All of them.
pub const SIGNERS: [Signer; 1] = [Signer {
    name: TUNNEL_AGENT_SIGNER,
    label: "tunnel-agent",
    organization: TUNNEL_AGENTS,
    account: "yurt-tunnel-agent",
}];

/// The signer of that name.
pub fn of(name: &str) -> Option<&'static Signer> {
    SIGNERS.iter().find(|signer| signer.name == name)
}

/// The node for which a request is made, by what the apiserver has proved: the user of its kubelet, or a pod of `signer`'s
/// service account by its token. `None` for anybody else.
pub fn requester(signer: &Signer, request: &CertificateSigningRequest, namespace: &str) -> Option<String> {
    let spec = &request.spec;
    let user = spec.username.as_deref()?;
    let node = if let Some(node) = user.strip_prefix(NODE_USER) {
        let mut groups = spec.groups.iter().flatten();
        groups.any(|group| group == NODE_GROUP).then_some(node)
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
