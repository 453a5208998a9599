//! JSON merge patch (RFC 7386), content type `application/merge-patch+json`.
//!
//! Lists are replaced as a whole. Invariant: what the patch does not name keeps its bytes.

use bytes::Bytes;
use serde_json::Value;
use yurthub_object::Encoding;

use crate::{
    ObjectKind, PatchError, parse,
    schema::{Kind, Shape},
    strategic::check_identity,
    tree::{self, Class, Map, Tree},
};

/// Applies `patch` to `item`, the stored form of an object as for [`strategic::apply`](crate::strategic::apply).
///
/// A `metadata.uid` in the patch is a precondition: [`PatchError::OtherUid`].
pub fn apply(encoding: Encoding, kind: ObjectKind, item: &Bytes, patch: &[u8]) -> Result<Bytes, PatchError> {
    let patch = parse(patch)?;
    let shape = kind.shape();
    let mut object = tree::open(encoding, item, shape)?;
    check_identity(&object, &patch, shape)?;
    merge(&mut object, patch, shape)?;
    tree::write(encoding, object, shape)
}

fn merge(original: &mut Map, patch: serde_json::Map<String, Value>, shape: Shape) -> Result<(), PatchError> {
    for (name, value) in patch {
        let current = original.take(&name);
        let child = shape.child(&name);
        let is_map = !child.list && matches!(child.kind, None | Some(Kind::Message(_) | Kind::Map(_)));
        let merged = match value {
            Value::Null => continue,
            Value::Object(value) if is_map => {
                let current = current.filter(|current| current.class(child) == Class::Map);
                let mut map = current
                    .map(|current| current.into_map(child))
                    .transpose()?
                    .unwrap_or_default();
                merge(&mut map, value, child)?;
                Tree::Map(map)
            }
            value => Tree::Fresh(value),
        };
        original.put(&name, merged);
    }
    Ok(())
}
