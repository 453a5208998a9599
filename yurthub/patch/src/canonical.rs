//! Objects as comparable values: what means the same is equal, whichever the encoding.
//!
//! Absent, null and zero are one where Kubernetes makes no difference (a Go value that is no pointer), times are
//! points in time, members have no order, lists have one. Nothing is ever written from these values. Invariant:
//! unknown fields count, by their bytes in protobuf and by their value in JSON.

use serde_json::Value;

use crate::{
    error::PatchError,
    leaf,
    schema::{Field, Kind, Shape},
    tree::{Key, Map, Stored, Tree},
};

/// The value of a tree whose type is `shape`; null when it is nothing.
pub(crate) fn of(tree: Tree, shape: Shape) -> Result<Value, PatchError> {
    let Some(kind) = shape.kind else {
        return unknown(tree);
    };
    if matches!(&tree, Tree::Stored(Stored::Json(text)) if text.as_ref() == b"null") {
        return Ok(Value::Null);
    }
    if shape.list {
        let elements = tree
            .into_list(shape)?
            .into_iter()
            .map(|element| of(element, shape.element()));
        return Ok(Value::Array(elements.collect::<Result<_, _>>()?));
    }
    match kind {
        Kind::Message(_) | Kind::Map(_) => of_map(tree.into_map(shape)?, shape),
        _ => tree.scalar(shape).map(|value| leaf::comparable(kind, value)),
    }
}

/// The value of a message or map.
pub(crate) fn of_map(map: Map, shape: Shape) -> Result<Value, PatchError> {
    let mut members = serde_json::Map::new();
    for (key, value) in map.into_members() {
        match key {
            Key::Name(name) => {
                let value = of(value, shape.child(&name))?;
                if value.is_null()
                    || shape
                        .field(&name)
                        .is_some_and(|field| means_nothing(&field, &value))
                {
                    continue;
                }
                members.insert(name.into_owned(), value);
            }
            Key::Unknown { inline, number } => {
                members.insert(format!("#{inline}.{number}"), unknown(value)?);
            }
        }
    }
    Ok(Value::Object(members))
}

/// Whether a field with this value might as well not be there.
fn means_nothing(field: &Field, value: &Value) -> bool {
    let is_reference = field.list || matches!(field.kind, Kind::Map(_));
    if field.pointer {
        return false;
    }
    match value {
        Value::Array(list) => is_reference && list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty() || (matches!(field.kind, Kind::Quantity) && text == "0"),
        Value::Number(number) => {
            matches!(field.kind, Kind::Int32 | Kind::Int64) && number.as_i64() == Some(0)
        }
        Value::Bool(value) => !value,
        Value::Null => true,
    }
}

fn unknown(tree: Tree) -> Result<Value, PatchError> {
    match tree {
        Tree::Stored(Stored::Protobuf(records)) => Ok(Value::from(records.as_ref())),
        Tree::Stored(Stored::Json(_)) | Tree::Fresh(_) => tree.scalar(Shape::UNKNOWN),
        Tree::List(list) => Ok(Value::Array(
            list.into_iter().map(unknown).collect::<Result<_, _>>()?,
        )),
        Tree::Map(map) => of_map(map, Shape::UNKNOWN),
    }
}
