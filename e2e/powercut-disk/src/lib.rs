//! A disk that forgets what was not flushed, for power-cut tests.
//!
//! [`cache`] is the disk: blocks that are on the platter, and blocks that a power cut may lose. [`server`] shows it as
//! a file through FUSE. [`rig`] puts a loop device and ext4 on that file and cuts the power.
//!
//! Cut while the writer is running, not after a pause: a store that flushes before every acknowledgement is else never
//! seen with a torn commit.

pub mod cache;
pub mod rig;
pub mod server;
