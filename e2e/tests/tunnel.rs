//! yurt-tunnel on a real cluster: edge nodes that nobody can dial, and kubectl as people use it.
//!
//! Each test takes both edge nodes, converted and behind NAT, and prints a line with what it has measured.

#[path = "tunnel/commands.rs"]
mod commands;
#[path = "tunnel/doors.rs"]
mod doors;
#[path = "tunnel/site.rs"]
mod site;
#[path = "tunnel/top.rs"]
mod top;
#[path = "tunnel/uplink.rs"]
mod uplink;
