//! A Kubernetes API request, parsed once into an immutable value.
//!
//! What the apiserver derives from method, path, query and headers is derived here by the same rules, so that
//! the hub and the apiserver can never disagree about what a request means. The rules are those of Kubernetes 1.34:
//! `k8s.io/apiserver` (`pkg/endpoints/request`, `pkg/endpoints/handlers/negotiation`) and
//! `k8s.io/apimachinery` (`pkg/labels`, `pkg/fields`, `pkg/apis/meta/internalversion`).
//!
//! It does not know which resources exist, who is asking, or what time it is, and does no I/O.
//! Invariant: no input panics, and the work done is bounded by the length of the input.

mod request;

mod accept;
mod escape;
mod field;
mod invalid;
mod label;
mod query;
mod target;
mod validation;
mod verb;

pub use accept::{Accept, Format, Media, MetaVersion, Shape};
pub use field::{FieldOperator, FieldSelector, FieldSelectorError, FieldTerm};
pub use invalid::{Invalid, ListOptionsErrors, NumberError};
pub use label::{LabelSelector, LabelSelectorError, Operator, Requirement};
pub use query::{Match, Query, ResourceVersion};
pub use request::Request;
pub use target::{ResourcePath, Target};
pub use verb::Verb;
