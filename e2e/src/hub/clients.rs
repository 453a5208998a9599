//! Pods of a node as clients of its yurthub: leading them there, kube-proxy first.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::node::Node;
use crate::wait::wait_for;

/// Where pods find yurthub.
pub const SERVER: &str = "https://169.254.2.1:10268";
/// The kubelet renews the CA files of pods within some 90 s.
const TRUST_DEADLINE: Duration = Duration::from_mins(5);
const KUBE_PROXY_DEADLINE: Duration = Duration::from_mins(2);

/// Waits until new containers are led to yurthub, and gives kube-proxy one.
///
/// # Errors
/// When the kubelet does not renew what its pods trust in time, or kube-proxy does not come to yurthub.
pub fn lead_pods_here(cluster: &Cluster, node: &Node) -> Result<()> {
    wait_for("all pods to trust the node's CA", TRUST_DEADLINE, || {
        Ok((super::metric(node, "yurthub_filters_armed")? > 0.0).then_some(()))
    })?;
    let own = format!("--field-selector=spec.nodeName={}", node.name());
    let uid = [
        "-n",
        "kube-system",
        "get",
        "pod",
        "-l",
        "k8s-app=kube-proxy",
        &own,
    ];
    let uid = [&uid[..], &["-o", "jsonpath={.items[*].metadata.uid}"]].concat();
    wait_for(
        "kube-proxy's configuration to name yurthub",
        TRUST_DEADLINE,
        || {
            // Of the pod that is there: what others have left says nothing of what the next one gets.
            let uid = cluster.kubectl(&uid)?;
            let file = format!(
                "/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~configmap/kube-proxy/kubeconfig.conf"
            );
            let found = node.exec(["grep", "-q", SERVER, &file])?;
            Ok(found.status.success().then_some(()))
        },
    )?;
    cluster.kubectl([
        "-n",
        "kube-system",
        "delete",
        "pod",
        "-l",
        "k8s-app=kube-proxy",
        &own,
    ])?;
    wait_for("kube-proxy to watch through yurthub", KUBE_PROXY_DEADLINE, || {
        kube_proxy_watches(node)
    })
}

/// Whether somebody follows `EndpointSlices` from the copy that all clients of the node share.
///
/// # Errors
/// When yurthub does not answer.
pub fn kube_proxy_watches(node: &Node) -> Result<Option<()>> {
    let scopes = super::admin(node, "/scopes")?;
    let followed = |scope: &Value| {
        scope["scope"] == "endpointslices.discovery.k8s.io for shared" && scope["watchers"].as_u64() > Some(0)
    };
    let all = scopes.as_array().context("scopes are a list")?;
    Ok(all.iter().any(followed).then_some(()))
}
