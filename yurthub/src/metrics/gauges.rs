//! Values that are read when somebody asks.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Labels of an apiserver: at most as many as may be known at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ServerLabels {
    server: String,
}

/// Labels of a scope state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StateLabels {
    pub(super) state: &'static str,
}

/// Values that are read when somebody asks.
#[derive(Clone, Default)]
pub struct Gauges {
    /// 1 while the cloud is there.
    pub cloud_up: Gauge,
    /// Connections to the apiserver.
    pub upstream_connections: Gauge,
    /// Apiservers that answer.
    pub servers: Family<ServerLabels, Gauge>,
    /// Scopes by state.
    pub scopes: Family<StateLabels, Gauge>,
    /// Objects in the mirror.
    pub objects: Gauge,
    /// Local watchers.
    pub watchers: Gauge,
    /// Bytes in rings.
    pub ring_bytes: Gauge,
    /// Objects whose status waits for the cloud.
    pub journal_entries: Gauge,
    /// Objects shown with other endpoints than the cloud's.
    pub endpoint_overlays: Gauge,
    /// Pods that stand in for mirror pods.
    pub mirror_pod_stand_ins: Gauge,
    /// Events that wait for the cloud.
    pub event_journal_entries: Gauge,
    /// The same in bytes.
    pub event_journal_bytes: Gauge,
    /// Remembered answers, in bytes.
    pub remembered_bytes: Gauge,
    /// Size of the store on disk, in bytes.
    pub store_bytes: Gauge,
    /// Bytes that wait to be written.
    pub store_pending_bytes: Gauge,
    /// Commits of the store.
    pub store_commits: Gauge,
    /// Commits that failed.
    pub store_commit_failures: Gauge,
    /// Values that could not be read back.
    pub store_corrupt: Gauge,
}

impl Gauges {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "cloud_server_up",
            "1 while an apiserver answers; one of second choice: when it was asked last",
            self.servers.clone(),
        );
        registry.register("scopes", "Scopes by state", self.scopes.clone());
        for (name, help, gauge) in [
            ("cloud_up", "1 while the cloud is there", &self.cloud_up),
            (
                "upstream_connections",
                "Connections to the apiserver",
                &self.upstream_connections,
            ),
            ("mirror_objects", "Objects in the mirror", &self.objects),
            ("mirror_watchers", "Local watchers", &self.watchers),
            (
                "mirror_ring_bytes",
                "Bytes of events kept for local watchers",
                &self.ring_bytes,
            ),
            (
                "journal_entries",
                "Objects whose status waits for the cloud",
                &self.journal_entries,
            ),
            (
                "endpoint_overlays",
                "EndpointSlices and Endpoints shown otherwise than the cloud has them",
                &self.endpoint_overlays,
            ),
            (
                "mirror_pod_stand_ins",
                "Mirror pods that were replaced or deleted on this node while the cloud is away",
                &self.mirror_pod_stand_ins,
            ),
            (
                "event_journal_entries",
                "Events that wait for the cloud",
                &self.event_journal_entries,
            ),
            (
                "event_journal_bytes",
                "Bytes of events that wait for the cloud",
                &self.event_journal_bytes,
            ),
            (
                "remembered_bytes",
                "Bytes of remembered answers",
                &self.remembered_bytes,
            ),
            ("store_bytes", "Size of the store on disk", &self.store_bytes),
            (
                "store_pending_bytes",
                "Bytes that wait to be written",
                &self.store_pending_bytes,
            ),
            (
                "store_commits",
                "Commits of the store since the start",
                &self.store_commits,
            ),
            (
                "store_commit_failures",
                "Commits that failed since the start",
                &self.store_commit_failures,
            ),
            (
                "store_corrupt",
                "Values that could not be read back since the start",
                &self.store_corrupt,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
    }

    /// Says whether an apiserver answers.
    pub fn server_is(&self, server: &str, up: bool) {
        let labels = ServerLabels {
            server: server.to_owned(),
        };
        self.servers.get_or_create(&labels).set(i64::from(up));
    }

    /// Sets the number of scopes in a state.
    pub fn scopes_in(&self, state: &'static str, count: i64) {
        self.scopes.get_or_create(&StateLabels { state }).set(count);
    }
}
