//! Trees from and to protobuf messages.
//!
//! The fields of embedded structs, which are messages of their own here, appear among those of their host, as in
//! JSON. Invariant: fields that were not changed keep their records; a message that was opened is written in the
//! order of its field numbers, which is the order in which Go writes it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use yurthub_object::{Reason, wire};

use super::{Class, Key, Map, Stored, Tree};
use crate::{
    error::PatchError,
    leaf::Leaf,
    schema::{Kind, Message, Shape},
};

/// The class of a value, by its type.
pub(super) const fn class(shape: Shape) -> Class {
    match shape {
        Shape { list: true, .. } => Class::List,
        Shape {
            kind: Some(Kind::Message(_) | Kind::Map(_) | Kind::FieldsV1),
            ..
        } => Class::Map,
        _ => Class::Scalar,
    }
}

/// The fields of a message.
pub(super) fn open_message(message: &Bytes, schema: Message) -> Result<Map, PatchError> {
    let mut fields = BTreeMap::new();
    collect(&mut fields, message, schema, 0)?;
    let mut map = Map::default();
    for ((outer, inner), records) in fields {
        let (inline, number) = if inner == 0 { (0, outer) } else { (outer, inner) };
        let key = match schema.numbered(inline, number) {
            Some(field) => Key::Name(field.name.into()),
            None => Key::Unknown { inline, number },
        };
        map.push(key, Tree::Stored(Stored::Protobuf(records.join())));
    }
    Ok(map)
}

/// The records of one field; they nearly always stand together.
enum Run {
    At { start: usize, end: usize, parent: Bytes },
    Joined(Vec<u8>),
}

impl Run {
    fn join(self) -> Bytes {
        match self {
            Self::At { start, end, parent } => parent.slice(start..end),
            Self::Joined(records) => records.into(),
        }
    }

    fn append(self, span: std::ops::Range<usize>, message: &Bytes) -> Self {
        match self {
            Self::At { start, end, parent } if end == span.start && parent.as_ptr() == message.as_ptr() => {
                Self::At {
                    start,
                    end: span.end,
                    parent,
                }
            }
            Self::At { start, end, parent } => Self::Joined([&parent[start..end], &message[span]].concat()),
            Self::Joined(mut records) => {
                records.extend_from_slice(&message[span]);
                Self::Joined(records)
            }
        }
    }
}

/// Sorts the records of a message by (field, field within an embedded struct or 0).
fn collect(
    fields: &mut BTreeMap<(u32, u32), Run>,
    message: &Bytes,
    schema: Message,
    inline: u32,
) -> Result<(), PatchError> {
    for field in wire::fields(message) {
        let field = field?;
        if inline == 0 && schema.embeds(field.number) {
            collect(fields, &message.slice(field.payload()?), schema, field.number)?;
            continue;
        }
        let key = if inline == 0 {
            (field.number, 0)
        } else {
            (inline, field.number)
        };
        let run = match fields.remove(&key) {
            Some(run) => run.append(field.span, message),
            None => Run::At {
                start: field.span.start,
                end: field.span.end,
                parent: message.clone(),
            },
        };
        fields.insert(key, run);
    }
    Ok(())
}

/// A single message or a map, from its records.
pub(super) fn open_map(records: &Bytes, shape: Shape) -> Result<Map, PatchError> {
    match shape {
        Shape {
            kind: Some(Kind::Message(schema)),
            list: false,
        } => open_message(&content(records)?, schema),
        Shape {
            kind: Some(Kind::Map(_)),
            list: false,
        } => open_entries(records),
        _ => Err(Reason::WrongType.into()),
    }
}

/// The content of a message; protobuf merges a message that is written in several records.
fn content(records: &Bytes) -> Result<Bytes, PatchError> {
    let mut found: Option<Bytes> = None;
    for field in wire::fields(records) {
        let payload = records.slice(field?.payload()?);
        found = Some(match found {
            None => payload,
            Some(earlier) => [earlier, payload].concat().into(),
        });
    }
    Ok(found.unwrap_or_default())
}

/// The entries of a map. Their values become records of field 2 of the entry.
fn open_entries(records: &Bytes) -> Result<Map, PatchError> {
    let mut map = Map::default();
    for field in wire::fields(records) {
        let entry = records.slice(field?.payload()?);
        let name = wire::text(&entry, &[1])?.to_owned();
        let value = match wire::last(&entry, 2)? {
            Some(value) => entry.slice(value.span),
            None => Bytes::from_static(&[2 << 3 | 2, 0]),
        };
        map.push(Key::Name(name.into()), Tree::Stored(Stored::Protobuf(value)));
    }
    Ok(map)
}

/// The elements of a repeated field. Integers may be packed.
pub(super) fn open_list(records: &Bytes, shape: Shape) -> Result<Vec<Tree>, PatchError> {
    let packable = matches!(shape.kind, Some(Kind::Bool | Kind::Int32 | Kind::Int64));
    let mut list = Vec::new();
    for field in wire::fields(records) {
        let field = field?;
        match field.value {
            wire::Value::Bytes(packed) if packable => {
                let mut at = 0;
                while at < packed.len() {
                    let mut record = Vec::new();
                    wire::put_number(&mut record, field.number, wire::read_varint(packed, &mut at)?);
                    list.push(Tree::Stored(Stored::Protobuf(record.into())));
                }
            }
            _ => list.push(Tree::Stored(Stored::Protobuf(records.slice(field.span)))),
        }
    }
    Ok(list)
}

/// Appends a message. What JSON names and the tables do not have is left out, as the apiserver does.
pub(super) fn put_message(out: &mut Vec<u8>, map: Map, schema: Message) -> Result<(), PatchError> {
    let mut fields: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    let mut embedded: BTreeMap<u32, BTreeMap<u32, Vec<u8>>> = BTreeMap::new();
    for (key, value) in map.into_members() {
        if matches!(value, Tree::Fresh(Value::Null)) {
            continue;
        }
        let mut records = Vec::new();
        let (inline, number) = match key {
            Key::Unknown { inline, number } => {
                put(&mut records, number, value, Shape::UNKNOWN, "")?;
                (inline, number)
            }
            Key::Name(name) => {
                let Some(field) = schema.named(&name) else {
                    continue;
                };
                put(&mut records, field.number, value, field.shape(), field.name)?;
                (field.inline, field.number)
            }
        };
        let place = if inline == 0 {
            &mut fields
        } else {
            embedded.entry(inline).or_default()
        };
        place.entry(number).or_default().append(&mut records);
    }
    for (inline, inner) in embedded {
        let content: Vec<u8> = inner.into_values().flatten().collect();
        wire::put_bytes(fields.entry(inline).or_default(), inline, &content);
    }
    for records in fields.into_values() {
        out.extend_from_slice(&records);
    }
    Ok(())
}

/// Appends the records of the field `number` whose type is `shape`.
fn put(out: &mut Vec<u8>, number: u32, tree: Tree, shape: Shape, name: &str) -> Result<(), PatchError> {
    match tree {
        Tree::Stored(Stored::Protobuf(records)) => out.extend_from_slice(&records),
        Tree::Stored(Stored::Json(_)) => return Err(Reason::WrongType.into()),
        Tree::Map(map) => put_map(out, number, map, shape, name)?,
        Tree::List(list) => {
            for element in list {
                put(out, number, element, shape.element(), name)?;
            }
        }
        Tree::Fresh(value) => put_fresh(out, number, value, shape, name)?,
    }
    Ok(())
}

fn put_map(out: &mut Vec<u8>, number: u32, map: Map, shape: Shape, name: &str) -> Result<(), PatchError> {
    match shape {
        Shape {
            kind: Some(Kind::Message(schema)),
            list: false,
        } => {
            let mut message = Vec::new();
            put_message(&mut message, map, schema)?;
            wire::put_bytes(out, number, &message);
        }
        Shape {
            kind: Some(Kind::Map(of)),
            list: false,
        } => {
            for (key, value) in map.into_members() {
                let Key::Name(key) = key else { continue };
                if matches!(value, Tree::Fresh(Value::Null)) {
                    continue;
                }
                let mut entry = Vec::new();
                wire::put_bytes(&mut entry, 1, key.as_bytes());
                put(&mut entry, 2, value, Shape::single(of.kind()), &key)?;
                wire::put_bytes(out, number, &entry);
            }
        }
        _ => return Err(PatchError::wrong_type(name, "no object")),
    }
    Ok(())
}

fn put_fresh(
    out: &mut Vec<u8>,
    number: u32,
    value: Value,
    shape: Shape,
    name: &str,
) -> Result<(), PatchError> {
    match (shape, value) {
        (Shape { kind: None, .. }, _) => {}
        (Shape { list: true, .. }, Value::Array(values)) => {
            for value in values {
                put_fresh(out, number, value, shape.element(), name)?;
            }
        }
        (Shape { list: true, .. }, _) => return Err(PatchError::wrong_type(name, "a list")),
        (
            Shape {
                kind: Some(Kind::Message(_) | Kind::Map(_)),
                ..
            },
            Value::Object(object),
        ) => {
            put_map(out, number, Map::fresh(object), shape, name)?;
        }
        (Shape { kind: Some(kind), .. }, value) => Leaf::of(kind, &value, name)?.put(out, number, kind),
    }
    Ok(())
}
