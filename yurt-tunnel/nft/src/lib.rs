//! One nftables table that sends connections to kubelets to a local listener, written over netlink.
//!
//! Reading order: how values become bytes ([`attribute`]), messages and batches ([`message`]), the table as messages
//! ([`layout`], [`rule`]), what the kernel shows of it ([`snapshot`]), the socket ([`socket`]), and the table as a thing
//! that is there or not ([`redirect`]).
//!
//! Not here: which addresses belong into the table, and who listens.
//!
//! Invariant: nothing outside of the table `inet yurt-tunnel` is ever written; what the kernel answers gives a value or an
//! error, never a panic.

pub mod attribute;
pub mod error;
pub mod layout;
pub mod message;
pub mod redirect;
pub mod rule;
pub mod snapshot;
pub mod socket;

pub use error::NftError;
pub use layout::{Layout, TABLE};
pub use redirect::{Lifetime, Redirect, Replaced, Standing, remove};
