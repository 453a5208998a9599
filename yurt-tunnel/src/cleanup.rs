//! `yurt-tunnel cleanup`: removes what a server that was killed has left on this machine.
//!
//! Only kernels before 5.12 leave anything: on others the table of redirected addresses goes with its process.
//!
//! Invariant: it removes the table `inet yurt-tunnel` of the network namespace it runs in, and nothing else.

use std::fmt;

use yurt_tunnel_nft::NftError;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A table, which is gone now.
    Table,
    /// Nothing.
    Nothing,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "removed the nftables table inet yurt-tunnel",
            Self::Nothing => "there is no nftables table inet yurt-tunnel: nothing to remove",
        })
    }
}

/// Cleans up.
///
/// # Errors
/// When a running server holds the table, or this process may not change the network.
pub fn run() -> Result<Found, NftError> {
    let there = yurt_tunnel_nft::remove()?;
    Ok(if there { Found::Table } else { Found::Nothing })
}
