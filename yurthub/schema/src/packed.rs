//! A field of the generated tables in ten bytes.

use super::tables::{MERGE_KEYS, NAMES};
use super::{Field, Kind, MapOf, Message, Strategy};

/// See the module.
pub(super) struct Packed {
    name: u16,
    target: u16,
    length: u8,
    number: u8,
    inline: u8,
    kind: u8,
    flags: u8,
    merge_key: u8,
}

pub(super) const BOOL: u8 = 0;
pub(super) const INT32: u8 = 1;
pub(super) const INT64: u8 = 2;
pub(super) const STRING: u8 = 3;
pub(super) const BYTES: u8 = 4;
pub(super) const TIME: u8 = 5;
pub(super) const MICRO_TIME: u8 = 6;
pub(super) const QUANTITY: u8 = 7;
pub(super) const INT_OR_STRING: u8 = 8;
pub(super) const FIELDS_V1: u8 = 9;
pub(super) const MESSAGE: u8 = 10;
pub(super) const MAP_OF_STRING: u8 = 11;
pub(super) const MAP_OF_BYTES: u8 = 12;
pub(super) const MAP_OF_QUANTITY: u8 = 13;

pub(super) const LIST: u8 = 1;
pub(super) const POINTER: u8 = 1 << 1;
pub(super) const OMITEMPTY: u8 = 1 << 2;
pub(super) const OMITZERO: u8 = 1 << 3;
pub(super) const MERGE: u8 = 1 << 4;
pub(super) const REPLACE: u8 = 1 << 5;
pub(super) const RETAIN_KEYS: u8 = 1 << 6;

/// A line of the tables: place and length of the name, its own number and that of the embedded struct, type with the message's
/// number, flags, and the merge key's number.
pub(super) const fn field(
    (name, length): (u16, u8),
    (number, inline): (u8, u8),
    (kind, target): (u8, u16),
    flags: u8,
    merge_key: u8,
) -> Packed {
    Packed {
        name,
        target,
        length,
        number,
        inline,
        kind,
        flags,
        merge_key,
    }
}

impl Packed {
    pub(super) fn unpack(&self) -> Field {
        let (name, has) = (usize::from(self.name), |flag: u8| self.flags & flag != 0);
        Field {
            name: NAMES
                .get(name..name + usize::from(self.length))
                .unwrap_or_default(),
            number: u32::from(self.number),
            inline: u32::from(self.inline),
            kind: self.kind(),
            list: has(LIST),
            pointer: has(POINTER),
            omitempty: has(OMITEMPTY),
            omitzero: has(OMITZERO),
            strategy: if has(MERGE) {
                Strategy::Merge
            } else if has(REPLACE) {
                Strategy::Replace
            } else {
                Strategy::Default
            },
            merge_key: MERGE_KEYS
                .get(usize::from(self.merge_key))
                .copied()
                .unwrap_or_default(),
            retain_keys: has(RETAIN_KEYS),
        }
    }

    fn kind(&self) -> Kind {
        match self.kind {
            BOOL => Kind::Bool,
            INT32 => Kind::Int32,
            INT64 => Kind::Int64,
            BYTES => Kind::Bytes,
            TIME => Kind::Time,
            MICRO_TIME => Kind::MicroTime,
            QUANTITY => Kind::Quantity,
            INT_OR_STRING => Kind::IntOrString,
            FIELDS_V1 => Kind::FieldsV1,
            MESSAGE => Kind::Message(Message(self.target)),
            MAP_OF_STRING => Kind::Map(MapOf::String),
            MAP_OF_BYTES => Kind::Map(MapOf::Bytes),
            MAP_OF_QUANTITY => Kind::Map(MapOf::Quantity),
            _ => Kind::String,
        }
    }
}
