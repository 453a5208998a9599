//! `Status`: how the API says that something failed, written and read in both encodings.
//!
//! Only failures are written. Invariant: [`Status::encode`] gives the bytes that the apiserver
//! gives for the same content.
//! Source: `Status` in `k8s.io/apimachinery/pkg/apis/meta/v1/{types.go,generated.pb.go}`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Encoding, Malformed, Reason, TypeMeta, json, single, wire};

const SUBJECT: &str = "status";

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub message: String,
    /// For programs, e.g. `NotFound`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub reason: String,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// The HTTP status code.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "or_default")]
    pub code: u16,
}

/// What a [`Status`] is about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Details {
    /// The object's name.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub name: String,
    /// The API group.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub group: String,
    /// The kind, or as often the resource.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub kind: String,
    /// The object's UID.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub uid: String,
    /// Why, in detail.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub causes: Vec<Cause>,
    /// After how many seconds to try again; 0 says nothing.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "or_default")]
    pub retry_after_seconds: u32,
}

/// One cause of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cause {
    /// For programs, e.g. `ResourceVersionTooLarge`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub reason: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub message: String,
    /// The field that is wrong.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub field: String,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// `null` is the zero value, as in Go.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// The content as Go orders it.
#[derive(Serialize)]
struct Content<'a> {
    metadata: Empty,
    status: &'static str,
    #[serde(flatten)]
    rest: &'a Status,
}

#[derive(Serialize)]
struct Empty {}

impl Status {
    /// A failure without details.
    pub fn new(code: u16, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            reason: reason.into(),
            details: None,
            code,
        }
    }

    /// Adds a cause in detail.
    #[must_use]
    pub fn with_cause(mut self, reason: impl Into<String>, message: impl Into<String>) -> Self {
        let cause = Cause {
            reason: reason.into(),
            message: message.into(),
            field: String::new(),
        };
        self.details.get_or_insert_default().causes.push(cause);
        self
    }

    /// The type of every `Status`.
    pub fn type_meta() -> TypeMeta {
        TypeMeta::new("v1", "Status")
    }

    /// The body of a failed request.
    pub fn encode(&self, encoding: Encoding) -> Bytes {
        single::join(encoding, &Self::type_meta(), &self.item(encoding))
    }

    /// The object without its type.
    pub(crate) fn item(&self, encoding: Encoding) -> Bytes {
        let mut item = Vec::new();
        match encoding {
            Encoding::Json => {
                json::put(
                    &mut item,
                    &Content {
                        metadata: Empty {},
                        status: "Failure",
                        rest: self,
                    },
                );
            }
            Encoding::Protobuf => self.put_protobuf(&mut item),
        }
        item.into()
    }

    fn put_protobuf(&self, out: &mut Vec<u8>) {
        wire::put_bytes(out, 1, &[0x0a, 0, 0x12, 0, 0x1a, 0]); // an empty ListMeta as Go writes it
        wire::put_bytes(out, 2, b"Failure");
        wire::put_bytes(out, 3, self.message.as_bytes());
        wire::put_bytes(out, 4, self.reason.as_bytes());
        if let Some(details) = &self.details {
            let mut message = Vec::new();
            details.put_protobuf(&mut message);
            wire::put_bytes(out, 5, &message);
        }
        wire::put_number(out, 6, self.code.into());
    }

    /// Reads a `Status` in its single form, e.g. from an ERROR frame or the body of a failed request.
    pub fn decode(encoding: Encoding, body: &Bytes) -> Result<Self, Malformed> {
        let (type_meta, item) = single::split(encoding, body)?;
        if type_meta.kind != "Status" {
            return Err(Reason::WrongType.reading(SUBJECT));
        }
        match encoding {
            Encoding::Json => serde_json::from_slice(&item).map_err(|_| Reason::Syntax.reading(SUBJECT)),
            Encoding::Protobuf => read_protobuf(&item).map_err(|reason| reason.reading(SUBJECT)),
        }
    }
}

impl Details {
    fn put_protobuf(&self, out: &mut Vec<u8>) {
        wire::put_bytes(out, 1, self.name.as_bytes());
        wire::put_bytes(out, 2, self.group.as_bytes());
        wire::put_bytes(out, 3, self.kind.as_bytes());
        for Cause {
            reason,
            message,
            field,
        } in &self.causes
        {
            let mut cause = Vec::new();
            wire::put_bytes(&mut cause, 1, reason.as_bytes());
            wire::put_bytes(&mut cause, 2, message.as_bytes());
            wire::put_bytes(&mut cause, 3, field.as_bytes());
            wire::put_bytes(out, 4, &cause);
        }
        wire::put_number(out, 5, self.retry_after_seconds.into());
        wire::put_bytes(out, 6, self.uid.as_bytes());
    }
}

/// What a list in pages may go on with, in the body of the 410 that says that its snapshot is gone: the same place in
/// the newest state. Empty where there is none.
///
/// Source: `handleCompactedErrorForPaging` in `k8s.io/apiserver/pkg/storage/etcd3/errors.go`.
pub fn continue_token(encoding: Encoding, body: &Bytes) -> Result<String, Malformed> {
    let (_, item) = single::split(encoding, body)?;
    match encoding {
        Encoding::Json => serde_json::from_slice(&item)
            .map(|Continued { metadata }| metadata.continue_token)
            .map_err(|_| Reason::Syntax.reading(SUBJECT)),
        Encoding::Protobuf => wire::text(&item, &[1, 3])
            .map(str::to_owned)
            .map_err(|reason| reason.reading(SUBJECT)),
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Continued {
    #[serde(deserialize_with = "or_default")]
    metadata: ContinuedMeta,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ContinuedMeta {
    #[serde(rename = "continue", deserialize_with = "or_default")]
    continue_token: String,
}

fn read_protobuf(item: &[u8]) -> Result<Status, Reason> {
    let number =
        |message, path: &[u32]| u32::try_from(wire::varint(message, path)?).map_err(|_| Reason::BadNumber);
    let details = match wire::find(item, &[5])? {
        None => None,
        Some(value) => {
            let message = value.bytes()?;
            let mut causes = Vec::new();
            for field in wire::fields(message) {
                let field = field?;
                if field.number == 4 {
                    let cause = field.value.bytes()?;
                    let text = |number| wire::text(cause, &[number]).map(str::to_owned);
                    causes.push(Cause {
                        reason: text(1)?,
                        message: text(2)?,
                        field: text(3)?,
                    });
                }
            }
            let text = |number| wire::text(message, &[number]).map(str::to_owned);
            Some(Details {
                name: text(1)?,
                group: text(2)?,
                kind: text(3)?,
                uid: text(6)?,
                causes,
                retry_after_seconds: number(message, &[5])?,
            })
        }
    };
    Ok(Status {
        message: wire::text(item, &[3])?.to_owned(),
        reason: wire::text(item, &[4])?.to_owned(),
        details,
        code: u16::try_from(number(item, &[6])?).map_err(|_| Reason::BadNumber)?,
    })
}
