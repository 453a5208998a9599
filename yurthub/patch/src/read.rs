//! Reads single values of an object as JSON shows them, whichever its encoding.

use bytes::Bytes;
use serde_json::Value;
use yurthub_object::{Encoding, format_time};

use crate::{ObjectKind, PatchError, schema::Kind, tree};

/// The scalar at `path` in `item`, the stored form of an object; `None` where it or something on the way to it is
/// absent.
pub fn scalar(
    encoding: Encoding,
    kind: ObjectKind,
    item: &Bytes,
    path: &[&str],
) -> Result<Option<Value>, PatchError> {
    let Some((name, parents)) = path.split_last() else {
        return Ok(None);
    };
    let mut shape = kind.shape();
    let mut map = tree::open(encoding, item, shape)?;
    for parent in parents {
        shape = shape.child(parent);
        let Some(child) = map.take(parent) else {
            return Ok(None);
        };
        map = child.into_map(shape)?;
    }
    let Some(value) = map.take(name) else {
        return Ok(None);
    };
    let shape = shape.child(name);
    let value = shown(shape.kind, value.scalar(shape)?);
    Ok(Some(value).filter(|value| !value.is_null()))
}

/// Times of protobuf as JSON writes them.
fn shown(kind: Option<Kind>, value: Value) -> Value {
    let text = match (kind, &value) {
        (Some(Kind::Time), Value::Number(seconds)) => seconds.as_i64().map(format_time),
        (Some(Kind::MicroTime), Value::Array(parts)) => match parts.as_slice() {
            [seconds, micros] => seconds.as_i64().zip(micros.as_i64()).map(|(seconds, micros)| {
                let whole = format_time(seconds);
                format!("{}.{micros:06}Z", whole.trim_end_matches('Z'))
            }),
            _ => None,
        },
        _ => None,
    };
    text.map_or(value, Value::String)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategic;

    #[test]
    fn values_are_the_same_in_both_encodings() {
        let patch = json!({
            "involvedObject": { "uid": "u-1" }, "count": 7, "lastTimestamp": "2026-11-21T14:00:01Z",
            "series": { "count": 3, "lastObservedTime": "2026-11-21T14:00:01.123456Z" },
        });
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let empty = Bytes::from_static(if encoding == Encoding::Json { b"{}" } else { b"" });
            let kind = ObjectKind::CoreEvent;
            let item = strategic::apply(encoding, kind, &empty, patch.to_string().as_bytes()).unwrap();
            for (path, expected) in [
                (&["involvedObject", "uid"][..], Some(json!("u-1"))),
                (&["count"], Some(json!(7))),
                (&["lastTimestamp"], Some(json!("2026-11-21T14:00:01Z"))),
                (
                    &["series", "lastObservedTime"],
                    Some(json!("2026-11-21T14:00:01.123456Z")),
                ),
                (&["reason"], None),
                (&["related", "uid"], None),
                (&[], None),
            ] {
                let read = scalar(encoding, kind, &item, path).unwrap();
                assert_eq!(read, expected, "{encoding:?} {path:?}");
            }
        }
    }
}
