//! The one error of this crate: what was being read and why it cannot be.
//!
//! It deliberately carries no bytes of the input: objects may be Secrets, and errors are logged.

/// Bytes that are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("read {subject}: {reason}")]
pub struct Malformed {
    /// What was being read, e.g. `list`.
    pub subject: &'static str,
    /// Why it could not be read.
    pub reason: Reason,
}

/// Why bytes could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The bytes end inside a value.
    #[error("ends too early")]
    Truncated,
    /// A byte that the grammar does not allow here.
    #[error("syntax error")]
    Syntax,
    /// Containers are nested deeper than [`crate::json::MAX_DEPTH`].
    #[error("nested too deep")]
    TooDeep,
    /// A frame longer than the configured bound.
    #[error("longer than allowed")]
    TooLong,
    /// Text that is not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A value of another type than the field has.
    #[error("wrong type of value")]
    WrongType,
    /// Something that is not a number or is out of range where a number must stand.
    #[error("not a number in range")]
    BadNumber,
    /// A timestamp that is not RFC 3339.
    #[error("not a timestamp")]
    BadTime,
    /// A required field is absent.
    #[error("required field is missing")]
    Missing,
    /// Protobuf without the `k8s\0` envelope.
    #[error("no Kubernetes protobuf envelope")]
    NoEnvelope,
    /// An envelope whose content is compressed or of another encoding.
    #[error("envelope with foreign content")]
    ForeignContent,
    /// A watch event of an unknown type.
    #[error("unknown type of watch event")]
    UnknownEvent,
}

impl Reason {
    /// Names what was being read when the reason came up.
    pub const fn reading(self, subject: &'static str) -> Malformed {
        Malformed {
            subject,
            reason: self,
        }
    }
}
