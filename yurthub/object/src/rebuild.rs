//! Changes the elements of a list within an object and leaves every other byte as it was.
//!
//! [`edit`](crate::edit) sets one value at a path; these functions walk what is repeated. What an
//! element means is the caller's: he is given it raw and says what stands there instead. Each walk
//! looks at the input once and copies it once, however many elements change.

use std::ops::Range;

use crate::{Reason, json, wire};

/// A copy of some bytes with parts of it replaced, given from front to back.
#[derive(Debug)]
pub struct Splice<'a> {
    source: &'a [u8],
    out: Vec<u8>,
    copied: usize,
}

impl<'a> Splice<'a> {
    /// Begins a copy of `source`.
    pub const fn new(source: &'a [u8]) -> Self {
        Self {
            source,
            out: Vec::new(),
            copied: 0,
        }
    }

    /// Puts `new` in place of `range`, which must lie behind the ranges given before.
    pub fn replace(&mut self, range: Range<usize>, new: &[u8]) {
        debug_assert!(
            self.copied <= range.start && range.start <= range.end && range.end <= self.source.len()
        );
        if self.out.capacity() == 0 {
            self.out.reserve(self.source.len() + new.len());
        }
        let before = self.source.get(self.copied..range.start).unwrap_or_default();
        self.out.extend_from_slice(before);
        self.out.extend_from_slice(new);
        self.copied = range.end;
    }

    /// The copy; `None` when nothing was replaced.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        if self.copied == 0 && self.out.is_empty() {
            return None;
        }
        let rest = self.source.get(self.copied..).unwrap_or_default();
        self.out.extend_from_slice(rest);
        Some(self.out)
    }
}

/// What a caller makes of one element: the bytes that stand there instead, or `None` to leave it.
pub type Change = Result<Option<Vec<u8>>, Reason>;

/// Offers each occurrence of the message field `number` to `change`; `None` when it changed none.
pub fn each_message(message: &[u8], number: u32, mut change: impl FnMut(&[u8]) -> Change) -> Change {
    let mut splice = Splice::new(message);
    for field in wire::fields(message) {
        let field = field?;
        if field.number != number {
            continue;
        }
        if let Some(new) = change(field.value.bytes()?)? {
            let mut whole = Vec::with_capacity(wire::field_len(number, new.len()));
            wire::put_bytes(&mut whole, number, &new);
            splice.replace(field.span, &whole);
        }
    }
    Ok(splice.finish())
}

/// Offers each element of the array that is member `name` of a JSON object to `change`; `None` when
/// it changed none, or when there is no such array.
pub fn each_element(text: &[u8], name: &str, mut change: impl FnMut(&[u8]) -> Change) -> Change {
    let mut splice = Splice::new(text);
    if let Some(at) = json::member(text, 0, name)? {
        let mut elements = json::Elements::at(text, at)?;
        while let Some(range) = elements.next()? {
            let element = text.get(range.clone()).ok_or(Reason::Truncated)?;
            if let Some(new) = change(element)? {
                splice.replace(range, &new);
            }
        }
    }
    Ok(splice.finish())
}

/// Where a field `number` that is absent belongs: behind the last field of no greater number.
pub fn insert_at(message: &[u8], number: u32) -> Result<usize, Reason> {
    let mut at = 0;
    for field in wire::fields(message) {
        let field = field?;
        if field.number <= number {
            at = field.span.end;
        }
    }
    Ok(at)
}

/// Puts `values` in place of all occurrences of the length-delimited field `number`: where the first
/// of them stood, or where the number belongs when there was none.
pub fn set_repeated<'v>(
    message: &[u8],
    number: u32,
    values: impl IntoIterator<Item = &'v [u8]>,
) -> Result<Vec<u8>, Reason> {
    let mut new = Vec::new();
    for value in values {
        wire::put_bytes(&mut new, number, value);
    }
    let mut old = Vec::new();
    for field in wire::fields(message) {
        let field = field?;
        if field.number == number {
            old.push(field.span);
        }
    }
    if old.is_empty() {
        let at = insert_at(message, number)?;
        old.push(at..at);
    }
    let mut splice = Splice::new(message);
    for (index, span) in old.into_iter().enumerate() {
        let here: &[u8] = if index == 0 { &new } else { &[] };
        splice.replace(span, here);
    }
    Ok(splice.finish().unwrap_or_else(|| message.to_vec()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(fields: &[(u32, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, payload) in fields {
            wire::put_bytes(&mut out, *number, payload);
        }
        out
    }

    /// Makes "b" an "x" of 200 bytes and refuses "z".
    fn change(element: &[u8]) -> Change {
        match element {
            b"b" | b"\"b\"" => Ok(Some(vec![b'7'; 200])),
            b"z" | b"\"z\"" => Err(Reason::BadNumber),
            _ => Ok(None),
        }
    }

    #[test]
    fn only_changed_elements_differ() {
        let x = [b'7'; 200];
        let before = message(&[(2, b"a"), (1, b"b"), (2, b"b"), (3, b"c"), (2, b"b")]);
        let after = message(&[(2, b"a"), (1, b"b"), (2, &x), (3, b"c"), (2, &x)]);
        assert_eq!(each_message(&before, 2, change), Ok(Some(after)));
        assert_eq!(each_message(&before, 3, change), Ok(None));
        assert_eq!(
            each_message(&message(&[(2, b"z")]), 2, change),
            Err(Reason::BadNumber)
        );
        assert_eq!(each_message(&[0x10, 1], 2, change), Err(Reason::WrongType));

        let x = "7".repeat(200);
        let before = br#"{"m":["b"], "l" : [ "a", "b" ,"b" ],"n":1}"#;
        let after = format!(r#"{{"m":["b"], "l" : [ "a", {x} ,{x} ],"n":1}}"#);
        assert_eq!(each_element(before, "l", change), Ok(Some(after.into_bytes())));
        for none in [&br#"{"l":["a"]}"#[..], br#"{"l":null}"#, br#"{"m":["b"]}"#, b"{}"] {
            assert_eq!(each_element(none, "l", change), Ok(None));
        }
        assert_eq!(
            each_element(br#"{"l":["z"]}"#, "l", change),
            Err(Reason::BadNumber)
        );
        assert_eq!(each_element(br#"{"l":{}}"#, "l", change), Err(Reason::WrongType));
    }

    #[test]
    fn repeated_fields_are_set_in_place() {
        let values: [&[u8]; 2] = [b"x", b"y"];
        for (before, after) in [
            (
                message(&[(1, b"a"), (2, b"b"), (9, b"c"), (2, b"d")]),
                message(&[(1, b"a"), (2, b"x"), (2, b"y"), (9, b"c")]),
            ),
            (
                message(&[(1, b"a"), (9, b"c")]),
                message(&[(1, b"a"), (2, b"x"), (2, b"y"), (9, b"c")]),
            ),
            (message(&[]), message(&[(2, b"x"), (2, b"y")])),
        ] {
            assert_eq!(set_repeated(&before, 2, values), Ok(after));
        }
        let gone = set_repeated(&message(&[(2, b"b"), (3, b"c")]), 2, []);
        assert_eq!(gone, Ok(message(&[(3, b"c")])));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, text in r#"[\{\}\[\]",:lb\\ ]{0,30}"#) {
            let same = |element: &[u8]| Ok(Some(element.to_vec()));
            let _ = each_message(&bytes, 2, same);
            let _ = set_repeated(&bytes, 2, [&b"x"[..]]);
            if let Ok(Some(out)) = each_element(text.as_bytes(), "l", same) {
                prop_assert_eq!(out, text.into_bytes());
            }
        }
    }
}
