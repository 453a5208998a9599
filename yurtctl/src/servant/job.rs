//! The Job that puts a pod on one node (pure). Names of nodes travel as fields and as one argument of `execve`, never
//! through a shell.

use k8s_openapi::api::batch::v1::Job;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use yurtctl_node::transaction::{Goal, Transaction};

use crate::MANAGER;
use crate::cluster::HubConfig;
use crate::on_node::TRANSACTION;

const ACCOUNT: &str = "yurt-node-servant";
const NODE_ANNOTATION: &str = "yurt.openyurt.io/node";
/// What is left of one that nobody removed goes after this time, in seconds.
const TTL: u32 = 600;

/// What the pod does.
#[derive(Debug, Clone)]
pub(super) enum Task {
    /// Looks at the node.
    Facts {
        /// Where yurthub serves pods.
        pods_address: String,
    },
    /// Carries a transaction out.
    CarryOut {
        /// Which.
        transaction: Box<Transaction>,
    },
}

impl Task {
    const fn name(&self) -> &'static str {
        match self {
            Self::Facts { .. } => "facts",
            Self::CarryOut { transaction } => match transaction.goal {
                Goal::Converted => "convert",
                Goal::Reverted => "revert",
            },
        }
    }

    fn args(&self) -> Value {
        match self {
            Self::Facts { pods_address } => json!(["servant", "facts", "--pods-address", pods_address]),
            Self::CarryOut { .. } => json!(["servant", "carry-out"]),
        }
    }

    fn env(&self) -> Value {
        match self {
            Self::Facts { .. } => json!([]),
            Self::CarryOut { transaction } => {
                // `$(NAME)` in a variable would be expanded by the kubelet; `$$` is a dollar (kubernetes/apimachinery).
                let text = serde_json::to_string(transaction)
                    .unwrap_or_default()
                    .replace('$', "$$");
                json!([{"name": TRANSACTION, "value": text}])
            }
        }
    }
}

/// The Job.
#[expect(
    clippy::expect_used,
    reason = "the JSON below is a Job whatever the arguments are"
)]
pub(super) fn of(node: &str, task: &Task, config: &HubConfig) -> Job {
    let labels = json!({
        "app.kubernetes.io/name": "yurt",
        "app.kubernetes.io/part-of": "yurt",
        "app.kubernetes.io/component": "node-servant",
        "app.kubernetes.io/managed-by": MANAGER,
    });
    let secrets: Vec<_> = config
        .pull_secrets
        .iter()
        .map(|name| json!({"name": name}))
        .collect();
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name(task.name(), node),
            "labels": labels,
            "annotations": {NODE_ANNOTATION: node},
        },
        "spec": {
            "backoffLimit": 5,
            "ttlSecondsAfterFinished": TTL,
            "template": {
                "metadata": {"labels": labels, "annotations": {NODE_ANNOTATION: node}},
                "spec": {
                    "nodeName": node,
                    "hostPID": true,
                    // Nothing of the node's network for pods is needed, nor of the cluster's DNS.
                    "hostNetwork": true,
                    "dnsPolicy": "Default",
                    "enableServiceLinks": false,
                    "serviceAccountName": ACCOUNT,
                    "automountServiceAccountToken": false,
                    "imagePullSecrets": secrets,
                    // No priority and no requests: a kubelet that admits a critical pod to a full node evicts pods for
                    // what it requests (pkg/kubelet/preemption), and a conversion evicts nobody. This one fits
                    // everywhere, and when memory is short it is the first to go: its transaction goes on without it.
                    // Whatever the node is tainted with, also for want of memory.
                    "tolerations": [{"operator": "Exists"}],
                    // In the same pod: the kubelet does that also without the cloud.
                    "restartPolicy": "OnFailure",
                    "terminationGracePeriodSeconds": 5,
                    "containers": [{
                        "name": "servant",
                        "image": config.image,
                        "imagePullPolicy": config.pull_policy,
                        "args": task.args(),
                        "env": task.env(),
                        "securityContext": {"privileged": true, "runAsUser": 0, "runAsGroup": 0},
                    }],
                },
            },
        },
    });
    serde_json::from_value(job).expect("a Job")
}

/// A name that is unique for the node, and valid whatever the node's is.
fn name(task: &str, node: &str) -> String {
    let hash = digest(&SHA256, node.as_bytes());
    let hash: String = hash.as_ref()[..4]
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let readable: String = node
        .chars()
        .take(36)
        .map(|letter| if letter == '.' { '-' } else { letter })
        .collect();
    format!("yurt-{task}-{}-{hash}", readable.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn names_are_valid_and_differ() {
        let long = "a.very.long.node.name.that.somebody.gave.to.a.machine.in.the.basement.example";
        let other = format!("{long}2");
        assert_ne!(name("facts", long), name("facts", &other));
        for name in [name("facts", long), name("convert", "edge1")] {
            assert!(name.len() <= 63 && !name.contains(['.', '_']), "{name}");
        }
    }

    #[test]
    fn the_pod_stays_on_its_node_and_gets_no_token() {
        let task = Task::Facts {
            pods_address: "169.254.2.1:10268".to_owned(),
        };
        let job = of("edge1", &task, &HubConfig::of(&BTreeMap::new()));
        let spec = job.spec.unwrap().template.spec.unwrap();
        assert_eq!(spec.node_name.as_deref(), Some("edge1"));
        assert_eq!(spec.automount_service_account_token, Some(false));
        assert_eq!(spec.host_pid, Some(true));
    }

    #[test]
    fn no_pod_is_evicted_for_it() {
        let task = Task::Facts {
            pods_address: String::new(),
        };
        let job = of("edge1", &task, &HubConfig::of(&BTreeMap::new()));
        let spec = job.spec.unwrap().template.spec.unwrap();
        assert_eq!((spec.priority_class_name, spec.priority), (None, None));
        assert!(
            spec.containers
                .iter()
                .all(|container| container.resources.is_none())
        );
        assert_eq!(
            spec.tolerations.unwrap()[0],
            serde_json::from_value(json!({"operator": "Exists"})).unwrap()
        );
    }
}
