//! What the fuzz targets check. Plain functions, also run by `tests/fuzz_corpus.rs` over the corpus, over damaged
//! real objects and over patches that are nearly right.
//!
//! The first byte of the input chooses encoding (even: JSON) and kind, the next two are the length of the object, which
//! follows (little endian; what is missing is not there); the rest is the patch, or the other object.
#![allow(clippy::expect_used, reason = "what breaks a property is to be found")]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each fuzz target uses one of the functions"
)]

use bytes::Bytes;
use yurthub_patch::owned::{Merged, equal_status, merge_status};
use yurthub_patch::{Encoding, ObjectKind, merge, strategic};

/// What a body is given.
#[derive(Clone, Debug)]
pub struct Input {
    /// How the object is written.
    pub encoding: Encoding,
    /// What it is.
    pub kind: ObjectKind,
    /// The object in stored form.
    pub item: Bytes,
    /// The patch, or another object.
    pub other: Bytes,
}

impl Input {
    fn read(data: &[u8]) -> Option<Self> {
        let (&[choice, low, high], rest) = data.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (item, other) = rest.split_at(length);
        Some(Self {
            encoding: [Encoding::Json, Encoding::Protobuf][usize::from(choice % 2)],
            kind: [ObjectKind::Pod, ObjectKind::Node, ObjectKind::Lease][usize::from(choice / 2 % 3)],
            item: Bytes::copy_from_slice(item),
            other: Bytes::copy_from_slice(other),
        })
    }
}

/// See [`check_patch`].
pub fn strategic(data: &[u8]) {
    if let Some(input) = Input::read(data) {
        check_patch(&input);
    }
}

/// See [`check_merge`].
pub fn owned(data: &[u8]) {
    if let Some(input) = Input::read(data) {
        check_merge(&input);
    }
}

/// What a patch makes of an object is an object: the next patch can read it, and one that names nothing keeps its bytes.
pub fn check_patch(input: &Input) {
    type Apply = fn(Encoding, ObjectKind, &Bytes, &[u8]) -> Result<Bytes, yurthub_patch::PatchError>;
    let (encoding, kind) = (input.encoding, input.kind);
    for apply in [strategic::apply as Apply, strategic::apply_status, merge::apply] {
        let Ok(patched) = apply(encoding, kind, &input.item, &input.other) else {
            continue;
        };
        let again = apply(encoding, kind, &patched, b"{}").expect("what was patched can be read");
        assert_eq!(again, patched, "a patch that names nothing has changed something");
    }
}

/// What is merged has all that the kubelet owns: merging once more changes nothing.
pub fn check_merge(input: &Input) {
    let (encoding, kind) = (input.encoding, input.kind);
    // Objects have no directives: a patch that has some is obeyed before there is an object.
    if encoding == Encoding::Json && input.other.windows(2).any(|name| name == br#""$"#) {
        return;
    }
    let Ok(merged) = merge_status(encoding, kind, &input.item, &input.other) else {
        return;
    };
    let Merged::Changed(merged) = merged else {
        return;
    };
    let same = equal_status(encoding, kind, &merged, &input.item).expect("what was merged can be read");
    assert!(!same, "it said that the status changes, and it does not");
    let again = merge_status(encoding, kind, &merged, &input.other).expect("what was merged can be read");
    assert_eq!(again, Merged::Unchanged);
}
