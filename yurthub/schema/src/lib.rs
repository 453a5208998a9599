//! What the built-in kinds that a node deals with look like: per message the JSON name, protobuf number, type and merge
//! rule of each field. The tables are generated from the struct tags of `k8s.io/api`.
//!
//! It knows nothing about values. Invariant: what is not in the tables is an *unknown field*, and what to do with one is
//! each user's own rule: patches keep it as it came, a display leaves it out.

mod packed;
#[rustfmt::skip]
mod tables;

use tables::{FIELDS, MESSAGES, ROOTS};

/// A protobuf message: a Go struct of `k8s.io/api` or `k8s.io/apimachinery`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Message(u16);

impl Message {
    /// The message of an object, by what its type line says: `v1` and `Pod`. `None` where the tables do not have it.
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        let root = ROOTS
            .iter()
            .find(|(version, name, _)| *version == api_version && *name == kind)?;
        Some(Self(root.2))
    }

    /// Its fields, those of embedded structs among them, in the order in which JSON shows them.
    pub fn fields(self) -> impl Iterator<Item = Field> {
        let at = usize::from(self.0);
        let range = MESSAGES.get(at).zip(MESSAGES.get(at + 1));
        let range = range.map_or(0..0, |(start, end)| usize::from(*start)..usize::from(*end));
        FIELDS
            .get(range)
            .unwrap_or_default()
            .iter()
            .map(packed::Packed::unpack)
    }

    /// The field that JSON calls `name` (case matters, as for the apiserver).
    pub fn named(self, name: &str) -> Option<Field> {
        self.fields().find(|field| field.name == name)
    }

    /// The field numbered `number` within the embedded struct `inline` (0: within the message itself).
    pub fn numbered(self, inline: u32, number: u32) -> Option<Field> {
        self.fields()
            .find(|field| field.number == number && field.inline == inline)
    }

    /// Whether `number` is an embedded struct, whose fields JSON shows among those of its host.
    pub fn embeds(self, number: u32) -> bool {
        self.fields().any(|field| field.inline == number)
    }
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in JSON.
    pub name: &'static str,
    /// Its number in protobuf.
    pub number: u32,
    /// The number of the embedded struct that it is in; 0 when it is in the message itself.
    pub inline: u32,
    /// The type of its value; for a list, of an element.
    pub kind: Kind,
    /// A Go slice.
    pub list: bool,
    /// A Go pointer: absent and zero differ.
    pub pointer: bool,
    /// JSON leaves its zero value out, but for structs.
    pub omitempty: bool,
    /// JSON leaves its zero value out, also that of a struct.
    pub omitzero: bool,
    /// What a strategic merge patch does with a value that is there on both sides.
    pub strategy: Strategy,
    /// By which field the elements of a merged list are matched; empty for lists of scalars.
    pub merge_key: &'static str,
    /// Makers of patches send `$retainKeys`; appliers obey the directive wherever it stands.
    pub retain_keys: bool,
}

impl Field {
    /// The type of its value.
    pub fn shape(self) -> Shape {
        Shape {
            kind: Some(self.kind),
            list: self.list,
        }
    }

    /// A Go struct by value: never absent, only empty.
    pub fn is_struct(&self) -> bool {
        matches!(self.kind, Kind::Message(_)) && !self.list && !self.pointer
    }
}

/// The `patchStrategy` tag without `retainKeys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// No tag: maps are merged, lists are replaced.
    Default,
    /// Lists are merged.
    Merge,
    /// Maps are replaced.
    Replace,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A boolean.
    Bool,
    /// A number of 32 bits.
    Int32,
    /// A number of 64 bits.
    Int64,
    /// A text.
    String,
    /// Base64 in JSON.
    Bytes,
    /// RFC 3339 with seconds in JSON, a `Timestamp` in protobuf.
    Time,
    /// RFC 3339 with microseconds in JSON, a `Timestamp` in protobuf.
    MicroTime,
    /// A string in JSON, a message with one string in protobuf.
    Quantity,
    /// A number or a string in JSON, a message in protobuf.
    IntOrString,
    /// Any object in JSON, its text in protobuf.
    FieldsV1,
    /// An object.
    Message(Message),
    /// A map with string keys.
    Map(MapOf),
}

/// What a map holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapOf {
    /// Texts.
    String,
    /// Bytes.
    Bytes,
    /// Quantities.
    Quantity,
}

impl MapOf {
    /// The type of a value of the map.
    pub fn kind(self) -> Kind {
        match self {
            Self::String => Kind::String,
            Self::Bytes => Kind::Bytes,
            Self::Quantity => Kind::Quantity,
        }
    }
}

/// The type of a value at some place of an object; `kind` is `None` where the tables end.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The type of the value; for a list, of an element.
    pub kind: Option<Kind>,
    /// Whether it is a list.
    pub list: bool,
}

impl Shape {
    /// Where nothing is known.
    pub const UNKNOWN: Self = Self {
        kind: None,
        list: false,
    };

    /// A single value of this type.
    pub fn single(kind: Kind) -> Self {
        Self {
            kind: Some(kind),
            list: false,
        }
    }

    /// The field `name`, when this is a message that has one.
    pub fn field(self, name: &str) -> Option<Field> {
        self.message()?.named(name)
    }

    /// The type of the member `name` of this map.
    #[must_use]
    pub fn child(self, name: &str) -> Self {
        match self.kind {
            Some(Kind::Message(message)) if !self.list => {
                message.named(name).map_or(Self::UNKNOWN, Field::shape)
            }
            Some(Kind::Map(of)) if !self.list => Self::single(of.kind()),
            _ => Self::UNKNOWN,
        }
    }

    /// The type of an element of this list.
    #[must_use]
    pub fn element(self) -> Self {
        match self {
            Self { kind, list: true } => Self { kind, list: false },
            Self { list: false, .. } => Self::UNKNOWN,
        }
    }

    /// The message that this is, if it is a single one.
    pub fn message(self) -> Option<Message> {
        match self.kind {
            Some(Kind::Message(message)) if !self.list => Some(message),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_hold_together() {
        assert_eq!(usize::from(*MESSAGES.last().unwrap()), FIELDS.len());
        for message in (0..MESSAGES.len() as u16 - 1).map(Message) {
            for field in message.fields() {
                assert!(!field.name.is_empty(), "{message:?} {field:?}");
                let found = message.numbered(field.inline, field.number).unwrap();
                assert_eq!(found.name, field.name, "{message:?}");
                if let Kind::Message(target) = field.kind {
                    assert!(
                        target.fields().count() > 0 || field.pointer,
                        "{message:?} {field:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn names_are_those_of_json() {
        let pod = Shape::single(Kind::Message(Message::of("v1", "Pod").unwrap()));
        let status = pod.child("status");
        for name in ["podIPs", "hostIP", "containerStatuses", "qosClass"] {
            assert!(status.field(name).is_some(), "{name}");
        }
        let names = |shape: Shape| -> Vec<_> {
            shape
                .message()
                .unwrap()
                .fields()
                .map(|field| field.name)
                .collect()
        };
        assert_eq!(names(pod), ["metadata", "spec", "status"]);
        let conditions = status.field("conditions").unwrap();
        assert_eq!(
            (conditions.strategy, conditions.merge_key),
            (Strategy::Merge, "type")
        );
        let limits = pod.child("spec").child("containers").element().child("resources");
        assert_eq!(limits.child("limits").kind, Some(Kind::Map(MapOf::Quantity)));
        let secret = Shape::single(Kind::Message(Message::of("v1", "Secret").unwrap()));
        assert_eq!(secret.child("data").child("key").kind, Some(Kind::Bytes));
        assert!(Message::of("v1", "Widget").is_none());
    }
}
