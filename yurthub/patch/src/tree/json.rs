//! Trees from and to JSON text.
//!
//! Invariant: members that were not changed keep their text and order; keys and numbers are not normalized.

use bytes::Bytes;
use serde_json::Value;
use yurthub_object::{
    Reason,
    json::{self, Elements, Members},
};

use super::{Class, Key, Map, Stored, Tree, is_directive};
use crate::{
    error::PatchError,
    leaf::Leaf,
    schema::{Kind, Shape},
};

/// The class of a value, by its first byte.
pub(super) fn class(text: &[u8]) -> Class {
    match text.get(json::skip_space(text, 0)) {
        Some(b'{') => Class::Map,
        Some(b'[') => Class::List,
        Some(b'n') => Class::Null,
        _ => Class::Scalar,
    }
}

/// The members of an object.
pub(super) fn open_object(text: &Bytes) -> Result<Map, PatchError> {
    let mut map = Map::default();
    let mut members = Members::at(text, 0)?;
    while let Some(member) = members.next()? {
        let name = json::key(member.key)?.into_owned();
        let value = Tree::Stored(Stored::Json(text.slice(members.value()?)));
        map.push(Key::Name(name.into()), value);
    }
    whole(text, members.end())?;
    Ok(map)
}

/// The elements of an array.
pub(super) fn open_list(text: &Bytes) -> Result<Vec<Tree>, PatchError> {
    let mut list = Vec::new();
    let mut elements = Elements::at(text, 0)?;
    while let Some(element) = elements.next()? {
        list.push(Tree::Stored(Stored::Json(text.slice(element))));
    }
    whole(text, elements.end())?;
    Ok(list)
}

fn whole(text: &[u8], end: usize) -> Result<(), PatchError> {
    if json::skip_space(text, end) == text.len() {
        Ok(())
    } else {
        Err(Reason::Syntax.into())
    }
}

/// A stored value as a whole.
pub(super) fn value(text: &[u8]) -> Result<Value, PatchError> {
    serde_json::from_slice(text).map_err(|_| Reason::Syntax.into())
}

/// Appends a tree whose type is `shape`; `name` is the field's, for errors.
pub(super) fn put(out: &mut Vec<u8>, tree: Tree, shape: Shape, name: &str) -> Result<(), PatchError> {
    match tree {
        Tree::Stored(Stored::Json(text)) => out.extend_from_slice(&text),
        Tree::Stored(Stored::Protobuf(_)) => return Err(Reason::WrongType.into()),
        Tree::Map(map) => put_object(out, map, shape)?,
        Tree::List(list) => put_list(out, list, shape, name)?,
        Tree::Fresh(value) => put_fresh(out, value, shape, name)?,
    }
    Ok(())
}

fn put_object(out: &mut Vec<u8>, map: Map, shape: Shape) -> Result<(), PatchError> {
    out.push(b'{');
    let start = out.len();
    for (key, value) in map.into_members() {
        let Key::Name(name) = key else {
            return Err(Reason::WrongType.into());
        };
        if matches!(value, Tree::Fresh(Value::Null)) || (shape.message().is_some() && is_directive(&name)) {
            continue;
        }
        if out.len() > start {
            out.push(b',');
        }
        json::put(out, &name);
        out.push(b':');
        put(out, value, shape.child(&name), &name)?;
    }
    out.push(b'}');
    Ok(())
}

fn put_list(out: &mut Vec<u8>, list: Vec<Tree>, shape: Shape, name: &str) -> Result<(), PatchError> {
    out.push(b'[');
    for (i, element) in list.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        put(out, element, shape.element(), name)?;
    }
    out.push(b']');
    Ok(())
}

/// Appends a value of a patch if it fits its type; where the type is unknown anything does.
fn put_fresh(out: &mut Vec<u8>, value: Value, shape: Shape, name: &str) -> Result<(), PatchError> {
    match (shape, value) {
        (Shape { kind: None, .. }, value) => json::put(out, &value),
        (Shape { list: true, .. }, Value::Array(values)) => {
            put_list(out, values.into_iter().map(Tree::Fresh).collect(), shape, name)?;
        }
        (Shape { list: true, .. }, _) => return Err(PatchError::wrong_type(name, "a list")),
        (
            Shape {
                kind: Some(Kind::Message(_) | Kind::Map(_)),
                ..
            },
            Value::Object(object),
        ) => {
            put_object(out, Map::fresh(object), shape)?;
        }
        (Shape { kind: Some(kind), .. }, value) => match Leaf::of(kind, &value, name)? {
            // Typed objects print quantities as strings.
            Leaf::Quantity(text) => json::put(out, &text),
            _ => json::put(out, &value),
        },
    }
    Ok(())
}
