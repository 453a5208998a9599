//! Why a request cannot be answered by anybody, in words that fit a `Status`.
//!
//! It does not build the `Status`. Invariant: the text never contains more than what the client sent.

use std::fmt;

use crate::field::FieldSelectorError;
use crate::label::LabelSelectorError;
use crate::validation::quoted;

/// A request that is wrong by itself, whatever the cluster holds.
///
/// They are told to clients only where the apiserver cannot be asked. The messages are the apiserver's where it has
/// one, without `details`. Codes differ from it in two places, because a client's mistake
/// should not look like a server's: it answers 500 to [`Invalid::VerbWithoutResource`], and for a watch or a get
/// 422 or 500 to [`Invalid::ResourceVersion`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The path has a malformed percent escape, or names that are not UTF-8.
    #[error("invalid URL path {}", quoted(.0))]
    Path(String),
    /// Nothing follows the deprecated `/watch` or `/proxy` prefix.
    #[error("unable to determine kind and namespace from url, {0}")]
    VerbWithoutResource(String),
    /// The `timeout` parameter is no Go duration.
    #[error("invalid timeout specified in the request URL")]
    Timeout,
    /// A number in the query is none.
    #[error("strconv.ParseInt: parsing {}: {reason}", quoted(.value))]
    Number {
        /// The text in its place.
        value: String,
        /// What is wrong with it.
        reason: NumberError,
    },
    /// The label selector cannot be parsed.
    #[error(transparent)]
    LabelSelector(#[from] LabelSelectorError),
    /// The field selector cannot be parsed.
    #[error(transparent)]
    FieldSelector(#[from] FieldSelectorError),
    /// List options that contradict each other.
    #[error("ListOptions.meta.k8s.io \"\" is invalid: {0}")]
    ListOptions(ListOptionsErrors),
    /// A field selector that contradicts the name in the path of a deprecated watch.
    #[error("fieldSelector metadata.name doesn't match requested name")]
    NameMismatch,
    /// A page after the first, with a version.
    #[error("specifying resource version is not allowed when using continue")]
    ContinueWithVersion,
    /// A resource version that is no number.
    #[error(
        "invalid resource version: resourceVersion: Invalid value: {value}: strconv.ParseUint: parsing {value}: {reason}",
        value = quoted(.value)
    )]
    ResourceVersion {
        /// The text in its place.
        value: String,
        /// What is wrong with it.
        reason: NumberError,
    },
}

impl Invalid {
    /// The HTTP status code.
    pub fn code(&self) -> u16 {
        match self {
            Self::ListOptions(_) => 422,
            _ => 400,
        }
    }

    /// The `reason` of the `Status` (`k8s.io/apimachinery/pkg/apis/meta/v1/types.go`).
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ListOptions(_) => "Invalid",
            _ => "BadRequest",
        }
    }
}

/// What Go's `strconv` has against a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// There is something else than digits, or nothing at all.
    #[error("invalid syntax")]
    Syntax,
    /// It does not fit into 64 bits.
    #[error("value out of range")]
    Range,
}

/// The contradictions found in list options, in the order in which the apiserver checks them. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOptionsErrors(pub(crate) Vec<String>);

impl ListOptionsErrors {
    /// Each with its field, such as `resourceVersionMatch: Forbidden: …`.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for ListOptionsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => f.write_str(one),
            many => write!(f, "[{}]", many.join(", ")),
        }
    }
}
