//! How scopes lie in the store: keys, the scope's own record, and what a start finds. Keys sort by scope.
//!
//! | key | value |
//! |---|---|
//! | `s` id `m` | the scope: what it mirrors, how the cloud writes it, floor, parked (JSON) |
//! | `s` id `h` | up to which version its history was the cloud's once and is not any more, and whether it must be listed again |
//! | `s` id `v` | the version that its objects are true for |
//! | `s` id `o` object key | an object in stored form |
//! | `b` | versions that bookmarks have brought since, of all scopes together |

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tracing::warn;
use yurthub_object::{Encoding, Style, TypeMeta, meta};
use yurthub_store::{Snapshot, StoreError};

use super::key::ScopeKey;
use super::scope::{IndexEntry, ScopeId, Wire};

/// A scope as it lies in the store.
pub(super) struct Found {
    pub(super) wire: Wire,
    pub(super) index: BTreeMap<Box<str>, IndexEntry>,
    pub(super) version: u64,
    pub(super) floor: u64,
    pub(super) complete: bool,
    pub(super) parked: bool,
    pub(super) lost: Lost,
}

#[derive(Serialize, Deserialize)]
struct Record {
    key: ScopeKey,
    protobuf: bool,
    api_version: String,
    list_kind: String,
    unstructured: bool,
    floor: u64,
    parked: bool,
}

/// Key of the versions that bookmarks have brought.
pub(super) const BOOKMARKS: &[u8] = b"b";

fn key(id: ScopeId, part: u8, rest: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(6 + rest.len());
    key.put_u8(b's');
    key.put_u32(id);
    key.put_u8(part);
    key.put_slice(rest);
    key.freeze()
}

pub(super) fn scope_key(id: ScopeId) -> Bytes {
    key(id, b'm', b"")
}

pub(super) fn lost_key(id: ScopeId) -> Bytes {
    key(id, b'h', b"")
}

pub(super) fn version_key(id: ScopeId) -> Bytes {
    key(id, b'v', b"")
}

pub(super) fn object_prefix(id: ScopeId) -> Bytes {
    key(id, b'o', b"")
}

pub(super) fn object_key(id: ScopeId, object: &str) -> Bytes {
    key(id, b'o', object.as_bytes())
}

/// Everything of a scope.
pub(super) fn scope_prefix(id: ScopeId) -> Bytes {
    let mut key = BytesMut::with_capacity(5);
    key.put_u8(b's');
    key.put_u32(id);
    key.freeze()
}

/// How far the objects of a scope are true.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Up to this version.
    pub(super) version: u64,
    /// The last of them that changed something.
    pub(super) changed: u64,
    /// How many there are: a start sees by it that an object is missing which left no trace.
    pub(super) objects: u64,
}

impl Progress {
    pub(super) fn encode(self) -> Bytes {
        let mut value = BytesMut::with_capacity(24);
        for number in [self.version, self.changed, self.objects] {
            value.put_u64(number);
        }
        value.freeze()
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let numbers: &[u8; 24] = value.try_into().ok()?;
        let number = |at: usize| numbers[at..at + 8].try_into().map(u64::from_be_bytes).ok();
        Some(Self {
            version: number(0)?,
            changed: number(8)?,
            objects: number(16)?,
        })
    }
}

/// What of a scope's history a restored cloud does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// Versions up to this one may be of a past that the cloud does not have.
    pub(super) up_to: u64,
    /// Whether the scope's objects are of that past.
    pub(super) doubted: bool,
}

impl Lost {
    pub(super) fn encode(self) -> Bytes {
        let mut value = BytesMut::with_capacity(9);
        value.put_u64(self.up_to);
        value.put_u8(self.doubted.into());
        value.freeze()
    }

    /// What cannot be read is listed again.
    fn decode(value: &[u8]) -> Self {
        let number = value
            .first_chunk()
            .map_or(0, |digits| u64::from_be_bytes(*digits));
        Self {
            up_to: number,
            doubted: value.get(8) != Some(&0),
        }
    }
}

pub(super) fn scope_value(key: &ScopeKey, wire: Option<&Wire>, floor: u64, parked: bool) -> Bytes {
    let empty = TypeMeta::new("", "");
    let list_type = wire.map_or(&empty, |wire| &wire.list_type);
    let record = Record {
        key: key.clone(),
        protobuf: wire.is_some_and(|wire| wire.encoding == Encoding::Protobuf),
        api_version: list_type.api_version.clone(),
        list_kind: list_type.kind.clone(),
        unstructured: wire.is_some_and(|wire| wire.list_type.style == Style::Unstructured),
        floor,
        parked,
    };
    serde_json::to_vec(&record).unwrap_or_default().into()
}

/// Versions brought by bookmarks, written together: one small value a minute instead of one for each scope.
pub(super) fn bookmarks_value(versions: &HashMap<ScopeId, u64>) -> Bytes {
    let mut value = BytesMut::with_capacity(12 * versions.len());
    for (id, version) in versions {
        value.put_u32(*id);
        value.put_u64(*version);
    }
    value.freeze()
}

fn read_bookmarks(value: &[u8]) -> HashMap<ScopeId, u64> {
    let numbers = |pair: &[u8]| {
        let (id, version) = pair.split_at_checked(4)?;
        Some((
            u32::from_be_bytes(id.try_into().ok()?),
            u64::from_be_bytes(version.try_into().ok()?),
        ))
    };
    value.chunks_exact(12).filter_map(numbers).collect()
}

/// All scopes in the store. What cannot be read leaves its scope incomplete, and is said.
pub(super) fn load(snapshot: &mut Snapshot) -> Result<Vec<(ScopeId, ScopeKey, Found)>, StoreError> {
    let mut scopes: BTreeMap<ScopeId, Loading> = BTreeMap::new();
    let scanned = snapshot.scan(b"s", None, &mut |stored_key, value| {
        if let Some((id, part, rest)) = split_key(stored_key) {
            scopes.entry(id).or_default().take(part, rest, &value);
        }
        ControlFlow::Continue(())
    })?;
    for lost in &scanned.corrupt {
        if let Some((id, _, rest)) = split_key(lost) {
            let scope = scopes.entry(id).or_default();
            warn!(scope = id, object = %String::from_utf8_lossy(rest), "a stored entry is corrupt; its scope needs the cloud");
            scope.corrupt = true;
        }
    }
    let bookmarks = match snapshot.get(BOOKMARKS)? {
        yurthub_store::Lookup::Found(value) => read_bookmarks(&value),
        _ => HashMap::new(),
    };
    let found = scopes.into_iter().filter_map(|(id, loading)| {
        let (key, found) = loading.finish(bookmarks.get(&id).copied())?;
        Some((id, key, found))
    });
    Ok(found.collect())
}

fn split_key(key: &[u8]) -> Option<(ScopeId, u8, &[u8])> {
    let rest = key.strip_prefix(b"s")?;
    let (id, rest) = rest.split_at_checked(4)?;
    let (part, rest) = rest.split_first()?;
    Some((u32::from_be_bytes(id.try_into().ok()?), *part, rest))
}

#[derive(Default)]
struct Loading {
    record: Option<Record>,
    progress: Option<Progress>,
    objects: Vec<(Box<str>, u64, u32)>,
    lost: Lost,
    corrupt: bool,
}

impl Loading {
    /// `m` sorts before `o` and `o` before `v`: the encoding is known when the objects come.
    fn take(&mut self, part: u8, rest: &[u8], value: &Bytes) {
        match part {
            b'h' => self.lost = Lost::decode(value),
            b'm' => self.record = serde_json::from_slice(value).ok(),
            b'v' => self.progress = Progress::decode(value),
            b'o' => match (self.encoding(), std::str::from_utf8(rest)) {
                (Some(encoding), Ok(name)) => match meta::key(encoding, value) {
                    Ok(read) => self
                        .objects
                        .push((name.into(), read.resource_version, value.len() as u32)),
                    Err(_) => self.corrupt = true,
                },
                _ => self.corrupt = true,
            },
            _ => {}
        }
    }

    fn encoding(&self) -> Option<Encoding> {
        let record = self.record.as_ref()?;
        Some(if record.protobuf {
            Encoding::Protobuf
        } else {
            Encoding::Json
        })
    }

    fn finish(self, bookmark: Option<u64>) -> Option<(ScopeKey, Found)> {
        let encoding = self.encoding()?;
        let record = self.record?;
        let style = if record.unstructured {
            Style::Unstructured
        } else {
            Style::Struct
        };
        let list_type = TypeMeta {
            api_version: record.api_version,
            kind: record.list_kind,
            style,
        };
        let Progress {
            version,
            changed,
            objects: count,
        } = self.progress.unwrap_or_default();
        let whole = self.progress.is_some() && !self.corrupt && count == self.objects.len() as u64;
        if !whole {
            warn!(
                scope = record.key.describe(),
                count,
                found = self.objects.len(),
                "a scope is not whole; it needs the cloud"
            );
        }
        let found = Found {
            wire: Wire::new(encoding, list_type),
            index: self
                .objects
                .into_iter()
                .map(|(key, version, length)| (key, IndexEntry { version, length }))
                .collect(),
            // One that is not newer than what was lost may be of the lost past itself.
            version: version.max(
                bookmark
                    .filter(|version| *version > self.lost.up_to)
                    .unwrap_or_default(),
            ),
            // The ring is empty after a start: a watch can begin no earlier than at the last change.
            floor: record.floor.max(changed),
            complete: whole,
            parked: record.parked,
            lost: self.lost,
        };
        Some((record.key, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_scope_sort_together_and_can_be_split() {
        let object = object_key(7, "default/web");
        assert_eq!(split_key(&object), Some((7, b'o', b"default/web".as_slice())));
        assert!(scope_key(7) < object && object < version_key(7) && version_key(7) < scope_key(8));
        assert!(object.starts_with(&object_prefix(7)) && object.starts_with(&scope_prefix(7)));
        assert_eq!(split_key(b"sx"), None);
    }

    #[test]
    fn progress_survives_a_round_trip_and_is_not_guessed() {
        let progress = Progress {
            version: 7,
            changed: 5,
            objects: 3,
        };
        assert_eq!(Progress::decode(&progress.encode()), Some(progress));
        assert_eq!(Progress::decode(&progress.encode()[..23]), None);
    }

    #[test]
    fn what_is_lost_survives_a_round_trip_and_damage_is_doubt() {
        for doubted in [false, true] {
            let lost = Lost { up_to: 7, doubted };
            assert_eq!(Lost::decode(&lost.encode()), lost);
        }
        assert!(Lost::decode(b"").doubted && Lost::decode(&[0; 8]).doubted);
    }

    #[test]
    fn bookmarks_survive_a_round_trip_and_a_torn_tail() {
        let versions = HashMap::from([(1, 10), (2, u64::MAX)]);
        let value = bookmarks_value(&versions);
        assert_eq!(read_bookmarks(&value), versions);
        assert_eq!(read_bookmarks(&value[..value.len() - 1]).len(), 1);
    }
}
