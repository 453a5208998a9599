//! Kubernetes objects, lists, watch frames and patches as bytes: read and edited without loss.
//!
//! Nothing here decodes an object into a typed struct: what is not asked for is never parsed, so
//! fields of a newer Kubernetes survive. The crate is pure (no I/O, no clock, no tasks) and its
//! invariant is: bytes that the apiserver sent come out again exactly as they went in, and bytes
//! from anywhere give a value or [`Malformed`], never a panic and never more than linear work.
//!
//! Words used throughout:
//! - a **single** object is the body of a GET or the object in a watch event;
//! - an **item** is the same object as it stands in a list of its resource: the form that is stored.
//!
//! In reading order: [`wire`] and [`json`] walk raw bytes, [`single`] and [`list`] take responses
//! apart and put them together, [`watch`] does so for event streams, [`meta`] and [`fields`] answer
//! questions about an item, [`edit`] changes one thing in it, [`partial`] leaves its
//! metadata alone, [`rewrite`] changes things in its depth, whose
//! protobuf numbers are in [`number`], [`rebuild`] the elements of a list; [`status`], [`token`] and
//! [`lease`] know the few kinds that the node needs by content.

pub mod edit;
pub mod fields;
pub mod json;
pub mod lease;
pub mod list;
mod malformed;
pub mod meta;
pub mod number;
pub mod partial;
pub mod rebuild;
pub mod rewrite;
pub mod single;
pub mod status;
mod time;
pub mod token;
mod type_meta;
pub mod watch;
pub mod wire;

pub use malformed::{Malformed, Reason};
pub use time::{format as format_time, seconds as parse_time};
pub use type_meta::{Encoding, Style, TypeMeta};
