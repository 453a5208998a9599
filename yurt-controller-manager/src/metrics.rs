//! What `/metrics` shows. Label values come from enums and constants of this crate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

use crate::pools::verdict::Verdict;

/// Labels of a controller.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ControllerLabels {
    controller: &'static str,
}

/// Labels of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FailureLabels {
    controller: &'static str,
    reason: &'static str,
}

/// Labels of a write.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WriteLabels {
    controller: &'static str,
    what: &'static str,
}

/// Labels of a request for a certificate that was decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    signer: &'static str,
    verdict: &'static str,
}

/// Labels of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabels {
    kind: &'static str,
}

/// Labels of silent nodes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct VerdictLabels {
    verdict: &'static str,
}

/// All of them.
pub struct Metrics {
    registry: Registry,
    leading: Gauge,
    queued: Family<ControllerLabels, Gauge>,
    waits: Family<ControllerLabels, Histogram, fn() -> Histogram>,
    looks: Family<ControllerLabels, Histogram, fn() -> Histogram>,
    failures: Family<FailureLabels, Counter>,
    writes: Family<WriteLabels, Counter>,
    verdicts: Family<RequestLabels, Counter>,
    objects: Family<KindLabels, Gauge>,
    events: Family<KindLabels, Counter>,
    watch_failures: Family<KindLabels, Counter>,
    pools: Gauge,
    pool_members: Gauge,
    pool_nodes_left_out: Gauge,
    silent_nodes: Family<VerdictLabels, Gauge>,
}

fn seconds() -> Histogram {
    // 1 ms to 65 s.
    Histogram::new(exponential_buckets(0.001, 4.0, 9))
}

/// A metric that `registry` knows, too.
fn registered<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("yurt_controller_manager");
        let to = &mut registry;
        Self {
            leading: registered(to, "leading", "1 while this replica leads", Gauge::default()),
            queued: registered(
                to,
                "queued",
                "Nodes or pools that wait to be looked at",
                Family::default(),
            ),
            waits: registered(
                to,
                "queue_seconds",
                "How long they have waited",
                Family::new_with_constructor(seconds),
            ),
            looks: registered(
                to,
                "look_seconds",
                "How long a look took",
                Family::new_with_constructor(seconds),
            ),
            failures: registered(to, "failures", "Looks that failed, by reason", Family::default()),
            writes: registered(to, "writes", "Writes to the cluster", Family::default()),
            verdicts: registered(
                to,
                "certificate_requests",
                "Requests for certificates that were decided",
                Family::default(),
            ),
            objects: registered(to, "cache_objects", "Objects that are known", Family::default()),
            events: registered(
                to,
                "cache_events",
                "Changes of objects that came",
                Family::default(),
            ),
            watch_failures: registered(
                to,
                "cache_failures",
                "Lists and watches that failed",
                Family::default(),
            ),
            pools: registered(to, "pools", "Pools that have nodes", Gauge::default()),
            pool_members: registered(
                to,
                "pool_members",
                "Nodes that take part in the probing of their pool",
                Gauge::default(),
            ),
            pool_nodes_left_out: registered(
                to,
                "pool_nodes_left_out",
                "Nodes of pools that are too large to be told of",
                Gauge::default(),
            ),
            silent_nodes: registered(
                to,
                "silent_nodes",
                "Nodes in the silence of their pool, by what is held of them",
                Family::default(),
            ),
            registry,
        }
    }
}

impl Metrics {
    /// As `OpenMetrics` text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Whether this replica leads.
    pub fn set_leading(&self, leading: bool) {
        self.leading.set(leading.into());
    }

    /// How many pools there are, their members, and nodes that do not fit.
    pub fn set_pools(&self, pools: usize, members: usize, left_out: usize) {
        let set = |gauge: &Gauge, count: usize| gauge.set(count.try_into().unwrap_or(i64::MAX));
        set(&self.pools, pools);
        set(&self.pool_members, members);
        set(&self.pool_nodes_left_out, left_out);
    }

    /// How many silent nodes each verdict is on.
    pub fn set_silent(&self, counts: &BTreeMap<Verdict, usize>) {
        for (verdict, count) in counts {
            let labels = VerdictLabels {
                verdict: verdict.as_str(),
            };
            let count = (*count).try_into().unwrap_or(i64::MAX);
            self.silent_nodes.get_or_create(&labels).set(count);
        }
    }

    /// Those of one controller.
    pub fn of_controller(self: &Arc<Self>, name: &'static str) -> ControllerMetrics {
        ControllerMetrics {
            all: Arc::clone(self),
            name,
        }
    }

    /// Those of one kind's cache.
    pub fn of_cache(self: &Arc<Self>, kind: &'static str) -> CacheMetrics {
        CacheMetrics {
            all: Arc::clone(self),
            kind,
        }
    }
}

/// The metrics of one controller.
#[derive(Clone)]
pub struct ControllerMetrics {
    all: Arc<Metrics>,
    name: &'static str,
}

impl ControllerMetrics {
    fn labels(&self) -> ControllerLabels {
        ControllerLabels {
            controller: self.name,
        }
    }

    /// The controller's name.
    pub fn controller(&self) -> &'static str {
        self.name
    }

    /// A look began, after so long a wait; so many wait still.
    pub fn begin(&self, waited: Duration, queued: usize) {
        self.all
            .waits
            .get_or_create(&self.labels())
            .observe(waited.as_secs_f64());
        let queued = queued.try_into().unwrap_or(i64::MAX);
        self.all.queued.get_or_create(&self.labels()).set(queued);
    }

    /// A look ended.
    pub fn end(&self, took: Duration) {
        self.all
            .looks
            .get_or_create(&self.labels())
            .observe(took.as_secs_f64());
    }

    /// A look failed.
    pub fn fail(&self, reason: &'static str) {
        let labels = FailureLabels {
            controller: self.name,
            reason,
        };
        self.all.failures.get_or_create(&labels).inc();
    }

    /// Something was written.
    pub fn count_write(&self, what: &'static str) {
        let labels = WriteLabels {
            controller: self.name,
            what,
        };
        self.all.writes.get_or_create(&labels).inc();
    }

    /// A request for a certificate was decided.
    pub fn count_verdict(&self, signer: &'static str, verdict: &'static str) {
        let labels = RequestLabels { signer, verdict };
        self.all.verdicts.get_or_create(&labels).inc();
    }
}

/// The metrics of one kind's cache.
#[derive(Clone)]
pub struct CacheMetrics {
    all: Arc<Metrics>,
    kind: &'static str,
}

impl CacheMetrics {
    fn labels(&self) -> KindLabels {
        KindLabels { kind: self.kind }
    }

    /// The kind.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// A change came.
    pub fn count_event(&self) {
        self.all.events.get_or_create(&self.labels()).inc();
    }

    /// A list or watch failed.
    pub fn count_failure(&self) {
        self.all.watch_failures.get_or_create(&self.labels()).inc();
    }

    /// How many objects are known.
    pub fn set_objects(&self, count: usize) {
        let count = count.try_into().unwrap_or(i64::MAX);
        self.all.objects.get_or_create(&self.labels()).set(count);
    }
}
