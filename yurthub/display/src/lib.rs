//! Mirrored objects as a person reads them: protobuf as JSON ([`decode`]), JSON as YAML ([`yaml`]), and rows of a table
//! with kubectl's columns ([`columns`], [`table`]).
//!
//! For eyes only: what a program reads, and what is stored or forwarded, keeps the bytes that the cloud sent. The crate
//! is pure, and time is an argument. Invariant: bytes from outside give a value or an error, never a panic.

pub mod age;
pub mod columns;
pub mod decode;
pub mod table;
pub mod yaml;

pub use yurthub_schema::Message;
