//! `yurtctl node forget` and `node remember`: a node that was stolen or retired is let in nowhere any more, and what the
//! cluster has of it goes.
//!
//! The order is such that each step makes the next one safe, and that a run which was interrupted is simply run again:
//! first the [`list`], by which its certificates are refused, it gets no new ones, and its user can write nothing; then
//! its rights and requests; then its Node, so that nothing is scheduled there; then its pods, so that controllers make
//! them elsewhere and its user may read nothing of theirs; last its Lease.

pub mod list;

use std::io::{self, Write as _};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, Preconditions};
use yurt_common::node_certificates::{FORGOTTEN, is_node_name};

use crate::app::Ending;
use crate::args::{ClusterArgs, Forget};
use crate::cluster::{Cluster, Purpose, is_conflict, is_missing, list as all};
use crate::objects;
use crate::progress::Progress;
use crate::run::{self, Consent};
use crate::selection::NodeView;
use crate::session;

/// Where kubelets renew their Leases.
const LEASES: &str = "kube-node-lease";
/// What the apiserver says of a token that is bound to a pod.
const NODE_OF_TOKEN: &str = "authentication.kubernetes.io/node-name";

/// Whether a node is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Forget { node_exists: bool },
    Refuse(String),
}

/// Judges it (pure). `traces`: whether the cluster has something of a node of this name, but its Node.
fn verdict(node: Option<&NodeView>, traces: bool, what: &Forget) -> Verdict {
    match node {
        _ if !is_node_name(&what.name) => Verdict::Refuse("no Node can be called so".to_owned()),
        Some(node) if node.control_plane => Verdict::Refuse(
            "it is a node of the control plane, which has the keys of the whole cluster: make these anew instead"
                .to_owned(),
        ),
        Some(node) if node.ready.is_ok() && !what.even_if_ready => Verdict::Refuse(
            "it is Ready: it works, and its pods would run on beside those that take their place. Give \
             --even-if-ready where that is wanted"
                .to_owned(),
        ),
        None if !traces && !what.unknown => Verdict::Refuse(
            "there is no Node of this name, and nothing in the cluster says that there was one: is it spelt right? \
             Give --unknown for a node whose Node was deleted long ago"
                .to_owned(),
        ),
        node => Verdict::Forget {
            node_exists: node.is_some(),
        },
    }
}

/// Whether the cluster has something of a node whose Node is gone: it is on the list, or was converted, or a pod is bound to
/// it, or it has asked for a certificate.
async fn has_traces(cluster: &Cluster, name: &str, pods: usize, requests: usize) -> Result<bool> {
    if pods + requests > 0 {
        return Ok(true);
    }
    let listed = list::nodes(cluster).await?;
    let converted = objects::bound_nodes(cluster).await?;
    Ok(listed.iter().chain(&converted).any(|known| known == name))
}

/// Runs `yurtctl node forget`.
pub async fn command(args: &ClusterArgs, what: &Forget) -> Result<Ending> {
    let (cluster, name) = (Cluster::connect(args).await?, what.name.as_str());
    session::check_rights(&cluster, Purpose::Forget).await?;
    let node = cluster.node(name).await?.as_ref().map(NodeView::of);
    let pods = pods(&cluster, name).await?.len();
    let requests = requests(&cluster, name).await?.len();
    let traces = has_traces(&cluster, name, pods, requests).await?;
    let node_exists = match verdict(node.as_ref(), traces, what) {
        Verdict::Refuse(why) => bail!("node {name} is not forgotten: {why}. Nothing was changed"),
        Verdict::Forget { node_exists } => node_exists,
    };
    let policed = is_policed(&cluster).await?;
    tell(&plan(name, node_exists, pods, requests, policed));
    if !what.yes
        && let Consent::Over(ending) = run::asked("--yes to carry the plan out")?
    {
        return Ok(ending);
    }
    carry_out(&cluster, name, Progress::begin()).await?;
    Ok(Ending::Fine)
}

/// Runs `yurtctl node remember`.
pub async fn remember(args: &ClusterArgs, name: &str) -> Result<Ending> {
    let cluster = Cluster::connect(args).await?;
    session::check_rights(&cluster, Purpose::Remember).await?;
    let progress = Progress::begin();
    if list::remember(&cluster, name).await? {
        progress.node(
            name,
            "remembered: it may join again; certificates of ours from before are refused still",
        );
    } else {
        progress.node(name, "it is not forgotten");
    }
    Ok(Ending::Fine)
}

/// What would be done (pure).
fn plan(name: &str, node_exists: bool, pods: usize, requests: usize, policed: bool) -> String {
    let mut lines = vec![format!("node {name} is forgotten:")];
    if !node_exists {
        lines.push("  ! there is no Node of this name; is it spelt right?".to_owned());
    }
    lines.push("  certificates of ours that it has are refused, and it gets no new ones".to_owned());
    lines.push(if policed {
        "  nothing is accepted any more that its kubelet's user writes".to_owned()
    } else {
        format!(
            "  ! what its kubelet's user writes is accepted still: there is no ValidatingAdmissionPolicyBinding \
             {FORGOTTEN}. Apply the chart of this version, or run `yurtctl convert` for any node, and forget it again"
        )
    });
    lines.push(format!(
        "  ClusterRoleBinding and RoleBinding {} are deleted",
        objects::binding_name(name)
    ));
    lines.push(format!("  {requests} requests for certificates are deleted"));
    lines.push(format!(
        "  Node {name}, {pods} pods and its Lease are deleted; a pod that runs there runs on"
    ));
    lines.push(format!("`yurtctl node remember {name}` lets it join again."));
    lines.join("\n")
}

fn tell(plan: &str) {
    drop(writeln!(io::stderr(), "{plan}"));
}

/// Does it, in an order in which any step may be the last one.
async fn carry_out(cluster: &Cluster, name: &str, progress: Progress) -> Result<()> {
    list::forget(cluster, name).await?;
    progress.node(name, "its certificates are refused from now on");
    objects::unbind(cluster, name).await?;
    let found: Api<CertificateSigningRequest> = Api::all(cluster.client.clone());
    for request in requests(cluster, name).await? {
        delete(&found, &request.name_any(), &DeleteParams::default(), "request").await?;
    }
    progress.node(name, "it has no rights and no requests");
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    delete(&nodes, name, &DeleteParams::default(), "Node").await?;
    progress.node(name, "its Node is deleted");
    let pods = pods(cluster, name).await?;
    for pod in &pods {
        // Nobody there would confirm that it has ended. Another pod of the same name is another pod.
        let at_once = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: pod.uid(),
                ..Preconditions::default()
            }),
            ..DeleteParams::default()
        };
        let namespace = pod.namespace().unwrap_or_default();
        let of_namespace: Api<Pod> = Api::namespaced(cluster.client.clone(), &namespace);
        delete(&of_namespace, &pod.name_any(), &at_once, "pod").await?;
    }
    progress.node(name, &format!("{} pods are deleted", pods.len()));
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), LEASES);
    delete(&leases, name, &DeleteParams::default(), "Lease").await?;
    progress.node(name, "forgotten");
    Ok(())
}

async fn delete<K>(api: &Api<K>, name: &str, params: &DeleteParams, kind: &str) -> Result<()>
where
    K: Clone + std::fmt::Debug + for<'a> serde::Deserialize<'a>,
{
    match api.delete(name, params).await {
        // Gone, or another one of the same name by now.
        Err(error) if is_missing(&error) || is_conflict(&error) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("delete {kind} `{name}`; run this again")),
        Ok(_) => Ok(()),
    }
}

/// The pods that are bound to it.
async fn pods(cluster: &Cluster, name: &str) -> Result<Vec<Pod>> {
    cluster.pods(Some(name)).await
}

/// Requests for certificates of its kubelet and of pods there.
async fn requests(cluster: &Cluster, name: &str) -> Result<Vec<CertificateSigningRequest>> {
    let found: Api<CertificateSigningRequest> = Api::all(cluster.client.clone());
    let mut found = all(&found, &ListParams::default(), "requests for certificates").await?;
    found.retain(|request| is_by(request, name));
    Ok(found)
}

fn is_by(request: &CertificateSigningRequest, name: &str) -> bool {
    let spec = &request.spec;
    let of_token = spec.extra.as_ref().and_then(|extra| extra.get(NODE_OF_TOKEN));
    spec.username.as_deref() == Some(&format!("system:node:{name}"))
        || of_token.is_some_and(|nodes| nodes.iter().any(|node| node == name))
}

/// Whether the cluster refuses what forgotten nodes write.
async fn is_policed(cluster: &Cluster) -> Result<bool> {
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(cluster.client.clone());
    match bindings.get(FORGOTTEN).await {
        Ok(_) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => {
            Err(error).with_context(|| format!("look for ValidatingAdmissionPolicyBinding {FORGOTTEN}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(ready: &str, labels: &serde_json::Value) -> NodeView {
        let node = json!({
            "metadata": {"name": "edge1", "labels": labels},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        });
        NodeView::of(&serde_json::from_value(node).unwrap())
    }

    #[test]
    fn who_works_or_was_never_there_is_forgotten_only_where_that_is_wanted() {
        let silent = node("Unknown", &json!({}));
        let ready = node("True", &json!({}));
        let control = node("Unknown", &json!({"node-role.kubernetes.io/control-plane": ""}));
        for (name, node, traces, flag, expected) in [
            ("edge1", Some(&silent), false, "", Ok(true)),
            ("edge1", None, true, "", Ok(false)),
            ("edge1", None, false, "", Err("--unknown")),
            ("edge1", None, false, "unknown", Ok(false)),
            ("edge1", Some(&ready), true, "ready", Ok(true)),
            ("edge1", Some(&ready), true, "unknown", Err("--even-if-ready")),
            ("edge1", Some(&control), true, "ready", Err("control plane")),
            ("Edge1", None, true, "unknown", Err("called so")),
        ] {
            let what = Forget {
                name: name.to_owned(),
                yes: true,
                even_if_ready: flag == "ready",
                unknown: flag == "unknown",
            };
            match (verdict(node, traces, &what), expected) {
                (Verdict::Forget { node_exists }, Ok(expected)) => assert_eq!(node_exists, expected),
                (Verdict::Refuse(why), Err(part)) => assert!(why.contains(part), "{why}"),
                (verdict, _) => panic!("{verdict:?}"),
            }
        }
    }

    #[test]
    fn a_plan_says_what_is_odd() {
        let usual = plan("edge1", true, 3, 1, true);
        assert!(usual.contains("3 pods") && !usual.contains('!'), "{usual}");
        assert!(plan("edge1", false, 0, 0, true).contains("! there is no Node"));
        assert!(plan("edge1", true, 0, 0, false).contains("! what its kubelet's user writes"));
    }
}
