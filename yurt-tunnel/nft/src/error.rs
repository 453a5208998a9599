//! Why the table cannot be written or read.

use std::io;

use crate::attribute::Cut;
use crate::message::CutMessage;

/// What has failed.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The process may not change the network.
    #[error("nftables refuses changes by this process: it needs the capability NET_ADMIN")]
    NotAllowed,
    /// Another process holds the table.
    #[error(
        "another process holds the nftables table inet {table}: it goes when that process ends; see `nft list tables`",
        table = crate::TABLE
    )]
    HeldByAnother,
    /// The kernel does not know something that the table needs.
    #[error(
        "cannot {step}: {source}; nat in tables of family inet needs Linux 5.2 or newer, with nf_tables, nft_fib_inet, nft_nat and nft_redir"
    )]
    NotKnown {
        /// What was asked for.
        step: &'static str,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// The kernel refused a change.
    #[error("cannot {step} in the nftables table inet {table}", table = crate::TABLE)]
    Refused {
        /// What was asked for.
        step: &'static str,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// The change is larger than what the kernel takes at once.
    #[error(
        "a change of {bytes} bytes is larger than what the kernel takes at once; raise net.core.wmem_max to twice as much"
    )]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// The socket to nftables does not work.
    #[error("cannot {step} over netlink")]
    Socket {
        /// What was done.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The kernel's answer cannot be read.
    #[error("cannot read what nftables answers to a request to {step}: {why}")]
    Unreadable {
        /// What was asked for.
        step: &'static str,
        /// What is wrong with it.
        why: Unreadable,
    },
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A message is cut.
    #[error(transparent)]
    Message(#[from] CutMessage),
    /// An attribute is cut.
    #[error(transparent)]
    Attribute(#[from] Cut),
    /// It has no end.
    #[error("it has no end")]
    Endless,
    /// It did not come.
    #[error("it did not come")]
    Missing,
    /// It was overtaken by changes, again and again.
    #[error("others change nftables all the time")]
    Overtaken,
}

impl NftError {
    /// What the kernel's `errno` for `step` means; `whole` where it is about the batch, not about one message of it.
    pub(crate) fn refused(step: &'static str, errno: i32, whole: bool) -> Self {
        let source = io::Error::from_raw_os_error(errno);
        match rustix::io::Errno::from_raw_os_error(errno) {
            rustix::io::Errno::PERM if whole => Self::NotAllowed,
            rustix::io::Errno::PERM => Self::HeldByAnother,
            rustix::io::Errno::OPNOTSUPP
            | rustix::io::Errno::AFNOSUPPORT
            | rustix::io::Errno::PROTONOSUPPORT => Self::NotKnown { step, source },
            // Creating something never fails for want of it, but for want of its kind.
            rustix::io::Errno::NOENT if step.starts_with("create") => Self::NotKnown { step, source },
            _ => Self::Refused { step, source },
        }
    }

    /// Whether this is the kernel's answer that something is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        let (Self::Refused { source, .. } | Self::NotKnown { source, .. }) = self else {
            return false;
        };
        source.raw_os_error() == Some(rustix::io::Errno::NOENT.raw_os_error())
    }
}
