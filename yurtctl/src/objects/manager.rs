//! yurt-controller-manager in the cluster: it comes with the first node that is converted and goes with the last one,
//! unless some node still asks for what it grants.

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::json;

use super::{kind, remove, remove_policy};
use crate::autonomy;
use crate::cluster::{Cluster, HubConfig, list};

const NAME: &str = "yurt-controller-manager";
/// The labels of its pods.
const LABELS: &str = "app.kubernetes.io/part-of=yurt,app.kubernetes.io/component=controller-manager";
/// The rights of the one of its replicas that acts.
const LEADER: &str = "yurt-controller-manager-leader";

/// Whether an object of the manifests is a part of it.
pub(super) fn is_part(object: &DynamicObject) -> bool {
    let name = object.metadata.name.as_deref();
    name == Some(NAME) || name == Some(LEADER)
}

/// Applies it, with the image of the programs, unless somebody else looks after our objects.
pub async fn install(cluster: &Cluster, config: &HubConfig) -> Result<()> {
    super::install_part(cluster, config, is_part).await
}

/// Makes an object of the manifests one of this site (pure).
pub(super) fn fit(object: &mut DynamicObject, config: &HubConfig, namespace: &str) {
    let secrets: Vec<_> = config
        .pull_secrets
        .iter()
        .map(|name| json!({"name": name}))
        .collect();
    match kind(object) {
        "Deployment" | "DaemonSet" => {
            if let Some(container) = object.data.pointer_mut("/spec/template/spec/containers/0") {
                container["image"] = config.image.clone().into();
                container["imagePullPolicy"] = config.pull_policy.clone().into();
            }
        }
        "ServiceAccount" if !secrets.is_empty() => object.data["imagePullSecrets"] = secrets.into(),
        "ClusterRoleBinding" | "RoleBinding" => {
            if let Some(subject) = object.data.pointer_mut("/subjects/0") {
                subject["namespace"] = namespace.into();
            }
        }
        _ => {}
    }
}

/// Lets its replicas leave a node that has become an edge node: a link that is cut would take them along.
pub async fn leave(cluster: &Cluster, node: &str) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let there = ListParams::default()
        .labels(LABELS)
        .fields(&format!("spec.nodeName={node}"));
    for pod in list(&pods, &there, "pods of yurt-controller-manager").await? {
        remove(cluster, &pods, pod.metadata.name.as_deref().unwrap_or_default()).await?;
    }
    Ok(())
}

/// How many of its replicas can do their work.
pub async fn available(cluster: &Cluster) -> Result<i32> {
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let found = deployments.get_opt(NAME).await;
    let found = found.with_context(|| format!("look at Deployment {}/{NAME}", cluster.namespace))?;
    let status = found.and_then(|found| found.status);
    Ok(status
        .and_then(|status| status.available_replicas)
        .unwrap_or_default())
}

/// Nodes that ask for autonomy, or have pods that it keeps.
pub async fn still_needed(cluster: &Cluster) -> Result<Vec<String>> {
    Ok(needing(&cluster.nodes().await?))
}

/// The same (pure).
fn needing(nodes: &[Node]) -> Vec<String> {
    let needs = nodes
        .iter()
        .filter(|node| autonomy::is_wished(node) || autonomy::condition(node).is_some());
    needs.filter_map(|node| node.metadata.name.clone()).collect()
}

/// Takes it away, but for what goes with the namespace.
pub(super) async fn uninstall(cluster: &Cluster) -> Result<()> {
    let (client, namespace) = (&cluster.client, &cluster.namespace);
    remove(
        cluster,
        &Api::<Deployment>::namespaced(client.clone(), namespace),
        NAME,
    )
    .await?;
    remove(
        cluster,
        &Api::<ServiceAccount>::namespaced(client.clone(), namespace),
        NAME,
    )
    .await?;
    remove(
        cluster,
        &Api::<RoleBinding>::namespaced(client.clone(), namespace),
        NAME,
    )
    .await?;
    remove(
        cluster,
        &Api::<Lease>::namespaced(client.clone(), namespace),
        NAME,
    )
    .await?;
    remove(cluster, &Api::<ClusterRoleBinding>::all(client.clone()), NAME).await?;
    for role in [NAME, LEADER] {
        remove(cluster, &Api::<ClusterRole>::all(client.clone()), role).await?;
    }
    // Last: what bounds its rights.
    remove_policy(cluster, NAME).await
}

#[cfg(test)]
mod tests {
    use super::super::parsed;
    use super::*;

    #[test]
    fn it_has_the_image_and_the_secrets_of_the_site() {
        let config = HubConfig {
            settings: String::new(),
            image: "registry.example/yurt:7".to_owned(),
            pull_policy: "Always".to_owned(),
            pull_secrets: vec!["registry".to_owned()],
        };
        let parts: Vec<_> = parsed("elsewhere").unwrap().into_iter().filter(is_part).collect();
        let kinds: Vec<_> = parts.iter().map(|part| kind(part).to_owned()).collect();
        let mut fitted = serde_json::Value::Null;
        for mut part in parts {
            fit(&mut part, &config, "elsewhere");
            fitted[kind(&part).to_owned()] = serde_json::to_value(&part).unwrap();
        }
        assert_eq!(kinds.len(), 8, "{kinds:?}");
        let container = &fitted["Deployment"]["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], "registry.example/yurt:7");
        assert_eq!(container["imagePullPolicy"], "Always");
        assert_eq!(
            fitted["ServiceAccount"]["imagePullSecrets"][0]["name"],
            "registry"
        );
        for binding in ["ClusterRoleBinding", "RoleBinding"] {
            assert_eq!(fitted[binding]["subjects"][0]["namespace"], "elsewhere");
        }
        assert_eq!(fitted["Deployment"]["metadata"]["namespace"], "elsewhere");
    }

    #[test]
    fn it_is_needed_while_a_node_asks_or_its_pods_are_kept() {
        let node = |name: &str, metadata: serde_json::Value, conditions: serde_json::Value| {
            let mut metadata = metadata;
            metadata["name"] = name.into();
            let object = json!({"metadata": metadata, "status": {"conditions": conditions}});
            serde_json::from_value::<Node>(object).unwrap()
        };
        let ours = json!([{"type": "NodeAutonomy", "status": "True", "reason": "ForEver"}]);
        let nodes = [
            node("plain", json!({}), json!([{"type": "Ready", "status": "True"}])),
            node(
                "asks",
                json!({"annotations": {"node.openyurt.io/autonomy-duration": "0"}}),
                json!([]),
            ),
            node(
                "label",
                json!({"labels": {"apps.openyurt.io/binding": "true"}}),
                json!([]),
            ),
            node("kept", json!({}), ours),
        ];
        assert_eq!(needing(&nodes), ["asks", "label", "kept"]);
    }
}
