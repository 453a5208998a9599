//! Protobuf of built-in kinds as the JSON that the apiserver writes for the same object.
//!
//! The rules are Go's: members in the order of the struct, zero values left out where the tag says `omitempty`, structs
//! never, `null` for lists and maps that are empty and have no such tag (`encoding/json`; the types' own `MarshalJSON`).
//! Fields that the tables do not have are left out. Invariant: work and result are bounded, whatever the bytes: the
//! tables nest without cycles, and a result of more than [`MAX_DECODED`] bytes is an error.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;
use yurthub_object::wire::{self, Value};
use yurthub_object::{Malformed, Reason, format_time, json};
use yurthub_schema::{Field, Kind, Message};

/// The longest JSON of one object, in bytes. etcd takes 1.5 MiB of protobuf; what is mostly zeros grows.
pub const MAX_DECODED: usize = 16 << 20;

/// The JSON of an item, without `kind` and `apiVersion`: the form in which it stands in a list of its kind.
pub fn item(message: Message, item: &[u8]) -> Result<Bytes, Malformed> {
    let mut out = Vec::with_capacity(item.len() * 2);
    put_message(&mut out, message, &[Value::Bytes(item)]).map_err(|reason| reason.reading("object"))?;
    Ok(out.into())
}

/// The JSON of an item of any kind with nothing but its metadata, which all kinds have in the same place.
pub fn metadata(item: &[u8]) -> Result<Bytes, Malformed> {
    let shape = Message::of("v1", "Namespace").and_then(|kind| kind.named("metadata"));
    let Some(Kind::Message(message)) = shape.map(|field| field.kind) else {
        return Err(Reason::Missing.reading("metadata"));
    };
    let put = || {
        let mut out = b"{\"metadata\":".to_vec();
        put_message(&mut out, message, &[Value::Bytes(wire::message(item, &[1])?)])?;
        out.push(b'}');
        Ok(out.into())
    };
    put().map_err(|reason: Reason| reason.reading("metadata"))
}

/// A record of a message: the number of the embedded struct that it is in (0: none), its own, and its value.
type Record<'a> = (u32, u32, Value<'a>);

/// The records of a message; protobuf merges a message that is written in several parts.
fn records<'a>(message: Message, parts: &[Value<'a>]) -> Result<Vec<Record<'a>>, Reason> {
    let mut records = Vec::new();
    for part in parts {
        for field in wire::fields(part.bytes()?) {
            let field = field?;
            if message.embeds(field.number) {
                for inner in wire::fields(field.value.bytes()?) {
                    let inner = inner?;
                    records.push((field.number, inner.number, inner.value));
                }
            } else {
                records.push((0, field.number, field.value));
            }
        }
    }
    Ok(records)
}

fn put_message(out: &mut Vec<u8>, message: Message, parts: &[Value<'_>]) -> Result<(), Reason> {
    let records = records(message, parts)?;
    let mut separator = b'{';
    for field in message.fields() {
        let values: Vec<_> = records
            .iter()
            .filter(|(inline, number, _)| *number == field.number && *inline == field.inline)
            .map(|(_, _, value)| *value)
            .collect();
        if is_left_out(&field, &values)? {
            continue;
        }
        out.push(separator);
        separator = b',';
        out.push(b'"');
        out.extend_from_slice(field.name.as_bytes());
        out.extend_from_slice(b"\":");
        put_field(out, &field, &values)?;
        if out.len() > MAX_DECODED {
            return Err(Reason::TooLong);
        }
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
    Ok(())
}

/// Whether JSON leaves the field out.
fn is_left_out(field: &Field, values: &[Value<'_>]) -> Result<bool, Reason> {
    if field.omitzero && !field.pointer && is_zero_time(values)? {
        return Ok(true);
    }
    if !field.omitempty {
        return Ok(false);
    }
    let Some(last) = values.last() else {
        // Structs by value, and what JSON writes as one value though it is a struct, are never empty.
        let is_struct = matches!(
            field.kind,
            Kind::Message(_)
                | Kind::Time
                | Kind::MicroTime
                | Kind::Quantity
                | Kind::IntOrString
                | Kind::FieldsV1
        );
        return Ok(field.list || field.pointer || !is_struct);
    };
    Ok(match field.kind {
        _ if field.list || field.pointer => false,
        Kind::Bool | Kind::Int32 | Kind::Int64 => last.varint()? == 0,
        Kind::String | Kind::Bytes => last.bytes()?.is_empty(),
        _ => false,
    })
}

fn is_zero_time(values: &[Value<'_>]) -> Result<bool, Reason> {
    match values.last() {
        None => Ok(true),
        Some(time) => Ok(read_time(time.bytes()?)?.is_none()),
    }
}

fn put_field(out: &mut Vec<u8>, field: &Field, values: &[Value<'_>]) -> Result<(), Reason> {
    if field.list {
        return put_list(out, field.kind, values);
    }
    match (field.kind, values) {
        (Kind::Map(of), values) => put_map(out, of.kind(), values),
        (_, []) if field.pointer => {
            out.extend_from_slice(b"null");
            Ok(())
        }
        (Kind::Message(message), parts) => put_message(out, message, parts),
        (kind, values) => put_value(out, kind, values.last().copied()),
    }
}

fn put_list(out: &mut Vec<u8>, kind: Kind, values: &[Value<'_>]) -> Result<(), Reason> {
    if values.is_empty() {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    let is_number = matches!(kind, Kind::Bool | Kind::Int32 | Kind::Int64);
    let mut separator = b'[';
    let mut put = |out: &mut Vec<u8>, value: Value<'_>| {
        out.push(separator);
        separator = b',';
        if out.len() > MAX_DECODED {
            return Err(Reason::TooLong);
        }
        match kind {
            Kind::Message(message) => put_message(out, message, &[value]),
            kind => put_value(out, kind, Some(value)),
        }
    };
    for value in values {
        match value {
            Value::Bytes(packed) if is_number => {
                let mut at = 0;
                while at < packed.len() {
                    let number = wire::read_varint(packed, &mut at)?;
                    put(out, Value::Varint(number))?;
                }
            }
            value => put(out, *value)?,
        }
    }
    if separator == b'[' {
        out.push(b'['); // a packed list of nothing
    }
    out.push(b']');
    Ok(())
}

/// Keys are sorted, as `encoding/json` does; of two entries with one key the later counts.
fn put_map(out: &mut Vec<u8>, kind: Kind, values: &[Value<'_>]) -> Result<(), Reason> {
    if values.is_empty() {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    let mut entries = BTreeMap::new();
    for entry in values {
        let entry = entry.bytes()?;
        let key = String::from_utf8_lossy(wire::message(entry, &[1])?);
        entries.insert(key, wire::find(entry, &[2])?);
    }
    let mut separator = b'{';
    for (key, value) in entries {
        out.push(separator);
        separator = b',';
        json::put(out, &key);
        out.push(b':');
        put_value(out, kind, value)?;
        if out.len() > MAX_DECODED {
            return Err(Reason::TooLong);
        }
    }
    out.push(b'}');
    Ok(())
}

/// A value that JSON writes as one; absent means zero.
fn put_value(out: &mut Vec<u8>, kind: Kind, value: Option<Value<'_>>) -> Result<(), Reason> {
    let bytes = || value.map_or(Ok(&[][..]), Value::bytes);
    let number = || value.map_or(Ok(0), Value::varint);
    match kind {
        Kind::Bool => json::put(out, &(number()? != 0)),
        Kind::Int32 => json::put(out, &(number()? as i32)),
        Kind::Int64 => json::put(out, &number()?.cast_signed()),
        Kind::String => put_text(out, bytes()?),
        Kind::Bytes => json::put(out, &STANDARD.encode(bytes()?)),
        Kind::Time => put_time(out, bytes()?, false)?,
        Kind::MicroTime => put_time(out, bytes()?, true)?,
        Kind::Quantity => match wire::message(bytes()?, &[1])? {
            b"" => out.extend_from_slice(b"\"0\""),
            text => put_text(out, text),
        },
        Kind::IntOrString if wire::varint(bytes()?, &[1])? == 0 => {
            json::put(out, &(wire::varint(bytes()?, &[2])? as i32));
        }
        Kind::IntOrString => put_text(out, wire::message(bytes()?, &[3])?),
        Kind::FieldsV1 => put_raw(out, wire::message(bytes()?, &[1])?)?,
        Kind::Message(_) | Kind::Map(_) => return Err(Reason::WrongType), // no element of a list or map
    }
    Ok(())
}

/// Go replaces what is not UTF-8.
fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    json::put(out, &String::from_utf8_lossy(text));
}

/// JSON within protobuf.
fn put_raw(out: &mut Vec<u8>, text: &[u8]) -> Result<(), Reason> {
    if text.is_empty() {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    let raw: &RawValue = serde_json::from_slice(text).map_err(|_| Reason::Syntax)?;
    out.extend_from_slice(raw.get().as_bytes());
    Ok(())
}

/// Seconds and nanoseconds; `None` is Go's zero time (`Unmarshal` of `Time` in
/// `k8s.io/apimachinery/pkg/apis/meta/v1/time_proto.go`).
fn read_time(message: &[u8]) -> Result<Option<(i64, u64)>, Reason> {
    let (seconds, nanos) = (
        wire::varint(message, &[1])?.cast_signed(),
        wire::varint(message, &[2])?,
    );
    Ok(((seconds, nanos) != (0, 0)).then_some((seconds, nanos)))
}

fn put_time(out: &mut Vec<u8>, message: &[u8], micros: bool) -> Result<(), Reason> {
    match read_time(message)? {
        None => out.extend_from_slice(b"null"),
        Some((seconds, _)) if !micros => json::put(out, &format_time(seconds)),
        Some((seconds, nanos)) => {
            let whole = format_time(seconds);
            let micros = nanos.min(999_999_999) / 1000;
            json::put(out, &format!("{}.{micros:06}Z", whole.trim_end_matches('Z')));
        }
    }
    Ok(())
}
