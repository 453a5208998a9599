//! yurt-tunnel in the cluster: it comes with the first node that is converted and goes with the last one.

use anyhow::Result;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use kube::api::{Api, DynamicObject, ListParams};
use yurt_common::node_certificates::{TRUST, TUNNEL_CA, TUNNEL_MEMBERS};

use super::{remove, remove_policy};
use crate::cluster::{Cluster, HubConfig, list};

const SERVER: &str = "yurt-tunnel-server";
const AGENT: &str = "yurt-tunnel-agent";
/// The rights of servers in our namespace.
const MEMBER: &str = "yurt-tunnel-server-member";
/// Which ports of single nodes may be reached.
const POLICY: &str = "yurt-tunnel-policy";
/// The labels of the Leases of servers.
const LEASES: &str = "app.kubernetes.io/part-of=yurt,app.kubernetes.io/component=tunnel-server";

/// Whether an object of the manifests is a part of it.
pub(super) fn is_part(object: &DynamicObject) -> bool {
    let name = object.metadata.name.as_deref();
    name.is_some_and(|name| [SERVER, AGENT, MEMBER].contains(&name))
}

/// Applies it, with the image of the programs, unless somebody else looks after our objects.
pub async fn install(cluster: &Cluster, config: &HubConfig) -> Result<()> {
    super::install_part(cluster, config, is_part).await
}

/// Takes it away, with what its servers and the manager have written for it. Their rights go first: a server that ends
/// writes nothing after that.
pub async fn uninstall(cluster: &Cluster) -> Result<()> {
    let (client, namespace) = (&cluster.client, &cluster.namespace);
    for name in [AGENT, SERVER] {
        let sets: Api<DaemonSet> = Api::namespaced(client.clone(), namespace);
        remove(cluster, &sets, name).await?;
        remove(cluster, &Api::<ClusterRoleBinding>::all(client.clone()), name).await?;
    }
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
    remove(cluster, &bindings, SERVER).await?;
    for role in [AGENT, SERVER, MEMBER] {
        remove(cluster, &Api::<ClusterRole>::all(client.clone()), role).await?;
    }
    remove_policy(cluster, SERVER).await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    for name in [AGENT, SERVER] {
        remove(cluster, &accounts, name).await?;
    }
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    for lease in list(&leases, &ListParams::default().labels(LEASES), "Leases").await? {
        remove(
            cluster,
            &leases,
            lease.metadata.name.as_deref().unwrap_or_default(),
        )
        .await?;
    }
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    // The second one somebody wrote by hand, for agents that are gone now.
    for map in [TUNNEL_MEMBERS, POLICY] {
        remove(cluster, &maps, map).await?;
    }
    Ok(())
}

/// Takes the authority away that yurt-controller-manager has made, when that one is gone.
pub(super) async fn forget_authority(cluster: &Cluster) -> Result<()> {
    let (client, namespace) = (&cluster.client, &cluster.namespace);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    remove(cluster, &secrets, TUNNEL_CA).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    remove(cluster, &maps, TRUST).await
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::manager::fit;
    use super::super::{kind, parsed};
    use super::*;

    #[test]
    fn its_parts_have_the_image_and_the_namespace_of_the_site() {
        let config = HubConfig {
            settings: String::new(),
            image: "registry.example/yurt:7".to_owned(),
            pull_policy: "Always".to_owned(),
            pull_secrets: vec!["registry".to_owned()],
        };
        let mut kinds = Vec::new();
        for mut part in parsed("elsewhere").unwrap().into_iter().filter(is_part) {
            fit(&mut part, &config, "elsewhere");
            let name = part.metadata.name.clone().unwrap();
            let object = serde_json::to_value(&part).unwrap();
            match kind(&part) {
                "DaemonSet" => {
                    let container = &object["spec"]["template"]["spec"]["containers"][0];
                    assert_eq!(container["image"], "registry.example/yurt:7", "{name}");
                    assert_eq!(container["imagePullPolicy"], "Always", "{name}");
                }
                "ServiceAccount" => assert_eq!(object["imagePullSecrets"][0]["name"], "registry", "{name}"),
                "ClusterRoleBinding" | "RoleBinding" => {
                    assert_eq!(object["subjects"][0]["namespace"], "elsewhere", "{name}");
                }
                _ => assert_eq!(object["subjects"], Value::Null, "{name}"),
            }
            kinds.push(kind(&part).to_owned());
        }
        kinds.sort();
        let expected = [
            ["ClusterRole"; 3].as_slice(),
            &["ClusterRoleBinding"; 2],
            &["DaemonSet"; 2],
            &["RoleBinding"],
            &["ServiceAccount"; 2],
            &["ValidatingAdmissionPolicy"],
            &["ValidatingAdmissionPolicyBinding"],
        ];
        assert_eq!(kinds, expected.concat());
    }
}
