//! Netlink attributes: type, length and value, padded to four bytes (`include/uapi/linux/netlink.h`, `struct nlattr`).
//!
//! Invariant: reading never goes beyond the bytes it was given, and a reader of damaged attributes ends.

/// Says that the value of an attribute is attributes (`NLA_F_NESTED`).
const NESTED: u16 = 0x8000;
/// What is a type, and no flag (`NLA_TYPE_MASK`).
const TYPE: u16 = 0x3fff;
/// Length and type.
const HEADER: usize = 4;

/// Attributes under construction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    /// None yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a value as it is. The length of an attribute has 16 bits: callers keep values below 65,532 bytes, and a longer
    /// one is cut, which the kernel refuses.
    #[must_use]
    pub fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        let value = value.get(..usize::from(u16::MAX) - HEADER).unwrap_or(value);
        let length = (HEADER + value.len()) as u16;
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(padded(self.0.len()), 0);
        self
    }

    /// Adds a string that ends with a zero, as nftables wants names.
    #[must_use]
    pub fn text(self, kind: u16, value: &str) -> Self {
        self.bytes(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// Adds a number; those of nftables are big-endian.
    #[must_use]
    pub fn number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Adds attributes as the value of one.
    #[must_use]
    pub fn nested(self, kind: u16, value: &Self) -> Self {
        self.bytes(kind | NESTED, &value.0)
    }

    /// What goes into a message.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// `length` rounded up to four bytes.
pub const fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// An attribute that says that it is longer than what is there, or shorter than its own header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an attribute of the kernel's answer is cut")]
pub struct Cut;

/// The attributes in `bytes`: type without flags, and value. Ends after the first that is cut.
pub fn read(bytes: &[u8]) -> impl Iterator<Item = Result<Found<'_>, Cut>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (found, after) = first(rest).map_or((Err(Cut), &[][..]), |(found, after)| (Ok(found), after));
        rest = after;
        Some(found)
    })
}

/// The value of the first attribute of type `kind` in `bytes`.
pub fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    read(bytes)
        .map_while(Result::ok)
        .find(|(found, _)| *found == kind)
        .map(|(_, value)| value)
}

/// Type and value.
type Found<'a> = (u16, &'a [u8]);

/// The first one, and what is behind it.
fn first(bytes: &[u8]) -> Option<(Found<'_>, &[u8])> {
    let (length, after) = bytes.split_first_chunk::<2>()?;
    let (kind, _) = after.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_ne_bytes(*length));
    let value = bytes.get(HEADER..length)?;
    // The last one need not be padded.
    let after = bytes.get(padded(length)..).unwrap_or_default();
    Some(((u16::from_ne_bytes(*kind) & TYPE, value), after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_padded_and_their_length_is_not() {
        let made = Attributes::new().text(1, "ab").number(2, 0x0102_0304);
        let expected = if cfg!(target_endian = "little") {
            [7, 0, 1, 0, b'a', b'b', 0, 0, 8, 0, 2, 0, 1, 2, 3, 4]
        } else {
            [0, 7, 0, 1, b'a', b'b', 0, 0, 0, 8, 0, 2, 1, 2, 3, 4]
        };
        assert_eq!(made.as_bytes(), expected);
    }

    #[test]
    fn a_length_below_that_of_the_header_ends_the_reading() {
        let bytes = [0u8; 64];
        assert_eq!(read(&bytes).collect::<Vec<_>>(), [Err(Cut)]);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(values in prop::collection::vec((0..0x3fffu16, prop::collection::vec(any::<u8>(), 0..40)), 0..20)) {
            let made = values.iter().fold(Attributes::new(), |made, (kind, value)| made.bytes(*kind, value));
            let read = read(made.as_bytes()).map(|found| found.map(|(kind, value)| (kind, value.to_vec()))).collect::<Result<Vec<_>, _>>();
            prop_assert_eq!(read, Ok(values));
        }

        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(read(&bytes).count() <= bytes.len() / HEADER + 1);
            let _ = find(&bytes, 7);
        }
    }
}
