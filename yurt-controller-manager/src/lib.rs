//! What a cloud must know of nodes at the edge: those that ask for it keep their pods while they cannot be heard.
//!
//! In reading order: what is asked for on the command line ([`args`], [`selection`]), how it is put together ([`app`]), which
//! replica acts ([`leader`]), what is known of the cluster ([`cache`]), how controllers get their work ([`queue`],
//! [`controller`], [`pace`], [`failure`]), the controllers themselves ([`autonomy`], [`pools`], [`certificates`],
//! [`tunnel`]), how they write on Nodes ([`node_writer`]), and what is told of all that ([`metrics`]).
//!
//! Each controller decides in pure functions and writes elsewhere. Invariants: only the leader writes; what is as it shall be
//! is not written; where the manager fails nothing is evicted for it.

pub mod app;
pub mod args;
pub mod selection;

pub mod cache;
pub mod leader;

pub mod controller;
pub mod failure;
pub mod node_writer;
pub mod pace;
pub mod queue;

pub mod autonomy;
pub mod certificates;
pub mod pools;
pub mod tunnel;

pub mod metrics;

/// Who writes, for the apiserver: the field manager.
pub const MANAGER: &str = "yurt-controller-manager";
