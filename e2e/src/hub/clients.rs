//! Pods of a node as clients of its yurthub: leading them there, kube-proxy first.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::node::Node;
use crate::wait::wait_for;

/// Where pods find yurthub.
pub const SERVER: &str = "https://169.254.2.1:10268";
/// The kubelet renews the CA files of pods within some 90 s.
const TRUST_DEADLINE: Duration = Duration::from_mins(5);
const KUBE_PROXY_DEADLINE: Duration = Duration::from_mins(2);
const KUBE_PROXY: [&str; 2] = ["-l", "k8s-app=kube-proxy"];
/// How often kube-proxy is started anew until it is led to yurthub.
const KUBE_PROXIES: usize = 3;

/// Waits until new containers are led to yurthub, and gives kube-proxy one.
///
/// # Errors
/// When the kubelet does not renew what its pods trust in time, or kube-proxy does not come to yurthub.
pub fn lead_pods_here(cluster: &Cluster, node: &Node) -> Result<()> {
    wait_for("all pods to trust the node's CA", TRUST_DEADLINE, || {
        Ok((super::metric(node, "yurthub_filters_armed")? > 0.0).then_some(()))
    })?;
    for _ in 0..KUBE_PROXIES {
        wait_for(
            "kube-proxy's configuration to name yurthub",
            TRUST_DEADLINE,
            || Ok((kube_proxy_is_told(cluster, node)? == Some(true)).then_some(())),
        )?;
        let own = format!("--field-selector=spec.nodeName={}", node.name());
        cluster.kubectl([&["-n", "kube-system", "delete", "pod", &own], &KUBE_PROXY[..]].concat())?;
        let told = wait_for("kube-proxy's next configuration", KUBE_PROXY_DEADLINE, || {
            kube_proxy_is_told(cluster, node)
        })?;
        // In the first seconds after a change of the filters the kubelet gives new pods what it has read before.
        if told {
            return wait_for("kube-proxy to watch through yurthub", KUBE_PROXY_DEADLINE, || {
                kube_proxy_watches(node)
            });
        }
    }
    bail!("{KUBE_PROXIES} times kube-proxy was started with a configuration that does not name yurthub")
}

/// Whether the configuration of the kube-proxy that is there names yurthub: what others have left says nothing of what the
/// next one gets. None while it has none.
fn kube_proxy_is_told(cluster: &Cluster, node: &Node) -> Result<Option<bool>> {
    let own = format!("--field-selector=spec.nodeName={}", node.name());
    let uid = ["-o", "jsonpath={.items[*].metadata.uid}", &own];
    let uid = cluster.kubectl([&["-n", "kube-system", "get", "pod"], &KUBE_PROXY[..], &uid].concat())?;
    let file =
        format!("/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~configmap/kube-proxy/kubeconfig.conf");
    let found = node.exec(["grep", "-q", SERVER, &file])?;
    Ok(match found.status.code() {
        Some(0) => Some(true),
        Some(1) => Some(false),
        _ => None,
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
