//! Two answers to the same question, made comparable byte for byte.
//!
//! Leaves out what belongs to the moment and not to the objects: the version of a list, which moves with everything in
//! the cluster, and bookmarks in the middle of a watch, which each server sends in its own time. Nothing else.

use std::fmt;

use bytes::Bytes;
use serde_json::Value;
use yurthub_object::watch::{EventType, FrameDecoder};
use yurthub_object::{Encoding, list};

/// The longest event of a watch.
const MAX_FRAME: usize = 1 << 24;

/// What is compared of an answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The content type, as it came.
    pub content_type: String,
    /// The body, or the events of a watch.
    pub parts: Vec<Vec<u8>>,
}

impl Answer {
    /// An answer that came as a whole.
    pub fn whole(status: u16, content_type: &str, body: &Bytes) -> Self {
        Self {
            status,
            content_type: content_type.to_owned(),
            parts: vec![without_version(body)],
        }
    }

    /// A watch that has ended; its body where it was refused.
    pub fn watch(status: u16, content_type: &str, body: &Bytes) -> Self {
        if status != 200 {
            return Self::whole(status, content_type, body);
        }
        let events = events(content_type, body);
        Self {
            status,
            content_type: content_type.to_owned(),
            parts: events.into_iter().map(String::into_bytes).collect(),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.content_type)?;
        for part in &self.parts {
            let text = String::from_utf8_lossy(part);
            let start: String = text.chars().take(260).collect();
            write!(f, " {} bytes: {start:?}", part.len())?;
        }
        Ok(())
    }
}

/// The events of a watch that has ended, but for bookmarks in its middle; the bookmark that ends the initial events
/// stays, without its version. What cannot be read is an event of its own.
pub fn events(content_type: &str, body: &[u8]) -> Vec<String> {
    let protobuf = content_type.starts_with(Encoding::Protobuf.content_type());
    let encoding = if protobuf {
        Encoding::Protobuf
    } else {
        Encoding::Json
    };
    let mut decoder = FrameDecoder::new(encoding, MAX_FRAME);
    decoder.push(Bytes::copy_from_slice(body));
    let mut events = Vec::new();
    loop {
        let frame = match decoder.next() {
            Ok(Some(frame)) => frame,
            Ok(None) => return events,
            Err(malformed) => {
                events.push(malformed.to_string());
                return events;
            }
        };
        let text = String::from_utf8_lossy(&frame.object).into_owned();
        match frame.event {
            EventType::Bookmark if text.contains("initial-events-end") => {
                events.push("the end of the initial events".to_owned());
            }
            EventType::Bookmark => {}
            event => events.push(format!("{event:?} {text}")),
        }
    }
}

/// A body without the version of its list, where it is one.
fn without_version(body: &Bytes) -> Vec<u8> {
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        if value["items"].is_array() || value["rows"].is_array() {
            let version = value["metadata"]["resourceVersion"].as_str().unwrap_or_default();
            let quoted = format!("\"{version}\"");
            // Custom resources have the list's own metadata behind their items.
            let last = body.starts_with(b"{\"apiVersion\"");
            return replaced(body, &quoted, last);
        }
    } else if let Ok(page) = list::decode(Encoding::Protobuf, body) {
        return replaced(body, &page.resource_version.to_string(), false);
    }
    without_yaml_version(body).unwrap_or_else(|| body.to_vec())
}

/// The version of a list in YAML stands in its last lines.
fn without_yaml_version(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    let (head, _) = text.rsplit_once("  resourceVersion: ")?;
    text.starts_with("apiVersion: v1\nitems:")
        .then(|| head.as_bytes().to_vec())
}

fn replaced(body: &[u8], needle: &str, last: bool) -> Vec<u8> {
    let needle = needle.as_bytes();
    let mut windows = body.windows(needle.len().max(1));
    let at = if last {
        windows.rposition(|window| window == needle)
    } else {
        windows.position(|window| window == needle)
    };
    match at {
        Some(at) => [&body[..at], b"_", &body[at + needle.len()..]].concat(),
        None => body.to_vec(),
    }
}
