//! What yurthub tells an operator about itself: numbers for everybody (metrics), more on a root-only Unix socket.
//!
//! `socket` serves; `report` and `objects` are what it says. `yurthub status` and the like ask it ([`crate::ask`]).

mod objects;
mod report;
mod socket;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use socket::{bind, serve};

use tokio::time::Instant;
use yurthub_store::Store;

use yurt_common::status_server::Status;

use crate::mirror::scope::State;
use crate::proxy::Hub;
use crate::telemetry::LogControl;

/// Everything that can be said without showing an object.
pub struct Overview {
    /// The running hub.
    pub hub: Arc<Hub>,
    /// Its store.
    pub store: Store,
    /// Changes what is logged.
    pub log: LogControl,
    /// Size of the store from which on old data is dropped, in bytes.
    quota: u64,
    started: Instant,
    ready: AtomicBool,
}

impl Status for Overview {
    fn is_ready(&self) -> bool {
        Self::is_ready(self)
    }

    fn metrics_text(&self) -> String {
        self.measure();
        self.hub.metrics.text()
    }
}

impl Overview {
    /// Not ready yet.
    pub fn new(hub: Arc<Hub>, (store, quota): (Store, u64), log: LogControl) -> Self {
        Self {
            hub,
            store,
            log,
            quota,
            started: Instant::now(),
            ready: AtomicBool::new(false),
        }
    }

    /// The API listener accepts.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Whether the API listener accepts; the cloud's absence does not matter.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    fn measure(&self) {
        let gauges = &self.hub.metrics.gauges;
        gauges.cloud_up.set(i64::from(self.hub.cloud.state().reachable()));
        for server in self.hub.upstream.view() {
            gauges.server_is(server.server.as_str(), server.standing.works());
        }
        gauges
            .upstream_connections
            .set(self.hub.upstream.connections() as i64);
        let (mut objects, mut watchers, mut ring_bytes, mut written, mut corrected) = (0, 0, 0, 0, 0);
        let mut stand_ins = 0;
        let mut states = std::collections::HashMap::new();
        for scope in self.hub.mirror.scopes() {
            let figures = scope.figures();
            objects += figures.objects;
            watchers += figures.watchers;
            ring_bytes += figures.ring_bytes;
            written += figures.written;
            corrected += figures.corrected;
            stand_ins += figures.stand_ins;
            *states.entry(scope.state().as_str()).or_insert(0) += 1;
        }
        for state in [
            State::Syncing,
            State::Live,
            State::Detached,
            State::Resuming,
            State::Relisting,
            State::Denied,
            State::Parked,
        ] {
            gauges.scopes_in(state.as_str(), states.get(state.as_str()).copied().unwrap_or(0));
        }
        gauges.objects.set(objects as i64);
        gauges.watchers.set(watchers as i64);
        gauges.ring_bytes.set(ring_bytes as i64);
        gauges.journal_entries.set(written as i64);
        gauges.endpoint_overlays.set(corrected as i64);
        gauges.mirror_pod_stand_ins.set(stand_ins as i64);
        let (events, bytes) = self.hub.events.size();
        gauges.event_journal_entries.set(events as i64);
        gauges.event_journal_bytes.set(bytes as i64);
        gauges.remembered_bytes.set(self.hub.remembered.size().1 as i64);
        let stats = self.store.stats();
        gauges.store_bytes.set(stats.disk.total as i64);
        gauges.store_pending_bytes.set(stats.pending_bytes as i64);
        gauges.store_commits.set(stats.commits as i64);
        gauges.store_commit_failures.set(stats.commit_failures as i64);
        gauges.store_corrupt.set(stats.corrupt as i64);
    }
}
