//! Merging two lists: by a merge key when the elements are maps, as sets when they are scalars.
//!
//! Invariant: elements that the patch does not match keep their bytes; matching is bounded by
//! [`MAX_MERGED_ELEMENTS`](crate::MAX_MERGED_ELEMENTS).

use serde_json::Value;

use super::{
    Object, merge_map,
    order::{Keyed, arrange},
};
use crate::{
    MAX_MERGED_ELEMENTS, PatchError,
    schema::Shape,
    tree::{Class, Tree},
};

/// How one list is merged.
#[derive(Clone, Copy)]
pub(super) struct Merge<'a> {
    /// Its name, for errors.
    pub(super) name: &'a str,
    pub(super) shape: Shape,
    /// The merge key; empty when there is none.
    pub(super) key: &'static str,
}

/// A merged list.
pub(super) struct Merged {
    pub(super) elements: Vec<Tree>,
    /// The order that `$setElementOrder` takes for the server's.
    pub(super) server_order: Vec<Value>,
}

/// A patch's list with its special elements taken out; `mergeSliceWithSpecialElements`.
#[derive(Default)]
struct Instructions {
    elements: Vec<(Value, Object)>,
    deleted: Vec<Value>,
    replace: bool,
}

type Elements = Vec<(Option<Value>, Tree)>;

impl Merge<'_> {
    /// Merges `patch` into `original`; `mergeSlice`.
    pub(super) fn merge(self, original: Vec<Tree>, patch: Vec<Value>) -> Result<Merged, PatchError> {
        if original.len().saturating_add(patch.len()) > MAX_MERGED_ELEMENTS {
            return Err(PatchError::TooLong("a list"));
        }
        match self.class(&original, &patch)? {
            None => Ok(Merged {
                elements: original,
                server_order: Vec::new(),
            }),
            Some(Class::Map) => self.merge_maps(original, patch),
            Some(_) => self.merge_scalars(original, &patch),
        }
    }

    pub(super) fn unmergeable(self) -> PatchError {
        PatchError::UnmergeableList(self.name.to_owned())
    }

    /// What all elements are; `None` without any. `sliceElementType`.
    fn class(self, original: &[Tree], patch: &[Value]) -> Result<Option<Class>, PatchError> {
        let element = self.shape.element();
        let classes = original
            .iter()
            .map(|tree| tree.class(element))
            .chain(patch.iter().map(Class::of));
        let mut found = None;
        for class in classes {
            if matches!(class, Class::List | Class::Null) || found.is_some_and(|found| found != class) {
                return Err(self.unmergeable());
            }
            found = Some(class);
        }
        Ok(found)
    }

    fn merge_maps(self, original: Vec<Tree>, patch: Vec<Value>) -> Result<Merged, PatchError> {
        if self.key.is_empty() {
            return Err(self.unmergeable());
        }
        let mut original = self.keyed(original)?;
        let count = original.len();
        let all_keys: Vec<Value> = original.iter().filter_map(|(key, _)| key.clone()).collect();
        let patch = self.instructions(patch)?;
        original.retain(|(key, _)| key.as_ref().is_none_or(|key| !patch.deleted.contains(key)));
        if patch.replace {
            let keyed = |(key, element)| Keyed {
                key,
                element: Tree::Fresh(Value::Object(element)),
            };
            let elements: Vec<_> = patch.elements.into_iter().map(keyed).collect();
            let own_order = keys(elements.iter());
            let elements = unkeyed(arrange(elements, &[], &own_order));
            return Ok(Merged {
                elements,
                server_order: all_keys,
            });
        }
        let server = keys(self.complete(original.clone())?.iter());
        let wanted: Vec<Value> = patch.elements.iter().map(|(key, _)| key.clone()).collect();
        for (key, element) in patch.elements {
            self.merge_element(&mut original, key, element)?;
        }
        let merged = self.complete(original)?;
        // Kubernetes appends in place: what it later takes for the server's order has as many elements as that had.
        let server_order = keys(merged.iter().take(count));
        Ok(Merged {
            elements: unkeyed(arrange(merged, &wanted, &server)),
            server_order,
        })
    }

    fn merge_element(self, original: &mut Elements, key: Value, element: Object) -> Result<(), PatchError> {
        let shape = self.shape.element();
        let found = original
            .iter_mut()
            .find(|(candidate, _)| candidate.as_ref() == Some(&key));
        match found {
            Some((key, current)) => {
                let opened = std::mem::replace(current, Tree::Fresh(Value::Null)).into_map(shape)?;
                *current = merge_map(opened, element, shape)?;
                *key = current.member(shape, self.key)?;
            }
            None => original.push((Some(key), Tree::Fresh(Value::Object(element)))),
        }
        Ok(())
    }

    /// Elements with their merge keys, if they have one.
    pub(super) fn keyed(self, list: Vec<Tree>) -> Result<Elements, PatchError> {
        let element = self.shape.element();
        list.into_iter()
            .map(|tree| {
                if tree.class(element) != Class::Map {
                    return Ok((Some(tree.scalar(element)?), tree));
                }
                let key = tree.member(element, self.key)?;
                if matches!(key, Some(Value::Object(_) | Value::Array(_))) {
                    return Err(PatchError::NoMergeKey(self.key));
                }
                Ok((key, tree))
            })
            .collect()
    }

    /// Elements that must all have their merge keys.
    pub(super) fn complete(self, list: Elements) -> Result<Vec<Keyed<Tree>>, PatchError> {
        list.into_iter()
            .map(|(key, element)| {
                Ok(Keyed {
                    key: key.ok_or(PatchError::NoMergeKey(self.key))?,
                    element,
                })
            })
            .collect()
    }

    fn instructions(self, patch: Vec<Value>) -> Result<Instructions, PatchError> {
        let mut instructions = Instructions::default();
        for value in patch {
            let Value::Object(mut element) = value else {
                return Err(self.unmergeable());
            };
            let directive = element.remove("$patch");
            match directive.as_ref().map(Value::as_str) {
                None => instructions.elements.push((self.key_of(&element)?, element)),
                Some(Some("delete")) => instructions.deleted.push(self.key_of(&element)?),
                Some(Some("replace")) => instructions.replace = true,
                Some(Some("merge")) => {
                    return Err(PatchError::directive("$patch", "a list cannot be told to merge"));
                }
                Some(_) => return Err(PatchError::directive("$patch", "unknown in a list")),
            }
        }
        if instructions.replace {
            // Kubernetes looks for the merge keys only when it orders the elements, with the same result.
            instructions.deleted.clear();
        }
        Ok(instructions)
    }

    pub(super) fn key_of(self, element: &Object) -> Result<Value, PatchError> {
        match element.get(self.key) {
            None | Some(Value::Object(_) | Value::Array(_)) => Err(PatchError::NoMergeKey(self.key)),
            Some(key) => Ok(key.clone()),
        }
    }

    fn merge_scalars(self, original: Vec<Tree>, patch: &[Value]) -> Result<Merged, PatchError> {
        let original = self.complete(self.keyed(original)?)?;
        let server_order = keys(original.iter());
        let added = patch.iter().map(|value| Keyed {
            key: value.clone(),
            element: Tree::Fresh(value.clone()),
        });
        let both = original.into_iter().chain(added);
        let elements = unkeyed(arrange(deduplicate(both), patch, &server_order));
        Ok(Merged {
            elements,
            server_order,
        })
    }
}

pub(super) fn keys<'a>(elements: impl Iterator<Item = &'a Keyed<Tree>>) -> Vec<Value> {
    elements.map(|element| element.key.clone()).collect()
}

pub(super) fn unkeyed(elements: Vec<Keyed<Tree>>) -> Vec<Tree> {
    elements.into_iter().map(|keyed| keyed.element).collect()
}

/// `deduplicateScalars`; the order in which it leaves them does not matter, they are put in order afterwards.
fn deduplicate(list: impl Iterator<Item = Keyed<Tree>>) -> Vec<Keyed<Tree>> {
    let mut kept: Vec<Keyed<Tree>> = Vec::new();
    for candidate in list {
        if kept.iter().all(|element| element.key != candidate.key) {
            kept.push(candidate);
        }
    }
    kept
}

/// Obeys `$deleteFromPrimitiveList`; `deleteFromSlice`.
pub(super) fn delete(
    list: Vec<Tree>,
    values: &[Value],
    name: &str,
    shape: Shape,
) -> Result<Vec<Tree>, PatchError> {
    let merge = Merge { name, shape, key: "" };
    if list.len().saturating_add(values.len()) > MAX_MERGED_ELEMENTS {
        return Err(PatchError::TooLong("a list"));
    }
    if merge.class(&list, values)? == Some(Class::Map) {
        return Err(merge.unmergeable());
    }
    let kept = merge.keyed(list)?.into_iter();
    let kept = kept.filter(|(key, _)| key.as_ref().is_none_or(|key| !values.contains(key)));
    Ok(kept.map(|(_, tree)| tree).collect())
}
