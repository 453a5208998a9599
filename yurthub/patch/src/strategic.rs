//! Strategic merge patch, as the kubelet sends it to `nodes/NAME/status` and `pods/NAME/status` with the content
//! type `application/strategic-merge-patch+json`.
//!
//! The rules are those of `mergeMap` and its callees in `k8s.io/apimachinery/pkg/util/strategicpatch/patch.go`, on
//! an object as the apiserver sees it (`applyPatchToObject` in `k8s.io/apiserver/pkg/endpoints/handlers/patch.go`):
//! a struct is never absent, and fields that a type does not have are dropped. Two things are done with more care:
//! unknown fields of the stored object stay, and in JSON so do those of the patch (the node's tables may be older
//! than the cluster). Quantities and times are taken as written, not brought into canonical form.
//!
//! `directive` takes the directives of maps apart, `list` merges lists, `set_order` and `order` put
//! their elements in order.
//! Invariant: what the patch does not name keeps its bytes.

mod directive;
mod list;
mod order;
mod set_order;

use bytes::Bytes;
use serde_json::Value;
use yurthub_object::Encoding;

use crate::{
    ObjectKind, PatchError, parse,
    schema::{Shape, Strategy},
    tree::{self, Class, Map, Tree},
};
use directive::{MapDirective, without_directives, without_nulls};

type Object = serde_json::Map<String, Value>;

/// Applies `patch` to `item`, the stored form of an object: JSON with or without `kind` and `apiVersion`, or the
/// bare protobuf message without the `k8s\0` envelope. `kind` and `apiVersion` of the patch do not count.
///
/// A `metadata.uid` in the patch is a precondition, as for the apiserver: [`PatchError::OtherUid`].
pub fn apply(encoding: Encoding, kind: ObjectKind, item: &Bytes, patch: &[u8]) -> Result<Bytes, PatchError> {
    let shape = kind.shape();
    let object = tree::open(encoding, item, shape)?;
    tree::write(encoding, merge_object(object, parse(patch)?, shape)?, shape)
}

/// Applies `patch` as the subresource `status` does: what it makes of `spec`, and of a pod's `ownerReferences` and
/// `deletionTimestamp`, must be possible but does not count (`PrepareForUpdate` of `nodeStatusStrategy` in
/// `pkg/registry/core/node/strategy.go` and of `podStatusStrategy` in `pkg/registry/core/pod/strategy.go`).
pub fn apply_status(
    encoding: Encoding,
    kind: ObjectKind,
    item: &Bytes,
    patch: &[u8],
) -> Result<Bytes, PatchError> {
    let shape = kind.shape();
    let patch = parse(patch)?;
    let names_spec = patch.keys().any(|key| key.ends_with("spec"));
    let object = tree::open(encoding, item, shape)?;
    let mut patched = merge_object(object.clone(), patch, shape)?;
    if names_spec {
        tree::write(encoding, patched.clone(), shape)?;
    }
    restore(&mut patched, &object, "spec");
    if kind == ObjectKind::Pod
        && let (Some(before), Some(after)) = (object.get("metadata"), patched.take("metadata"))
    {
        let shape = shape.child("metadata");
        let (before, mut after) = (before.clone().into_map(shape)?, after.into_map(shape)?);
        restore(&mut after, &before, "ownerReferences");
        restore(&mut after, &before, "deletionTimestamp");
        patched.put("metadata", Tree::Map(after));
    }
    tree::write(encoding, patched, shape)
}

/// Gives a member the value back that it had.
fn restore(patched: &mut Map, before: &Map, name: &str) {
    match before.get(name) {
        Some(value) => patched.put(name, value.clone()),
        None => drop(patched.take(name)),
    }
}

fn merge_object(object: Map, patch: Object, shape: Shape) -> Result<Map, PatchError> {
    if patch.contains_key("$patch") {
        return Err(PatchError::directive(
            "$patch",
            "an object cannot be deleted or replaced by a patch",
        ));
    }
    check_identity(&object, &patch, shape)?;
    merge_map(object, patch, shape)?.into_map(shape)
}

/// A patch that takes the metadata away, or is for an object with another UID.
pub(crate) fn check_identity(object: &Map, patch: &Object, shape: Shape) -> Result<(), PatchError> {
    if patch.get("metadata").is_some_and(Value::is_null) {
        return Err(PatchError::wrong_type("metadata", "an object"));
    }
    let Some(Value::String(wanted)) = patch.get("metadata").and_then(|metadata| metadata.get("uid")) else {
        return Ok(());
    };
    let metadata = object.get("metadata");
    let uid = metadata
        .map(|metadata| metadata.member(shape.child("metadata"), "uid"))
        .transpose()?
        .flatten();
    match uid {
        Some(Value::String(uid)) if uid != *wanted => Err(PatchError::OtherUid),
        _ => Ok(()),
    }
}

/// Merges `patch` into a map; `mergeMap` in Kubernetes.
fn merge_map(mut original: Map, mut patch: Object, shape: Shape) -> Result<Tree, PatchError> {
    if let Some(directive) = patch.remove("$patch") {
        return match MapDirective::of(&directive)? {
            MapDirective::Replace => Ok(Tree::Fresh(Value::Object(patch))),
            MapDirective::Delete => Ok(Tree::Map(Map::default())),
        };
    }
    directive::retain_keys(&mut original, &mut patch)?;
    set_order::obey(&mut original, &mut patch, shape)?;
    for (key, value) in patch {
        match directive::deleted_from(&key)? {
            Some(name) => delete_from_list(&mut original, name, value, shape)?,
            None => merge_member(&mut original, &key, value, shape)?,
        }
    }
    Ok(Tree::Map(original))
}

fn delete_from_list(original: &mut Map, name: &str, values: Value, shape: Shape) -> Result<(), PatchError> {
    let Some(current) = original.take(name) else {
        return Ok(());
    };
    let child = shape.child(name);
    let merged = match values {
        Value::Null => return Ok(()),
        Value::Array(values) if current.class(child) == Class::List => {
            Tree::List(list::delete(current.into_list(child)?, &values, name, child)?)
        }
        _ => current,
    };
    original.put(name, merged);
    Ok(())
}

fn merge_member(original: &mut Map, name: &str, value: Value, shape: Shape) -> Result<(), PatchError> {
    let current = original.take(name);
    if value.is_null() {
        return Ok(());
    }
    let (child, field) = (shape.child(name), shape.field(name));
    let is_struct = field.is_some_and(|field| field.is_struct());
    let current = current.or_else(|| is_struct.then(|| Tree::Map(Map::default())));
    let strategy = field.map_or(Strategy::Default, |field| field.strategy);
    let merged = match (current.map(|current| (current.class(child), current)), value) {
        (Some((Class::Map, current)), Value::Object(value)) if strategy != Strategy::Replace => {
            Some(merge_map(current.into_map(child)?, value, child)?)
        }
        (Some((Class::List, current)), Value::Array(value)) if strategy == Strategy::Merge => {
            let list = list::Merge {
                name,
                shape: child,
                key: field.map_or("", |field| field.merge_key),
            };
            Some(Tree::List(list.merge(current.into_list(child)?, value)?.elements))
        }
        (Some((Class::Map, _)), value @ Value::Object(_))
        | (Some((Class::List, _)), value @ Value::Array(_)) => Some(Tree::Fresh(value)),
        (_, value) => without_directives(without_nulls(value)).map(Tree::Fresh),
    };
    if let Some(merged) = merged {
        original.put(name, merged);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
