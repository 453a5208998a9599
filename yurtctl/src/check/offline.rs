//! What would break on a node that is cut off, or rebooted without the cloud (pure).

use k8s_openapi::api::core::v1::{Container, Pod};
use yurtctl_node::facts::Facts;
use yurthub_object::parse_time;

use super::{Finding, Severity, warning};
use crate::plan::{PodName, has_ended, is_servant};
use crate::selection::NodeView;
use crate::summary::Summary;

/// A certificate that ends sooner may end within an outage.
const CERTIFICATE_DAYS: i64 = 14;
const DAY: i64 = 86_400;
/// The label of DNS servers that Service `kube-dns` selects.
const DNS_LABEL: (&str, &str) = ("k8s-app", "kube-dns");

/// Pods that would not come back after a reboot without the cloud.
pub fn pods(pods: &[Pod]) -> Vec<Finding> {
    let named: Vec<_> = pods
        .iter()
        .filter(|pod| !has_ended(pod) && !is_servant(pod) && containers(pod).any(pulls_always))
        .map(|pod| PodName::of(pod).to_string())
        .collect();
    if named.is_empty() {
        return Vec::new();
    }
    vec![warning(
        "pulls-always",
        format!("these pods pull an image at every start: {}", named.join(", ")),
        "give their images a tag other than `latest`, or a digest, and imagePullPolicy: IfNotPresent; else they do not come \
         back after a reboot without the cloud",
    )]
}

/// Whether names are resolved on the node itself. It is an error before a node is converted, unless that is accepted: a
/// node at the edge is there to be cut off.
pub fn dns(pods: &[Pod], severity: Severity) -> Option<Finding> {
    let is_server = |pod: &&Pod| {
        let labels = pod.metadata.labels.as_ref();
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let value = labels.and_then(|labels| labels.get(DNS_LABEL.0));
        phase == Some("Running")
            && pod.metadata.deletion_timestamp.is_none()
            && value.is_some_and(|value| value == DNS_LABEL.1)
    };
    if pods.iter().any(|pod| is_server(&pod)) {
        return None;
    }
    Some(Finding {
        severity,
        ..warning(
            "no-dns",
            "no DNS server of Service kube-dns runs there: its pods resolve no names while it is cut off",
            "run one on each edge node: scale Deployment coredns and spread it, or make a DaemonSet of it; where no pod needs \
             names in an outage, `--accept no-dns`",
        )
    })
}

/// Files that are not as they were written.
pub fn drift(facts: &Facts) -> Vec<Finding> {
    let drifted = facts.installed.iter().flat_map(|installed| &installed.drifted);
    let paths: Vec<_> = drifted.map(|path| path.display().to_string()).collect();
    if paths.is_empty() {
        return Vec::new();
    }
    vec![warning(
        "changed-files",
        format!(
            "files that yurtctl has written were changed since: {}",
            paths.join(", ")
        ),
        "`yurtctl convert` for this node writes them anew; settings belong into yurt-hub-cfg",
    )]
}

/// What the node tells of itself.
pub fn summary(view: &NodeView, now: i64) -> Vec<Finding> {
    let mut found = Vec::new();
    let Some(summary) = Summary::of(&view.annotations) else {
        found.push(warning(
            "silent",
            "its yurthub has told nothing of itself yet",
            "`systemctl status yurthub` on the node; or publishSummary is off",
        ));
        return found;
    };
    let end = summary
        .certificate
        .as_deref()
        .and_then(|end| parse_time(end).ok());
    if let Some(days) = end
        .map(|end| (end - now) / DAY)
        .filter(|days| *days < CERTIFICATE_DAYS)
    {
        found.push(warning(
            "certificate",
            format!("the kubelet's certificate ends in {days} days"),
            "it renews itself while the cloud is there (rotateCertificates: true); see `kubectl get csr`",
        ));
    }
    if summary.store != "fine" {
        found.push(warning(
            "store",
            format!("yurthub's store is {}", summary.store),
            "`yurthub status` on the node says what to do",
        ));
    }
    if let Some(oldest) = summary.oldest.filter(|_| summary.scopes.behind > 0) {
        found.push(warning(
            "behind",
            format!(
                "{} of its scopes do not follow the cloud; {} since {}",
                summary.scopes.behind, oldest.scope, oldest.since
            ),
            "`yurthub scopes` on the node says why",
        ));
    }
    found
}

pub(super) fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = pod.spec.as_ref();
    let first = spec
        .into_iter()
        .flat_map(|spec| spec.init_containers.iter().flatten());
    let others = spec.into_iter().flat_map(|spec| &spec.containers);
    first.chain(others)
}

/// The API fills in `Always` for `latest` and for no tag.
fn pulls_always(container: &Container) -> bool {
    container.image_pull_policy.as_deref() == Some("Always")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn pod(policy: &str, labels: &Value, phase: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "labels": labels},
            "spec": {"containers": [{"name": "c", "imagePullPolicy": policy}]},
            "status": {"phase": phase},
        }))
        .unwrap()
    }

    #[test]
    fn pods_that_pull_at_every_start_are_named() {
        let found = pods(&[pod("Always", &json!({}), "Running")]);
        assert!(found[0].what.ends_with("n/p"), "{}", found[0].what);
        assert!(
            pods(&[
                pod("IfNotPresent", &json!({}), "Running"),
                pod("Always", &json!({}), "Succeeded")
            ])
            .is_empty()
        );
    }

    #[test]
    fn a_node_without_a_dns_server_of_its_own_is_told() {
        let server = json!({"k8s-app": "kube-dns"});
        let of = |labels: &Value, phase: &str| dns(&[pod("Never", labels, phase)], Severity::Error);
        let found = of(&json!({}), "Running").unwrap();
        assert_eq!((found.name, found.severity), ("no-dns", Severity::Error));
        assert!(of(&server, "Running").is_none());
        assert!(of(&server, "Pending").is_some() && of(&server, "Failed").is_some());
    }

    #[test]
    fn a_certificate_that_ends_soon_is_told() {
        let view = |text: &str| NodeView {
            annotations: BTreeMap::from([(crate::summary::ANNOTATION.to_owned(), text.to_owned())]),
            ..crate::samples::view()
        };
        let text = r#"{"certificate":"1970-01-10T00:00:00Z","store":"fine"}"#;
        assert_eq!(summary(&view(text), 0)[0].name, "certificate");
        assert!(
            summary(
                &view(r#"{"certificate":"1971-01-01T00:00:00Z","store":"fine"}"#),
                0
            )
            .is_empty()
        );
        assert_eq!(summary(&view("?"), 0)[0].name, "silent");
    }
}
