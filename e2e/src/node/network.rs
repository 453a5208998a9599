//! The cable of a node: pulling it, losing packets, standing behind a router, counting bytes.
//!
//! `cluster/network.sh` does the work in the switch. Invariant: nothing here changes the node itself, and all of it
//! outlives the node's reboots.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Node;
use crate::command::{Cmd, CommandError};

impl Node {
    /// Pulls the cable.
    ///
    /// # Errors
    /// When the switch refuses.
    pub fn cut(&self) -> Result<(), CommandError> {
        self.network("cut")
    }

    /// Plugs the cable in.
    ///
    /// # Errors
    /// When the switch refuses.
    pub fn join(&self) -> Result<(), CommandError> {
        self.network("join")
    }

    /// Whether its cable is in.
    ///
    /// # Errors
    /// When the switch does not know it.
    pub fn is_connected(&self) -> Result<bool> {
        let flags = self.link()?["flags"].clone();
        Ok(flags
            .as_array()
            .is_some_and(|flags| flags.iter().any(|flag| flag == "UP")))
    }

    /// Lets all packets from and to it vanish; the cable stays in.
    ///
    /// # Errors
    /// When the switch refuses.
    pub fn blackhole(&self) -> Result<(), CommandError> {
        self.network("blackhole")
    }

    /// Ends [`Node::blackhole`].
    ///
    /// # Errors
    /// When the switch refuses.
    pub fn unblackhole(&self) -> Result<(), CommandError> {
        self.network("unblackhole")
    }

    /// Lets all packets between it and `other` vanish.
    ///
    /// # Errors
    /// When the switch refuses.
    pub fn blackhole_to(&self, other: &Self) -> Result<(), CommandError> {
        self.instance
            .script("network.sh")
            .args(["blackhole", &self.name, other.name()])
            .run_ok()
            .map(drop)
    }

    /// Puts it behind a router that lets only it open connections.
    ///
    /// # Errors
    /// When the switch refuses.
    pub fn nat(&self) -> Result<(), CommandError> {
        self.network("nat")
    }

    /// Ends [`Node::nat`].
    ///
    /// # Errors
    /// When the switch refuses.
    pub fn unnat(&self) -> Result<(), CommandError> {
        self.network("unnat")
    }

    /// Bytes that it has received and sent over its cable, Ethernet headers included, since the cluster came up.
    ///
    /// # Errors
    /// When the switch does not know it.
    pub fn link_bytes(&self) -> Result<(u64, u64)> {
        let link = self.link()?;
        // What the switch's end of the cable has sent, the node has received.
        let bytes = |way: &str| link["stats64"][way]["bytes"].as_u64();
        let counters = bytes("tx").zip(bytes("rx"));
        counters.with_context(|| format!("count the bytes of {}: ip printed {link}", self.name))
    }

    pub(super) fn network(&self, verb: &str) -> Result<(), CommandError> {
        self.instance
            .script("network.sh")
            .args([verb, &self.name])
            .run_ok()
            .map(drop)
    }

    /// The switch's end of its cable, as `ip -json -statistics link show` tells of it.
    fn link(&self) -> Result<Value> {
        let switch = self.instance.namespace("switch");
        let text = Cmd::new("ip")
            .args(["-n", &switch, "-j", "-s", "link", "show", "dev", &self.name])
            .run_ok()?;
        let mut links: Value = serde_json::from_str(&text).context("parse what ip printed")?;
        Ok(links[0].take())
    }
}
