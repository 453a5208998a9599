//! `$setElementOrder`: the order that a list is to have, with or without a patch of the list.
//!
//! Invariant: a directive and its list are taken out of the patch together, so that neither is obeyed twice.

use serde_json::Value;

use super::{
    Object,
    directive::{self, without_directives},
    list::{Merge, Merged, keys, unkeyed},
    order::arrange,
};
use crate::{
    MAX_MERGED_ELEMENTS, PatchError,
    schema::{Shape, Strategy},
    tree::{Class, Map, Tree},
};

/// Obeys each `$setElementOrder` and takes it and its list out of the patch; `mergePatchIntoOriginal`.
pub(super) fn obey(original: &mut Map, patch: &mut Object, shape: Shape) -> Result<(), PatchError> {
    let directives: Vec<String> = patch.keys().filter(|key| key.starts_with('$')).cloned().collect();
    for directive in directives {
        let Some(name) = directive::ordered(&directive)? else {
            continue;
        };
        let Some(Value::Array(order)) = patch.remove(&directive) else {
            return Err(PatchError::directive(&directive, "is not a list"));
        };
        let child = shape.child(name);
        let merge = Merge {
            name,
            shape: child,
            key: shape.field(name).map_or("", |field| field.merge_key),
        };
        let is_merged = shape
            .field(name)
            .is_some_and(|field| field.strategy == Strategy::Merge);
        let Some(merged) = merge.before_order(original.take(name), patch.remove(name), &order, is_merged)?
        else {
            continue;
        };
        original.put(name, Tree::List(merge.in_order(merged, &order)?));
    }
    Ok(())
}

impl Merge<'_> {
    /// The merged list that an order is to be given to; `None` when there is none on either side.
    fn before_order(
        self,
        original: Option<Tree>,
        patch: Option<Value>,
        order: &[Value],
        is_merged: bool,
    ) -> Result<Option<Merged>, PatchError> {
        let original = original.filter(|tree| tree.class(self.shape) != Class::Null);
        let original = match original {
            Some(tree) if tree.class(self.shape) == Class::List => Some(tree.into_list(self.shape)?),
            Some(_) => return Err(self.unmergeable()),
            None => None,
        };
        let patch = match patch {
            Some(Value::Array(patch)) => Some(patch),
            Some(_) => return Err(PatchError::wrong_type(self.name, "a list")),
            None => None,
        };
        self.check_order(patch.as_deref().unwrap_or_default(), order)?;
        Ok(match (original, patch) {
            (None, None) => None,
            (Some(original), None) => {
                let server_order = keys(self.complete(self.keyed(original.clone())?)?.iter());
                Some(Merged {
                    elements: original,
                    server_order,
                })
            }
            (Some(original), Some(patch)) if is_merged => Some(self.merge(original, patch)?),
            (Some(original), Some(patch)) => {
                let server_order = keys(self.complete(self.keyed(original)?)?.iter());
                Some(Merged {
                    elements: patch.into_iter().map(Tree::Fresh).collect(),
                    server_order,
                })
            }
            (None, Some(patch)) => {
                let kept = patch.into_iter().filter_map(without_directives);
                Some(Merged {
                    elements: kept.map(Tree::Fresh).collect(),
                    server_order: Vec::new(),
                })
            }
        })
    }

    fn in_order(self, merged: Merged, order: &[Value]) -> Result<Vec<Tree>, PatchError> {
        let elements = self.complete(self.keyed(merged.elements)?)?;
        let wanted = self.order_keys(order)?;
        if elements.len().saturating_add(wanted.len()) > MAX_MERGED_ELEMENTS {
            return Err(PatchError::TooLong("a list"));
        }
        Ok(unkeyed(arrange(elements, &wanted, &merged.server_order)))
    }

    /// The keys that an order names.
    fn order_keys(self, order: &[Value]) -> Result<Vec<Value>, PatchError> {
        let key = |value: &Value| match value {
            Value::Object(element) if !self.key.is_empty() => self.key_of(element),
            Value::Object(_) | Value::Array(_) => Err(self.unmergeable()),
            _ if !self.key.is_empty() => Err(PatchError::NoMergeKey(self.key)),
            scalar => Ok(scalar.clone()),
        };
        order.iter().map(key).collect()
    }

    /// The patch's elements must stand in the order that it wants; `validatePatchWithSetOrderList`.
    fn check_order(self, patch: &[Value], order: &[Value]) -> Result<(), PatchError> {
        if patch.is_empty() || order.is_empty() {
            return Ok(());
        }
        let mut wanted = self.order_keys(order)?.into_iter();
        let special = |value: &&Value| value.get("$patch").is_some();
        for value in patch.iter().filter(|value| !special(value)) {
            let key = self.order_keys(std::slice::from_ref(value))?.pop();
            if !wanted.any(|candidate| Some(&candidate) == key.as_ref()) {
                return Err(PatchError::directive(
                    "$setElementOrder",
                    "the patch's list is in another order",
                ));
            }
        }
        Ok(())
    }
}
