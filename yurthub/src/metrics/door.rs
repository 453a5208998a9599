//! Counters of local connections.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Why yurthub closed a connection of a local client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// It did not end its TLS handshake in time.
    Silent,
    /// Nobody used it, or it proved nothing.
    Idle,
    /// Others needed its place more.
    Crowded,
    /// All places were in use when it came.
    Refused,
}

impl Farewell {
    const ALL: [Self; 4] = [Self::Silent, Self::Idle, Self::Crowded, Self::Refused];

    /// Name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Idle => "idle",
            Self::Crowded => "crowded",
            Self::Refused => "refused",
        }
    }
}

/// Labels of a connection that was closed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct FarewellLabels {
    why: &'static str,
}

/// Counters of local connections.
#[derive(Clone, Default)]
pub struct DoorMetrics {
    closed: Family<FarewellLabels, Counter>,
}

impl DoorMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Local connections that yurthub closed, by why";
        registry.register("connections_closed", help, self.closed.clone());
        for why in Farewell::ALL.map(Farewell::as_str) {
            // So that none is told as 0, not left out.
            drop(self.closed.get_or_create(&FarewellLabels { why }));
        }
    }

    /// Counts a connection that was closed.
    pub fn count(&self, why: Farewell) {
        let why = why.as_str();
        self.closed.get_or_create(&FarewellLabels { why }).inc();
    }
}
