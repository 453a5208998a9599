//! Percent-decoding of paths and queries, with the strictness of Go's `net/url`.
//!
//! Paths: a malformed escape is an error. Queries: a malformed pair is left out, as `URL.Query()` does.
//! It does not split anything. Invariant: text without escapes is borrowed, never copied.

use std::borrow::Cow;

/// Which characters stand for something else.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Path,
    Query,
}

/// Decodes a whole URL path; `None` for a malformed escape. The result need not be UTF-8.
pub(crate) fn path(raw: &str) -> Option<Cow<'_, [u8]>> {
    decode(raw, Mode::Path)
}

/// Decodes a key or value of a query; `None` for a malformed escape. Bytes that are not UTF-8 become U+FFFD.
pub(crate) fn query(raw: &str) -> Option<Cow<'_, str>> {
    Some(match decode(raw, Mode::Query)? {
        Cow::Borrowed(_) => Cow::Borrowed(raw),
        Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }),
    })
}

fn decode(raw: &str, mode: Mode) -> Option<Cow<'_, [u8]>> {
    let bytes = raw.as_bytes();
    let special = |byte: &u8| *byte == b'%' || (mode == Mode::Query && *byte == b'+');
    let Some(first) = bytes.iter().position(special) else {
        return Some(Cow::Borrowed(bytes));
    };
    let mut decoded = Vec::with_capacity(bytes.len());
    decoded.extend_from_slice(&bytes[..first]);
    let mut rest = bytes[first..].iter().copied();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            b'+' if mode == Mode::Query => b' ',
            other => other,
        });
    }
    Some(Cow::Owned(decoded))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}
