//! What the caller may do in the cluster, and what yurtctl does there: asked for before anything is changed.

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};

use super::Cluster;
use crate::objects::Owner;

/// Questions at a time.
const AT_A_TIME: usize = 8;
const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";
const CERTIFICATES: &str = "certificates.k8s.io";
const CONFIG_MAPS: Right = Right::Anywhere("get", "", "configmaps");

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Looks at nodes.
    Look,
    /// Converts or reverts them.
    Change,
    /// Forgets one.
    Forget,
    /// Remembers one.
    Remember,
}

/// A right, as RBAC names it: verb, group, and resource, with a part of it behind a slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To something in yurtctl's namespace.
    Inside(&'static str, &'static str, &'static str),
    /// To something anywhere.
    Anywhere(&'static str, &'static str, &'static str),
    /// To an address that is no resource.
    Address(&'static str),
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inside(verb, group, resource) | Self::Anywhere(verb, group, resource) => {
                let dot = if group.is_empty() { "" } else { "." };
                write!(f, "{verb} {resource}{dot}{group}")
            }
            Self::Address(path) => write!(f, "get {path}"),
        }
    }
}

/// Every look: a Job on each node, under a lock.
const LOOK: [Right; 13] = [
    Right::Anywhere("list", "", "nodes"),
    Right::Anywhere("get", "", "nodes"),
    Right::Anywhere("list", "", "pods"),
    Right::Anywhere("list", RBAC, "clusterrolebindings"),
    Right::Inside("get", "", "configmaps"),
    Right::Inside("get", "batch", "jobs"),
    Right::Inside("create", "batch", "jobs"),
    Right::Inside("delete", "batch", "jobs"),
    Right::Inside("get", "coordination.k8s.io", "leases"),
    Right::Inside("create", "coordination.k8s.io", "leases"),
    Right::Inside("update", "coordination.k8s.io", "leases"),
    Right::Inside("delete", "coordination.k8s.io", "leases"),
    Right::Anywhere("get", "", "namespaces"),
];

/// Our own objects: they are applied on the server, and taken away.
const OBJECTS: [Right; 19] = [
    // Who writes an admission policy must be able to read what it is about.
    CONFIG_MAPS,
    Right::Anywhere("create", ADMISSION, "validatingadmissionpolicies"),
    Right::Anywhere("patch", ADMISSION, "validatingadmissionpolicies"),
    Right::Anywhere("delete", ADMISSION, "validatingadmissionpolicies"),
    Right::Anywhere("create", ADMISSION, "validatingadmissionpolicybindings"),
    Right::Anywhere("patch", ADMISSION, "validatingadmissionpolicybindings"),
    Right::Anywhere("delete", ADMISSION, "validatingadmissionpolicybindings"),
    Right::Anywhere("create", "", "namespaces"),
    Right::Anywhere("patch", "", "namespaces"),
    Right::Anywhere("delete", "", "namespaces"),
    Right::Inside("create", "", "serviceaccounts"),
    Right::Inside("patch", "", "serviceaccounts"),
    Right::Inside("delete", "", "serviceaccounts"),
    Right::Inside("create", "", "configmaps"),
    Right::Inside("patch", "", "configmaps"),
    Right::Inside("delete", "", "configmaps"),
    Right::Anywhere("create", RBAC, "clusterroles"),
    Right::Anywhere("patch", RBAC, "clusterroles"),
    Right::Anywhere("delete", RBAC, "clusterroles"),
];

/// yurt-controller-manager and yurt-tunnel, which come and go with nodes.
const CONTROLLER: [Right; 8] = [
    Right::Inside("create", "apps", "deployments"),
    Right::Inside("patch", "apps", "deployments"),
    Right::Inside("delete", "apps", "deployments"),
    Right::Inside("create", "apps", "daemonsets"),
    Right::Inside("patch", "apps", "daemonsets"),
    Right::Inside("delete", "apps", "daemonsets"),
    // What they leave in a namespace that is not ours.
    Right::Inside("list", "coordination.k8s.io", "leases"),
    Right::Inside("delete", "", "secrets"),
];

/// A change of nodes: their rights, their labels, pods that are restarted.
const CHANGE: [Right; 10] = [
    Right::Anywhere("patch", "", "nodes"),
    Right::Anywhere("patch", "", "nodes/status"),
    Right::Anywhere("create", RBAC, "clusterrolebindings"),
    Right::Anywhere("patch", RBAC, "clusterrolebindings"),
    Right::Anywhere("delete", RBAC, "clusterrolebindings"),
    Right::Inside("create", RBAC, "rolebindings"),
    Right::Inside("patch", RBAC, "rolebindings"),
    Right::Inside("delete", RBAC, "rolebindings"),
    Right::Anywhere("get", "", "pods"),
    Right::Anywhere("delete", "", "pods"),
];

/// To take a node off the list of those that are forgotten.
const REMEMBER: [Right; 4] = [
    Right::Anywhere("get", "", "nodes"),
    Right::Inside("get", "", "configmaps"),
    Right::Inside("create", "", "configmaps"),
    Right::Inside("update", "", "configmaps"),
];

/// To put it there, and to take away what there is of it.
const FORGET: [Right; 10] = [
    Right::Anywhere("get", ADMISSION, "validatingadmissionpolicybindings"),
    Right::Anywhere("delete", "", "nodes"),
    Right::Anywhere("list", "", "pods"),
    Right::Anywhere("delete", "", "pods"),
    Right::Anywhere("delete", "coordination.k8s.io", "leases"),
    // Whether there was such a node, where its Node is gone.
    Right::Anywhere("list", RBAC, "clusterrolebindings"),
    Right::Anywhere("delete", RBAC, "clusterrolebindings"),
    Right::Inside("delete", RBAC, "rolebindings"),
    Right::Anywhere("list", CERTIFICATES, "certificatesigningrequests"),
    Right::Anywhere("delete", CERTIFICATES, "certificatesigningrequests"),
];

/// What our cluster roles grant. Who gives rights away must have them, or one of `escalate` (for the role) and
/// `bind` (for the binding).
const GRANTED: [Right; 40] = [
    Right::Anywhere("get", "discovery.k8s.io", "endpointslices"),
    Right::Anywhere("list", "discovery.k8s.io", "endpointslices"),
    Right::Anywhere("watch", "discovery.k8s.io", "endpointslices"),
    Right::Anywhere("get", "", "nodes"),
    Right::Address("/.well-known/openid-configuration"),
    Right::Address("/openid/v1/jwks"),
    Right::Anywhere("get", "", "configmaps"),
    Right::Anywhere("list", "", "configmaps"),
    Right::Anywhere("watch", "", "configmaps"),
    Right::Anywhere("list", "", "nodes"),
    Right::Anywhere("watch", "", "nodes"),
    Right::Anywhere("patch", "", "nodes/status"),
    Right::Anywhere("list", "", "pods"),
    Right::Anywhere("watch", "", "pods"),
    Right::Anywhere("patch", "", "pods"),
    Right::Anywhere("delete", "", "pods"),
    Right::Anywhere("patch", "", "pods/status"),
    Right::Anywhere("create", "", "configmaps"),
    Right::Anywhere("patch", "", "configmaps"),
    Right::Anywhere("delete", "", "configmaps"),
    Right::Anywhere("create", "events.k8s.io", "events"),
    Right::Anywhere("patch", "events.k8s.io", "events"),
    Right::Anywhere("create", "coordination.k8s.io", "leases"),
    Right::Anywhere("get", "coordination.k8s.io", "leases"),
    Right::Anywhere("update", "coordination.k8s.io", "leases"),
    Right::Anywhere("list", "coordination.k8s.io", "leases"),
    Right::Anywhere("patch", "coordination.k8s.io", "leases"),
    Right::Anywhere("delete", "coordination.k8s.io", "leases"),
    Right::Anywhere("create", CERTIFICATES, "certificatesigningrequests"),
    Right::Anywhere("get", CERTIFICATES, "certificatesigningrequests"),
    Right::Anywhere("list", CERTIFICATES, "certificatesigningrequests"),
    Right::Anywhere("watch", CERTIFICATES, "certificatesigningrequests"),
    Right::Anywhere("update", CERTIFICATES, "certificatesigningrequests/approval"),
    Right::Anywhere("update", CERTIFICATES, "certificatesigningrequests/status"),
    Right::Anywhere("approve", CERTIFICATES, "signers"),
    Right::Anywhere("sign", CERTIFICATES, "signers"),
    Right::Anywhere("create", "", "secrets"),
    Right::Anywhere("get", "", "secrets"),
    Right::Anywhere("update", "", "secrets"),
    Right::Anywhere("update", "", "configmaps"),
];
const ESCALATE: Right = Right::Anywhere("escalate", RBAC, "clusterroles");
const BIND: Right = Right::Anywhere("bind", RBAC, "clusterroles");

/// The rights that cannot be had otherwise. `owner`: whose our objects are; another's are only used.
pub fn needed(purpose: Purpose, owner: Owner) -> Vec<Right> {
    match purpose {
        Purpose::Look | Purpose::Change => {}
        Purpose::Forget => return [&REMEMBER[..], &FORGET].concat(),
        Purpose::Remember => return REMEMBER.to_vec(),
    }
    let mut rights = LOOK.to_vec();
    if owner != Owner::Other {
        // One of the rights to our own objects is the same, and more.
        rights.retain(|right| *right != Right::Inside("get", "", "configmaps"));
        rights.extend(OBJECTS);
    }
    if purpose == Purpose::Change {
        rights.extend(CHANGE);
    }
    if purpose == Purpose::Change && owner != Owner::Other {
        rights.extend(CONTROLLER);
    }
    rights
}

impl Cluster {
    /// Rights that the caller lacks, as `verb resource`.
    pub async fn missing_rights(&self, purpose: Purpose, owner: Owner) -> Result<Vec<String>> {
        let mut missing: Vec<_> = self
            .lacking(&needed(purpose, owner))
            .await?
            .iter()
            .map(ToString::to_string)
            .collect();
        let installs = matches!(purpose, Purpose::Look | Purpose::Change) && owner != Owner::Other;
        let gives = [(ESCALATE, installs), (BIND, purpose == Purpose::Change)];
        let gives: Vec<_> = gives
            .into_iter()
            .filter(|(_, needed)| *needed)
            .map(|(right, _)| right)
            .collect();
        let cannot = self.lacking(&gives).await?;
        if cannot.is_empty() {
            return Ok(missing);
        }
        let granted: Vec<_> = self
            .lacking(&GRANTED)
            .await?
            .iter()
            .map(ToString::to_string)
            .collect();
        if !granted.is_empty() {
            let granted = granted.join(", ");
            missing.extend(
                cannot
                    .iter()
                    .map(|right| format!("{right} (or what is given away: {granted})")),
            );
        }
        Ok(missing)
    }

    async fn lacking(&self, rights: &[Right]) -> Result<Vec<Right>> {
        let answers: Vec<(Right, bool)> = stream::iter(rights.to_vec())
            .map(async |right| Ok::<_, anyhow::Error>((right, self.has(right).await?)))
            .buffered(AT_A_TIME)
            .try_collect()
            .await?;
        let lacking = answers.into_iter().filter(|(_, has)| !has);
        Ok(lacking.map(|(right, _)| right).collect())
    }

    async fn has(&self, right: Right) -> Result<bool> {
        let resource = |verb: &str, group: &str, resource: &str, namespace: Option<String>| {
            let (resource, subresource) = match resource.split_once('/') {
                Some((resource, part)) => (resource, Some(part.to_owned())),
                None => (resource, None),
            };
            ResourceAttributes {
                verb: Some(verb.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                namespace,
                ..ResourceAttributes::default()
            }
        };
        let mut spec = SelfSubjectAccessReviewSpec::default();
        match right {
            Right::Inside(verb, group, kind) => {
                spec.resource_attributes = Some(resource(verb, group, kind, Some(self.namespace.clone())));
            }
            Right::Anywhere(verb, group, kind) => {
                spec.resource_attributes = Some(resource(verb, group, kind, None));
            }
            Right::Address(path) => {
                spec.non_resource_attributes = Some(NonResourceAttributes {
                    path: Some(path.to_owned()),
                    verb: Some("get".to_owned()),
                });
            }
        }
        let review = SelfSubjectAccessReview {
            spec,
            ..SelfSubjectAccessReview::default()
        };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let answer = reviews
            .create(&PostParams::default(), &review)
            .await
            .context("ask which rights you have")?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_release_of_helm_takes_fewer_rights_and_a_look_fewer_than_a_change() {
        let count = |purpose, owner| needed(purpose, owner).len();
        assert_eq!(count(Purpose::Look, Owner::Other), LOOK.len());
        assert_eq!(
            count(Purpose::Look, Owner::Nobody),
            LOOK.len() + OBJECTS.len() - 1
        );
        assert_eq!(count(Purpose::Change, Owner::Other), LOOK.len() + CHANGE.len());
    }

    #[test]
    fn what_is_given_away_is_what_the_role_says() {
        let documents = serde_yaml::Deserializer::from_str(include_str!("../../../manifests/yurt.yaml"));
        let roles = documents
            .map(|document| <serde_json::Value as serde::Deserialize>::deserialize(document).unwrap())
            .filter(|object| object["kind"] == "ClusterRole");
        let texts = |value: &serde_json::Value| -> Vec<String> {
            let items = value.as_array().into_iter().flatten();
            items.map(|item| item.as_str().unwrap().to_owned()).collect()
        };
        let mut granted = Vec::new();
        let rules: Vec<_> = roles
            .flat_map(|role| role["rules"].as_array().unwrap().clone())
            .collect();
        for rule in &rules {
            for verb in texts(&rule["verbs"]) {
                for path in texts(&rule["nonResourceURLs"]) {
                    granted.push(format!("{verb} {path}"));
                }
                for (group, resource) in texts(&rule["apiGroups"]).iter().zip(texts(&rule["resources"])) {
                    let name = format!("{verb} {resource}.{group}");
                    granted.push(name.trim_end_matches('.').to_owned());
                }
            }
        }
        let known: BTreeSet<_> = GRANTED.iter().map(ToString::to_string).collect();
        assert_eq!(granted.into_iter().collect::<BTreeSet<_>>(), known);
    }
}
