//! yurt-tunnel: connections to nodes that nobody can dial, over connections that these nodes keep open.
//!
//! In reading order: what is asked for ([`args`]), how it is put together ([`app`]); who this end is, whom it trusts and
//! where servers are ([`identity`], [`trust`], [`members`]; from the cluster by [`api`], or from [`files`]; what is wrong with
//! these is told once, by [`complaint`]); what both ends
//! say ([`protocol`], [`greetings`]), how it travels ([`transport`]), one dial ([`dial`]) and its bytes ([`relay`]); the end
//! that dialled ([`inbound`], [`agent`]) and the one that accepted ([`server`]); who asks for dials ([`front`]), and what
//! that knows of nodes ([`nodes`], [`kubelets`]); what is told of all that ([`metrics`]).
//!
//! Invariants: bytes are carried, and never looked at; a node is who its certificate says; no dial is without a deadline.

pub mod app;
pub mod args;
pub mod cleanup;

pub mod api;
pub mod complaint;
pub mod files;
pub mod identity;
pub mod members;
pub mod trust;

pub mod greetings;
pub mod protocol;
pub mod transport;

pub mod dial;
pub mod relay;

pub mod agent;
pub mod inbound;
pub mod server;

pub mod front;
pub mod kubelets;
pub mod network;
pub mod nodes;

pub mod metrics;
