//! Component tests: agents and servers in one process, over loopback, with real TLS and certificates of their own.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failed expectation is a failed test"
)]

mod bytes;
mod door;
mod door_tls;
mod failures;
mod identity;
mod link;
mod liveness;
mod policy;
mod servers;
mod stage;
mod storm;
mod versions;
