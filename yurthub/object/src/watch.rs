//! Watch streams: frames out of chunks, and frames as the apiserver writes them.
//!
//! Knows framing and the event's type, not the object. Invariant: each byte of the stream is
//! scanned once however small the pieces are in which it comes, and an unfinished frame never
//! holds more than the decoder's bound.
//! Source: `k8s.io/apimachinery/pkg/watch/watch.go`; protobuf frames are length-delimited
//! (`k8s.io/apimachinery/pkg/util/framer/framer.go`), JSON documents follow each other.

mod bookmark;
mod decode;

use bytes::Bytes;

pub use bookmark::encode_bookmark;
pub use decode::{Frame, FrameDecoder};

use crate::{Encoding, TypeMeta, single::Envelope, status::Status, wire};

/// The type of a watch event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    /// The object came to be, or came to match the selector.
    Added,
    /// The object changed.
    Modified,
    /// The object went, or ceased to match the selector; the frame has its last state.
    Deleted,
    /// Only the version moved on; the object is empty but for it.
    Bookmark,
    /// The watch ended; the object is a `Status`.
    Error,
}

impl EventType {
    /// The type as the wire has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
            Self::Error => "ERROR",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [
            Self::Added,
            Self::Modified,
            Self::Deleted,
            Self::Bookmark,
            Self::Error,
        ]
        .into_iter()
        .find(|event| event.as_str() == text)
    }
}

/// One frame of a watch stream, as the apiserver would send it.
pub fn encode(encoding: Encoding, event: EventType, type_meta: &TypeMeta, item: &[u8]) -> Bytes {
    let object = Envelope::new(encoding, type_meta, item);
    let name = event.as_str();
    let mut frame = Vec::new();
    match encoding {
        Encoding::Json => {
            frame.reserve_exact(object.len() + name.len() + 24);
            frame.extend_from_slice(b"{\"type\":\"");
            frame.extend_from_slice(name.as_bytes());
            frame.extend_from_slice(b"\",\"object\":");
            object.put(&mut frame);
            frame.extend_from_slice(b"}\n");
        }
        Encoding::Protobuf => {
            let extension = wire::field_len(1, object.len());
            let event = wire::field_len(1, name.len()) + wire::field_len(2, extension);
            frame.reserve_exact(4 + event);
            // Go writes the length as 32 bits too (framer.go); objects are far below 4 GiB.
            frame.extend_from_slice(&(event as u32).to_be_bytes());
            wire::put_bytes(&mut frame, 1, name.as_bytes());
            wire::put_header(&mut frame, 2, extension);
            wire::put_header(&mut frame, 1, object.len());
            object.put(&mut frame);
        }
    }
    frame.into()
}

/// The frame that ends a watch with an error.
pub fn encode_error(encoding: Encoding, status: &Status) -> Bytes {
    encode(
        encoding,
        EventType::Error,
        &Status::type_meta(),
        &status.item(encoding),
    )
}
