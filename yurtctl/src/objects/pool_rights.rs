//! The right of a node's user to read what is said of its pool, in our namespace alone: a `RoleBinding` for each converted
//! node, to a `ClusterRole` that nobody has elsewhere.

use anyhow::{Context as _, Result};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::Api;

use super::{apply, binding, binding_name, remove};
use crate::cluster::Cluster;

/// The `ClusterRole`; it is bound in our namespace only.
pub(super) const ROLE: &str = "yurthub-pool-member";

/// Lets the user of a node read of its pool.
pub(super) async fn bind(cluster: &Cluster, node: &str) -> Result<()> {
    let mut binding = binding("RoleBinding", node, ROLE);
    binding["metadata"]["namespace"] = cluster.namespace.as_str().into();
    apply(
        cluster,
        &serde_json::from_value(binding).context("make a RoleBinding")?,
    )
    .await
}

/// Takes it back.
pub(super) async fn unbind(cluster: &Cluster, node: &str) -> Result<()> {
    let bindings: Api<RoleBinding> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    remove(cluster, &bindings, &binding_name(node)).await
}
