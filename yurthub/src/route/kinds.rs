//! The ways that a request may take, and the reasons for taking them; both are labels of metrics. Pure.

use crate::offline::write::WriteClass;

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The mirror, by a list of a scope that is made where it does not exist.
    MirrorList,
    /// The mirror, by a watch of a scope that is made where it does not exist.
    MirrorWatch,
    /// The mirror, by an object that one of its scopes has; the cloud or memory where none has it.
    MirrorGet,
    /// The cloud; the answer is passed through.
    Forward,
    /// The cloud; the answer is remembered for the time without it.
    ForwardRemember,
    /// The cloud; this node answers by itself where that fails.
    ForwardWrite(WriteClass),
    /// This node: what the mirror has or what is remembered.
    OfflineRead,
    /// This node: a watch of metadata, derived from a scope that the mirror has.
    OfflineWatch,
    /// This node: a write that can be kept until the cloud returns.
    OfflineWrite(WriteClass),
    /// Nobody.
    Refuse(Refusal),
}

/// Why nobody answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Only the cloud can judge this token.
    TokenNeedsCloud,
    /// Only the cloud can do this.
    NeedsCloud,
    /// A list at a version, or a page of one, that only the cloud has: 410, the client lists anew.
    SnapshotGone,
    /// A version that the mirror has not reached: 504, as from an apiserver whose cache lags behind.
    AheadOfMirror,
}

/// Why the route was taken: log line, metric label, and what `yurtctl explain` will print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// A watch that the mirror can serve.
    Watch,
    /// Any version will do.
    AnyVersion,
    /// The mirror has the version asked for.
    VersionReached,
    /// The kubelet's own write is newer than what the cloud has.
    OwnWrite,
    /// The most recent version was asked for.
    MostRecent,
    /// The mirror has not reached the version asked for.
    VersionAhead,
    /// Exactly one version, or a page, was asked for.
    Snapshot,
    /// An answer in a form that the mirror does not have.
    OtherForm,
    /// A write.
    Write,
    /// A request of a token's bearer.
    Bearer,
    /// A request in the name of somebody else.
    Impersonation,
    /// Neither object nor collection, or a subresource.
    NotMirrored,
    /// The request is wrong by itself.
    Malformed,
    /// The cloud is away.
    CloudAway,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Watch,
        Self::AnyVersion,
        Self::VersionReached,
        Self::OwnWrite,
        Self::MostRecent,
        Self::VersionAhead,
        Self::Snapshot,
        Self::OtherForm,
        Self::Write,
        Self::Bearer,
        Self::Impersonation,
        Self::NotMirrored,
        Self::Malformed,
        Self::CloudAway,
    ];

    /// Name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::AnyVersion => "any-version",
            Self::VersionReached => "version-reached",
            Self::OwnWrite => "own-write",
            Self::MostRecent => "most-recent",
            Self::VersionAhead => "version-ahead",
            Self::Snapshot => "snapshot",
            Self::OtherForm => "other-form",
            Self::Write => "write",
            Self::Bearer => "bearer",
            Self::Impersonation => "impersonation",
            Self::NotMirrored => "not-mirrored",
            Self::Malformed => "malformed",
            Self::CloudAway => "cloud-away",
        }
    }
}

impl Route {
    /// Name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MirrorList | Self::MirrorWatch | Self::MirrorGet => "mirror",
            Self::Forward | Self::ForwardRemember | Self::ForwardWrite(_) => "forward",
            Self::OfflineRead | Self::OfflineWatch => "offline-read",
            Self::OfflineWrite(_) => "offline-write",
            Self::Refuse(_) => "refuse",
        }
    }
}
