//! What is shown, against tables, Kubernetes' own controller, a typed reading of the rules, and damaged
//! bytes. Everything is checked in both encodings.

#![expect(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

#[path = "../../fuzz/bodies.rs"]
mod bodies;
mod controller;
mod corpus;
mod endpoints;
mod fixtures;
mod lossless;
mod model;
mod properties;
mod slices;
