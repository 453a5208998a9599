//! Which pods of a node talk to whom, and who would make them anew (pure).

use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;
use yurtctl_node::facts::Facts;

use crate::MANAGER;
use crate::objects::MANAGED_BY;

/// Static pods: UID of the mirror pod's file, which is what the node knows them by.
const CONFIG_HASH: &str = "kubernetes.io/config.hash";

/// A pod by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PodName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for PodName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl PodName {
    /// Of a pod.
    pub fn of(pod: &Pod) -> Self {
        Self {
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            name: pod.metadata.name.clone().unwrap_or_default(),
        }
    }
}

/// Names with commas between.
pub fn joined(pods: &[PodName]) -> String {
    let names: Vec<_> = pods.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// The pods of a node, by the way that their containers have to the API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Routes {
    /// Pods that talk to the apiserver directly: they were born before yurthub.
    pub direct: Vec<PodName>,
    /// Pods that talk to yurthub.
    pub through_yurthub: Vec<PodName>,
    /// Pods that the node could not tell of: there were too many.
    pub untold: Vec<PodName>,
}

impl Routes {
    /// As the node tells.
    pub fn of(facts: &Facts, pods: &[Pod]) -> Self {
        let mut routes = Self::default();
        for pod in pods.iter().filter(|pod| !is_servant(pod) && !has_ended(pod)) {
            let told: Vec<_> = facts
                .pods
                .iter()
                .filter(|route| is_uid(pod, &route.uid))
                .collect();
            let list = match told.iter().any(|route| route.hub) {
                true => &mut routes.through_yurthub,
                false if !told.is_empty() => &mut routes.direct,
                false if facts.pods_cut => &mut routes.untold,
                // It runs no container that was told where the API is.
                false => continue,
            };
            list.push(PodName::of(pod));
        }
        routes.direct.sort();
        routes.through_yurthub.sort();
        routes.untold.sort();
        routes
    }
}

/// What becomes of pods that talk to yurthub, when it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reborn {
    /// They are restarted.
    pub restarted: Vec<PodName>,
    /// Nobody would make them anew.
    pub left: Vec<PodName>,
}

/// Of a revert: the pods that have to be born again. Those of which nothing is known may talk to yurthub, too: they are
/// restarted rather than left without the API.
pub fn reborn(routes: &Routes, pods: &[Pod]) -> Reborn {
    let mut reborn = Reborn::default();
    for pod in pods {
        let name = PodName::of(pod);
        let is_known = routes.through_yurthub.contains(&name);
        if !is_known && !routes.untold.contains(&name) {
            continue;
        }
        match restart(pod) {
            Restart::ByItsController => reborn.restarted.push(name),
            Restart::ByNobody | Restart::ByItsFile if is_known => reborn.left.push(name),
            Restart::ByNobody | Restart::ByItsFile => {}
        }
    }
    reborn.restarted.sort();
    reborn.left.sort();
    reborn
}

/// Who makes a pod anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Its controller, once it is deleted.
    ByItsController,
    /// Nobody.
    ByNobody,
    /// It is a static pod: its kubelet, when its file changes.
    ByItsFile,
}

/// Who would make this pod anew.
pub fn restart(pod: &Pod) -> Restart {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    match owners.iter().find(|owner| owner.controller == Some(true)) {
        Some(owner) if owner.kind == "Node" => Restart::ByItsFile,
        // A Job would begin its work anew.
        Some(owner) if owner.kind == "Job" => Restart::ByNobody,
        Some(_) => Restart::ByItsController,
        None => Restart::ByNobody,
    }
}

/// Whether a pod belongs to the DaemonSet `namespace/name`.
pub fn is_of(pod: &Pod, client: &str) -> bool {
    let Some((namespace, name)) = client.split_once('/') else {
        return false;
    };
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    pod.metadata.namespace.as_deref() == Some(namespace)
        && owners
            .iter()
            .any(|owner| owner.kind == "DaemonSet" && owner.name == name)
}

/// Whether it will run no container any more.
pub fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether it is one of the pods by which nodes are looked at.
pub fn is_servant(pod: &Pod) -> bool {
    let labels = pod.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(MANAGED_BY))
        .map(String::as_str)
        == Some(MANAGER)
}

fn is_uid(pod: &Pod, uid: &str) -> bool {
    let hash = pod
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(CONFIG_HASH));
    pod.metadata.uid.as_deref() == Some(uid) || hash.map(String::as_str) == Some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use serde_json::{Value, json};

    fn pod(owner: &Value) -> Pod {
        let metadata = json!({"name": "p", "namespace": "kube-system", "uid": "u", "ownerReferences": owner});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    fn owner(kind: &str, name: &str) -> Value {
        json!([{"apiVersion": "v1", "kind": kind, "name": name, "uid": "o", "controller": true}])
    }

    fn named(name: &str, kind: &str) -> Pod {
        let mut pod = pod(&owner(kind, "o"));
        pod.metadata.name = Some(name.to_owned());
        pod.metadata.uid = Some(format!("uid-{name}"));
        pod
    }

    fn names(pods: &[PodName]) -> Vec<&str> {
        pods.iter().map(|pod| pod.name.as_str()).collect()
    }

    #[test]
    fn only_what_somebody_makes_anew_is_restarted() {
        assert_eq!(restart(&pod(&owner("ReplicaSet", "a"))), Restart::ByItsController);
        assert_eq!(restart(&pod(&owner("Node", "edge1"))), Restart::ByItsFile);
        assert_eq!(restart(&pod(&owner("Job", "a"))), Restart::ByNobody);
        assert_eq!(restart(&pod(&json!([]))), Restart::ByNobody);
    }

    #[test]
    fn a_system_client_is_known_by_its_daemon_set() {
        let pod = pod(&owner("DaemonSet", "kube-proxy"));
        assert!(is_of(&pod, "kube-system/kube-proxy"));
        assert!(!is_of(&pod, "default/kube-proxy") && !is_of(&pod, "kube-proxy"));
    }

    #[test]
    fn pods_are_told_apart_by_what_the_node_saw() {
        let pods = [
            named("old", "ReplicaSet"),
            named("new", "ReplicaSet"),
            named("job", "Job"),
            named("quiet", "ReplicaSet"),
        ];
        let told = json!([
            {"uid": "uid-old", "hub": false}, {"uid": "uid-new", "hub": true}, {"uid": "uid-job", "hub": true},
        ]);
        let routes = Routes::of(&samples::facts(json!({"pods": told})), &pods);
        assert_eq!(names(&routes.direct), ["old"]);
        assert_eq!(names(&routes.through_yurthub), ["job", "new"]);
        assert!(routes.untold.is_empty());
        let reborn = reborn(&routes, &pods);
        assert_eq!(names(&reborn.restarted), ["new"]);
        assert_eq!(names(&reborn.left), ["job"]);
    }

    #[test]
    fn pods_that_did_not_fit_into_the_message_are_restarted_by_a_revert() {
        let pods = [
            named("old", "ReplicaSet"),
            named("which", "ReplicaSet"),
            named("bare", "Job"),
        ];
        let told = json!([{"uid": "uid-old", "hub": false}]);
        let routes = Routes::of(&samples::facts(json!({"pods": told, "podsCut": true})), &pods);
        assert_eq!(names(&routes.untold), ["bare", "which"]);
        let reborn = reborn(&routes, &pods);
        assert_eq!(names(&reborn.restarted), ["which"]);
        assert!(reborn.left.is_empty());
    }
}
