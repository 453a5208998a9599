//! What can be said of one apiserver among several.

use std::time::Duration;

use tokio::time::Instant;

use super::machine::Phase;

/// A server, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub(super) usize);

impl ServerId {
    /// The most preferred one.
    pub const FIRST: Self = Self(0);

    /// Its place in the order of preference.
    pub fn place(self) -> usize {
        self.0
    }
}

/// How a server came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// By a setting or the kubeconfig: it is counted on.
    Configured,
    /// From the cluster, which does not know what this node can reach: it is counted on once it has worked.
    Learned,
}

impl Origin {
    /// Name on the admin socket.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Learned => "learned",
        }
    }

    /// Waiting times between checks of a server that does not answer: the first and the last.
    pub(super) fn backoff(self) -> (Duration, Duration) {
        match self {
            Self::Configured => (Duration::from_secs(1), Duration::from_secs(30)),
            Self::Learned => (Duration::from_mins(1), Duration::from_hours(1)),
        }
    }
}

/// What is known of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Another one is used; `works`: it answered when it was asked last.
    Resting {
        /// See above.
        works: bool,
    },
    /// Asked or used.
    Active(Phase),
    /// Not to be used: its certificate is not for this address, or the cluster does not name it any more.
    Dismissed,
}

impl Standing {
    /// Name on the admin socket.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resting { works: true } => "standby",
            Self::Resting { works: false } => "unreached",
            Self::Active(phase) => phase.as_str(),
            Self::Dismissed => "dismissed",
        }
    }

    /// Whether it answers, as far as is known.
    pub fn works(self) -> bool {
        matches!(self, Self::Resting { works: true } | Self::Active(Phase::Up))
    }
}

/// What the prober of a server has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    /// Nothing.
    Idle,
    /// Attempt again and again.
    Seek,
    /// One attempt at that time.
    Check(Instant),
}
