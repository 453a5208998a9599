//! Our objects in the cluster: applied on the server, found again by their label, and taken away.
//!
//! They come from the chart, rendered into `manifests/`. What a release of Helm has put there is Helm's, and is only used.

pub mod manager;
mod pool_rights;
mod settings;
pub mod tunnel;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{GroupVersionKind, PartialObjectMeta};
use kube::discovery::ApiResource;
use serde::Deserialize as _;
use serde_json::{Value, json};
use yurt_common::node_certificates::FORGOTTEN;

use crate::MANAGER;
use crate::cluster::{Cluster, HubConfig, is_missing, list};
use crate::progress::Progress;

const MANIFESTS: &str = include_str!("../../manifests/yurt.yaml");
const MANIFEST_NAMESPACE: &str = "yurt-system";
const ROLE: &str = "yurthub-node";
/// Which namespace an admission policy is about.
const POLICED: &str = "/spec/matchConstraints/namespaceSelector/matchLabels/kubernetes.io~1metadata.name";
/// The label that says whose an object is.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const GONE: Duration = Duration::from_mins(2);

/// Whose the objects are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Nobody has put them there.
    Nobody,
    /// yurtctl.
    Ourselves,
    /// Somebody else: a release of Helm, or `kubectl apply`.
    Other,
}

/// Whose the objects in the cluster are.
pub async fn owner(cluster: &Cluster) -> Result<Owner> {
    let accounts: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    match accounts.get_metadata("yurt-hub-cfg").await {
        Ok(found) => Ok(match found.metadata.labels.unwrap_or_default().get(MANAGED_BY) {
            Some(name) if name == MANAGER => Owner::Ourselves,
            _ => Owner::Other,
        }),
        Err(error) if is_missing(&error) => Ok(Owner::Nobody),
        Err(error) => {
            Err(error).with_context(|| format!("look for ConfigMap {}/yurt-hub-cfg", cluster.namespace))
        }
    }
}

/// Makes our namespace, where there is none: the lock is in it.
pub async fn make_namespace(cluster: &Cluster) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let name = &cluster.namespace;
    match namespaces.get_metadata(name).await {
        Ok(found) if found.metadata.deletion_timestamp.is_some() => bail!(
            "namespace {name} is being deleted, by another yurtctl that ends at this moment; run this again when it is gone"
        ),
        Ok(_) => return Ok(()),
        Err(error) if is_missing(&error) => {}
        Err(error) => return Err(error).with_context(|| format!("look at namespace {name}")),
    }
    for object in parsed(name)?.iter().filter(|object| kind(object) == "Namespace") {
        apply(cluster, object).await?;
    }
    Ok(())
}

/// Applies what Jobs need, unless somebody else has put it there; and says what it is set to. What others have changed in
/// the ConfigMap is kept, and said.
pub async fn install(cluster: &Cluster, progress: Progress) -> Result<HubConfig> {
    let owner = owner(cluster).await?;
    if owner != Owner::Other {
        // A namespace that somebody else has made stays his: it would go with the last node.
        let foreign = namespace(cluster).await?.is_some_and(|found| !is_ours(&found));
        let parsed = parsed(&cluster.namespace)?.into_iter();
        let others = |object: &DynamicObject| {
            manager::is_part(object) || tunnel::is_part(object) || (foreign && kind(object) == "Namespace")
        };
        for object in parsed.filter(|object| !others(object)) {
            if kind(&object) == "ConfigMap" && owner == Owner::Ourselves {
                for kept in settings::apply(cluster, object).await? {
                    progress.say(&kept);
                }
            } else {
                apply(cluster, &object).await?;
            }
        }
    }
    match HubConfig::read(cluster).await? {
        Some(config) => Ok(config),
        None => bail!("ConfigMap {}/yurt-hub-cfg is gone again", cluster.namespace),
    }
}

/// Applies the objects that `is_part` of a program in the cluster, with the image of the programs, unless somebody else looks
/// after our objects.
async fn install_part(
    cluster: &Cluster,
    config: &HubConfig,
    is_part: fn(&DynamicObject) -> bool,
) -> Result<()> {
    if owner(cluster).await? == Owner::Other {
        return Ok(());
    }
    for mut object in parsed(&cluster.namespace)?.into_iter().filter(is_part) {
        manager::fit(&mut object, config, &cluster.namespace);
        apply(cluster, &object).await?;
    }
    Ok(())
}

fn kind(object: &DynamicObject) -> &str {
    object.types.as_ref().map_or("", |types| types.kind.as_str())
}

/// Lets the user of a node do what yurthub needs there. Of both bindings the one of the cluster, which says that the node is
/// converted, is made first and goes last.
pub async fn bind(cluster: &Cluster, node: &str) -> Result<()> {
    let binding = binding("ClusterRoleBinding", node, ROLE);
    apply(
        cluster,
        &serde_json::from_value(binding).context("make a ClusterRoleBinding")?,
    )
    .await?;
    pool_rights::bind(cluster, node).await
}

/// The binding of a node's user to a `ClusterRole`.
fn binding(kind: &str, node: &str, role: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {
            "name": binding_name(node),
            "labels": {
                "app.kubernetes.io/name": "yurt",
                "app.kubernetes.io/part-of": "yurt",
                MANAGED_BY: MANAGER,
            },
        },
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "User",
            "name": format!("system:node:{node}"),
        }],
    })
}

/// Takes the rights of a node's user back.
pub async fn unbind(cluster: &Cluster, node: &str) -> Result<()> {
    pool_rights::unbind(cluster, node).await?;
    let bindings: Api<ClusterRoleBinding> = Api::all(cluster.client.clone());
    cluster.may_change().await?;
    match bindings
        .delete(&binding_name(node), &DeleteParams::default())
        .await
    {
        Err(error) if !is_missing(&error) => {
            Err(error).with_context(|| format!("delete ClusterRoleBinding {}", binding_name(node)))
        }
        _ => Ok(()),
    }
}

/// Nodes whose users have rights by us.
pub async fn bound_nodes(cluster: &Cluster) -> Result<Vec<String>> {
    Ok(bindings(cluster).await?.into_keys().collect())
}

/// The same, with when they were given them: at the beginning of their conversion.
pub async fn bindings(cluster: &Cluster) -> Result<BTreeMap<String, Timestamp>> {
    let bindings: Api<ClusterRoleBinding> = Api::all(cluster.client.clone());
    let ours = ListParams::default().labels(&format!("{MANAGED_BY}={MANAGER},app.kubernetes.io/name=yurt"));
    let found = list(&bindings, &ours, "ClusterRoleBindings").await?;
    let named = found.into_iter().filter_map(|binding| {
        let name = binding.metadata.name?.strip_prefix("yurthub-node-")?.to_owned();
        Some((name, binding.metadata.creation_timestamp?.0))
    });
    Ok(named.collect())
}

/// Takes away what [`install`], [`manager::install`] and [`tunnel::install`] have put there, and waits until it is gone.
pub async fn uninstall(cluster: &Cluster) -> Result<()> {
    if owner(cluster).await? == Owner::Other {
        return Ok(());
    }
    tunnel::uninstall(cluster).await?;
    manager::uninstall(cluster).await?;
    let roles: Api<ClusterRole> = Api::all(cluster.client.clone());
    for role in [ROLE, pool_rights::ROLE] {
        remove(cluster, &roles, role).await?;
    }
    remove_policy(cluster, FORGOTTEN).await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    remove(cluster, &accounts, "yurt-node-servant").await?;
    let Some(found) = namespace(cluster).await? else {
        return Ok(());
    };
    if !is_ours(&found) {
        tunnel::forget_authority(cluster).await?;
        let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        return remove(cluster, &maps, "yurt-hub-cfg").await;
    }
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    remove(cluster, &namespaces, &cluster.namespace).await?;
    let start = Instant::now();
    loop {
        match namespaces.get_metadata(&cluster.namespace).await {
            Err(error) if is_missing(&error) => return Ok(()),
            _ if start.elapsed() >= GONE => bail!(
                "namespace {} is being deleted for {} s; see `kubectl get all -n {}`",
                cluster.namespace,
                GONE.as_secs(),
                cluster.namespace
            ),
            _ => tokio::time::sleep(Duration::from_millis(300)).await,
        }
    }
}

/// Takes an admission policy away with its binding, without which it says nothing.
async fn remove_policy(cluster: &Cluster, name: &str) -> Result<()> {
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(cluster.client.clone());
    remove(cluster, &bindings, name).await?;
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(cluster.client.clone());
    remove(cluster, &policies, name).await
}

/// Our namespace, if it is there.
async fn namespace(cluster: &Cluster) -> Result<Option<PartialObjectMeta<Namespace>>> {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    match namespaces.get_metadata(&cluster.namespace).await {
        Err(error) if is_missing(&error) => Ok(None),
        found => {
            Ok(Some(found.with_context(|| {
                format!("look at namespace {}", cluster.namespace)
            })?))
        }
    }
}

/// Whether yurtctl has made it.
fn is_ours(namespace: &PartialObjectMeta<Namespace>) -> bool {
    let labels = namespace.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(MANAGED_BY))
        .is_some_and(|by| by == MANAGER)
}

async fn remove<K>(cluster: &Cluster, api: &Api<K>, name: &str) -> Result<()>
where
    K: Clone + std::fmt::Debug + for<'a> serde::Deserialize<'a>,
{
    cluster.may_change().await?;
    match api.delete(name, &DeleteParams::default()).await {
        Err(error) if !is_missing(&error) => Err(error).with_context(|| format!("delete `{name}`")),
        _ => Ok(()),
    }
}

async fn apply(cluster: &Cluster, object: &DynamicObject) -> Result<()> {
    let (api, name) = place(cluster, object)?;
    cluster.may_change().await?;
    api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object))
        .await
        .with_context(|| format!("apply {} {name}", kind(object)))?;
    Ok(())
}

/// Where an object is in the API, and its name.
fn place(cluster: &Cluster, object: &DynamicObject) -> Result<(Api<DynamicObject>, String)> {
    let types = object.types.as_ref().context("an object without a kind")?;
    let gvk = GroupVersionKind::try_from(types).context("read an object's kind")?;
    let resource = ApiResource::from_gvk(&gvk);
    let api = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(cluster.client.clone(), namespace, &resource),
        None => Api::all_with(cluster.client.clone(), &resource),
    };
    Ok((api, object.metadata.name.clone().unwrap_or_default()))
}

/// The manifests' objects, in `namespace`.
fn parsed(namespace: &str) -> Result<Vec<DynamicObject>> {
    serde_yaml::Deserializer::from_str(MANIFESTS)
        .map(|document| {
            let mut object = DynamicObject::deserialize(document).context("parse the embedded manifests")?;
            if kind(&object) == "Namespace" {
                object.metadata.name = Some(namespace.to_owned());
            }
            // The policy of forgotten nodes names the ConfigMap that it goes by.
            if let Some(reference) = object.data.pointer_mut("/spec/paramRef") {
                reference["namespace"] = namespace.into();
            }
            // Those of accounts are about what these write in it.
            if let Some(name) = object.data.pointer_mut(POLICED) {
                *name = namespace.into();
            }
            if object.metadata.namespace.as_deref() == Some(MANIFEST_NAMESPACE) {
                object.metadata.namespace = Some(namespace.to_owned());
            }
            if kind(&object) == "ConfigMap" && namespace != MANIFEST_NAMESPACE {
                name_pool_namespace(&mut object, namespace);
            }
            Ok(object)
        })
        .collect()
}

/// Tells yurthub where the objects of its pool are, as the chart does where its namespace is not the usual one.
fn name_pool_namespace(settings: &mut DynamicObject, namespace: &str) {
    if let Some(Value::String(text)) = settings.data.pointer_mut("/data/config.yaml") {
        text.push_str("poolNamespace: ");
        text.push_str(namespace);
        text.push('\n');
    }
}

/// The name of the binding of a node's rights.
pub fn binding_name(node: &str) -> String {
    format!("yurthub-node-{node}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_manifests_are_objects_in_the_namespace_that_was_asked_for() {
        let objects = parsed("elsewhere").unwrap();
        let of_kind = |kind: &str| {
            objects
                .iter()
                .find(|object| object.types.as_ref().is_some_and(|types| types.kind == kind))
                .unwrap()
        };
        assert_eq!(of_kind("Namespace").metadata.name.as_deref(), Some("elsewhere"));
        assert_eq!(
            of_kind("ConfigMap").metadata.namespace.as_deref(),
            Some("elsewhere")
        );
        let settings = |object: &DynamicObject| {
            let text = object.data["data"]["config.yaml"].as_str().unwrap();
            serde_yaml::from_str::<Value>(text).unwrap()
        };
        assert_eq!(settings(of_kind("ConfigMap"))["poolNamespace"], "elsewhere");
        let usual = parsed(MANIFEST_NAMESPACE).unwrap();
        let usual = usual.iter().find(|object| kind(object) == "ConfigMap").unwrap();
        assert_eq!(settings(usual).get("poolNamespace"), None);
        let roles = objects.iter().filter(|object| kind(object) == "ClusterRole");
        let names: Vec<_> = roles.filter_map(|role| role.metadata.name.as_deref()).collect();
        for role in [ROLE, pool_rights::ROLE] {
            assert!(names.contains(&role), "{names:?}");
        }
        let bindings = objects
            .iter()
            .filter_map(|object| object.data.pointer("/spec/paramRef/namespace"));
        assert_eq!(bindings.collect::<Vec<_>>(), ["elsewhere"]);
        let policed = objects.iter().filter_map(|object| object.data.pointer(POLICED));
        assert_eq!(policed.collect::<Vec<_>>(), ["elsewhere"; 2]);
        for object in &objects {
            let labels = object.metadata.labels.clone().unwrap_or_default();
            assert_eq!(labels.get(MANAGED_BY).map(String::as_str), Some(MANAGER));
        }
    }
}
