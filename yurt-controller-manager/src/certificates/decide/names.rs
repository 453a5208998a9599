//! Which names are in a certificate (pure).

use k8s_openapi::api::core::v1::Node;

use super::Reason;
use crate::certificates::request::Name;
use crate::certificates::signers::{self, Signer};

/// The names in the certificate: those of the Node that were asked for, or the one of all servers, asked for or not.
pub(super) fn granted(signer: &Signer, node: &Node, asked: Vec<Name>) -> Result<Vec<Name>, Reason> {
    let is_ours = |name: &Name| match (signer.server_name(), name) {
        (Some(ours), Name::Dns(name)) => name == ours,
        (Some(_), Name::Ip(_)) => false,
        (None, Name::Dns(dns)) => has_name(node, name) && !signers::is_server_name(dns),
        (None, Name::Ip(_)) => has_name(node, name),
    };
    if let Some(name) = asked.iter().find(|name| !is_ours(name)) {
        return Err(Reason::ForeignName(match name {
            Name::Dns(name) => name.clone(),
            Name::Ip(address) => address.to_string(),
        }));
    }
    Ok(signer
        .server_name()
        .map_or(asked, |name| vec![Name::Dns(name.to_owned())]))
}

/// Whether the Node says of itself that it has this name. Kubelets write that, so it proves nothing to others: servers of
/// ours go by the subject alone.
fn has_name(node: &Node, name: &Name) -> bool {
    let addresses = node
        .status
        .iter()
        .flat_map(|status| status.addresses.iter().flatten());
    addresses.into_iter().any(|one| match name {
        Name::Dns(name) => {
            ["Hostname", "InternalDNS", "ExternalDNS"].contains(&one.type_.as_str()) && one.address == *name
        }
        Name::Ip(address) => {
            ["InternalIP", "ExternalIP"].contains(&one.type_.as_str()) && one.address.parse() == Ok(*address)
        }
    })
}
