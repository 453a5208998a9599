//! Reads an item's metadata: the few fields that the hub decides by.
//!
//! Never validates names or labels: the apiserver did. `ObjectMeta` is field 1 of every built-in
//! kind and the member `metadata` of every object
//! (`k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto`). What is absent is empty or zero, as in Go.

use std::{borrow::Cow, collections::BTreeMap};

use crate::{Encoding, Malformed, Reason, json, list::parse_version, wire};

const SUBJECT: &str = "object metadata";

/// The numbers of `ObjectMeta`'s fields.
mod number {
    pub(super) const NAME: u32 = 1;
    pub(super) const NAMESPACE: u32 = 3;
    pub(super) const UID: u32 = 5;
    pub(super) const RESOURCE_VERSION: u32 = 6;
    pub(super) const GENERATION: u32 = 7;
    pub(super) const DELETION_TIMESTAMP: u32 = 9;
    pub(super) const LABELS: u32 = 11;
    pub(super) const ANNOTATIONS: u32 = 12;
    pub(super) const OWNER_REFERENCES: u32 = 13;
}

/// What an object is stored and ordered by, borrowed from the item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key<'a> {
    /// Empty for cluster-scoped objects.
    pub namespace: Cow<'a, str>,
    /// Empty in bookmarks.
    pub name: Cow<'a, str>,
    /// 0 when absent.
    pub resource_version: u64,
}

/// The metadata of an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectMeta {
    /// Name; empty in bookmarks.
    pub name: String,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Unique in space and time; empty before the apiserver has stored the object.
    pub uid: String,
    /// Version; 0 when absent.
    pub resource_version: u64,
    /// Counts changes of the desired state; 0 when absent.
    pub generation: i64,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether the object is being deleted (has a deletion timestamp).
    pub deleting: bool,
    /// The owner that manages this object (`controller: true`).
    pub controller: Option<Owner>,
}

/// An owner reference.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owner {
    /// Group and version, e.g. `apps/v1`.
    pub api_version: String,
    /// Kind, e.g. `ReplicaSet`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
}

/// Namespace, name and version of an item: the one thing read from each event, without allocating.
pub fn key(encoding: Encoding, item: &[u8]) -> Result<Key<'_>, Malformed> {
    match encoding {
        Encoding::Json => key_json(item),
        Encoding::Protobuf => key_protobuf(item),
    }
    .map_err(|reason| reason.reading(SUBJECT))
}

/// The metadata of an item.
pub fn read(encoding: Encoding, item: &[u8]) -> Result<ObjectMeta, Malformed> {
    match encoding {
        Encoding::Json => read_json(item),
        Encoding::Protobuf => read_protobuf(item),
    }
    .map_err(|reason| reason.reading(SUBJECT))
}

/// The labels of an item, for selectors.
pub fn labels(encoding: Encoding, item: &[u8]) -> Result<BTreeMap<String, String>, Malformed> {
    let labels = match encoding {
        Encoding::Json => json_map(item, "labels", |_| true),
        Encoding::Protobuf => protobuf_map(item, number::LABELS, |_| true),
    };
    labels.map_err(|reason| reason.reading(SUBJECT))
}

/// The value of one annotation.
pub fn annotation(encoding: Encoding, item: &[u8], name: &str) -> Result<Option<String>, Malformed> {
    let found = match encoding {
        Encoding::Json => json_map(item, "annotations", |key| key == name),
        Encoding::Protobuf => protobuf_map(item, number::ANNOTATIONS, |key| key == name),
    };
    found
        .map(|mut found| found.remove(name))
        .map_err(|reason| reason.reading(SUBJECT))
}

fn key_protobuf(item: &[u8]) -> Result<Key<'_>, Reason> {
    let mut key = Key {
        namespace: Cow::Borrowed(""),
        name: Cow::Borrowed(""),
        resource_version: 0,
    };
    for field in wire::fields(wire::message(item, &[1])?) {
        let field = field?;
        match field.number {
            number::NAME => key.name = Cow::Borrowed(field.value.text()?),
            number::NAMESPACE => key.namespace = Cow::Borrowed(field.value.text()?),
            number::RESOURCE_VERSION => key.resource_version = parse_version(field.value.text()?)?,
            _ => {}
        }
    }
    Ok(key)
}

fn key_json(item: &[u8]) -> Result<Key<'_>, Reason> {
    let (mut namespace, mut name, mut version) = (None, None, None);
    let mut members = json_metadata(item)?;
    while let Some(member) = members.next()? {
        let wanted = match member.key {
            b"name" if name.is_none() => &mut name,
            b"namespace" if namespace.is_none() => &mut namespace,
            b"resourceVersion" if version.is_none() => &mut version,
            _ => continue,
        };
        let raw = item.get(members.value()?).ok_or(Reason::Truncated)?;
        *wanted = Some(json::string(raw)?);
        if namespace.is_some() && name.is_some() && version.is_some() {
            break;
        }
    }
    Ok(Key {
        namespace: namespace.unwrap_or_default(),
        name: name.unwrap_or_default(),
        resource_version: parse_version(&version.unwrap_or_default())?,
    })
}

/// The members of an item's metadata.
fn json_metadata(item: &[u8]) -> Result<json::Members<'_>, Reason> {
    let at = json::member(item, 0, "metadata")?.ok_or(Reason::Missing)?;
    json::Members::at(item, at)
}

/// The members that [`read`] reads.
const READ_MEMBERS: [&[u8]; 8] = [
    b"name",
    b"namespace",
    b"uid",
    b"resourceVersion",
    b"generation",
    b"labels",
    b"deletionTimestamp",
    b"ownerReferences",
];

fn read_json(item: &[u8]) -> Result<ObjectMeta, Reason> {
    let mut meta = ObjectMeta::default();
    let mut seen = Vec::with_capacity(READ_MEMBERS.len());
    let mut members = json_metadata(item)?;
    while let Some(member) = members.next()? {
        // Of duplicates the first counts, as in `key` and in edits.
        if !READ_MEMBERS.contains(&member.key) || seen.contains(&member.key) {
            continue;
        }
        seen.push(member.key);
        let range = members.value()?;
        let raw = item.get(range).ok_or(Reason::Truncated)?;
        match member.key {
            b"name" => meta.name = json::string(raw)?.into_owned(),
            b"namespace" => meta.namespace = json::string(raw)?.into_owned(),
            b"uid" => meta.uid = json::string(raw)?.into_owned(),
            b"resourceVersion" => meta.resource_version = parse_version(&json::string(raw)?)?,
            b"generation" => meta.generation = json::integer(raw)?,
            b"labels" => meta.labels = json_entries(raw, |_| true)?,
            b"deletionTimestamp" => meta.deleting = raw != b"null",
            b"ownerReferences" => meta.controller = json_controller(raw)?,
            _ => {}
        }
    }
    Ok(meta)
}

fn json_map(
    item: &[u8],
    name: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, String>, Reason> {
    json::find(item, &["metadata", name])?
        .map_or_else(|| Ok(BTreeMap::new()), |raw| json_entries(raw, wanted))
}

fn json_entries(raw: &[u8], wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, String>, Reason> {
    let mut entries = BTreeMap::new();
    let mut members = json::Members::at(raw, 0)?;
    while let Some(member) = members.next()? {
        let key = json::key(member.key)?;
        if wanted(&key) {
            let value = raw.get(members.value()?).ok_or(Reason::Truncated)?;
            entries.insert(key.into_owned(), json::string(value)?.into_owned());
        }
    }
    Ok(entries)
}

fn json_controller(raw: &[u8]) -> Result<Option<Owner>, Reason> {
    let mut elements = json::Elements::at(raw, 0)?;
    while let Some(range) = elements.next()? {
        let reference = raw.get(range).ok_or(Reason::Truncated)?;
        if json::find(reference, &["controller"])? == Some(b"true") {
            let text = |name| {
                let value = json::find(reference, &[name])?.unwrap_or(b"null");
                json::string(value).map(Cow::into_owned)
            };
            return Ok(Some(Owner {
                api_version: text("apiVersion")?,
                kind: text("kind")?,
                name: text("name")?,
                uid: text("uid")?,
            }));
        }
    }
    Ok(None)
}

fn read_protobuf(item: &[u8]) -> Result<ObjectMeta, Reason> {
    let mut meta = ObjectMeta::default();
    for field in wire::fields(wire::message(item, &[1])?) {
        let wire::Field { number, value, .. } = field?;
        match number {
            number::NAME => value.text()?.clone_into(&mut meta.name),
            number::NAMESPACE => value.text()?.clone_into(&mut meta.namespace),
            number::UID => value.text()?.clone_into(&mut meta.uid),
            number::RESOURCE_VERSION => meta.resource_version = parse_version(value.text()?)?,
            number::GENERATION => meta.generation = value.varint()?.cast_signed(),
            number::DELETION_TIMESTAMP => meta.deleting = true,
            number::LABELS => {
                let (name, label) = protobuf_entry(value.bytes()?)?;
                meta.labels.insert(name.to_owned(), label.to_owned());
            }
            number::OWNER_REFERENCES if meta.controller.is_none() => {
                meta.controller = protobuf_controller(value.bytes()?)?;
            }
            _ => {}
        }
    }
    Ok(meta)
}

fn protobuf_map(
    item: &[u8],
    number: u32,
    wanted: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, String>, Reason> {
    let mut entries = BTreeMap::new();
    for field in wire::fields(wire::message(item, &[1])?) {
        let field = field?;
        if field.number == number {
            let (name, value) = protobuf_entry(field.value.bytes()?)?;
            if wanted(name) {
                entries.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    Ok(entries)
}

/// A protobuf map is a repeated message of key (1) and value (2).
fn protobuf_entry(entry: &[u8]) -> Result<(&str, &str), Reason> {
    Ok((wire::text(entry, &[1])?, wire::text(entry, &[2])?))
}

fn protobuf_controller(reference: &[u8]) -> Result<Option<Owner>, Reason> {
    if wire::varint(reference, &[6])? == 0 {
        return Ok(None);
    }
    let text = |number| wire::text(reference, &[number]).map(str::to_owned);
    Ok(Some(Owner {
        api_version: text(5)?,
        kind: text(1)?,
        name: text(3)?,
        uid: text(4)?,
    }))
}
