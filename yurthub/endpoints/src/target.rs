//! What an endpoint stands for, read from its raw `targetRef` and `nodeName`.

use std::borrow::Cow;

use yurthub_object::{Encoding, Reason, json, wire};

use crate::{Targets, numbers::object_reference};

/// The pod and the node of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Target<'a> {
    pod: Cow<'a, str>,
    /// Empty when it names no node.
    pub node: Cow<'a, str>,
}

impl<'a> Target<'a> {
    /// Takes the pod from a raw `targetRef` (`ObjectReference`); of another kind of object nothing.
    pub(crate) fn read_reference(&mut self, encoding: Encoding, raw: &'a [u8]) -> Result<(), Reason> {
        let (kind, uid) = match encoding {
            Encoding::Json => json_reference(raw)?,
            Encoding::Protobuf => (
                Cow::Borrowed(wire::text(raw, &[object_reference::KIND])?),
                Cow::Borrowed(wire::text(raw, &[object_reference::UID])?),
            ),
        };
        self.pod = if kind == "Pod" { uid } else { Cow::Borrowed("") };
        Ok(())
    }

    /// The UID of its pod; `None` when it does not stand for one.
    pub(crate) fn pod(&self) -> Option<&str> {
        Some(&*self.pod).filter(|uid| !uid.is_empty())
    }

    /// Adds its pod and that pod's node.
    pub(crate) fn add_to(&self, targets: &mut Targets) {
        let Some(uid) = self.pod() else {
            return;
        };
        if !targets.pods.contains(uid) {
            targets.pods.insert(uid.to_owned());
        }
        if !self.node.is_empty() && !targets.nodes.contains(&*self.node) {
            targets.nodes.insert(self.node.to_string());
        }
    }
}

fn json_reference(raw: &[u8]) -> Result<(Cow<'_, str>, Cow<'_, str>), Reason> {
    let (mut kind, mut uid) = (None, None);
    let mut members = json::Members::at(raw, 0)?;
    while let Some(member) = members.next()? {
        let wanted = match member.key {
            b"kind" if kind.is_none() => &mut kind,
            b"uid" if uid.is_none() => &mut uid,
            _ => continue,
        };
        *wanted = Some(json::string(raw.get(members.value()?).ok_or(Reason::Truncated)?)?);
    }
    Ok((kind.unwrap_or_default(), uid.unwrap_or_default()))
}
