//! What of a status is the kubelet's: replay of a cut-off node by state.
//!
//! Two states are given: the object as the cloud has it now, and as this node's kubelet last wrote it. The result is
//! the cloud's object in which the status fields and condition types that the kubelet owns are the kubelet's.
//! Metadata and spec are always the cloud's. `conditions` merges the conditions.
//!
//! Two states cannot tell who removed something: an owned map (`capacity`, `allocatable`) is the union of both,
//! because the cloud may add extended resources and the kubelet sets to zero instead of removing. Leases have no
//! status: they are unchanged. Invariant: values are moved as bytes, never rewritten.

mod conditions;

use std::collections::HashSet;

use bytes::Bytes;
use serde_json::Value;
use yurthub_object::{Encoding, Reason};

use crate::{
    ObjectKind, PatchError, canonical,
    schema::Shape,
    tree::{self, Key, Map, Tree},
};

/// What came of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// The cloud's status means the same already: there is nothing to send.
    Unchanged,
    /// The cloud's object with the kubelet's status, in the encoding of both.
    Changed(Bytes),
}

/// Takes what the kubelet owns of the status from `overlay`, all else from `cloud`. Both are in the stored form of
/// [`strategic::apply`](crate::strategic::apply) and in the same encoding.
pub fn merge_status(
    encoding: Encoding,
    kind: ObjectKind,
    cloud: &Bytes,
    overlay: &Bytes,
) -> Result<Merged, PatchError> {
    let shape = kind.shape();
    let Some(status_shape) = status_shape(kind) else {
        return Ok(Merged::Unchanged);
    };
    let mut object = tree::open(encoding, cloud, shape)?;
    let written = status(tree::open(encoding, overlay, shape)?, shape)?;
    let current = status(object.clone(), shape)?;
    let before = canonical::of_map(current.clone(), status_shape)?;
    let merged = merge_fields(kind, status_shape, current, written)?;
    if canonical::of_map(merged.clone(), status_shape)? == before {
        return Ok(Merged::Unchanged);
    }
    object.put("status", Tree::Map(merged));
    Ok(Merged::Changed(tree::write(encoding, object, shape)?))
}

/// Whether two objects have the same status by meaning: absent and zero are one, times are points in time, maps have
/// no order.
pub fn equal_status(encoding: Encoding, kind: ObjectKind, a: &Bytes, b: &Bytes) -> Result<bool, PatchError> {
    let Some(status_shape) = status_shape(kind) else {
        return Ok(true);
    };
    let read = |item: &Bytes| {
        let object = tree::open(encoding, item, kind.shape())?;
        canonical::of_map(status(object, kind.shape())?, status_shape)
    };
    Ok(read(a)? == read(b)?)
}

fn status_shape(kind: ObjectKind) -> Option<Shape> {
    kind.shape().field("status").map(crate::schema::Field::shape)
}

fn status(mut object: Map, shape: Shape) -> Result<Map, PatchError> {
    match object.take("status") {
        Some(status) => match status.class(shape.child("status")) {
            tree::Class::Null => Ok(Map::default()),
            _ => status.into_map(shape.child("status")),
        },
        None => Ok(Map::default()),
    }
}

/// Whose a field of the status is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Cloud,
    Kubelet,
    /// Maps to which both add.
    Union,
    /// By type.
    Conditions,
    /// The kubelet's, but the cloud's when only the cloud says that the pod has ended.
    UnlessEnded,
    /// A field that the tables do not have: the kubelet's if it has written it.
    Unknown,
}

/// Sources: `pkg/kubelet/nodestatus/setters.go`; the attach/detach controller writes `volumesAttached`; nobody writes
/// a node's `phase`. For pods `mergePodStatus` in `pkg/kubelet/status/status_manager.go`; the scheduler writes
/// `nominatedNodeName`, the resource claim controller and the scheduler the claim statuses. The pod garbage collector
/// may end a pod, and no pod comes back from that (`generateAPIPodStatus` in `pkg/kubelet/kubelet_pods.go`).
fn owner(kind: ObjectKind, shape: Shape, name: &str) -> Owner {
    match (kind, name) {
        _ if shape.field(name).is_none() => Owner::Unknown,
        (_, "conditions") => Owner::Conditions,
        (ObjectKind::Node, "volumesAttached" | "phase") => Owner::Cloud,
        (ObjectKind::Node, "capacity" | "allocatable") => Owner::Union,
        (ObjectKind::Pod, "nominatedNodeName" | "resourceClaimStatuses" | "extendedResourceClaimStatus") => {
            Owner::Cloud
        }
        (ObjectKind::Pod, "phase" | "reason" | "message") => Owner::UnlessEnded,
        _ => Owner::Kubelet,
    }
}

fn merge_fields(kind: ObjectKind, shape: Shape, mut cloud: Map, mut written: Map) -> Result<Map, PatchError> {
    let keep_end = has_ended(&cloud, shape)? && !has_ended(&written, shape)?;
    drop_unwritten(kind, shape, &mut cloud, &written, keep_end);
    let conditions = (cloud.take("conditions"), written.take("conditions"));
    let condition_shape = shape.child("conditions");
    if let Some(merged) = conditions::merge(kind, condition_shape, conditions.0, conditions.1)? {
        cloud.put("conditions", merged);
    }
    for (key, value) in written.into_members() {
        match key {
            Key::Unknown { inline, number } => cloud.put_unknown(inline, number, value),
            Key::Name(name) => match owner(kind, shape, &name) {
                Owner::Kubelet | Owner::Unknown => cloud.put(&name, value),
                Owner::UnlessEnded if !keep_end => cloud.put(&name, value),
                Owner::Union => {
                    let merged = unite(cloud.take(&name), value, shape.child(&name))?;
                    cloud.put(&name, merged);
                }
                Owner::Cloud | Owner::Conditions | Owner::UnlessEnded => {}
            },
        }
    }
    Ok(cloud)
}

/// Drops from the cloud's status what the kubelet owns and does not have, and the unknown fields that it does have.
fn drop_unwritten(kind: ObjectKind, shape: Shape, cloud: &mut Map, written: &Map, keep_end: bool) {
    let unknown: HashSet<(u32, u32)> = written.iter().filter_map(|(key, _)| key.unknown()).collect();
    cloud.retain(|key| match key {
        Key::Unknown { inline, number } => !unknown.contains(&(*inline, *number)),
        Key::Name(name) => match owner(kind, shape, name) {
            Owner::Kubelet => written.get(name).is_some(),
            Owner::UnlessEnded => keep_end || written.get(name).is_some(),
            Owner::Cloud | Owner::Union | Owner::Conditions | Owner::Unknown => true,
        },
    });
}

/// Whether a pod's phase is one that it does not leave.
fn has_ended(status: &Map, shape: Shape) -> Result<bool, PatchError> {
    let phase = status
        .get("phase")
        .map(|phase| phase.scalar(shape.child("phase")))
        .transpose()?;
    Ok(matches!(
        phase.as_ref().and_then(Value::as_str),
        Some("Succeeded" | "Failed")
    ))
}

/// The members of both maps; `written` wins.
fn unite(cloud: Option<Tree>, written: Tree, shape: Shape) -> Result<Tree, PatchError> {
    let Some(cloud) = cloud.filter(|cloud| cloud.class(shape) == tree::Class::Map) else {
        return Ok(written);
    };
    if written.class(shape) != tree::Class::Map {
        return Ok(cloud);
    }
    let mut united = cloud.into_map(shape)?;
    for (key, value) in written.into_map(shape)?.into_members() {
        let Key::Name(name) = key else {
            return Err(Reason::WrongType.into());
        };
        united.put(&name, value);
    }
    Ok(Tree::Map(united))
}

#[cfg(test)]
mod tests;
