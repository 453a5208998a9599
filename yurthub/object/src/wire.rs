//! Walks and writes protobuf messages field by field, without a schema.
//!
//! Knows varints, tags and lengths; not what a field means. Groups (deprecated, unused by
//! Kubernetes) are a syntax error. Invariant: every range handed out lies within the message.
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

use std::ops::Range;

use crate::Reason;

/// The longest varint: ten bytes carry 64 bits.
pub const MAX_VARINT: usize = 10;

/// The value of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0: integers and booleans.
    Varint(u64),
    /// Wire type 1.
    Fixed64([u8; 8]),
    /// Wire type 2: strings, bytes, messages.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32([u8; 4]),
}

impl<'a> Value<'a> {
    /// The bytes of a length-delimited field.
    pub fn bytes(self) -> Result<&'a [u8], Reason> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Reason::WrongType),
        }
    }

    /// The text of a string field.
    pub fn text(self) -> Result<&'a str, Reason> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Reason::NotUtf8)
    }

    /// The number of a varint field.
    pub fn varint(self) -> Result<u64, Reason> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(Reason::WrongType),
        }
    }
}

/// One field of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The field number.
    pub number: u32,
    /// The value.
    pub value: Value<'a>,
    /// Where the whole field lies in the message, tag included.
    pub span: Range<usize>,
}

impl Field<'_> {
    /// Where the payload of a length-delimited field lies in the message.
    pub fn payload(&self) -> Result<Range<usize>, Reason> {
        let length = self.value.bytes()?.len();
        Ok(self.span.end - length..self.span.end)
    }
}

/// The fields of a message in the order in which they stand; ends after the first error.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    message: &'a [u8],
    at: usize,
}

/// The fields of `message`.
pub const fn fields(message: &[u8]) -> Fields<'_> {
    Fields { message, at: 0 }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Result<Field<'a>, Reason> {
        let start = self.at;
        let tag = read_varint(self.message, &mut self.at)?;
        let number = u32::try_from(tag >> 3).map_err(|_| Reason::Syntax)?;
        if number == 0 || number >= 1 << 29 {
            return Err(Reason::Syntax);
        }
        let value = match tag & 7 {
            0 => Value::Varint(read_varint(self.message, &mut self.at)?),
            1 => Value::Fixed64(*self.take(8)?.first_chunk().ok_or(Reason::Truncated)?),
            2 => {
                let length = read_varint(self.message, &mut self.at)?;
                let length = usize::try_from(length).map_err(|_| Reason::Truncated)?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(*self.take(4)?.first_chunk().ok_or(Reason::Truncated)?),
            _ => return Err(Reason::Syntax),
        };
        Ok(Field {
            number,
            value,
            span: start..self.at,
        })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Reason> {
        let rest = self.message.get(self.at..).ok_or(Reason::Truncated)?;
        let taken = rest.get(..length).ok_or(Reason::Truncated)?;
        self.at += length;
        Ok(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.message.len() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.at = self.message.len();
        }
        Some(read)
    }
}

/// The last field `number` of a message: protobuf lets the last occurrence win.
pub fn last(message: &[u8], number: u32) -> Result<Option<Field<'_>>, Reason> {
    let mut found = None;
    for field in fields(message) {
        let field = field?;
        if field.number == number {
            found = Some(field);
        }
    }
    Ok(found)
}

/// The value at a path of field numbers through nested messages; `None` when a step is absent.
pub fn find<'a>(message: &'a [u8], path: &[u32]) -> Result<Option<Value<'a>>, Reason> {
    let mut value = Value::Bytes(message);
    for number in path {
        match last(value.bytes()?, *number)? {
            Some(field) => value = field.value,
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}

/// The message at a path, empty when absent: proto2 as Kubernetes writes it does not tell the two apart.
pub fn message<'a>(message: &'a [u8], path: &[u32]) -> Result<&'a [u8], Reason> {
    find(message, path)?.map_or(Ok(&[]), Value::bytes)
}

/// The text at a path, empty when absent.
pub fn text<'a>(message: &'a [u8], path: &[u32]) -> Result<&'a str, Reason> {
    find(message, path)?.map_or(Ok(""), Value::text)
}

/// The number at a path, zero when absent.
pub fn varint(message: &[u8], path: &[u32]) -> Result<u64, Reason> {
    find(message, path)?.map_or(Ok(0), Value::varint)
}

/// Reads the varint at `at` and moves `at` behind it.
pub fn read_varint(bytes: &[u8], at: &mut usize) -> Result<u64, Reason> {
    let mut number = 0_u64;
    for shift in 0..MAX_VARINT {
        let byte = *bytes.get(*at).ok_or(Reason::Truncated)?;
        *at += 1;
        if shift == MAX_VARINT - 1 && byte > 1 {
            return Err(Reason::BadNumber);
        }
        number |= u64::from(byte & 0x7f) << (7 * shift);
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Reason::BadNumber)
}

/// How many bytes `number` takes as a varint.
pub const fn varint_len(number: u64) -> usize {
    let bits = 64 - (number | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// How many bytes a length-delimited field with a payload of `length` bytes takes.
pub const fn field_len(number: u32, length: usize) -> usize {
    varint_len((number as u64) << 3) + varint_len(length as u64) + length
}

/// Appends a varint.
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends the tag and length of a length-delimited field whose payload of `length` bytes follows.
pub fn put_header(out: &mut Vec<u8>, number: u32, length: usize) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, length as u64);
}

/// Appends a length-delimited field.
pub fn put_bytes(out: &mut Vec<u8>, number: u32, payload: &[u8]) {
    put_header(out, number, payload.len());
    out.extend_from_slice(payload);
}

/// Appends a varint field; negative numbers are given in two's complement (`as u64`).
pub fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn last_occurrence_wins() {
        let mut message = Vec::new();
        put_number(&mut message, 1, 7);
        put_bytes(&mut message, 2, b"a");
        put_number(&mut message, 1, 9);
        assert_eq!(varint(&message, &[1]), Ok(9));
        assert_eq!(text(&message, &[2]), Ok("a"));
        assert_eq!(text(&message, &[3]), Ok(""));
        assert_eq!(text(&message, &[1]), Err(Reason::WrongType));
    }

    #[test]
    fn broken_messages_are_refused() {
        for (bytes, reason) in [
            (&[0x0a, 5, b'a'][..], Reason::Truncated),
            (&[0x0a][..], Reason::Truncated),
            (&[0x0b][..], Reason::Syntax),
            (&[0x02, 0][..], Reason::Syntax),
            (
                &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2][..],
                Reason::BadNumber,
            ),
            (
                &[0x0a, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1][..],
                Reason::Truncated,
            ),
            (&[0x09, 1, 2][..], Reason::Truncated),
        ] {
            assert_eq!(last(bytes, 1), Err(reason), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn varints_round_trip(number: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            prop_assert_eq!(bytes.len(), varint_len(number));
            let mut at = 0;
            prop_assert_eq!(read_varint(&bytes, &mut at), Ok(number));
            prop_assert_eq!(at, bytes.len());
        }

        #[test]
        fn arbitrary_messages_never_panic_and_spans_tile(bytes: Vec<u8>) {
            let mut end = 0;
            for field in fields(&bytes).map_while(Result::ok) {
                prop_assert_eq!(field.span.start, end);
                end = field.span.end;
            }
            prop_assert!(end <= bytes.len());
        }
    }
}
