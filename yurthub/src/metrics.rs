//! What `/metrics` shows. Label values come from enums of this crate, or are addresses of apiservers; never from what a
//! client sends.

mod door;
mod gauges;
mod mirror;

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use yurthub_filter::FilterName;

use crate::offline::events::verdict::Outcome as EventOutcome;
use crate::offline::replay::Outcome;
use crate::peers::schedule::{Outcome as PeerOutcome, Standing as PeerStanding};
use crate::reality::neighbours::Standing;
use crate::reality::neighbours::probes::Outcome as ProbeOutcome;
use crate::route::{Route, Why};

pub use door::{DoorMetrics, Farewell};
pub use gauges::{Gauges, ServerLabels, StateLabels};
pub use mirror::{MirrorMetrics, RelistKind, RelistLabels, Timeout, TimeoutLabels};

/// Labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    route: &'static str,
    why: &'static str,
    verb: &'static str,
    code: u16,
}

/// Labels of a journal entry's end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    outcome: &'static str,
}

/// Counters of the replay.
#[derive(Clone, Default)]
pub struct ReplayMetrics {
    outcomes: Family<OutcomeLabels, Counter>,
}

/// Labels of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FilterLabels {
    filter: &'static str,
}

/// Counters of the filters.
#[derive(Clone, Default)]
pub struct FilterMetrics {
    changed: Family<FilterLabels, Counter>,
    /// 1 once pods are led to yurthub.
    pub armed: Gauge,
}

impl FilterMetrics {
    /// Counts an object that was shown otherwise than the cloud sent it.
    pub fn count(&self, by: FilterName) {
        let labels = FilterLabels { filter: by.as_str() };
        self.changed.get_or_create(&labels).inc();
    }
}

/// Counters of journaled events.
#[derive(Clone, Default)]
pub struct EventMetrics {
    outcomes: Family<OutcomeLabels, Counter>,
}

impl EventMetrics {
    /// Counts what became of an event.
    pub fn count(&self, outcome: EventOutcome) {
        let outcome = outcome.as_str();
        self.outcomes.get_or_create(&OutcomeLabels { outcome }).inc();
    }
}

/// Other nodes.
#[derive(Clone, Default)]
pub struct NeighbourMetrics {
    standings: Family<StateLabels, Gauge>,
    probes: Family<OutcomeLabels, Counter>,
}

impl NeighbourMetrics {
    fn register(&self, registry: &mut Registry) {
        let Self { standings, probes } = self;
        let help = "Other nodes that endpoints name, by what is believed of them";
        registry.register("neighbours", help, standings.clone());
        let help = "Attempts to reach the kubelet of another node by what became of them";
        registry.register("neighbour_probes", help, probes.clone());
    }

    /// Counts an attempt.
    pub fn count(&self, outcome: ProbeOutcome) {
        let outcome = outcome.as_str();
        self.probes.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Sets how many nodes stand like this.
    pub fn standing(&self, standing: Standing, count: i64) {
        let state = standing.as_str();
        self.standings.get_or_create(&StateLabels { state }).set(count);
    }
}

/// Members of the pool.
#[derive(Clone, Default)]
pub struct PeerMetrics {
    standings: Family<StateLabels, Gauge>,
    probes: Family<OutcomeLabels, Counter>,
}

impl PeerMetrics {
    fn register(&self, registry: &mut Registry) {
        let Self { standings, probes } = self;
        let help = "Members of the pool that this yurthub probes, by how they stand";
        registry.register("peers", help, standings.clone());
        let help = "Attempts to hear from a member of the pool by what became of them";
        registry.register("peer_probes", help, probes.clone());
    }

    /// Counts an attempt.
    pub fn count(&self, outcome: PeerOutcome) {
        let outcome = outcome.as_str();
        self.probes.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Sets how all of them stand.
    pub fn standings(&self, all: &BTreeMap<String, PeerStanding>) {
        for standing in PeerStanding::ALL {
            let count = all.values().filter(|found| **found == standing).count();
            let state = standing.as_str();
            self.standings
                .get_or_create(&StateLabels { state })
                .set(count as i64);
        }
    }
}

/// Counters of tokens.
#[derive(Clone, Default)]
pub struct AccountMetrics {
    /// Found good here; those that were found good seconds before do not count again.
    pub verified: Counter,
    /// Not found good here.
    pub refused: Counter,
}

impl AccountMetrics {
    fn register(&self, registry: &mut Registry) {
        let Self { verified, refused } = self;
        for (name, help, counter) in [
            (
                "tokens_verified",
                "Tokens of this node's pods that were found good here",
                verified,
            ),
            ("tokens_refused", "Tokens that were not found good here", refused),
        ] {
            registry.register(name, help, counter.clone());
        }
    }
}

impl ReplayMetrics {
    /// Counts an attempt.
    pub fn count(&self, outcome: Outcome) {
        self.outcomes
            .get_or_create(&OutcomeLabels {
                outcome: outcome.as_str(),
            })
            .inc();
    }
}

/// Counters of the summary.
#[derive(Clone, Default)]
pub struct SummaryMetrics {
    outcomes: Family<OutcomeLabels, Counter>,
}

impl SummaryMetrics {
    /// Counts an attempt to write it.
    pub fn count(&self, written: bool) {
        let outcome = if written { "written" } else { "failed" };
        self.outcomes.get_or_create(&OutcomeLabels { outcome }).inc();
    }
}

/// Everything that yurthub counts.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    /// Counters of local connections.
    pub door: DoorMetrics,
    /// Counters of the mirror.
    pub mirror: MirrorMetrics,
    /// Counters of the replay.
    pub replay: ReplayMetrics,
    /// Counters of the filters.
    pub filters: FilterMetrics,
    /// Counters of journaled events.
    pub events: EventMetrics,
    /// Counters of tokens.
    pub accounts: AccountMetrics,
    /// Other nodes.
    pub neighbours: NeighbourMetrics,
    /// Members of the pool.
    pub peers: PeerMetrics,
    /// Counters of the summary.
    pub summary: SummaryMetrics,
    /// Values that are read when somebody asks.
    pub gauges: Gauges,
    registry: Arc<Registry>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("yurthub");
        let requests = Family::default();
        let help = "Requests of local clients by route, reason, verb and code";
        registry.register("requests", help, requests.clone());
        let door = DoorMetrics::default();
        door.register(&mut registry);
        let mirror = MirrorMetrics::default();
        mirror.register(&mut registry);
        let replay = ReplayMetrics::default();
        let help = "Journal entries by what became of them";
        registry.register("replay_entries", help, replay.outcomes.clone());
        let filters = FilterMetrics::default();
        let help = "Objects that were shown to the kubelet otherwise than the cloud sent them, by filter";
        registry.register("filtered_objects", help, filters.changed.clone());
        let help = "1 once new containers are led to yurthub";
        registry.register("filters_armed", help, filters.armed.clone());
        let events = EventMetrics::default();
        let help = "Events of the time without cloud by what became of them";
        registry.register("journaled_events", help, events.outcomes.clone());
        let accounts = AccountMetrics::default();
        accounts.register(&mut registry);
        let neighbours = NeighbourMetrics::default();
        neighbours.register(&mut registry);
        let peers = PeerMetrics::default();
        peers.register(&mut registry);
        let summary = SummaryMetrics::default();
        let help = "Attempts to write the summary of this yurthub to its Node, by outcome";
        registry.register("summaries", help, summary.outcomes.clone());
        let gauges = Gauges::default();
        gauges.register(&mut registry);
        Self {
            requests,
            door,
            mirror,
            replay,
            filters,
            events,
            accounts,
            neighbours,
            peers,
            summary,
            gauges,
            registry: Arc::new(registry),
        }
    }

    /// Counts an answered request.
    pub fn count_request(&self, decision: (Route, Why), verb: &'static str, code: u16) {
        let labels = RequestLabels {
            route: decision.0.as_str(),
            why: decision.1.as_str(),
            verb,
            code,
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// Counts a request that was refused before a route was taken: malformed, by nobody in particular, too many.
    pub fn count_at_the_door(&self, code: u16) {
        let labels = RequestLabels {
            route: "refuse",
            why: "at-the-door",
            verb: "",
            code,
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// The text that Prometheus reads (`OpenMetrics`).
    pub fn text(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            text.clear(); // writing to a String cannot fail
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const DOCUMENT: &str = include_str!("../../docs/yurthub.md");

    /// What is between `start` and `end`, wherever that is found.
    fn between<'t>(text: &'t str, start: &str, end: &str) -> Vec<&'t str> {
        let pieces = text.split(start).skip(1);
        pieces.filter_map(|piece| piece.split(end).next()).collect()
    }

    /// The names of all metrics, also of those that have counted nothing and are left out of the text.
    fn registered() -> BTreeSet<String> {
        let registry = format!("{:?}", Metrics::new().registry);
        let names = between(&registry, "Descriptor { name: \"", "\"");
        names.into_iter().map(|name| format!("yurthub_{name}")).collect()
    }

    #[test]
    fn the_document_has_every_metric_and_no_other() {
        let (_, chapter) = DOCUMENT.split_once("\n## Metrics\n").unwrap();
        let (chapter, _) = chapter.split_once("\n## ").unwrap();
        let rows: Vec<_> = chapter
            .lines()
            .filter(|line| line.starts_with("| `yurthub_"))
            .collect();
        let documented: BTreeSet<_> = rows
            .iter()
            .map(|row| between(row, "| `", "`")[0].trim_end_matches("_total").to_owned())
            .collect();
        let registered = registered();
        assert!(registered.contains("yurthub_requests"), "{registered:?}");
        assert_eq!(documented, registered);
        assert_eq!(rows.len(), registered.len(), "a row is there twice");
        // What has a value already says of itself whether it counts.
        let text = Metrics::new().text();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            let full = if kind == "counter" {
                format!("`{name}_total` | counter |")
            } else {
                format!("`{name}` | {kind} |")
            };
            assert!(rows.iter().any(|row| row.contains(&full)), "{full}");
        }
    }

    #[test]
    fn the_document_has_every_value_of_the_labels_of_requests() {
        let values = |label: &str| {
            let row = DOCUMENT
                .lines()
                .find(|line| line.starts_with(&format!("| `{label}` | `")))
                .unwrap();
            let (_, values) = row.trim_start_matches("| ").split_once('|').unwrap();
            let values = between(values, "`", "`").into_iter().step_by(2);
            values.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let mut whys: BTreeSet<_> = Why::ALL.iter().map(|why| why.as_str().to_owned()).collect();
        whys.insert("at-the-door".to_owned());
        assert_eq!(values("why"), whys);
        let filters = [
            FilterName::TrustBundle,
            FilterName::KubernetesService,
            FilterName::ServiceEnv,
            FilterName::KubeProxyConfig,
        ];
        assert_eq!(
            values("filter"),
            filters.map(|filter| filter.as_str().to_owned()).into()
        );
    }
}
