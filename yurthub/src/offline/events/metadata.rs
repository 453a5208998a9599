//! Edits an event's metadata as an apiserver does: names, UID, version, time of creation. Pure; all other bytes stay.

use std::time::SystemTime;

use bytes::Bytes;
use serde_json::json;
use yurthub_object::edit::{NewValue, remove_member, set_field, set_member};
use yurthub_object::{Encoding, Reason, json as raw_json, wire};

/// The longest name of an object (RFC 1123 subdomain, as the apiserver checks it).
pub(super) const MAX_NAME: usize = 253;
/// Letters of a generated name's end (`k8s.io/apimachinery/pkg/util/rand`): no vowels, so no words.
pub(super) const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// How many of them.
const RANDOM_LETTERS: usize = 5;

/// A field of `ObjectMeta`, by its name in JSON and its number in protobuf.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meta {
    Name,
    Namespace,
    Uid,
    Version,
    Created,
    ManagedFields,
}

impl Meta {
    fn place(self) -> (&'static str, u32) {
        match self {
            Self::Name => ("name", 1),
            Self::Namespace => ("namespace", 3),
            Self::Uid => ("uid", 5),
            Self::Version => ("resourceVersion", 6),
            Self::Created => ("creationTimestamp", 8),
            Self::ManagedFields => ("managedFields", 17),
        }
    }

    /// Takes the field out.
    pub(super) fn remove(self, encoding: Encoding, item: &Bytes) -> Result<Bytes, Reason> {
        let (name, number) = self.place();
        match encoding {
            Encoding::Json => remove_member(item, &["metadata", name]).map(Bytes::from),
            Encoding::Protobuf => {
                let mut item = item.clone();
                // Repeated fields go one by one; what cannot be taken out twice is gone.
                while wire::find(&item, &[1, number])?.is_some() {
                    item = set_field(&item, &[1, number], &NewValue::Absent)?.into();
                }
                Ok(item)
            }
        }
    }
}

/// Sets the field to a text.
pub(super) fn set(encoding: Encoding, item: &Bytes, field: Meta, text: &str) -> Result<Bytes, Reason> {
    let (name, number) = field.place();
    match encoding {
        Encoding::Json => set_member(item, &["metadata", name], json!(text).to_string().as_bytes()),
        Encoding::Protobuf => set_field(item, &[1, number], &NewValue::Bytes(text.as_bytes())),
    }
    .map(Bytes::from)
}

/// Sets the time of creation.
pub(super) fn set_created(encoding: Encoding, item: &Bytes, now: SystemTime) -> Result<Bytes, Reason> {
    let now = now.max(SystemTime::UNIX_EPOCH);
    let age = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    match encoding {
        Encoding::Json => {
            let text = humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + age).to_string();
            set(encoding, item, Meta::Created, &text)
        }
        Encoding::Protobuf => {
            let mut time = Vec::new();
            wire::put_number(&mut time, 1, age.as_secs());
            wire::put_number(&mut time, 2, 0);
            set_field(item, &[1, Meta::Created.place().1], &NewValue::Bytes(&time)).map(Bytes::from)
        }
    }
}

/// `metadata.generateName`; empty where it is absent.
pub(super) fn generate_name(encoding: Encoding, item: &[u8]) -> Result<String, Reason> {
    match encoding {
        Encoding::Json => match raw_json::find(item, &["metadata", "generateName"])? {
            Some(raw) => raw_json::string(raw).map(std::borrow::Cow::into_owned),
            None => Ok(String::new()),
        },
        Encoding::Protobuf => wire::text(item, &[1, 2]).map(str::to_owned),
    }
}

/// `prefix` with random letters behind it, as the apiserver makes names; empty where `prefix` is.
pub(super) fn generated(prefix: &str, mut random: u128) -> String {
    let mut name = prefix.to_owned();
    if name.is_empty() {
        return name;
    }
    let mut room = name.len().min(MAX_NAME - RANDOM_LETTERS);
    while !name.is_char_boundary(room) {
        room -= 1;
    }
    name.truncate(room);
    for _ in 0..RANDOM_LETTERS {
        let letter = LETTERS.get((random % LETTERS.len() as u128) as usize);
        name.push(letter.copied().unwrap_or(b'x').into());
        random /= LETTERS.len() as u128;
    }
    name
}

/// A random UID (RFC 9562, version 4).
pub(super) fn uid(random: u128) -> String {
    let bits = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let text = format!("{bits:032x}");
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}
