//! The directives that a patch's maps can carry.
//!
//! Invariant: a directive that contradicts its patch is an error, as in Kubernetes, never half obeyed.

use std::collections::HashSet;

use serde_json::Value;

use super::Object;
use crate::{
    PatchError,
    tree::{Key, Map},
};

const RETAIN_KEYS: &str = "$retainKeys";
const SET_ELEMENT_ORDER: &str = "$setElementOrder";
const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList";

/// `$patch` in a map that is there on both sides; `handleDirectiveInMergeMap`.
pub(super) enum MapDirective {
    Replace,
    Delete,
}

impl MapDirective {
    pub(super) fn of(value: &Value) -> Result<Self, PatchError> {
        match value.as_str() {
            Some("replace") => Ok(Self::Replace),
            Some("delete") => Ok(Self::Delete),
            _ => Err(PatchError::directive("$patch", "unknown in a map")),
        }
    }
}

/// The list that the key `$deleteFromPrimitiveList/NAME` is about.
pub(super) fn deleted_from(key: &str) -> Result<Option<&str>, PatchError> {
    list_of(key, DELETE_FROM_PRIMITIVE_LIST)
}

/// The list that the key `$setElementOrder/NAME` is about.
pub(super) fn ordered(key: &str) -> Result<Option<&str>, PatchError> {
    list_of(key, SET_ELEMENT_ORDER)
}

fn list_of<'a>(key: &'a str, directive: &str) -> Result<Option<&'a str>, PatchError> {
    let Some(rest) = key.strip_prefix(directive) else {
        return Ok(None);
    };
    let name = rest
        .strip_prefix('/')
        .ok_or_else(|| PatchError::directive(directive, "names no list"))?;
    Ok(Some(name))
}

/// Obeys `$retainKeys`: of the original only the named members stay; `applyRetainKeysDirective`.
pub(super) fn retain_keys(original: &mut Map, patch: &mut Object) -> Result<(), PatchError> {
    let Some(directive) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let Value::Array(names) = directive else {
        return Err(PatchError::directive(RETAIN_KEYS, "is not a list"));
    };
    let names: HashSet<&str> = names.iter().filter_map(Value::as_str).collect();
    let unlisted = |(key, value): (&String, &Value)| {
        !value.is_null()
            && !key.starts_with(DELETE_FROM_PRIMITIVE_LIST)
            && !key.starts_with(SET_ELEMENT_ORDER)
            && !names.contains(key.as_str())
    };
    if patch.iter().any(unlisted) {
        return Err(PatchError::directive(
            RETAIN_KEYS,
            "the patch sets a key that it does not retain",
        ));
    }
    original.retain(|key| matches!(key, Key::Name(name) if names.contains(name.as_ref())));
    Ok(())
}

/// Drops the nulls of a value that is new to the object; `discardNullValuesFromPatch`.
pub(super) fn without_nulls(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            for (_, member) in members.iter_mut() {
                *member = without_nulls(member.take());
            }
        }
        Value::Array(elements) => {
            for element in elements.iter_mut() {
                *element = without_nulls(element.take());
            }
        }
        _ => {}
    }
    value
}

/// Drops the maps that carry `$patch` from a value that is new to the object, `None` when it is one itself;
/// `removeDirectives`.
pub(super) fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(members) if members.contains_key("$patch") => None,
        Value::Object(members) => {
            let kept = members
                .into_iter()
                .filter_map(|(key, value)| Some((key, without_directives(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(elements) => Some(Value::Array(
            elements.into_iter().filter_map(without_directives).collect(),
        )),
        scalar => Some(scalar),
    }
}
