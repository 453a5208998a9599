//! Changes values in the depth of an object, in elements of arrays and in several places at once, and
//! leaves every other byte as it was.
//!
//! [`crate::edit`] sets one value at a path. Here the caller walks down level by level: each function hands
//! the raw values of one level to a closure, which gives what to put in place of each; closures nest. `None`
//! is "as it was", on each level, so that nothing is copied where nothing changes. What is absent is never
//! made. Of JSON members with the same key the first counts, as everywhere in this crate; of a protobuf
//! field each occurrence.
//!
//! Invariant: outside the values that were changed only lengths of protobuf messages around them differ.
//! Work: each level copies what it holds at most once, so a caller's depth bounds it, and depth is code.

use std::{borrow::Cow, ops::Range};

use crate::{
    Reason,
    edit::{self, NewValue},
    json, wire,
};

/// What to put in place of some bytes: `None` leaves them.
pub type Rewritten = Result<Option<Vec<u8>>, Reason>;

/// Several changes of the same bytes, one after the other.
#[derive(Debug)]
pub struct Draft<'a>(Cow<'a, [u8]>);

impl<'a> Draft<'a> {
    /// Nothing changed yet.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(Cow::Borrowed(bytes))
    }

    /// One more change, on top of those before it.
    pub fn then(mut self, change: impl FnOnce(&[u8]) -> Rewritten) -> Result<Self, Reason> {
        if let Some(new) = change(&self.0)? {
            self.0 = Cow::Owned(new);
        }
        Ok(self)
    }

    /// The bytes, if any of the changes did something.
    pub fn finish(self) -> Option<Vec<u8>> {
        match self.0 {
            Cow::Borrowed(_) => None,
            Cow::Owned(new) => Some(new),
        }
    }
}

/// A copy of `source` with some ranges replaced, given from front to back.
struct Copy<'a> {
    source: &'a [u8],
    copied: usize,
    out: Vec<u8>,
    changed: bool,
}

impl<'a> Copy<'a> {
    const fn of(source: &'a [u8]) -> Self {
        Self {
            source,
            copied: 0,
            out: Vec::new(),
            changed: false,
        }
    }

    fn replace(&mut self, range: &Range<usize>, new: &[u8]) {
        if !self.changed {
            self.changed = true;
            self.out.reserve(self.source.len() + new.len());
        }
        let before = self.source.get(self.copied..range.start).unwrap_or_default();
        self.out.extend_from_slice(before);
        self.out.extend_from_slice(new);
        self.copied = range.end;
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        self.changed.then(|| {
            self.out
                .extend_from_slice(self.source.get(self.copied..).unwrap_or_default());
            self.out
        })
    }
}

/// Changes the value of member `key` of the JSON object that `object` begins with.
pub fn member(object: &[u8], key: &str, change: impl FnOnce(&[u8]) -> Rewritten) -> Rewritten {
    let mut members = json::Members::at(object, 0)?;
    while let Some(member) = members.next()? {
        if member.key == key.as_bytes() {
            let range = members.value()?;
            let new = change(object.get(range.clone()).ok_or(Reason::Truncated)?)?;
            return Ok(new.and_then(|new| {
                let mut copy = Copy::of(object);
                copy.replace(&range, &new);
                copy.finish()
            }));
        }
    }
    Ok(None)
}

/// Changes elements of the JSON array that `array` begins with.
pub fn elements(array: &[u8], mut change: impl FnMut(&[u8]) -> Rewritten) -> Rewritten {
    let mut copy = Copy::of(array);
    let mut elements = json::Elements::at(array, 0)?;
    while let Some(range) = elements.next()? {
        if let Some(new) = change(array.get(range.clone()).ok_or(Reason::Truncated)?)? {
            copy.replace(&range, &new);
        }
    }
    Ok(copy.finish())
}

/// Makes a raw JSON string, which is not `null`, say `text`.
pub fn string(raw: &[u8], text: &str) -> Rewritten {
    if raw == b"null" || json::string(raw)? == text {
        return Ok(None);
    }
    let mut new = Vec::with_capacity(text.len() + 2);
    json::put(&mut new, &text);
    Ok(Some(new))
}

/// Changes the payloads of the length-delimited fields `number` of a protobuf message.
pub fn payloads(message: &[u8], number: u32, mut change: impl FnMut(&[u8]) -> Rewritten) -> Rewritten {
    let mut copy = Copy::of(message);
    for field in wire::fields(message) {
        let field = field?;
        if field.number == number
            && let Some(new) = change(field.value.bytes()?)?
        {
            let mut whole = Vec::with_capacity(wire::field_len(number, new.len()));
            wire::put_bytes(&mut whole, number, &new);
            copy.replace(&field.span, &whole);
        }
    }
    Ok(copy.finish())
}

/// Leaves one of the length-delimited fields `number`, with this payload, at the place of the first.
pub fn only(message: &[u8], number: u32, payload: &[u8]) -> Rewritten {
    let mut copy = Copy::of(message);
    let mut first = true;
    for field in wire::fields(message) {
        let field = field?;
        if field.number != number {
            continue;
        }
        let same = field.value.bytes()? == payload;
        if !first {
            copy.replace(&field.span, b"");
        } else if !same {
            let mut whole = Vec::with_capacity(wire::field_len(number, payload.len()));
            wire::put_bytes(&mut whole, number, payload);
            copy.replace(&field.span, &whole);
        }
        first = false;
    }
    Ok(copy.finish())
}

/// Makes the string or number `number` of a protobuf message, which is there, this one.
pub fn scalar(message: &[u8], number: u32, value: &NewValue<'_>) -> Rewritten {
    let Some(field) = wire::last(message, number)? else {
        return Ok(None);
    };
    let same = match *value {
        NewValue::Bytes(new) => field.value.bytes()? == new,
        NewValue::Varint(new) => field.value.varint()? == new,
        NewValue::Absent => false,
    };
    if same {
        return Ok(None);
    }
    edit::set_field(message, &[number], value).map(Some)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(rewritten: Rewritten) -> Option<String> {
        rewritten.unwrap().map(|new| String::from_utf8(new).unwrap())
    }

    #[test]
    fn values_in_elements_change_and_the_space_around_them_stays() {
        let before = r#" { "a" : [ {"n":"x", "v" : "1"} , {"n":"y","v":"2"},{"n":"x"} ] , "z" : null } "#;
        let change = |with: &'static str| {
            member(before.as_bytes(), "a", |array| {
                elements(array, |element| match json::find(element, &["n"])? {
                    Some(br#""x""#) => member(element, "v", |raw| string(raw, with)),
                    _ => Ok(None),
                })
            })
        };
        let after = r#" { "a" : [ {"n":"x", "v" : "\u003c"} , {"n":"y","v":"2"},{"n":"x"} ] , "z" : null } "#;
        assert_eq!(text(change("<")).unwrap(), after);
        assert_eq!(text(change("1")), None, "equal to what is there");
    }

    #[test]
    fn what_is_absent_or_null_is_not_made() {
        let refuse = |_: &[u8]| -> Rewritten { panic!("not there") };
        assert_eq!(text(member(br#"{"a":1}"#, "b", refuse)), None);
        assert_eq!(text(member(b"null", "b", refuse)), None);
        assert_eq!(text(elements(b"[ ]", refuse)), None);
        assert_eq!(text(string(b"null", "x")), None);
        assert_eq!(payloads(b"", 3, refuse), Ok(None));
        assert_eq!(only(b"", 3, b"x"), Ok(None));
        assert_eq!(scalar(b"", 3, &NewValue::Varint(1)), Ok(None));
    }

    #[test]
    fn values_of_another_type_are_refused() {
        let keep = |_: &[u8]| Ok(None);
        assert_eq!(member(b"[]", "a", keep), Err(Reason::WrongType));
        assert_eq!(elements(b"{}", keep), Err(Reason::WrongType));
        assert_eq!(string(b"1", "a"), Err(Reason::WrongType));
        let mut number = Vec::new();
        wire::put_number(&mut number, 3, 1);
        assert_eq!(payloads(&number, 3, keep), Err(Reason::WrongType));
        assert_eq!(only(&number, 3, b""), Err(Reason::WrongType));
        assert_eq!(scalar(&number, 3, &NewValue::Bytes(b"")), Err(Reason::WrongType));
    }

    #[test]
    fn a_repeated_field_shrinks_to_one() {
        let mut message = Vec::new();
        wire::put_bytes(&mut message, 18, b"10.96.0.1");
        wire::put_number(&mut message, 3, 7);
        wire::put_bytes(&mut message, 18, b"fd00::1");
        let one = only(&message, 18, b"1.2.3.4").unwrap().unwrap();
        let mut want = Vec::new();
        wire::put_bytes(&mut want, 18, b"1.2.3.4");
        wire::put_number(&mut want, 3, 7);
        assert_eq!(one, want);
        assert_eq!(only(&one, 18, b"1.2.3.4"), Ok(None));
        let shorter = only(&message, 18, b"10.96.0.1").unwrap().unwrap();
        assert_eq!(wire::text(&shorter, &[18]), Ok("10.96.0.1"), "the second is gone");
    }

    #[test]
    fn a_draft_is_unchanged_until_something_changes() {
        let keep = |_: &[u8]| Ok(None);
        assert_eq!(Draft::new(b"a").then(keep).unwrap().finish(), None);
        let add = |bytes: &[u8]| Ok(Some([bytes, b"+"].concat()));
        let draft = Draft::new(b"a").then(add).unwrap().then(keep).unwrap();
        assert_eq!(draft.then(add).unwrap().finish(), Some(b"a++".to_vec()));
    }

    proptest! {
        #[test]
        fn nested_payloads_change_and_can_be_changed_back(
            before in prop::collection::vec(any::<u8>(), 0..300),
            after in prop::collection::vec(any::<u8>(), 0..300),
            others in prop::collection::vec((2_u32..40, prop::collection::vec(any::<u8>(), 0..200)), 0..6),
        ) {
            let mut inner = Vec::new();
            for (number, payload) in &others {
                wire::put_bytes(&mut inner, *number, payload);
            }
            wire::put_bytes(&mut inner, 1, &before);
            let mut outer = Vec::new();
            wire::put_number(&mut outer, 9, 9);
            wire::put_bytes(&mut outer, 5, &inner);
            wire::put_bytes(&mut outer, 7, b"behind");
            let set = |message: &[u8], value: &[u8]| {
                payloads(message, 5, |inner| {
                    payloads(inner, 1, |_| Ok(Some(value.to_vec())))
                }).unwrap().unwrap()
            };
            let changed = set(&outer, &after);
            prop_assert_eq!(wire::message(&changed, &[5, 1]), Ok(&after[..]));
            prop_assert_eq!(set(&changed, &before), outer);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, number in 1_u32..4) {
            let set = |_: &[u8]| Ok(Some(b"1".to_vec()));
            let _ = member(&bytes, "a", set);
            let _ = elements(&bytes, set);
            let _ = string(&bytes, "a");
            let _ = payloads(&bytes, number, set);
            let _ = only(&bytes, number, b"a");
            let _ = scalar(&bytes, number, &NewValue::Varint(1));
        }
    }
}
