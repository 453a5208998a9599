//! How a Node and a Pod stand: what their conditions `Ready` say, in a few bits (pure).
//!
//! Kubernetes' node lifecycle controller sets `Ready` of a Node that it does not hear of to `Unknown`, and then `Ready` of
//! its pods to `False`; it changes nothing else of them (`MarkPodsNotReady` in `pkg/controller/util/node`). So a pod that it
//! has marked is told from one that was not ready by itself: the kubelet sets `ContainersReady` along with `Ready`, and
//! gives a reason where it is not (`GeneratePodReadyCondition` in `pkg/kubelet/status/generate.go`).

use k8s_openapi::jiff::Timestamp;

use crate::autonomy::condition::Condition;

/// Of a pod that its kubelet calls unready for a gate that another one opens.
const GATED: &str = "ReadinessGatesNotReady";

/// Whether the cloud hears of a Node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Its kubelet says that it is well.
    Ready,
    /// Its kubelet says that it is not, or has not said anything yet.
    NotReady,
    /// It is not heard, since then.
    Silent(Timestamp),
}

impl Readiness {
    /// By the conditions of a Node.
    pub fn of(conditions: &[Condition]) -> Self {
        let Some(ready) = conditions.iter().find(|one| one.kind == "Ready") else {
            return Self::NotReady;
        };
        match ready.status.as_str() {
            "True" => Self::Ready,
            "Unknown" => Self::Silent(ready.last_transition_time.unwrap_or(Timestamp::UNIX_EPOCH)),
            _ => Self::NotReady,
        }
    }

    /// Since when it is silent, where it is.
    pub fn silent_since(self) -> Option<Timestamp> {
        match self {
            Self::Silent(since) => Some(since),
            Self::Ready | Self::NotReady => None,
        }
    }
}

/// How a pod stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is ready.
    Ready,
    /// It is ready by itself, but was marked because its node is silent.
    Marked,
    /// It is not ready by itself: it starts, it fails, its probes fail, or a gate is closed.
    Unready,
    /// It has ended or is told to end; no Service has it any more.
    Ending,
}

impl Standing {
    /// By the conditions of a Pod, and whether it is `ending`.
    pub fn of(conditions: &[Condition], ending: bool) -> Self {
        let find = |kind| conditions.iter().find(|one| one.kind == kind);
        let is_true = |kind| find(kind).is_some_and(|one| one.status == "True");
        if ending {
            Self::Ending
        } else if is_true("Ready") {
            Self::Ready
        } else if is_true("ContainersReady") && find("Ready").is_some_and(|one| one.reason != GATED) {
            Self::Marked
        } else {
            Self::Unready
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn conditions(value: serde_json::Value) -> Vec<Condition> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn of_a_node_it_is_told_whether_it_is_heard() {
        let since = "2026-01-01T00:00:00Z";
        for (status, expected) in [
            ("True", Readiness::Ready),
            ("False", Readiness::NotReady),
            ("Unknown", Readiness::Silent(since.parse().unwrap())),
        ] {
            let found = conditions(json!([
                {"type": "MemoryPressure", "status": "Unknown"},
                {"type": "Ready", "status": status, "lastTransitionTime": since, "lastHeartbeatTime": since},
            ]));
            assert_eq!(Readiness::of(&found), expected, "{status}");
        }
        assert_eq!(Readiness::of(&[]), Readiness::NotReady);
    }

    #[test]
    fn a_marked_pod_is_told_from_one_that_is_unready_by_itself() {
        for (ready, reason, containers, expected) in [
            ("True", "", "True", Standing::Ready),
            ("False", "", "True", Standing::Marked),
            ("False", "ContainersNotReady", "False", Standing::Unready),
            ("False", GATED, "True", Standing::Unready),
        ] {
            let found = conditions(json!([
                {"type": "Ready", "status": ready, "reason": reason},
                {"type": "ContainersReady", "status": containers},
            ]));
            assert_eq!(
                Standing::of(&found, false),
                expected,
                "{ready} {reason} {containers}"
            );
            assert_eq!(Standing::of(&found, true), Standing::Ending);
        }
        assert_eq!(Standing::of(&[], false), Standing::Unready, "it has not begun");
    }
}
