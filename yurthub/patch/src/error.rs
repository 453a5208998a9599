//! Why a patch could not be applied.
//!
//! Invariant: a message names what was wrong, never the content of an object.

use yurthub_object::Reason;

/// Why a patch was not applied, or two states were not merged. The caller's object is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The patch is not a JSON object: bad syntax, nested too deep, or another type.
    #[error("failed to read the patch as a JSON object")]
    MalformedPatch(#[source] serde_json::Error),
    /// The stored object is not what its encoding and kind say.
    #[error("failed to read the object")]
    MalformedObject(#[source] Reason),
    /// The patch, or a list to be merged, is longer than [`crate::MAX_PATCH_BYTES`] or
    /// [`crate::MAX_MERGED_ELEMENTS`] allow.
    #[error("refused to patch: {0} is too long")]
    TooLong(&'static str),
    /// A value of the patch has another type than its field.
    #[error("failed to set `{field}`: expected {expected}")]
    WrongType {
        /// JSON name of the field.
        field: String,
        /// What the field takes.
        expected: &'static str,
    },
    /// A directive (`$patch`, `$retainKeys`, …) is unknown, contradicts the patch, or stands where it cannot.
    #[error("failed to obey the directive `{directive}`: {reason}")]
    BadDirective {
        /// The key of the directive.
        directive: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An element of a list that is merged by a key does not have that key.
    #[error("failed to merge a list: an element has no usable merge key `{0}`")]
    NoMergeKey(&'static str),
    /// A list mixes types, holds lists, or would be merged without a key although its elements are objects.
    #[error("failed to merge the list `{0}`: its elements cannot be matched")]
    UnmergeableList(String),
    /// The patch carries the UID of another object (the apiserver answers 409 Conflict).
    #[error("refused to patch: the patch is for an object with another UID")]
    OtherUid,
}

impl From<Reason> for PatchError {
    fn from(reason: Reason) -> Self {
        Self::MalformedObject(reason)
    }
}

impl PatchError {
    /// A directive that cannot be obeyed.
    pub(crate) fn directive(directive: &str, reason: &'static str) -> Self {
        Self::BadDirective {
            directive: directive.to_owned(),
            reason,
        }
    }

    /// A value that its field does not take.
    pub(crate) fn wrong_type(field: &str, expected: &'static str) -> Self {
        Self::WrongType {
            field: field.to_owned(),
            expected,
        }
    }
}
