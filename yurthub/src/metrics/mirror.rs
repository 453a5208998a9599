//! Counters of the mirror: what was read from the cloud, how often, and what failed.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Labels of a comparison with the cloud.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RelistLabels {
    kind: &'static str,
}

/// What of a scope was read again after the cloud had forgotten its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelistKind {
    /// Metadata, which said all.
    Metadata,
    /// Metadata, and the objects that had changed.
    Fetched,
    /// All objects.
    Full,
}

impl RelistKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Fetched => "fetched",
            Self::Full => "full",
        }
    }
}

/// Counters of the mirror.
#[derive(Clone, Default)]
pub struct MirrorMetrics {
    /// Events from the cloud, bookmarks too.
    pub events: Counter,
    /// Full lists from the cloud.
    pub lists: Counter,
    /// Rounds of a scope that failed.
    pub scope_failures: Counter,
    /// Scopes that the cloud began to deny.
    pub denials: Counter,
    /// Scopes that made room for others.
    pub evictions: Counter,
    /// Pages of lists from the cloud.
    pub pages: Counter,
    /// Bytes of these pages, as they came.
    pub page_bytes: Counter,
    /// Lists that went on in another snapshot.
    pub lists_torn: Counter,
    /// Times that the cloud was found restored from a backup.
    pub restores: Counter,
    relists: Family<RelistLabels, Counter>,
    timeouts: Family<TimeoutLabels, Counter>,
}

/// Labels of a time-out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TimeoutLabels {
    of: &'static str,
}

/// Whose patience ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeout {
    /// Ours, with a connection to the apiserver.
    Connect,
    /// The apiserver's, with a request.
    Apiserver,
    /// Ours, with the first list of a scope that a client waits for.
    FirstList,
}

impl Timeout {
    const ALL: [Self; 3] = [Self::Connect, Self::Apiserver, Self::FirstList];

    fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Apiserver => "apiserver",
            Self::FirstList => "first-list",
        }
    }
}

impl MirrorMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let Self {
            events,
            lists,
            scope_failures,
            denials,
            evictions,
            pages,
            page_bytes,
            lists_torn,
            restores,
            relists,
            timeouts,
        } = self;
        let help = "Time-outs of what the mirror does upstream, by whose patience ran out";
        registry.register("mirror_timeouts", help, timeouts.clone());
        for of in Timeout::ALL.map(Timeout::as_str) {
            // So that none is told as 0, not left out.
            drop(timeouts.get_or_create(&TimeoutLabels { of }));
        }
        let help = "Comparisons with the cloud by what of a scope was read again";
        registry.register("mirror_relists", help, relists.clone());
        for (name, help, counter) in [
            ("mirror_events", "Events from the cloud, bookmarks too", events),
            ("mirror_lists", "Full lists from the cloud", lists),
            ("mirror_pages", "Pages of lists from the cloud", pages),
            (
                "mirror_page_bytes",
                "Bytes of pages of lists from the cloud, as they came",
                page_bytes,
            ),
            (
                "mirror_lists_torn",
                "Lists that went on in another snapshot, because theirs ran out",
                lists_torn,
            ),
            (
                "mirror_restores",
                "Times that the cloud was older than the mirror, and everything was listed again",
                restores,
            ),
            ("mirror_failures", "Rounds of a scope that failed", scope_failures),
            ("mirror_denials", "Scopes that the cloud began to deny", denials),
            (
                "mirror_evictions",
                "Scopes that made room for others, because an account had as many as it may",
                evictions,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
    }

    /// Counts a time-out.
    pub fn timed_out(&self, of: Timeout) {
        let of = of.as_str();
        self.timeouts.get_or_create(&TimeoutLabels { of }).inc();
    }

    /// Counts a comparison.
    pub fn relisted(&self, kind: RelistKind) {
        let kind = kind.as_str();
        self.relists.get_or_create(&RelistLabels { kind }).inc();
    }
}
