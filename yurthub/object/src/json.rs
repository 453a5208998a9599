//! Walks raw JSON: where members and values lie, without building a tree.
//!
//! Numbers are checked only for their alphabet, strings only for their ends and control characters;
//! text is checked (UTF-8, escapes) when it is read. Of members with the same key the first counts
//! (Kubernetes writes no duplicates). Invariant: no recursion, nesting bounded by
//! [`MAX_DEPTH`], each byte of a skipped value looked at once, every range within the text.

use std::{borrow::Cow, ops::Range};

use crate::Reason;

/// How deep containers may nest.
pub const MAX_DEPTH: usize = 512;

/// The kinds of containers that are open, one bit each.
#[derive(Default)]
struct Stack {
    objects: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Stack {
    fn push(&mut self, object: bool) -> Result<(), Reason> {
        let word = self.objects.get_mut(self.depth / 64).ok_or(Reason::TooDeep)?;
        let bit = 1 << (self.depth % 64);
        *word = if object { *word | bit } else { *word & !bit };
        self.depth += 1;
        Ok(())
    }

    /// Whether the innermost open container is an object; false when none is open.
    fn in_object(&self) -> bool {
        let Some(top) = self.depth.checked_sub(1) else {
            return false;
        };
        self.objects
            .get(top / 64)
            .is_some_and(|word| word >> (top % 64) & 1 == 1)
    }

    const fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }
}

/// The offset of the first byte at or after `at` that is not white space.
pub fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

fn byte(text: &[u8], at: usize) -> Result<u8, Reason> {
    text.get(at).copied().ok_or(Reason::Truncated)
}

fn expect(text: &[u8], at: usize, wanted: u8) -> Result<usize, Reason> {
    if byte(text, at)? == wanted {
        Ok(at + 1)
    } else {
        Err(Reason::Syntax)
    }
}

/// How many bytes of a string's inside come before the first that is not plain: a quote, a backslash
/// or a control character. Looks at eight bytes at a time, for most of JSON is strings.
pub(crate) fn plain_len(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    // The lowest set bit of `below` marks the first byte that is less than `limit` (≤ 0x80).
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    let mut at = 0;
    while let Some(word) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = below(word, 0x20) | quote | backslash;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = text.get(at..).unwrap_or_default();
    let is_plain = |byte: &u8| !matches!(byte, b'"' | b'\\' | 0..0x20);
    at + rest.iter().take_while(|byte| is_plain(byte)).count()
}

/// The offset behind the string that begins at `at`.
fn skip_string(text: &[u8], at: usize) -> Result<usize, Reason> {
    let mut at = expect(text, at, b'"')?;
    loop {
        at += plain_len(text.get(at..).ok_or(Reason::Truncated)?);
        match byte(text, at)? {
            b'"' => return Ok(at + 1),
            b'\\' => {
                byte(text, at + 1)?;
                at += 2;
            }
            _ => return Err(Reason::Syntax),
        }
    }
}

/// The offset behind a string, number or literal that begins at `at`.
fn skip_scalar(text: &[u8], at: usize) -> Result<usize, Reason> {
    let literal: &[u8] = match byte(text, at)? {
        b'"' => return skip_string(text, at),
        b't' => b"true",
        b'f' => b"false",
        b'n' => b"null",
        b'-' | b'0'..=b'9' => {
            let rest = text.get(at..).ok_or(Reason::Truncated)?;
            let is_number = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
            return Ok(at + rest.iter().take_while(|byte| is_number(byte)).count());
        }
        _ => return Err(Reason::Syntax),
    };
    let rest = text.get(at..).ok_or(Reason::Truncated)?;
    if rest.starts_with(literal) {
        Ok(at + literal.len())
    } else if literal.starts_with(rest) {
        Err(Reason::Truncated)
    } else {
        Err(Reason::Syntax)
    }
}

/// The offset of the value of the member whose key begins at `at`.
fn skip_key(text: &[u8], at: usize) -> Result<usize, Reason> {
    let at = skip_space(text, skip_string(text, at)?);
    Ok(skip_space(text, expect(text, at, b':')?))
}

/// The offset behind the value that begins at `at` (white space before it is allowed).
pub fn skip(text: &[u8], at: usize) -> Result<usize, Reason> {
    let mut open = Stack::default();
    let mut at = skip_space(text, at);
    loop {
        let first = byte(text, at)?;
        if matches!(first, b'{' | b'[') {
            open.push(first == b'{')?;
            at = skip_space(text, at + 1);
            let empty = byte(text, at)? == if first == b'{' { b'}' } else { b']' };
            if !empty {
                if first == b'{' {
                    at = skip_key(text, at)?;
                }
                continue;
            }
        } else {
            at = skip_scalar(text, at)?;
        }
        match close(text, at, &mut open)? {
            Next::Value(next) => at = next,
            Next::End(end) => return Ok(end),
        }
    }
}

enum Next {
    Value(usize),
    End(usize),
}

/// Behind a value: closes what ends here, up to the next value or the end of the outermost one.
fn close(text: &[u8], mut at: usize, open: &mut Stack) -> Result<Next, Reason> {
    loop {
        if open.depth == 0 {
            return Ok(Next::End(at));
        }
        at = skip_space(text, at);
        match (byte(text, at)?, open.in_object()) {
            (b'}', true) | (b']', false) => {
                open.pop();
                at += 1;
            }
            (b',', true) => return Ok(Next::Value(skip_key(text, skip_space(text, at + 1))?)),
            (b',', false) => return Ok(Next::Value(skip_space(text, at + 1))),
            _ => return Err(Reason::Syntax),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    BeforeFirst,
    BeforeValue,
    BehindValue,
    End,
}

/// A cursor over the elements of one container, objects and arrays alike.
#[derive(Debug, Clone)]
struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    place: Place,
    close: u8,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a [u8], at: usize, brackets: [u8; 2]) -> Result<Self, Reason> {
        let at = skip_space(text, at);
        match byte(text, at)? {
            open if open == brackets[0] => Ok(Self {
                text,
                at: at + 1,
                place: Place::BeforeFirst,
                close: brackets[1],
            }),
            b'n' => Ok(Self {
                text,
                at: skip_scalar(text, at)?,
                place: Place::End,
                close: brackets[1],
            }),
            b'{' | b'[' | b'"' | b't' | b'f' | b'-' | b'0'..=b'9' => Err(Reason::WrongType),
            _ => Err(Reason::Syntax),
        }
    }

    /// Moves to the start of the next element; false at the end.
    fn advance(&mut self) -> Result<bool, Reason> {
        if self.place == Place::BeforeValue {
            self.value()?;
        }
        if self.place == Place::End {
            return Ok(false);
        }
        self.at = skip_space(self.text, self.at);
        let next = byte(self.text, self.at)?;
        if next == self.close {
            self.at += 1;
            self.place = Place::End;
            return Ok(false);
        }
        if self.place == Place::BehindValue {
            self.at = skip_space(self.text, expect(self.text, self.at, b',')?);
        }
        self.place = Place::BeforeValue;
        Ok(true)
    }

    fn value(&mut self) -> Result<Range<usize>, Reason> {
        let start = self.at;
        self.at = skip(self.text, start)?;
        self.place = Place::BehindValue;
        Ok(start..self.at)
    }
}

/// The members of one object. `null` counts as an empty object, as in Go.
///
/// A lending cursor: [`Members::next`] gives a key and the offset of its value; the value is
/// skipped only when asked for or when the cursor moves on, so that a reader who stops early, or
/// descends, pays for nothing twice.
#[derive(Debug, Clone)]
pub struct Members<'a>(Cursor<'a>);

/// A member of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// The key as it stands between the quotes, escapes and all.
    pub key: &'a [u8],
    /// The offset of the key's opening quote.
    pub start: usize,
    /// The offset of the value.
    pub value: usize,
}

impl<'a> Members<'a> {
    /// The members of the object that begins at `at`.
    pub fn at(text: &'a [u8], at: usize) -> Result<Self, Reason> {
        Cursor::new(text, at, [b'{', b'}']).map(Self)
    }

    /// The next member.
    #[expect(clippy::should_implement_trait, reason = "fallible, and lends its position")]
    pub fn next(&mut self) -> Result<Option<Member<'a>>, Reason> {
        if !self.0.advance()? {
            return Ok(None);
        }
        let start = self.0.at;
        let end = skip_string(self.0.text, start)?;
        let key = self.0.text.get(start + 1..end - 1).ok_or(Reason::Truncated)?;
        self.0.at = skip_key(self.0.text, start)?;
        Ok(Some(Member {
            key,
            start,
            value: self.0.at,
        }))
    }

    /// Where the value of the member last returned lies. Call it at most once per member.
    pub fn value(&mut self) -> Result<Range<usize>, Reason> {
        self.0.value()
    }

    /// Tells the cursor that the value of the member last returned ends at `end`, for a caller who
    /// has walked through it: it is not looked at again.
    pub const fn resume(&mut self, end: usize) {
        self.0.at = end;
        self.0.place = Place::BehindValue;
    }

    /// Behind the last member: the offset behind the closing bracket.
    pub const fn end(&self) -> usize {
        self.0.at
    }
}

/// The elements of one array. `null` counts as an empty array, as in Go.
#[derive(Debug, Clone)]
pub struct Elements<'a>(Cursor<'a>);

impl<'a> Elements<'a> {
    /// The elements of the array that begins at `at`.
    pub fn at(text: &'a [u8], at: usize) -> Result<Self, Reason> {
        Cursor::new(text, at, [b'[', b']']).map(Self)
    }

    /// Where the next element lies.
    #[expect(clippy::should_implement_trait, reason = "fallible")]
    pub fn next(&mut self) -> Result<Option<Range<usize>>, Reason> {
        if self.0.advance()? {
            self.0.value().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Behind the last element: the offset behind the closing bracket.
    pub const fn end(&self) -> usize {
        self.0.at
    }
}

/// Where the value of member `key` of the object at `at` begins; the first of that name.
pub fn member(text: &[u8], at: usize, key: &str) -> Result<Option<usize>, Reason> {
    let mut members = Members::at(text, at)?;
    while let Some(member) = members.next()? {
        if member.key == key.as_bytes() {
            return Ok(Some(member.value));
        }
    }
    Ok(None)
}

/// The raw value at a path of keys; `None` when a step is absent.
pub fn find<'a>(text: &'a [u8], path: &[&str]) -> Result<Option<&'a [u8]>, Reason> {
    let mut at = skip_space(text, 0);
    for key in path {
        match member(text, at, key)? {
            Some(value) => at = value,
            None => return Ok(None),
        }
    }
    let end = skip(text, at)?;
    Ok(text.get(at..end))
}

/// The text of a raw string value; `null` is empty, as in Go.
pub fn string(raw: &[u8]) -> Result<Cow<'_, str>, Reason> {
    match raw {
        b"null" => Ok(Cow::Borrowed("")),
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => std::str::from_utf8(inner)
            .map(Cow::Borrowed)
            .map_err(|_| Reason::NotUtf8),
        [b'"', ..] => serde_json::from_slice(raw)
            .map(Cow::Owned)
            .map_err(|_| Reason::Syntax),
        _ => Err(Reason::WrongType),
    }
}

/// The text of a key as [`Member::key`] gives it.
pub fn key(raw: &[u8]) -> Result<Cow<'_, str>, Reason> {
    if raw.contains(&b'\\') {
        let quoted = [b"\"", raw, b"\""].concat();
        return serde_json::from_slice(&quoted)
            .map(Cow::Owned)
            .map_err(|_| Reason::Syntax);
    }
    std::str::from_utf8(raw)
        .map(Cow::Borrowed)
        .map_err(|_| Reason::NotUtf8)
}

/// The number of a raw integer value; `null` is zero, as in Go.
pub fn integer(raw: &[u8]) -> Result<i64, Reason> {
    if raw == b"null" {
        return Ok(0);
    }
    std::str::from_utf8(raw)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Reason::BadNumber)
}

/// Appends `value` as Go's `encoding/json` prints it: without spaces, with `<`, `>`, `&`, U+2028 and
/// U+2029 escaped.
pub fn put(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    let mut serializer = serde_json::Serializer::with_formatter(out, GoFormatter);
    // Writing into memory does not fail, and what this crate serializes has string keys only.
    let _written = value.serialize(&mut serializer);
}

struct GoFormatter;

impl serde_json::ser::Formatter for GoFormatter {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> std::io::Result<()>
    where
        W: ?Sized + std::io::Write,
    {
        let special = ['<', '>', '&', '\u{2028}', '\u{2029}'];
        let mut rest = fragment;
        while let Some((plain, found)) = rest.find(special).map(|at| rest.split_at(at)) {
            writer.write_all(plain.as_bytes())?;
            let mut chars = found.chars();
            if let Some(special) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(special))?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_skipped_whole() {
        for text in [
            "{}",
            "[]",
            "null",
            "-1.5e+3",
            r#""a\"b\\""#,
            r#"{"a":[1,{"b":null}],"c":"}"}"#,
            "[ 1 , [ ] , { } ]",
            "{ \"a\" : true }",
        ] {
            assert_eq!(skip(text.as_bytes(), 0), Ok(text.len()), "{text}");
            let followed = format!("  {text},x");
            assert_eq!(skip(followed.as_bytes(), 0), Ok(text.len() + 2), "{text}");
        }
    }

    #[test]
    fn broken_values_are_refused() {
        for (text, reason) in [
            ("", Reason::Truncated),
            ("{", Reason::Truncated),
            ("tru", Reason::Truncated),
            ("trap", Reason::Syntax),
            ("{\"a\"}", Reason::Syntax),
            ("{a:1}", Reason::Syntax),
            ("[1 2]", Reason::Syntax),
            ("[1,]", Reason::Syntax),
            ("{\"a\":1,}", Reason::Syntax),
            ("[}", Reason::Syntax),
            ("\"a\nb\"", Reason::Syntax),
            ("\"a\\", Reason::Truncated),
        ] {
            assert_eq!(skip(text.as_bytes(), 0), Err(reason), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into_bytes();
        assert_eq!(skip(&nested(MAX_DEPTH), 0), Ok(2 * MAX_DEPTH));
        assert_eq!(skip(&nested(MAX_DEPTH + 1), 0), Err(Reason::TooDeep));
    }

    #[test]
    fn paths_find_raw_values() {
        let text = br#"{"x":{"a":1,"metadata":{}},"metadata": {"name" : "n\u0041" ,"n":null}}"#;
        let raw = find(text, &["metadata", "name"]).unwrap().unwrap();
        assert_eq!(string(raw).unwrap(), "nA");
        assert_eq!(find(text, &["metadata", "n", "deeper"]), Ok(None));
        assert_eq!(find(text, &["x", "a", "b"]), Err(Reason::WrongType));
    }

    #[test]
    fn strings_are_written_as_go_does() {
        let mut out = Vec::new();
        put(&mut out, &"<a href=\"x\">&\u{2028}\u{1}\n\u{8}ü</a>");
        let want = r#""\u003ca href=\"x\"\u003e\u0026\u2028\u0001\n\bü\u003c/a\u003e""#;
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    fn tree() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::vec((".{0,6}", inner), 0..6)
                    .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn valid_json_is_skipped_whole(tree in tree(), pretty: bool) {
            let text = if pretty { serde_json::to_vec_pretty(&tree) } else { serde_json::to_vec(&tree) };
            let text = text.unwrap();
            prop_assert_eq!(skip(&text, 0), Ok(text.len()));
        }

        #[test]
        fn plain_bytes_are_counted(bytes: Vec<u8>, text in "[a-zü]{0,40}[\"\\\\\n]?[a-z\"]{0,9}") {
            for bytes in [&bytes[..], text.as_bytes()] {
                let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
                let want = bytes.iter().position(special).unwrap_or(bytes.len());
                prop_assert_eq!(plain_len(bytes), want);
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in r#"[\{\}\[\]",:0-9a\\ tnul]{0,40}"#) {
            let _ = skip(text.as_bytes(), 0);
            let _ = find(text.as_bytes(), &["a", "a"]);
            if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() {
                let start = skip_space(text.as_bytes(), 0);
                let end = skip(text.as_bytes(), start).unwrap();
                prop_assert_eq!(text[end..].trim(), "");
            }
        }
    }
}
