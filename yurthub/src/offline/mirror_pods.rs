//! Mirror pods of static pods that come, change and go while the cloud is away. Pure.
//!
//! A kubelet deletes and creates the mirror pod of a static pod by itself, whenever the one that it sees is not the
//! static pod's. While the cloud is away it may do so here, on a stand-in: seen by what follows this node's pods, kept
//! in memory only, never sent. When the cloud speaks again the stand-ins end, the kubelet sees what the cloud has, and
//! does there what it did here ([decision 0021](../../../docs/decisions/0021-stand-ins-for-mirror-pods.md)).
//!
//! | the kubelet | is answered |
//! |---|---|
//! | deletes a mirror pod of this node, at once (grace period 0) | 200; 409 where it means another one of that name, 404 where it has done so before |
//! | creates a mirror pod of this node | 201; 409 where the name is taken |
//! | does so with any other pod, or in another way | 503 |

use bytes::Bytes;
use serde::Deserialize;
use yurthub_object::edit::{NewValue, set_field, set_member};
use yurthub_object::{Encoding, Malformed, Reason, format_time, json, meta, single, wire};

/// What the kubelet marks mirror pods with; the value tells which static pod.
pub const MIRROR: &str = "kubernetes.io/config.mirror";

/// Stand-ins of a scope, mirror pods that were only deleted among them.
pub const MOST: usize = 64;
/// Bytes of all stand-ins of a scope.
pub const MOST_BYTES: usize = 4 << 20;

const SUBJECT: &str = "pod";

/// The protobuf numbers of what is read or written here (`k8s.io/api/core/v1/generated.proto`,
/// `k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto`).
mod number {
    pub(super) const UID: [u32; 2] = [1, 5];
    pub(super) const GENERATION: [u32; 2] = [1, 7];
    pub(super) const CREATED: [u32; 2] = [1, 8];
    pub(super) const NODE_NAME: [u32; 2] = [2, 10];
    pub(super) const STATUS: [u32; 1] = [3];
    pub(super) const PHASE: u32 = 1;
    pub(super) const SECONDS: u32 = 1;
    pub(super) const NANOS: u32 = 2;
    pub(super) const GRACE_PERIOD: u32 = 1;
    pub(super) const PRECONDITIONS: u32 = 2;
    pub(super) const DRY_RUN: u32 = 5;
}

/// What of a pod decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pod {
    /// Its metadata.
    pub meta: meta::ObjectMeta,
    /// Which static pod it mirrors; `None`: it is no mirror pod.
    pub mirrors: Option<String>,
    /// The node that it is bound to.
    pub node: String,
}

impl Pod {
    /// Reads a pod in stored form.
    pub fn read(encoding: Encoding, item: &[u8]) -> Result<Self, Malformed> {
        let node = match encoding {
            Encoding::Json => json::find(item, &["spec", "nodeName"])
                .and_then(|raw| json::string(raw.unwrap_or(b"null")))
                .map(std::borrow::Cow::into_owned),
            Encoding::Protobuf => wire::text(item, &number::NODE_NAME).map(str::to_owned),
        };
        Ok(Self {
            meta: meta::read(encoding, item)?,
            mirrors: meta::annotation(encoding, item, MIRROR)?,
            node: node.map_err(|reason| reason.reading(SUBJECT))?,
        })
    }

    /// Whether it is the mirror of a static pod of `node`, as the node's kubelet makes it.
    fn is_mirror_of(&self, node: &str) -> bool {
        let owner = self.meta.controller.as_ref();
        let owned = owner.is_some_and(|owner| owner.kind == "Node" && owner.name == node);
        self.mirrors.is_some() && self.node == node && owned
    }

    /// Whether each Service that selects `before` selects this pod, too, which has its name: selectors of Services
    /// ask for labels, never for their absence.
    pub fn takes_endpoints_of(&self, before: &Self) -> bool {
        let mut labels = before.meta.labels.iter();
        labels.all(|(key, value)| self.meta.labels.get(key) == Some(value))
    }
}

/// What a DELETE asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeleteOptions {
    /// Seconds; `None`: as long as the pod says.
    pub grace_period: Option<i64>,
    /// The one that is meant.
    pub uid: Option<String>,
    /// The version that is meant.
    pub version: Option<String>,
    /// Nothing is to be done.
    pub dry_run: bool,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct JsonOptions {
    grace_period_seconds: Option<i64>,
    preconditions: Option<JsonPreconditions>,
    dry_run: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct JsonPreconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

impl DeleteOptions {
    /// Reads the body of a DELETE, which may be empty.
    pub fn read(encoding: Encoding, body: &Bytes) -> Result<Self, Malformed> {
        let read = match encoding {
            _ if body.is_empty() => Ok(Self::default()),
            Encoding::Json => serde_json::from_slice(body)
                .map(Self::from_json)
                .map_err(|_| Reason::Syntax),
            Encoding::Protobuf => Self::from_protobuf(&single::split(encoding, body)?.1),
        };
        read.map_err(|reason| reason.reading("DeleteOptions"))
    }

    fn from_json(options: JsonOptions) -> Self {
        let preconditions = options.preconditions.unwrap_or_default();
        Self {
            grace_period: options.grace_period_seconds,
            uid: preconditions.uid,
            version: preconditions.resource_version,
            dry_run: options.dry_run.is_some_and(|stages| !stages.is_empty()),
        }
    }

    fn from_protobuf(message: &[u8]) -> Result<Self, Reason> {
        let text = |field: u32| {
            let found = wire::find(message, &[number::PRECONDITIONS, field])?;
            found.map(|value| value.text().map(str::to_owned)).transpose()
        };
        let grace_period = wire::find(message, &[number::GRACE_PERIOD])?;
        Ok(Self {
            grace_period: grace_period
                .map(|value| value.varint().map(u64::cast_signed))
                .transpose()?,
            uid: text(1)?,
            version: text(2)?,
            dry_run: wire::last(message, number::DRY_RUN)?.is_some(),
        })
    }
}

/// What a name stands for among this node's pods, as they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Present<'a> {
    /// A pod.
    Pod(&'a Pod),
    /// A mirror pod that the kubelet has deleted here; there is no other of that name.
    Deleted,
    /// Nothing of this node.
    Nothing,
}

/// Why a DELETE or POST of a pod is not done on a stand-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is no such pod.
    Absent,
    /// The pod of that name is another one: why.
    OtherPod(String),
    /// The name is taken.
    Taken,
    /// Only the cloud can do it.
    NeedsCloud(Why),
}

/// Why only the cloud can do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is not about the mirror pod of a static pod of this node.
    NoMirrorPod,
    /// Kubelets do not do it in this way.
    AnotherWay,
    /// There are as many stand-ins as there may be.
    Full,
}

impl Why {
    /// Name in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoMirrorPod => "no mirror pod of this node",
            Self::AnotherWay => "not as a kubelet does it",
            Self::Full => "too many stand-ins",
        }
    }
}

/// How many stand-ins a scope has, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// How many.
    pub count: usize,
    /// Bytes.
    pub bytes: usize,
}

impl Load {
    fn has_room_for(self, bytes: usize) -> bool {
        self.count < MOST && self.bytes.saturating_add(bytes) <= MOST_BYTES
    }
}

/// Decides a DELETE by the kubelet of `node`. `others`: the stand-ins of other names.
pub fn delete(
    node: &str,
    options: &DeleteOptions,
    present: Present<'_>,
    others: Load,
) -> Result<(), Refused> {
    let pod = match present {
        Present::Pod(pod) if pod.is_mirror_of(node) => pod,
        Present::Deleted => return Err(Refused::Absent),
        Present::Pod(_) | Present::Nothing => return Err(Refused::NeedsCloud(Why::NoMirrorPod)),
    };
    if options.dry_run || options.grace_period != Some(0) {
        return Err(Refused::NeedsCloud(Why::AnotherWay));
    }
    let version = pod.meta.resource_version.to_string();
    for (what, wanted, found) in [
        ("UID", &options.uid, &pod.meta.uid),
        ("ResourceVersion", &options.version, &version),
    ] {
        if let Some(wanted) = wanted
            && wanted != found
        {
            return Err(Refused::OtherPod(format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
            )));
        }
    }
    if !others.has_room_for(0) {
        return Err(Refused::NeedsCloud(Why::Full));
    }
    Ok(())
}

/// Decides a POST of a pod of `bytes` bytes to `namespace` by the kubelet of `node`. `others` as above.
pub fn create(
    (node, namespace): (&str, &str),
    (posted, bytes): (&Pod, usize),
    present: Present<'_>,
    others: Load,
) -> Result<(), Refused> {
    if !posted.is_mirror_of(node) {
        return Err(Refused::NeedsCloud(Why::NoMirrorPod));
    }
    let meta = &posted.meta;
    if meta.name.is_empty() || meta.namespace != namespace || meta.resource_version != 0 || meta.deleting {
        return Err(Refused::NeedsCloud(Why::AnotherWay));
    }
    match present {
        Present::Pod(_) => Err(Refused::Taken),
        Present::Deleted | Present::Nothing if !others.has_room_for(bytes) => {
            Err(Refused::NeedsCloud(Why::Full))
        }
        Present::Deleted | Present::Nothing => Ok(()),
    }
}

/// The stand-in of a mirror pod as its kubelet posted it: with the identity that an apiserver would give it, and with no
/// status yet. The kubelet has filled in everything else.
pub fn stand_in(encoding: Encoding, posted: &Bytes, uid: &str, now: i64) -> Result<Bytes, Malformed> {
    let made = match encoding {
        Encoding::Json => json_stand_in(posted, uid, now),
        Encoding::Protobuf => protobuf_stand_in(posted, uid, now),
    };
    made.map(Bytes::from)
        .map_err(|reason| reason.reading("pod to stand in for a mirror pod"))
}

fn json_stand_in(posted: &[u8], uid: &str, now: i64) -> Result<Vec<u8>, Reason> {
    let mut item = posted.to_vec();
    for (path, value) in [
        (&["metadata", "uid"][..], format!("\"{uid}\"")),
        (
            &["metadata", "creationTimestamp"],
            format!("\"{}\"", format_time(now)),
        ),
        (&["metadata", "generation"], "1".to_owned()),
        (&["status"], r#"{"phase":"Pending"}"#.to_owned()),
    ] {
        item = set_member(&item, path, value.as_bytes())?;
    }
    Ok(item)
}

fn protobuf_stand_in(posted: &[u8], uid: &str, now: i64) -> Result<Vec<u8>, Reason> {
    let (mut created, mut status) = (Vec::new(), Vec::new());
    wire::put_number(&mut created, number::SECONDS, now.cast_unsigned());
    wire::put_number(&mut created, number::NANOS, 0);
    wire::put_bytes(&mut status, number::PHASE, b"Pending");
    let mut item = posted.to_vec();
    for (path, value) in [
        (&number::UID[..], NewValue::Bytes(uid.as_bytes())),
        (&number::GENERATION, NewValue::Varint(1)),
        (&number::CREATED, NewValue::Bytes(&created)),
        (&number::STATUS, NewValue::Bytes(&status)),
    ] {
        item = set_field(&item, path, &value)?;
    }
    Ok(item)
}

/// A UID as an apiserver gives them (RFC 9562, version 4), of two random numbers.
pub fn uid((high, low): (u64, u64)) -> String {
    let (high, low) = (high & !0xf000 | 0x4000, low & !(3 << 62) | 1 << 63);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests;
