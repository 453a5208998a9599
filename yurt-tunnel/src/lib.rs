//! yurt-tunnel: connections to nodes that nobody can dial, over connections that these nodes keep open.

pub mod args;
