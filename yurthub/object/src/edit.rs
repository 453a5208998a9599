//! Changes one value within an object and leaves every other byte as it was.
//!
//! Paths address fields and members by number and name, not elements of arrays. Invariant: only
//! the value, and in protobuf the lengths of the messages around it, differ from the input.

use std::ops::Range;

use bytes::Bytes;

use crate::{Encoding, Malformed, Reason, json, wire};

/// Gives an item another version (`metadata.resourceVersion`).
pub fn set_resource_version(encoding: Encoding, item: &[u8], version: u64) -> Result<Bytes, Malformed> {
    let text = version.to_string();
    let edited = match encoding {
        Encoding::Json => {
            let quoted = format!("\"{text}\"");
            set_member(item, &["metadata", "resourceVersion"], quoted.as_bytes())
        }
        Encoding::Protobuf => set_field(item, &[1, 6], &NewValue::Bytes(text.as_bytes())),
    };
    edited
        .map(Bytes::from)
        .map_err(|reason| reason.reading("object to edit"))
}

/// What to put in place of a protobuf field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewValue<'a> {
    /// A string, bytes or message.
    Bytes(&'a [u8]),
    /// An integer or boolean.
    Varint(u64),
    /// Nothing: the field is taken out.
    Absent,
}

impl NewValue<'_> {
    fn put(&self, out: &mut Vec<u8>, number: u32) {
        match *self {
            Self::Bytes(bytes) => wire::put_bytes(out, number, bytes),
            Self::Varint(value) => wire::put_number(out, number, value),
            Self::Absent => {}
        }
    }
}

/// A message that is open on the way down to the edited field.
struct Level {
    number: u32,
    /// Where the field begins, its tag included.
    start: usize,
    /// Where its payload lies; it ends where the field ends.
    payload: Range<usize>,
}

/// Sets the field at `path` in a protobuf message, which is given without an envelope.
///
/// Where a field is repeated its last occurrence is set. A field that is absent is put where its
/// number belongs, as Go's marshaller orders them; messages on the way that are absent are made.
pub fn set_field(message: &[u8], path: &[u32], value: &NewValue<'_>) -> Result<Vec<u8>, Reason> {
    let mut open: Vec<Level> = Vec::with_capacity(path.len());
    let mut within = 0..message.len();
    let mut rest = path;
    let mut target = None;
    while let [number, deeper @ ..] = rest {
        let place = locate(message, within.clone(), *number)?;
        match place {
            Place::Found(level) if !deeper.is_empty() => {
                within = level.payload.clone().ok_or(Reason::WrongType)?;
                open.push(Level {
                    number: *number,
                    start: level.span.start,
                    payload: within.clone(),
                });
                rest = deeper;
            }
            Place::Found(level) => {
                target = Some(level.span);
                break;
            }
            Place::Absent(at) => {
                target = Some(at..at);
                break;
            }
        }
    }
    let target = target.ok_or(Reason::Missing)?;
    let new = nested(rest, value);
    Ok(splice(message, &open, target, &new))
}

struct Found {
    span: Range<usize>,
    payload: Option<Range<usize>>,
}

enum Place {
    Found(Found),
    /// Where the field would stand.
    Absent(usize),
}

fn locate(message: &[u8], within: Range<usize>, number: u32) -> Result<Place, Reason> {
    let base = within.start;
    let mut found = None;
    let mut insert_at = within.start;
    for field in wire::fields(message.get(within).ok_or(Reason::Truncated)?) {
        let field = field?;
        let shifted = |range: Range<usize>| base + range.start..base + range.end;
        if field.number <= number {
            insert_at = base + field.span.end;
        }
        if field.number == number {
            let payload = field.payload().ok().map(shifted);
            found = Some(Found {
                span: shifted(field.span),
                payload,
            });
        }
    }
    Ok(found.map_or(Place::Absent(insert_at), Place::Found))
}

/// The new field, inside the messages of `path` that do not exist yet.
fn nested(path: &[u32], value: &NewValue<'_>) -> Vec<u8> {
    let mut field = Vec::new();
    let mut numbers = path.iter().rev();
    if let (Some(number), false) = (numbers.next(), *value == NewValue::Absent) {
        value.put(&mut field, *number);
        for number in numbers {
            let mut outer = Vec::with_capacity(wire::field_len(*number, field.len()));
            wire::put_bytes(&mut outer, *number, &field);
            field = outer;
        }
    }
    field
}

/// Puts `new` in place of `target`, and new lengths on the messages that are open around it.
fn splice(message: &[u8], open: &[Level], target: Range<usize>, new: &[u8]) -> Vec<u8> {
    let mut removed = target.len();
    let mut added = new.len();
    let mut headers = Vec::with_capacity(open.len());
    for level in open.iter().rev() {
        let length = level.payload.len() - removed + added;
        let mut header = Vec::with_capacity(2 * wire::MAX_VARINT);
        wire::put_header(&mut header, level.number, length);
        removed += level.payload.start - level.start;
        added += header.len();
        headers.push(header);
    }
    let mut out = Vec::with_capacity(message.len() - removed + added);
    let mut copied = 0;
    let mut copy = |out: &mut Vec<u8>, up_to: usize, next: usize| {
        out.extend_from_slice(message.get(copied..up_to).unwrap_or_default());
        copied = next;
    };
    for (level, header) in open.iter().zip(headers.iter().rev()) {
        copy(&mut out, level.start, level.payload.start);
        out.extend_from_slice(header);
    }
    copy(&mut out, target.start, target.end);
    out.extend_from_slice(new);
    copy(&mut out, message.len(), message.len());
    out
}

/// Sets the member at `path` in a JSON object to the raw value `value`.
///
/// A member that is absent is put last in its object; objects on the way that are absent or `null`
/// are made.
pub fn set_member(text: &[u8], path: &[&str], value: &[u8]) -> Result<Vec<u8>, Reason> {
    let mut at = json::skip_space(text, 0);
    let mut rest = path;
    while let [name, deeper @ ..] = rest {
        match member_or_end(text, at, name)? {
            MemberPlace::Found(start) => at = start,
            MemberPlace::InNull(null) => {
                let mut new = b"{".to_vec();
                put_member(&mut new, name, deeper, value);
                new.push(b'}');
                return Ok(replace(text, null, &new));
            }
            MemberPlace::Absent { at: end, first } => {
                let mut new = Vec::with_capacity(value.len() + 16 * rest.len());
                if !first {
                    new.push(b',');
                }
                put_member(&mut new, name, deeper, value);
                return Ok(replace(text, end..end, &new));
            }
        }
        rest = deeper;
    }
    let end = json::skip(text, at)?;
    Ok(replace(text, at..end, value))
}

/// Takes the member at `path` out of a JSON object, with the comma that it leaves over. An absent
/// member is no error: the text comes back as it is.
pub fn remove_member(text: &[u8], path: &[&str]) -> Result<Vec<u8>, Reason> {
    let Some((name, parents)) = path.split_last() else {
        return Err(Reason::Missing);
    };
    let mut at = json::skip_space(text, 0);
    for parent in parents {
        match json::member(text, at, parent)? {
            Some(value) => at = value,
            None => return Ok(text.to_vec()),
        }
    }
    let mut members = json::Members::at(text, at)?;
    let mut previous_end = None;
    while let Some(member) = members.next()? {
        let value = members.value()?;
        if member.key == name.as_bytes() {
            // The comma before it goes with it; for the first member the one behind.
            let following = members.next()?.map(|next| next.start);
            let range = match (previous_end, following) {
                (Some(end), _) => end..value.end,
                (None, Some(next)) => member.start..next,
                (None, None) => member.start..value.end,
            };
            return Ok(replace(text, range, b""));
        }
        previous_end = Some(value.end);
    }
    Ok(text.to_vec())
}

enum MemberPlace {
    /// Where its value begins.
    Found(usize),
    /// There is a `null`, here, instead of the object.
    InNull(Range<usize>),
    /// Where it would stand, and whether it would be the object's only member.
    Absent { at: usize, first: bool },
}

fn member_or_end(text: &[u8], at: usize, name: &str) -> Result<MemberPlace, Reason> {
    let mut members = json::Members::at(text, at)?;
    let mut last_end = None;
    while let Some(member) = members.next()? {
        if member.key == name.as_bytes() {
            return Ok(MemberPlace::Found(member.value));
        }
        last_end = Some(members.value()?.end);
    }
    let end = members.end();
    if text.get(end.saturating_sub(1)) != Some(&b'}') {
        return Ok(MemberPlace::InNull(end.saturating_sub(b"null".len())..end));
    }
    let first = last_end.is_none();
    let at = last_end.unwrap_or(end - 1);
    Ok(MemberPlace::Absent { at, first })
}

fn put_member(out: &mut Vec<u8>, name: &str, deeper: &[&str], value: &[u8]) {
    json::put(out, &name);
    out.push(b':');
    for name in deeper {
        out.push(b'{');
        json::put(out, name);
        out.push(b':');
    }
    out.extend_from_slice(value);
    out.extend(deeper.iter().map(|_| b'}'));
}

fn replace(text: &[u8], range: Range<usize>, new: &[u8]) -> Vec<u8> {
    let before = text.get(..range.start).unwrap_or_default();
    let after = text.get(range.end..).unwrap_or_default();
    [before, new, after].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::meta;

    fn set(text: &str, path: &[&str], value: &str) -> Result<String, Reason> {
        set_member(text.as_bytes(), path, value.as_bytes()).map(|out| String::from_utf8(out).unwrap())
    }

    #[test]
    fn members_are_set_in_place() {
        for (text, path, want) in [
            (r#"{"a":1,"b":2}"#, &["a"][..], r#"{"a":9,"b":2}"#),
            (r#"{"a":{"b":[1],"c":3}}"#, &["a", "b"], r#"{"a":{"b":9,"c":3}}"#),
            (r#"{"a": {"c":3} }"#, &["a", "b"], r#"{"a": {"c":3,"b":9} }"#),
            (
                r#"{"a":null,"c":3}"#,
                &["a", "b", "d"],
                r#"{"a":{"b":{"d":9}},"c":3}"#,
            ),
            ("{}", &["a"], r#"{"a":9}"#),
            ("{ }", &["a"], r#"{ "a":9}"#),
            (r#"{"x":0}"#, &["a", "b", "c"], r#"{"x":0,"a":{"b":{"c":9}}}"#),
        ] {
            assert_eq!(set(text, path, "9").unwrap(), want, "{text} {path:?}");
        }
        assert_eq!(set(r#"{"a":[]}"#, &["a", "b"], "9"), Err(Reason::WrongType));
    }

    #[test]
    fn members_are_removed_with_their_comma() {
        for (text, path, want) in [
            (r#"{"a":1,"b":2,"c":3}"#, &["a"][..], r#"{"b":2,"c":3}"#),
            (r#"{"a":1,"b":2,"c":3}"#, &["b"], r#"{"a":1,"c":3}"#),
            (r#"{"a":1,"b":2,"c":3}"#, &["c"], r#"{"a":1,"b":2}"#),
            (r#"{"a":{"b":1}}"#, &["a", "b"], r#"{"a":{}}"#),
            (r#"{"a":{"b":1}}"#, &["a", "x"], r#"{"a":{"b":1}}"#),
            (r#"{"a":{"b":1}}"#, &["x", "a"], r#"{"a":{"b":1}}"#),
        ] {
            let out = remove_member(text.as_bytes(), path).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), want, "{text} {path:?}");
        }
    }

    #[test]
    fn lengths_around_a_field_grow_and_shrink() {
        let mut inner = Vec::new();
        wire::put_number(&mut inner, 1, 5);
        wire::put_number(&mut inner, 9, 6);
        let mut outer = Vec::new();
        wire::put_bytes(&mut outer, 2, &inner);
        wire::put_bytes(&mut outer, 7, b"end");

        let long = vec![b'x'; 300];
        let grown = set_field(&outer, &[2, 4], &NewValue::Bytes(&long)).unwrap();
        assert_eq!(
            wire::find(&grown, &[2, 4]).unwrap(),
            Some(wire::Value::Bytes(&long))
        );
        let numbers: Vec<_> = wire::fields(wire::message(&grown, &[2]).unwrap())
            .map(|field| field.unwrap().number)
            .collect();
        assert_eq!(numbers, [1, 4, 9], "in the order of Go's marshaller");
        assert_eq!(set_field(&grown, &[2, 4], &NewValue::Absent).unwrap(), outer);
        assert_eq!(set_field(&outer, &[3, 1, 1], &NewValue::Absent).unwrap(), outer);
        assert_eq!(
            set_field(&outer, &[2, 1, 1], &NewValue::Varint(1)),
            Err(Reason::WrongType)
        );

        let made = set_field(&outer, &[5, 3], &NewValue::Varint(1)).unwrap();
        assert_eq!(wire::varint(&made, &[5, 3]), Ok(1));
        assert_eq!(wire::text(&made, &[7]), Ok("end"));
    }

    proptest! {
        #[test]
        fn versions_are_set_and_can_be_set_back(name in "[a-z]{1,20}", before: u64, after: u64, pad in 0..300_usize) {
            let json = format!(
                r#"{{"metadata":{{"name":"{name}","resourceVersion":"{before}"}},"x":"{}"}}"#, "p".repeat(pad));
            let mut meta = Vec::new();
            wire::put_bytes(&mut meta, 1, name.as_bytes());
            wire::put_bytes(&mut meta, 6, before.to_string().as_bytes());
            wire::put_bytes(&mut meta, 12, &vec![0; pad]);
            let mut message = Vec::new();
            wire::put_bytes(&mut message, 1, &meta);
            wire::put_bytes(&mut message, 99, b"unknown");
            for (encoding, item) in [(Encoding::Json, json.into_bytes()), (Encoding::Protobuf, message)] {
                let edited = set_resource_version(encoding, &item, after).unwrap();
                prop_assert_eq!(meta::key(encoding, &edited).unwrap().resource_version, after);
                let back = set_resource_version(encoding, &edited, before).unwrap();
                prop_assert_eq!(&back[..], &item[..]);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, path in prop::collection::vec(1_u32..4, 0..4)) {
            let _ = set_field(&bytes, &path, &NewValue::Varint(3));
            let _ = set_member(&bytes, &["metadata", "a"], b"1");
            let _ = remove_member(&bytes, &["metadata", "a"]);
        }
    }
}
