//! Whose a condition is, by its type.
//!
//! Invariant: conditions of types that are not in these tables are the cloud's; the order is the cloud's, what the
//! kubelet adds comes last in its own order.

use serde_json::Value;

use crate::{
    ObjectKind, PatchError, canonical,
    schema::Shape,
    tree::{Class, Tree},
};

/// Whose a condition type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Cloud,
    Kubelet,
    /// Both write it: the newer transition counts.
    Shared,
}

/// Sources: `pkg/kubelet/nodestatus/setters.go` for nodes (`NetworkUnavailable` is written by cloud route
/// controllers and network plugins), `PodConditionByKubelet` and `PodConditionSharedByKubelet` in
/// `pkg/kubelet/types/pod_status.go` of Kubernetes 1.34 for pods.
fn owner(kind: ObjectKind, condition: &str) -> Owner {
    match (kind, condition) {
        (ObjectKind::Node, "Ready" | "MemoryPressure" | "DiskPressure" | "PIDPressure")
        | (
            ObjectKind::Pod,
            "PodScheduled"
            | "Ready"
            | "Initialized"
            | "ContainersReady"
            | "PodResizeInProgress"
            | "PodResizePending"
            | "PodReadyToStartContainers",
        ) => Owner::Kubelet,
        (ObjectKind::Pod, "DisruptionTarget") => Owner::Shared,
        _ => Owner::Cloud,
    }
}

struct Condition {
    name: String,
    tree: Tree,
}

/// The conditions of both; `None` when there are none.
pub(super) fn merge(
    kind: ObjectKind,
    shape: Shape,
    cloud: Option<Tree>,
    written: Option<Tree>,
) -> Result<Option<Tree>, PatchError> {
    let mut written = read(written, shape)?;
    let mut merged = Vec::new();
    for condition in read(cloud, shape)? {
        let theirs = written
            .iter()
            .position(|candidate| candidate.name == condition.name);
        let theirs = theirs.map(|index| written.remove(index));
        merged.extend(choose(kind, shape, condition, theirs)?);
    }
    let added = written
        .into_iter()
        .filter(|condition| owner(kind, &condition.name) != Owner::Cloud);
    merged.extend(added.map(|condition| condition.tree));
    Ok((!merged.is_empty()).then_some(Tree::List(merged)))
}

fn read(list: Option<Tree>, shape: Shape) -> Result<Vec<Condition>, PatchError> {
    let list = list.filter(|list| list.class(shape) == Class::List);
    let list = list
        .map(|list| list.into_list(shape))
        .transpose()?
        .unwrap_or_default();
    list.into_iter()
        .map(|tree| {
            let name = tree.member(shape.element(), "type")?;
            Ok(Condition {
                name: name
                    .as_ref()
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
                tree,
            })
        })
        .collect()
}

/// The one that counts of a condition that the cloud has.
fn choose(
    kind: ObjectKind,
    shape: Shape,
    cloud: Condition,
    written: Option<Condition>,
) -> Result<Option<Tree>, PatchError> {
    let Some(written) = written else {
        // A kubelet takes conditions off its pods (a resize that is done), never off its node.
        let is_gone = kind == ObjectKind::Pod && owner(kind, &cloud.name) == Owner::Kubelet;
        return Ok((!is_gone).then_some(cloud.tree));
    };
    Ok(Some(match owner(kind, &cloud.name) {
        Owner::Kubelet => written.tree,
        Owner::Shared if transition(&written.tree, shape)? > transition(&cloud.tree, shape)? => written.tree,
        Owner::Shared | Owner::Cloud => cloud.tree,
    }))
}

/// When a condition last changed, in seconds; `None` when it does not say.
fn transition(condition: &Tree, shape: Shape) -> Result<Option<i64>, PatchError> {
    let shape = shape.element();
    let map = condition.clone().into_map(shape)?;
    let Some(time) = map.get("lastTransitionTime") else {
        return Ok(None);
    };
    Ok(canonical::of(time.clone(), shape.child("lastTransitionTime"))?.as_i64())
}
