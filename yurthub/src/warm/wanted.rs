//! What a kubelet asks for when it starts, as the requests that it sends: those of every kubelet, and those that follow
//! from the pods of its node. Pure.
//!
//! The table is what kubelet 1.34 was seen to send. Of pods it follows each `ConfigMap` and Secret on its own
//! (`pkg/kubelet/util/manager/watch_based_manager.go`), those that `VisitPodSecretNames` and `VisitPodConfigmapNames`
//! find (`pkg/api/v1/pod/util.go`).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::mirror::key::Escaped;

/// What the kubelet reads: protobuf, or JSON where there is nothing else
/// (`setContentTypeForClient` in `cmd/kubelet/app/server.go`).
pub(super) const ACCEPT: &str = "application/vnd.kubernetes.protobuf,application/json";

/// The most requests that follow from pods; a node has 110 of them by default.
const MAX_OF_PODS: usize = 5_000;

/// How a request is made to need no cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    /// The kubelet lists and watches it: by a scope of the mirror.
    Follow,
    /// The kubelet gets it now and then: by a remembered answer.
    Read,
}

/// A request of the kubelet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    pub(super) how: How,
    /// Path and query.
    pub(super) uri: String,
    /// Whether a node can be without it: what a pod names may be optional, or not there yet.
    pub(super) optional: bool,
}

/// The list of the pods of `node`, from which the rest follows.
pub(super) fn pods_of(node: &str) -> Wanted {
    let uri = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", Escaped(node));
    follow(&uri, false)
}

/// What every kubelet asks for beside its pods.
pub(super) fn of_node(node: &str) -> Vec<Wanted> {
    let node = Escaped(node);
    let read = |uri| Wanted {
        how: How::Read,
        uri,
        optional: true, // the kubelet makes both where they are missing
    };
    let lists = [
        format!("/api/v1/nodes?fieldSelector=metadata.name%3D{node}"),
        "/api/v1/services?fieldSelector=spec.clusterIP%21%3DNone".to_owned(),
        "/apis/node.k8s.io/v1/runtimeclasses?".to_owned(),
        "/apis/storage.k8s.io/v1/csidrivers?".to_owned(),
    ];
    let objects = [
        format!("/apis/storage.k8s.io/v1/csinodes/{node}?resourceVersion=0"),
        format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}?timeout=10s"),
    ];
    let lists = lists.into_iter().map(|uri| follow(&uri, false));
    lists.chain(objects.map(read)).collect()
}

/// What the kubelet asks for because of `pods`, each in JSON, and how many requests are left out because there are too
/// many. Pods that have ended are not looked into any more.
pub(super) fn of_pods(pods: &[Value]) -> (Vec<Wanted>, usize) {
    let mut named = BTreeSet::new();
    for pod in pods {
        let phase = text(pod, "/status/phase");
        let namespace = text(pod, "/metadata/namespace");
        if matches!(phase, Some("Succeeded" | "Failed")) {
            continue;
        }
        let Some((namespace, spec)) = namespace.zip(pod.get("spec")) else {
            continue;
        };
        for (resource, name) in of_containers(spec)
            .chain(of_volumes(spec))
            .chain(pull_secrets(spec))
        {
            named.insert((resource, namespace, name));
        }
    }
    let left_out = named.len().saturating_sub(MAX_OF_PODS);
    let wanted = named
        .into_iter()
        .take(MAX_OF_PODS)
        .map(|(resource, namespace, name)| {
            let (namespace, name) = (Escaped(namespace), Escaped(name));
            let uri =
                format!("/api/v1/namespaces/{namespace}/{resource}?fieldSelector=metadata.name%3D{name}");
            follow(&uri, true)
        });
    (wanted.collect(), left_out)
}

/// A list, at any version, as a reflector of client-go begins.
fn follow(uri: &str, optional: bool) -> Wanted {
    let separator = if uri.ends_with('?') { "" } else { "&" };
    Wanted {
        how: How::Follow,
        uri: format!("{uri}{separator}limit=500&resourceVersion=0"),
        optional,
    }
}

/// Resource and name of an object that a pod names.
type Named<'a> = (&'static str, &'a str);

const CONFIG_MAPS: &str = "configmaps";
const SECRETS: &str = "secrets";

fn of_containers(spec: &Value) -> impl Iterator<Item = Named<'_>> {
    let kinds = ["initContainers", "containers", "ephemeralContainers"];
    let containers = kinds.into_iter().flat_map(move |kind| list(spec, kind));
    containers.flat_map(|container| {
        let whole = list(container, "envFrom").iter().flat_map(|source| {
            [
                named(CONFIG_MAPS, source, "/configMapRef/name"),
                named(SECRETS, source, "/secretRef/name"),
            ]
        });
        let single = list(container, "env").iter().flat_map(|variable| {
            [
                named(CONFIG_MAPS, variable, "/valueFrom/configMapKeyRef/name"),
                named(SECRETS, variable, "/valueFrom/secretKeyRef/name"),
            ]
        });
        whole.chain(single).flatten()
    })
}

/// Where a volume names a Secret that the kubelet reads.
const SECRETS_OF_VOLUMES: [&str; 10] = [
    "/secret/secretName",
    "/azureFile/secretName",
    "/cephfs/secretRef/name",
    "/cinder/secretRef/name",
    "/flexVolume/secretRef/name",
    "/rbd/secretRef/name",
    "/scaleIO/secretRef/name",
    "/iscsi/secretRef/name",
    "/storageos/secretRef/name",
    "/csi/nodePublishSecretRef/name",
];

fn of_volumes(spec: &Value) -> impl Iterator<Item = Named<'_>> {
    list(spec, "volumes").iter().flat_map(|volume| {
        let projected = volume
            .get("projected")
            .map_or(&[][..], |volume| list(volume, "sources"));
        let projected = projected.iter().flat_map(|source| {
            [
                named(CONFIG_MAPS, source, "/configMap/name"),
                named(SECRETS, source, "/secret/name"),
            ]
        });
        let secrets = SECRETS_OF_VOLUMES
            .iter()
            .map(|pointer| named(SECRETS, volume, pointer));
        let map = named(CONFIG_MAPS, volume, "/configMap/name");
        projected.chain(secrets).chain([map]).flatten()
    })
}

fn pull_secrets(spec: &Value) -> impl Iterator<Item = Named<'_>> {
    let secrets = list(spec, "imagePullSecrets").iter();
    secrets.filter_map(|secret| named(SECRETS, secret, "/name"))
}

fn named<'a>(resource: &'static str, value: &'a Value, pointer: &str) -> Option<Named<'a>> {
    Some((resource, text(value, pointer)?))
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.filter(|text| !text.is_empty())
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    let found = value.get(field).and_then(Value::as_array);
    found.map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kubelet_without_pods_asks_for_its_node_and_what_all_nodes_need() {
        let uris: Vec<_> = of_node("edge1").into_iter().map(|wanted| wanted.uri).collect();
        assert_eq!(
            uris,
            [
                "/api/v1/nodes?fieldSelector=metadata.name%3Dedge1&limit=500&resourceVersion=0",
                "/api/v1/services?fieldSelector=spec.clusterIP%21%3DNone&limit=500&resourceVersion=0",
                "/apis/node.k8s.io/v1/runtimeclasses?limit=500&resourceVersion=0",
                "/apis/storage.k8s.io/v1/csidrivers?limit=500&resourceVersion=0",
                "/apis/storage.k8s.io/v1/csinodes/edge1?resourceVersion=0",
                "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/edge1?timeout=10s",
            ]
        );
        assert_eq!(
            pods_of("edge1").uri,
            "/api/v1/pods?fieldSelector=spec.nodeName%3Dedge1&limit=500&resourceVersion=0"
        );
    }

    fn names(spec: &Value) -> Vec<String> {
        let pod = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec});
        let (wanted, left_out) = of_pods(&[pod.clone(), pod]);
        assert_eq!(left_out, 0);
        let name = |wanted: Wanted| {
            assert!(wanted.optional && wanted.how == How::Follow);
            let uri = wanted
                .uri
                .strip_suffix("&limit=500&resourceVersion=0")
                .unwrap()
                .to_owned();
            uri.strip_prefix("/api/v1/namespaces/shop/")
                .unwrap()
                .replace("?fieldSelector=metadata.name%3D", "/")
        };
        wanted.into_iter().map(name).collect()
    }

    #[test]
    fn every_place_where_a_pod_names_a_secret_or_a_config_map_counts_once() {
        for (spec, expected) in [
            (json!({}), vec![]),
            (
                json!({"imagePullSecrets": [{"name": "pull"}, {}, {"name": ""}]}),
                vec!["secrets/pull"],
            ),
            (
                json!({"containers": [{"envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}]}]}),
                vec!["configmaps/a", "secrets/b"],
            ),
            (
                json!({"initContainers": [{"env": [
                    {"name": "X", "value": "x"},
                    {"valueFrom": {"configMapKeyRef": {"name": "a", "key": "k"}}},
                    {"valueFrom": {"secretKeyRef": {"name": "b", "key": "k", "optional": true}}},
                ]}]}),
                vec!["configmaps/a", "secrets/b"],
            ),
            (
                json!({"ephemeralContainers": [{"envFrom": [{"secretRef": {"name": "b"}}]}]}),
                vec!["secrets/b"],
            ),
            (
                json!({"volumes": [
                    {"configMap": {"name": "a"}}, {"secret": {"secretName": "b"}},
                    {"csi": {"driver": "d", "nodePublishSecretRef": {"name": "c"}}}, {"emptyDir": {}},
                ]}),
                vec!["configmaps/a", "secrets/b", "secrets/c"],
            ),
            (
                json!({"volumes": [{"projected": {"sources": [
                    {"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "kube-root-ca.crt"}},
                    {"secret": {"name": "b"}}, {"downwardAPI": {}},
                ]}}]}),
                vec!["configmaps/kube-root-ca.crt", "secrets/b"],
            ),
            (json!({"containers": "odd", "volumes": [7]}), vec![]),
        ] {
            assert_eq!(names(&spec), expected, "{spec}");
        }
    }

    #[test]
    fn pods_that_have_ended_name_nothing_and_there_is_a_bound() {
        let pod = |phase: &str, secrets: Vec<Value>| {
            json!({
                "metadata": {"name": "web", "namespace": "shop"},
                "spec": {"imagePullSecrets": secrets},
                "status": {"phase": phase},
            })
        };
        let one = vec![json!({"name": "pull"})];
        assert_eq!(of_pods(&[pod("Running", one.clone())]).0.len(), 1);
        for phase in ["Succeeded", "Failed"] {
            assert_eq!(of_pods(&[pod(phase, one.clone())]), (vec![], 0), "{phase}");
        }
        let many = (0..MAX_OF_PODS + 3).map(|number| json!({"name": format!("s{number}")}));
        let (wanted, left_out) = of_pods(&[pod("Pending", many.collect())]);
        assert_eq!((wanted.len(), left_out), (MAX_OF_PODS, 3));
    }
}
