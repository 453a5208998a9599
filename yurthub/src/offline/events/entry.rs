//! One journaled event: how it is kept, what its writer is answered, and what is sent to the cloud later. Pure.
//!
//! Of the event only metadata is edited; times, counts and everything else stay the bytes that the writer sent.

use std::time::SystemTime;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use yurthub_object::{Encoding, Malformed, Reason, TypeMeta, json as raw_json, meta, single};
use yurthub_patch::{ObjectKind, PatchError, merge, read, strategic};
use yurthub_request::ResourcePath;

use super::metadata::{MAX_NAME, Meta, generate_name, generated, set, set_created, uid};
use crate::identity::Client;
use crate::mirror::key::Escaped;
use crate::mirror::ring::FIRST_OVERLAY_VERSION;
use crate::offline::journal::PatchType;

const SUBJECT: &str = "event";

/// Which of the two APIs an event was written by. Both show the same objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Api {
    /// `v1`
    Core,
    /// `events.k8s.io/v1`
    Events,
}

impl Api {
    /// The API that a path names.
    pub fn of(path: &ResourcePath) -> Self {
        if path.group.is_empty() {
            Self::Core
        } else {
            Self::Events
        }
    }

    fn kind(self) -> ObjectKind {
        match self {
            Self::Core => ObjectKind::CoreEvent,
            Self::Events => ObjectKind::Event,
        }
    }

    fn version(self) -> &'static str {
        match self {
            Self::Core => "v1",
            Self::Events => "events.k8s.io/v1",
        }
    }

    fn type_meta(self) -> TypeMeta {
        TypeMeta::new(self.version(), "Event")
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Core => "/api/v1",
            Self::Events => "/apis/events.k8s.io/v1",
        }
    }
}

/// What is known of an event beside its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The API by which it was written, and will be sent.
    pub api: Api,
    /// Its namespace.
    pub namespace: String,
    /// Its name, as its writer knows it.
    pub name: String,
    /// Who wrote it, and in whose name it is sent.
    pub client: Client,
    /// The name by which it is sent, where the cloud has another event of its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_as: Option<String>,
    protobuf: bool,
}

impl Head {
    /// How the event is written.
    pub fn encoding(&self) -> Encoding {
        if self.protobuf {
            Encoding::Protobuf
        } else {
            Encoding::Json
        }
    }

    /// Group and version by which it was written.
    pub fn api_version(&self) -> &'static str {
        self.api.version()
    }

    /// Where the events of its namespace are.
    pub fn collection(&self) -> String {
        format!(
            "{}/namespaces/{}/events",
            self.api.prefix(),
            Escaped(&self.namespace)
        )
    }

    /// Where the event is in the cloud.
    pub fn path(&self) -> String {
        let name = self.sent_as.as_deref().unwrap_or(&self.name);
        format!("{}/{}", self.collection(), Escaped(name))
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is known of it.
    pub head: Head,
    /// The object in stored form, as its writer sees it.
    pub item: Bytes,
}

/// What an apiserver gives each new object.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// A version of this node's own.
    pub version: u64,
    /// When.
    pub now: SystemTime,
    /// Random bits.
    pub random: u128,
}

impl Entry {
    /// Takes the body of a POST or PUT.
    pub fn from_body(
        client: &Client,
        path: &ResourcePath,
        (encoding, body): (Encoding, &Bytes),
        stamp: Stamp,
    ) -> Result<Self, EventError> {
        let api = Api::of(path);
        let item = item_of(encoding, body)?;
        let given = meta::read(encoding, &item)?;
        let namespace = path.namespace.clone().unwrap_or_default();
        if !given.namespace.is_empty() && given.namespace != namespace {
            return Err(EventError::Foreign {
                what: "namespace",
                object: given.namespace,
                request: namespace,
            });
        }
        let name = match (&path.name, given.name) {
            (Some(name), given) if given.is_empty() || given == *name => name.clone(),
            (Some(name), given) => {
                return Err(EventError::Foreign {
                    what: "name",
                    object: given,
                    request: name.clone(),
                });
            }
            (None, given) if !given.is_empty() => given,
            (None, _) => generated(&generate_name(encoding, &item)?, stamp.random),
        };
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(EventError::Name);
        }
        let mut item = set(encoding, &item, Meta::Name, &name)?;
        item = set(encoding, &item, Meta::Namespace, &namespace)?;
        let entry = Self {
            head: Head {
                api,
                namespace,
                name,
                client: client.clone(),
                sent_as: None,
                protobuf: encoding == Encoding::Protobuf,
            },
            item,
        };
        entry.stamped(stamp)
    }

    /// An event as the cloud has it.
    pub fn of_the_cloud(client: &Client, path: &ResourcePath, answer: (Encoding, &Bytes)) -> Option<Self> {
        let (encoding, body) = answer;
        let item = item_of(encoding, body).ok()?;
        let given = meta::key(encoding, &item).ok()?;
        let head = Head {
            api: Api::of(path),
            namespace: given.namespace.into_owned(),
            name: given.name.into_owned(),
            client: client.clone(),
            sent_as: None,
            protobuf: encoding == Encoding::Protobuf,
        };
        Some(Self { head, item })
    }

    /// UID, version and time of creation, as an apiserver gives them.
    fn stamped(self, stamp: Stamp) -> Result<Self, EventError> {
        let encoding = self.head.encoding();
        let mut item = set(encoding, &self.item, Meta::Uid, &uid(stamp.random))?;
        item = set(encoding, &item, Meta::Version, &stamp.version.to_string())?;
        item = set_created(encoding, &item, stamp.now)?;
        Ok(Self { item, ..self })
    }

    /// Applies a patch.
    pub fn patched(&self, (kind, patch): (PatchType, &[u8]), version: u64) -> Result<Self, EventError> {
        let encoding = self.head.encoding();
        let object = self.head.api.kind();
        let item = match kind {
            PatchType::Strategic => strategic::apply(encoding, object, &self.item, patch)?,
            PatchType::Merge => merge::apply(encoding, object, &self.item, patch)?,
        };
        Ok(Self {
            head: self.head.clone(),
            item: set(encoding, &item, Meta::Version, &version.to_string())?,
        })
    }

    /// The body that its writer is answered.
    pub fn answer(&self) -> Bytes {
        single::join(self.head.encoding(), &self.head.api.type_meta(), &self.item)
    }

    /// The body by which it is made in the cloud: without what the cloud gives.
    pub fn upstream(&self) -> Result<Bytes, EventError> {
        let encoding = self.head.encoding();
        let mut item = self.item.clone();
        for field in [Meta::Uid, Meta::Version, Meta::Created, Meta::ManagedFields] {
            item = field.remove(encoding, &item)?;
        }
        if let Some(name) = &self.head.sent_as {
            item = set(encoding, &item, Meta::Name, name)?;
        }
        Ok(single::join(encoding, &self.head.api.type_meta(), &item))
    }

    /// A JSON patch for an event of this name in the cloud: where it is this very one (same object, same reason) it
    /// gets the newest count and time, else the patch fails. A node may patch events, but not read them.
    pub fn amendment(&self) -> Result<Value, EventError> {
        let (encoding, kind) = (self.head.encoding(), self.head.api.kind());
        let about = match self.head.api {
            Api::Core => "involvedObject",
            Api::Events => "regarding",
        };
        let scalar = |path: &[&str]| {
            let value = read::scalar(encoding, kind, &self.item, path)?;
            Ok::<_, EventError>(value.filter(|value| *value != json!("") && *value != json!(0)))
        };
        let mut steps = Vec::new();
        for path in [&[about, "uid"][..], &["reason"]] {
            if let Some(value) = scalar(path)? {
                steps.push(json!({ "op": "test", "path": format!("/{}", path.join("/")), "value": value }));
            }
        }
        if self.head.api == Api::Core {
            for name in ["count", "lastTimestamp", "message"] {
                if let Some(value) = scalar(&[name])? {
                    steps.push(json!({ "op": "add", "path": format!("/{name}"), "value": value }));
                }
            }
        }
        if let Some(count) = scalar(&["series", "count"])? {
            let last = scalar(&["series", "lastObservedTime"])?;
            let series = json!({ "count": count, "lastObservedTime": last });
            steps.push(json!({ "op": "add", "path": "/series", "value": series }));
        }
        Ok(Value::Array(steps))
    }

    /// The same event by a name that no other has.
    #[must_use]
    pub fn renamed(&self, random: u128) -> Self {
        let mut head = self.head.clone();
        head.sent_as = Some(generated(&format!("{}.", self.head.name), random));
        Self {
            head,
            item: self.item.clone(),
        }
    }

    /// How it is kept: a line of JSON, then the object.
    pub fn encode(&self) -> Result<Bytes, EventError> {
        let head = serde_json::to_vec(&self.head).map_err(EventError::Head)?;
        let mut value = BytesMut::with_capacity(head.len() + 1 + self.item.len());
        value.put_slice(&head);
        value.put_u8(b'\n');
        value.put_slice(&self.item);
        Ok(value.freeze())
    }

    /// Reads what [`Entry::encode`] wrote.
    pub fn decode(value: &Bytes) -> Result<Self, EventError> {
        let end = value.iter().position(|byte| *byte == b'\n');
        let end = end.unwrap_or(value.len());
        let head = serde_json::from_slice(&value[..end]).map_err(EventError::Head)?;
        Ok(Self {
            head,
            item: value.slice((end + 1).min(value.len())..),
        })
    }
}

/// Why an event was not accepted; nothing has happened then.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Neither journaled nor known.
    #[error("this node does not hold the event")]
    Unknown,
    /// Another one has the name.
    #[error("an event of this name is in the journal")]
    Exists(String),
    /// The object is not what the path names.
    #[error("the {what} of the object ({object}) is not the one of the request ({request})")]
    Foreign {
        /// `name` or `namespace`.
        what: &'static str,
        /// In the object.
        object: String,
        /// In the path.
        request: String,
    },
    /// No name, or one that is too long.
    #[error("an event needs a name of at most {MAX_NAME} characters, or a prefix to generate one")]
    Name,
    /// The patch type is one that only the apiserver applies.
    #[error("only strategic merge patches and merge patches are applied here")]
    PatchType,
    /// The event would take too much of the journal.
    #[error("the event is larger than {0} bytes")]
    TooLarge(usize),
    /// It cannot be read.
    #[error("failed to read the event")]
    Malformed(#[from] Malformed),
    /// The patch does not fit.
    #[error("failed to apply the patch to the event")]
    Patch(#[from] PatchError),
    /// The kept head cannot be read or written.
    #[error("failed to read or write the head of a journaled event")]
    Head(#[source] serde_json::Error),
    /// The store did not take it.
    #[error("failed to make the event durable")]
    Store(#[from] yurthub_store::StoreError),
}

impl From<Reason> for EventError {
    fn from(reason: Reason) -> Self {
        Self::Malformed(reason.reading(SUBJECT))
    }
}

/// The object of a body. JSON may leave its type out: the path says it.
fn item_of(encoding: Encoding, body: &Bytes) -> Result<Bytes, EventError> {
    match single::split(encoding, body) {
        Ok((type_meta, item)) if type_meta.kind == "Event" => Ok(item),
        Ok(_) => Err(Reason::WrongType.into()),
        Err(_) if encoding == Encoding::Json && raw_json::find(body, &["kind"]) == Ok(None) => {
            let start = raw_json::skip_space(body, 0);
            let end = raw_json::skip(body, start)?;
            Ok(body.slice(start..end))
        }
        Err(error) => Err(error.into()),
    }
}

/// The body of a PUT without a version that this node gave out: it means nothing to the cloud.
pub(crate) fn without_own_version(path: &ResourcePath, encoding: Encoding, body: &Bytes) -> Option<Bytes> {
    let item = item_of(encoding, body).ok()?;
    if meta::key(encoding, &item).ok()?.resource_version < FIRST_OVERLAY_VERSION {
        return None;
    }
    let item = Meta::Version.remove(encoding, &item).ok()?;
    Some(single::join(encoding, &Api::of(path).type_meta(), &item))
}

#[cfg(test)]
mod tests;
