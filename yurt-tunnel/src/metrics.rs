//! What `/metrics` shows, of agents and of servers. Label values come from enums and constants of this crate.

use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

use crate::relay::{Bytes, Ending};
use crate::transport::Transport;

/// Labels of a way to travel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TransportLabels {
    transport: &'static str,
}

/// Labels of an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabels {
    reason: &'static str,
}

/// Labels of a direction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DirectionLabels {
    direction: &'static str,
}

/// All of them.
pub struct Metrics {
    registry: Registry,
    /// Nodes that this server holds.
    pub nodes: Gauge,
    /// Other servers that this server hears of.
    pub peers: Gauge,
    sessions: Family<TransportLabels, Gauge>,
    /// Streams now.
    pub streams: Gauge,
    ended: Family<ReasonLabels, Counter>,
    bytes: Family<DirectionLabels, Counter>,
    dial_seconds: Histogram,
    dials: Family<ReasonLabels, Counter>,
    refused: Family<ReasonLabels, Counter>,
    redirected: Gauge,
    rtt_seconds: Histogram,
}

fn seconds() -> Histogram {
    // 100 µs to 26 s.
    Histogram::new(exponential_buckets(0.0001, 4.0, 10))
}

/// A metric that `registry` knows, too.
fn registered<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("yurt_tunnel");
        let to = &mut registry;
        Self {
            nodes: registered(
                to,
                "connected_nodes",
                "Nodes that this server holds",
                Gauge::default(),
            ),
            peers: registered(
                to,
                "peers",
                "Other servers that this one dials through",
                Gauge::default(),
            ),
            sessions: registered(to, "sessions", "Connections now", Family::default()),
            streams: registered(to, "streams", "Streams now", Gauge::default()),
            ended: registered(
                to,
                "streams_ended",
                "Streams that ended, by how",
                Family::default(),
            ),
            bytes: registered(to, "bytes", "Bytes of streams", Family::default()),
            dial_seconds: registered(
                to,
                "dial_seconds",
                "How long dials took that succeeded",
                seconds(),
            ),
            dials: registered(to, "dials", "Dials, by outcome", Family::default()),
            refused: registered(
                to,
                "connections_refused",
                "Connections that were refused",
                Family::default(),
            ),
            redirected: registered(
                to,
                "redirects",
                "Whether connections to kubelets are redirected as they should be",
                Gauge::default(),
            ),
            rtt_seconds: registered(
                to,
                "rtt_seconds",
                "Time to the other end and back, at dials",
                seconds(),
            ),
            registry,
        }
    }
}

impl Metrics {
    /// As `OpenMetrics` text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// A connection counts until what is returned is dropped.
    pub fn session(&self, transport: Transport) -> Counted {
        Counted::new(&self.sessions.get_or_create_owned(&TransportLabels {
            transport: transport.label(),
        }))
    }

    /// Whether there is a session now.
    pub fn has_sessions(&self) -> bool {
        [Transport::Quic, Transport::Tcp].into_iter().any(|transport| {
            let transport = transport.label();
            self.sessions.get_or_create(&TransportLabels { transport }).get() > 0
        })
    }

    /// A stream counts until what is returned is dropped.
    pub fn stream(&self) -> Counted {
        Counted::new(&self.streams)
    }

    /// The table of redirected addresses was looked at: whether it is as it should be.
    pub fn redirected(&self, as_it_should_be: bool) {
        self.redirected.set(as_it_should_be.into());
    }

    /// A stream has ended.
    pub fn ended(&self, ending: Ending, bytes: &Bytes) {
        self.ended
            .get_or_create(&ReasonLabels {
                reason: ending.label(),
            })
            .inc();
        let count = |direction, bytes| {
            self.bytes
                .get_or_create(&DirectionLabels { direction })
                .inc_by(bytes);
        };
        count("into-tunnel", bytes.sent.load(Ordering::Relaxed));
        count("out-of-tunnel", bytes.received.load(Ordering::Relaxed));
    }

    /// A dial has succeeded.
    pub fn dialled(&self, took: Duration, rtt: Option<Duration>) {
        self.dials.get_or_create(&ReasonLabels { reason: "ok" }).inc();
        self.dial_seconds.observe(took.as_secs_f64());
        if let Some(rtt) = rtt {
            self.rtt_seconds.observe(rtt.as_secs_f64());
        }
    }

    /// A dial has failed.
    pub fn dial_failed(&self, reason: &'static str) {
        self.dials.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// A connection was refused.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabels { reason }).inc();
    }
}

/// Counts until it is dropped.
pub struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
