//! yurthub: a live mirror of the Kubernetes API that one node uses.
//!
//! ```text
//! local client ─▶ listener ─▶ identity ─▶ request ─▶ route ─┬─▶ mirror ◀── reflectors ◀─┐
//!                                                           ├─▶ forward ────────────────┼──▶ apiserver
//!                                                           └─▶ offline ── replay ──────┘
//! ```
//!
//! Modules by what they are for: what a request meets, what an operator meets, and `app`, which puts them together. The crates beside this one are
//! pure or closed in themselves: `yurthub-request` parses requests, `yurthub-object` reads and edits objects as
//! bytes, `yurthub-patch` applies patches, `yurthub-display` shows objects to people, `yurthub-store` keeps data over power cuts.

pub mod accounts;
pub mod args;
pub mod authorize;
pub mod config;
pub mod kubeconfig;

pub mod filters;
pub mod forward;
pub mod identity;
pub mod limits;
pub mod listener;
pub mod mirror;
pub mod network;
pub mod offline;
pub mod peers;
pub mod pool;
pub mod proxy;
pub mod quota;
pub mod reality;
pub mod remembered;
pub mod response;
pub mod route;

pub mod admin;
pub mod annotate;
pub mod ask;
pub mod discovery;
pub mod health;
pub mod metrics;
pub mod summary;
pub mod warm;

pub mod app;
pub mod damage;
mod service_manager;
pub mod tasks;
pub use yurt_common::telemetry;
