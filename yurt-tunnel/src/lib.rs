//! yurt-tunnel: connections to nodes that nobody can dial, over connections that these nodes keep open.

pub mod api;
pub mod args;
pub mod identity;
pub mod members;
pub mod trust;
