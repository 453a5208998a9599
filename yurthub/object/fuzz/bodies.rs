//! What the fuzz targets check. Plain functions, also run by `tests/corpus.rs` over the corpus and
//! over damaged real bytes.
//!
//! The first byte of the input chooses the encoding (even: JSON), the rest is what came in.
#![allow(clippy::expect_used, reason = "what breaks a property is to be found")]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each fuzz target uses one of the functions"
)]

use bytes::Bytes;
use yurthub_object::{
    Encoding, edit, fields, lease,
    list::{self, ListEncoder, ListPage, PageEnd},
    meta, single,
    status::Status,
    token,
    watch::{Frame, FrameDecoder},
};

/// The bound of frames in [`watch`].
const MAX_FRAME: usize = 1 << 16;

fn input(data: &[u8]) -> Option<(Encoding, Bytes)> {
    let (choice, body) = data.split_first()?;
    let encoding = if choice % 2 == 0 {
        Encoding::Json
    } else {
        Encoding::Protobuf
    };
    Some((encoding, Bytes::copy_from_slice(body)))
}

/// A single object that can be split survives being joined and split again.
pub fn single(data: &[u8]) {
    let Some((encoding, body)) = input(data) else {
        return;
    };
    if let Ok((type_meta, item)) = single::split(encoding, &body) {
        let joined = single::join(encoding, &type_meta, &item);
        assert_eq!(single::split(encoding, &joined), Ok((type_meta, item)));
    }
    let _ = Status::decode(encoding, &body);
    let _ = token::request_key(encoding, &body);
    let _ = token::read(encoding, &body);
    let _ = token::with_expiry(encoding, &body, 0);
    let _ = lease::renew_time(encoding, &body);
}

/// A list that can be decoded survives being encoded and decoded again.
pub fn list(data: &[u8]) {
    let Some((encoding, body)) = input(data) else {
        return;
    };
    if let Ok(page) = list::decode(encoding, &body) {
        assert_eq!(list::decode(encoding, &encode(encoding, &page)), Ok(page));
    }
}

fn encode(encoding: Encoding, page: &ListPage) -> Bytes {
    let end = PageEnd {
        continue_token: page.continue_token.clone(),
        remaining: page.remaining,
    };
    let lengths = page.items.iter().map(Bytes::len);
    let encoder = ListEncoder::page(encoding, &page.type_meta, (page.resource_version, &end), lengths);
    let mut body = encoder.head().to_vec();
    for (index, item) in page.items.iter().enumerate() {
        body.extend_from_slice(&encoder.item_prefix(index, item.len()));
        body.extend_from_slice(item);
    }
    body.extend_from_slice(&encoder.tail());
    assert_eq!(body.len(), encoder.content_length());
    body.into()
}

/// The same frames come out however the stream is cut into chunks.
pub fn watch(data: &[u8]) {
    let Some((encoding, stream)) = input(data) else {
        return;
    };
    let whole = frames(encoding, std::iter::once(stream.clone()));
    for size in [1, 7] {
        let pieces = (0..stream.len())
            .step_by(size)
            .map(|at| stream.slice(at..stream.len().min(at + size)));
        assert_eq!(frames(encoding, pieces), whole, "in pieces of {size}");
    }
}

fn frames(encoding: Encoding, chunks: impl Iterator<Item = Bytes>) -> Vec<Frame> {
    let mut decoder = FrameDecoder::new(encoding, MAX_FRAME);
    let mut frames = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        while let Ok(Some(frame)) = decoder.next() {
            frames.push(frame);
        }
    }
    frames
}

/// An item whose metadata can be read has the version that it was given, and is otherwise as before.
pub fn edit(data: &[u8]) {
    let Some((encoding, item)) = input(data) else {
        return;
    };
    let _ = fields::value(encoding, ("", "pods"), &item, "spec.nodeName");
    let edited = edit::set_resource_version(encoding, &item, 42);
    let Ok(before) = meta::key(encoding, &item) else {
        return;
    };
    let edited = edited.expect("what can be read can be edited");
    let after = meta::key(encoding, &edited).expect("what was edited can be read");
    assert_eq!(after.resource_version, 42);
    assert_eq!((after.namespace, after.name), (before.namespace, before.name));
    if let Ok(mut meta) = meta::read(encoding, &item) {
        meta.resource_version = 42;
        assert_eq!(meta::read(encoding, &edited), Ok(meta));
    }
}
