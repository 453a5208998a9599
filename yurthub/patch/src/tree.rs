//! An object opened only as far as it is changed.
//!
//! A [`Tree`] is a value as it is stored, a value of a patch, or a map or list whose members are trees again.
//! `json` and `protobuf` open stored values one level and write trees. It merges nothing itself.
//! Invariant: a value that was never opened is written with the bytes that it was read with; unknown fields of a
//! message are members without a name.

mod json;
mod protobuf;

use std::{borrow::Cow, collections::HashMap};

use bytes::Bytes;
use serde_json::Value;
use yurthub_object::{Encoding, Reason};

use crate::{
    error::PatchError,
    leaf,
    schema::{Field, Shape},
};

/// A value in an object.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    /// As stored, not looked into.
    Stored(Stored),
    /// From a patch: nulls and directives in it are not written.
    Fresh(Value),
    Map(Map),
    List(Vec<Self>),
}

/// The bytes of a value.
#[derive(Clone, Debug)]
pub(crate) enum Stored {
    /// The text of a JSON value.
    Json(Bytes),
    /// All records of a field, tags included; of an element or a map's value, its record.
    Protobuf(Bytes),
}

/// What strategic merge patches tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Null,
    Scalar,
    List,
    Map,
}

impl Class {
    /// The class of a JSON value.
    pub(crate) const fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Object(_) => Self::Map,
            Value::Array(_) => Self::List,
            _ => Self::Scalar,
        }
    }
}

/// Opens an object.
pub(crate) fn open(encoding: Encoding, item: &Bytes, shape: Shape) -> Result<Map, PatchError> {
    match encoding {
        Encoding::Json => json::open_object(item),
        Encoding::Protobuf => protobuf::open_message(item, shape.message().ok_or(Reason::WrongType)?),
    }
}

/// Writes an object.
pub(crate) fn write(encoding: Encoding, object: Map, shape: Shape) -> Result<Bytes, PatchError> {
    let mut out = Vec::new();
    match encoding {
        Encoding::Json => json::put(&mut out, Tree::Map(object), shape, "")?,
        Encoding::Protobuf => {
            protobuf::put_message(&mut out, object, shape.message().ok_or(Reason::WrongType)?)?;
        }
    }
    Ok(out.into())
}

impl Tree {
    /// Map, list or scalar, where its type is `shape`.
    pub(crate) fn class(&self, shape: Shape) -> Class {
        match self {
            Self::Map(_) => Class::Map,
            Self::List(_) => Class::List,
            Self::Fresh(value) => Class::of(value),
            Self::Stored(Stored::Json(text)) => json::class(text),
            Self::Stored(Stored::Protobuf(_)) => protobuf::class(shape),
        }
    }

    /// Opens a map.
    pub(crate) fn into_map(self, shape: Shape) -> Result<Map, PatchError> {
        match self {
            Self::Map(map) => Ok(map),
            Self::Fresh(Value::Object(object)) => Ok(Map::fresh(object)),
            Self::Stored(Stored::Json(text)) => json::open_object(&text),
            Self::Stored(Stored::Protobuf(records)) => protobuf::open_map(&records, shape),
            Self::Fresh(_) | Self::List(_) => Err(Reason::WrongType.into()),
        }
    }

    /// Opens a list; null is an empty one.
    pub(crate) fn into_list(self, shape: Shape) -> Result<Vec<Self>, PatchError> {
        match self {
            Self::List(list) => Ok(list),
            Self::Fresh(Value::Array(values)) => Ok(values.into_iter().map(Self::Fresh).collect()),
            Self::Fresh(Value::Null) => Ok(Vec::new()),
            Self::Stored(Stored::Json(text)) => json::open_list(&text),
            Self::Stored(Stored::Protobuf(records)) => protobuf::open_list(&records, shape),
            Self::Fresh(_) | Self::Map(_) => Err(Reason::WrongType.into()),
        }
    }

    /// A scalar as JSON, for comparisons.
    pub(crate) fn scalar(&self, shape: Shape) -> Result<Value, PatchError> {
        match self {
            Self::Fresh(value) => Ok(value.clone()),
            Self::Stored(Stored::Json(text)) => json::value(text),
            Self::Stored(Stored::Protobuf(records)) => leaf::read(
                shape.kind.filter(|_| !shape.list).ok_or(Reason::WrongType)?,
                records,
            ),
            Self::Map(_) | Self::List(_) => Err(Reason::WrongType.into()),
        }
    }

    /// The scalar member `name` of a map without changing it, as the JSON of the object would show it: an empty
    /// value that JSON leaves out is absent, one that it writes is there.
    pub(crate) fn member(&self, shape: Shape, name: &str) -> Result<Option<Value>, PatchError> {
        if let Self::Fresh(Value::Object(object)) = self {
            return Ok(object.get(name).cloned());
        }
        let opened;
        let map = match self {
            Self::Map(map) => map,
            other => {
                opened = other.clone().into_map(shape)?;
                &opened
            }
        };
        let value = map
            .get(name)
            .map(|value| value.scalar(shape.child(name)))
            .transpose()?;
        let Some(field) = shape.field(name).filter(|field| !field.pointer && !field.list) else {
            return Ok(value);
        };
        Ok(match value {
            Some(value) if field.omitempty && is_zero(&value) => None,
            None if !field.omitempty => zero(&field),
            value => value,
        })
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn zero(field: &Field) -> Option<Value> {
    use crate::schema::Kind;
    match field.kind {
        Kind::Bool => Some(Value::Bool(false)),
        Kind::Int32 | Kind::Int64 => Some(Value::from(0)),
        Kind::String => Some(Value::from("")),
        _ => None,
    }
}

/// A map or message with its members in the order in which they stood.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    entries: Vec<Entry>,
    index: HashMap<Cow<'static, str>, usize>,
}

/// A member; `value` is `None` once it has been taken.
#[derive(Clone, Debug)]
struct Entry {
    key: Key,
    value: Option<Tree>,
}

/// What a member is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Name(Cow<'static, str>),
    /// A protobuf field that the tables do not have, within the embedded struct `inline` (0: none).
    Unknown {
        inline: u32,
        number: u32,
    },
}

impl Key {
    /// The numbers of an unknown field: of the embedded struct that it is in, and its own.
    pub(crate) const fn unknown(&self) -> Option<(u32, u32)> {
        match self {
            Self::Unknown { inline, number } => Some((*inline, *number)),
            Self::Name(_) => None,
        }
    }
}

impl Map {
    /// The members of a patch's object.
    pub(crate) fn fresh(object: serde_json::Map<String, Value>) -> Self {
        let mut map = Self::default();
        for (name, value) in object {
            map.push(Key::Name(name.into()), Tree::Fresh(value));
        }
        map
    }

    /// Appends a member; of two with one name the later is the one that is found.
    fn push(&mut self, key: Key, value: Tree) {
        if let Key::Name(name) = &key
            && let Some(earlier) = self.index.insert(name.clone(), self.entries.len())
            && let Some(entry) = self.entries.get_mut(earlier)
        {
            entry.value = None;
        }
        self.entries.push(Entry {
            key,
            value: Some(value),
        });
    }

    /// The member `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&Tree> {
        self.entries.get(*self.index.get(name)?)?.value.as_ref()
    }

    /// Takes the member `name` out; [`Map::put`] gives it its place back.
    pub(crate) fn take(&mut self, name: &str) -> Option<Tree> {
        self.entries.get_mut(*self.index.get(name)?)?.value.take()
    }

    /// Sets the member `name`.
    pub(crate) fn put(&mut self, name: &str, value: Tree) {
        let slot = self
            .index
            .get(name)
            .and_then(|&index| self.entries.get_mut(index));
        match slot {
            Some(entry) => entry.value = Some(value),
            None => self.push(Key::Name(name.to_owned().into()), value),
        }
    }

    /// Keeps the members that `keep` accepts.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Key) -> bool) {
        for entry in &mut self.entries {
            if !keep(&entry.key) {
                entry.value = None;
            }
        }
    }

    /// Appends an unknown field.
    pub(crate) fn put_unknown(&mut self, inline: u32, number: u32, value: Tree) {
        self.push(Key::Unknown { inline, number }, value);
    }

    /// The members in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Tree)> {
        self.entries
            .iter()
            .filter_map(|entry| Some((&entry.key, entry.value.as_ref()?)))
    }

    /// The members in order.
    pub(crate) fn into_members(self) -> impl Iterator<Item = (Key, Tree)> {
        self.entries
            .into_iter()
            .filter_map(|entry| Some((entry.key, entry.value?)))
    }
}

/// Whether a key of a patch is a directive. The apiserver drops those that nothing obeyed, with all other fields
/// that a type does not have.
pub(crate) fn is_directive(key: &str) -> bool {
    const DIRECTIVES: [&str; 4] = [
        "$patch",
        "$retainKeys",
        "$setElementOrder",
        "$deleteFromPrimitiveList",
    ];
    key.starts_with('$') && DIRECTIVES.iter().any(|directive| key.starts_with(directive))
}
