//! yurt-tunnel: connections to nodes that nobody can dial, over connections that these nodes keep open.

pub mod args;
pub mod cleanup;
pub mod front;
pub mod kubelets;
pub mod network;
pub mod nodes;
