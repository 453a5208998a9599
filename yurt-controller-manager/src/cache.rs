//! What the manager knows of the cluster: of each kind one copy, read in pages, kept up by a watch, and trimmed to what
//! some controller asks about.
//!
//! In reading order: what is kept of a Node and of a Pod ([`views`], pure) and of how they stand ([`standing`],
//! pure), where it is kept ([`shelf`]), and how it comes there ([`feed`]).
//!
//! Invariant: a change of an object that is no change of what is kept wakes nobody up.

pub mod feed;
pub mod shelf;
pub mod standing;
pub mod views;

pub use shelf::{Shelf, Touched, View};
pub use standing::{Readiness, Standing};
pub use views::{NodeView, PodView};
