//! Values without members: between JSON and protobuf.
//!
//! Knows the forms of scalars and of the types that JSON writes as one value (`Time`, `Quantity`, …); not maps and
//! lists. Invariant: what [`Leaf::of`] takes, the apiserver takes; texts are kept as written, never normalized.

use bytes::Bytes;
use serde_json::Value;
use yurthub_object::{Reason, wire};

use crate::{error::PatchError, schema::Kind, timestamp::Timestamp};

/// A value of a patch that fits its field.
#[derive(Debug)]
pub(crate) enum Leaf {
    Varint(u64),
    Text(String),
    /// `None` is Go's zero time, an empty message.
    Time(Option<Timestamp>),
    Quantity(String),
    Number(i32),
    NumberOrText(String),
}

impl Leaf {
    /// Checks `value` against the type of the field `name`. Rules: `fromUnstructured` in
    /// `k8s.io/apimachinery/pkg/runtime/converter.go` and the types' own `UnmarshalJSON`.
    pub(crate) fn of(kind: Kind, value: &Value, name: &str) -> Result<Self, PatchError> {
        let (leaf, expected) = match kind {
            Kind::Bool => (
                value.as_bool().map(|value| Self::Varint(u64::from(value))),
                "a boolean",
            ),
            Kind::Int32 => (
                int32(value).map(|number| Self::Varint(i64::from(number).cast_unsigned())),
                "a 32-bit integer",
            ),
            Kind::Int64 => (
                integer(value).map(|number| Self::Varint(number.cast_unsigned())),
                "an integer",
            ),
            Kind::String => (text(value).map(Self::Text), "a string"),
            Kind::Time | Kind::MicroTime => (time(kind, value), "a time as in RFC 3339"),
            Kind::Quantity => (quantity(value).map(Self::Quantity), "a quantity"),
            Kind::IntOrString => (int_or_string(value), "an integer or a string"),
            Kind::FieldsV1 => (
                value.is_object().then(|| Self::Text(value.to_string())),
                "an object",
            ),
            // No kind that is patched has bytes.
            Kind::Bytes => (None, "base64"),
            Kind::Message(_) | Kind::Map(_) => (None, "an object"),
        };
        leaf.ok_or_else(|| PatchError::wrong_type(name, expected))
    }

    /// Appends the value as field `number`.
    pub(crate) fn put(&self, out: &mut Vec<u8>, number: u32, kind: Kind) {
        let mut message = Vec::new();
        match self {
            Self::Varint(value) => return wire::put_number(out, number, *value),
            Self::Text(text) if matches!(kind, Kind::FieldsV1) => {
                wire::put_bytes(&mut message, 1, text.as_bytes());
            }
            Self::Text(text) => return wire::put_bytes(out, number, text.as_bytes()),
            Self::Time(None) => {}
            Self::Time(Some(time)) => {
                wire::put_number(&mut message, 1, time.seconds.cast_unsigned());
                wire::put_number(&mut message, 2, u64::from(time.nanos));
            }
            Self::Quantity(text) => wire::put_bytes(&mut message, 1, text.as_bytes()),
            Self::Number(value) => put_int_or_string(&mut message, 0, *value, ""),
            Self::NumberOrText(text) => put_int_or_string(&mut message, 1, 0, text),
        }
        wire::put_bytes(out, number, &message);
    }
}

fn put_int_or_string(message: &mut Vec<u8>, variant: u64, number: i32, text: &str) {
    wire::put_number(message, 1, variant);
    wire::put_number(message, 2, i64::from(number).cast_unsigned());
    wire::put_bytes(message, 3, text.as_bytes());
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Integers, and floats without a fraction, which Go converts.
fn integer(value: &Value) -> Option<i64> {
    let whole = |float: f64| (float.fract() == 0.0 && float.abs() < 9.0e15).then_some(float as i64);
    value
        .as_i64()
        .or_else(|| value.as_f64().filter(|_| !value.is_u64()).and_then(whole))
}

fn int32(value: &Value) -> Option<i32> {
    integer(value).and_then(|number| i32::try_from(number).ok())
}

fn time(kind: Kind, value: &Value) -> Option<Leaf> {
    let mut time = Timestamp::parse(value.as_str()?)?;
    time.nanos = if matches!(kind, Kind::MicroTime) {
        time.nanos / 1000 * 1000
    } else {
        0
    };
    Some(Leaf::Time(Some(time).filter(|&time| time != Timestamp::ZERO)))
}

fn int_or_string(value: &Value) -> Option<Leaf> {
    match value {
        Value::String(text) => Some(Leaf::NumberOrText(text.clone())),
        _ => int32(value).map(Leaf::Number),
    }
}

/// A quantity: `ParseQuantity` in `k8s.io/apimachinery/pkg/api/resource/quantity.go`, by syntax.
fn quantity(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(&text);
    let digits = unsigned
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
        .count();
    let (number, suffix) = unsigned.split_at(digits);
    let is_number = number.bytes().any(|byte| byte.is_ascii_digit()) && number.matches('.').count() <= 1;
    (is_number && is_suffix(suffix)).then_some(text)
}

fn is_suffix(suffix: &str) -> bool {
    const UNITS: [&str; 16] = [
        "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    let exponent = suffix
        .strip_prefix(['e', 'E'])
        .map(|digits| digits.strip_prefix(['+', '-']).unwrap_or(digits));
    UNITS.contains(&suffix)
        || exponent
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The value of the records of one field, as comparable JSON: times as numbers, an empty time as null.
pub(crate) fn read(kind: Kind, records: &Bytes) -> Result<Value, PatchError> {
    let last = wire::fields(records).last().ok_or(Reason::Missing)??.value;
    Ok(match kind {
        Kind::Bool => Value::Bool(last.varint()? != 0),
        Kind::Int32 => Value::from(last.varint()? as i32),
        Kind::Int64 => Value::from(last.varint()?.cast_signed()),
        Kind::String => Value::from(last.text()?),
        Kind::Time | Kind::MicroTime => read_time(kind, last.bytes()?)?,
        Kind::Quantity => Value::from(wire::text(last.bytes()?, &[1])?),
        Kind::IntOrString if wire::varint(last.bytes()?, &[1])? == 0 => {
            Value::from(wire::varint(last.bytes()?, &[2])? as i32)
        }
        Kind::IntOrString => Value::from(wire::text(last.bytes()?, &[3])?),
        Kind::FieldsV1 => {
            let text = wire::message(last.bytes()?, &[1])?;
            serde_json::from_slice(text).unwrap_or_else(|_| Value::from(text))
        }
        Kind::Bytes | Kind::Message(_) | Kind::Map(_) => return Err(Reason::WrongType.into()),
    })
}

fn read_time(kind: Kind, message: &[u8]) -> Result<Value, PatchError> {
    if message.is_empty() {
        return Ok(Value::Null);
    }
    let (seconds, nanos) = (
        wire::varint(message, &[1])?.cast_signed(),
        wire::varint(message, &[2])?,
    );
    Ok(time_value(
        kind,
        Timestamp {
            seconds,
            nanos: u32::try_from(nanos).unwrap_or(u32::MAX),
        },
    ))
}

fn time_value(kind: Kind, time: Timestamp) -> Value {
    match kind {
        Kind::MicroTime => Value::from(vec![time.seconds, i64::from(time.nanos / 1000)]),
        _ => Value::from(time.seconds),
    }
}

/// The same for a value in JSON. What does not fit its type stays as it is, so this may also be given what [`read`]
/// has given.
pub(crate) fn comparable(kind: Kind, value: Value) -> Value {
    match Leaf::of(kind, &value, "") {
        Ok(Leaf::Time(Some(time))) => time_value(kind, time),
        Ok(Leaf::Time(None)) => Value::Null,
        Ok(Leaf::Varint(number)) if !matches!(kind, Kind::Bool) => Value::from(number.cast_signed()),
        Ok(Leaf::Quantity(text)) => Value::from(text),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_checked_by_syntax() {
        for good in [
            "0", "1", "-1.5Gi", "+2e3", "1E6", "5E", "100m", ".5", "3.", "1e-3", "7Ki", " 4 ",
        ] {
            assert!(quantity(&Value::from(good)).is_some(), "{good}");
        }
        for bad in ["", "x", "1.2.3", "1Kib", "1e", "--1", "1 Gi", "."] {
            assert!(quantity(&Value::from(bad)).is_none(), "{bad}");
        }
        assert_eq!(quantity(&Value::from(4)).as_deref(), Some("4"));
    }

    #[test]
    fn integers_must_fit() {
        assert_eq!(int32(&Value::from(80.0)), Some(80));
        assert_eq!(int32(&Value::from(80.5)), None);
        assert_eq!(int32(&Value::from(1_i64 << 31)), None);
        assert_eq!(integer(&Value::from(u64::MAX)), None);
        assert_eq!(integer(&Value::from("1")), None);
    }
}
