//! Component tests: the yurthub binary between real clients and a real apiserver, over a link that can fail.
//!
//! One apiserver serves all tests that leave it alone; each test has a namespace, a node, a link and a hub of its
//! own. Not here: kubelets, pods that run, networks (the end-to-end cluster has them).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test that cannot go on panics, one that measures says what, a table or a story is told in one piece"
)]

mod hub;
mod pool;
mod wire;

mod accounts;
mod bad_days;
mod events;
mod filters;
mod forward;
mod identity;
mod limits;
mod liveness;
mod mirror;
mod network;
mod offline;
mod operator;
mod parity;
mod peers;
mod person;
mod reality;
mod relist;
mod restored;
mod reviews;
mod servers;
mod summary;
mod thin_link;
mod warm;
