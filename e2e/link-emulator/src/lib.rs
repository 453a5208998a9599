//! A bad link in user space, for kernels without `netem`: packets of a node are lost, late, or wait for bandwidth.
//!
//! Reading order: what a link is like ([`quality`]), what becomes of one packet ([`mod@line`], pure, with time and chance
//! as arguments), when packets leave ([`departures`]), how the kernel asks us about each ([`packets`], pure, and
//! [`queue`]), the program that brings these together ([`emulator`]), and how it is spoken to ([`control`]).
//!
//! The kernel keeps the packets: an nftables rule hands each to a queue (NFQUEUE), of which we read no more than the
//! length, and our verdict lets it go on or drops it. So any protocol passes, whatever is in it. Not here: the rules
//! themselves (`e2e/cluster/network.sh`), reordering, duplicates, damage.
//!
//! Invariants: packets of one direction leave in the order in which they came; while the program does not run, no
//! packet passes; it sleeps until a packet comes or is due.

pub mod control;
pub mod departures;
pub mod emulator;
pub mod line;
pub mod packets;
pub mod quality;
pub mod queue;

pub use control::{Control, Report};
pub use line::Counters;
pub use quality::{Burst, Flap, Quality, QueueLimit, Shape};
