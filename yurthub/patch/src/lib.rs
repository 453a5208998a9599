//! Patches applied to stored objects, and what of an object's status belongs to the kubelet.
//!
//! The kubelet sends its status as a strategic merge patch in JSON and reads its objects as protobuf. This crate
//! applies such a patch to either form of an object without typed structs: what a patch does not name is copied as
//! it stands, unknown fields among it.
//!
//! In reading order: `schema` says how fields are named, numbered and merged; `tree` opens an object only as far
//! as it is changed; [`strategic`] and [`merge`] are the two kinds of patch; [`owned`] merges the state of a cut-off
//! node with the cloud's; `canonical` compares two states by meaning; [`read`] reads
//! single values.
//!
//! It deliberately does not default, validate or authorize, and knows nothing of resource versions. Invariant: an
//! error leaves the caller's object as it was; bytes from outside never panic.

mod canonical;
#[cfg(test)]
mod differential;
mod error;
mod leaf;
pub mod merge;
pub mod owned;
pub mod read;
mod schema;
pub mod strategic;
mod timestamp;
mod tree;

pub use error::PatchError;
pub use schema::ObjectKind;
pub use yurthub_object::Encoding;

/// The longest patch that is read, in bytes: the apiserver's limit of a request body (`MaxRequestBodyBytes` in
/// `k8s.io/apiserver/pkg/server/config.go`).
pub const MAX_PATCH_BYTES: usize = 3 * 1024 * 1024;

/// The most elements that a list may have on both sides together to be merged element by element. Matching is
/// quadratic, as in Kubernetes; lists that are merely replaced may be longer.
pub const MAX_MERGED_ELEMENTS: usize = 8192;

/// Reads a patch: a JSON object, nested at most 128 deep (the bound of `serde_json`).
fn parse(patch: &[u8]) -> Result<serde_json::Map<String, serde_json::Value>, PatchError> {
    if patch.len() > MAX_PATCH_BYTES {
        return Err(PatchError::TooLong("the patch"));
    }
    let mut patch: serde_json::Map<_, _> =
        serde_json::from_slice(patch).map_err(PatchError::MalformedPatch)?;
    // What an object is, is not patched, and a stored item does not say it.
    patch.remove("kind");
    patch.remove("apiVersion");
    Ok(patch)
}
