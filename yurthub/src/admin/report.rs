//! What the socket says about yurthub itself. The names of members are stable: scripts read them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tokio::time::Instant;
use yurthub_object::Encoding;

use super::Overview;
use crate::mirror::form;
use crate::mirror::ring::FIRST_OVERLAY_VERSION;
use crate::mirror::scope::{Scope, State};
use crate::offline::events::Entry;

/// Scopes in trouble that the status names; it counts all of them.
const NAMED: usize = 20;

impl Overview {
    /// Everything at a glance.
    pub(super) fn status(&self) -> Value {
        let mut scopes = self.hub.mirror.scopes();
        scopes.sort_by(|one, other| one.key.cmp(&other.key));
        let (mut objects, mut watchers) = (0, 0);
        let mut states: BTreeMap<&str, u64> = BTreeMap::new();
        for scope in &scopes {
            let figures = scope.figures();
            objects += figures.objects;
            watchers += figures.watchers;
            *states.entry(scope.state().as_str()).or_default() += 1;
        }
        let troubled = scopes
            .iter()
            .filter(|scope| matches!(scope.state(), State::Denied | State::Syncing | State::Relisting));
        let troubled: Vec<_> = troubled.take(NAMED).map(|scope| trouble(scope)).collect();
        let filters = self.hub.filters.as_ref();
        json!({
            "node": &*self.hub.node,
            "version": env!("CARGO_PKG_VERSION"),
            "uptimeSeconds": self.started.elapsed().as_secs(),
            "ready": self.is_ready(),
            "cloud": self.cloud(),
            "scopes": states,
            "troubled": troubled,
            "objects": objects,
            "watchers": watchers,
            "statuses": self.waiting_statuses(),
            "events": self.waiting_events(),
            "store": self.store_report(),
            "filters": {
                "wanted": filters.is_some(),
                "armed": filters.is_some_and(|filters| filters.is_armed()),
            },
            "pool": self.pool(),
        })
    }

    /// The pool of this node; `null` where it is in none, or none is known.
    fn pool(&self) -> Value {
        let known = self.hub.pool.known();
        let Some(name) = known.pool() else {
            return Value::Null;
        };
        let silent: Vec<_> = known.silence.silent.keys().collect();
        let kept: Vec<_> = known.kept().into_keys().collect();
        let peers = self.hub.peers.standings();
        let peers = peers
            .iter()
            .map(|(node, standing)| (node.clone(), standing.as_str().into()));
        let votes = self.hub.peers.votes().into_iter();
        let votes = votes.map(|(node, vote)| (node, json!(vote.sees)));
        json!({
            "name": name,
            "members": known.members.members.len(),
            "listening": self.hub.peers.listening().map(|address| address.to_string()),
            "peers": peers.collect::<Map<_, _>>(),
            "votes": votes.collect::<Map<_, _>>(),
            "silent": silent,
            "kept": kept,
        })
    }

    fn waiting_statuses(&self) -> Value {
        let written = self.written();
        let oldest = written.iter().map(|(_, _, version)| *version).min();
        json!({"waiting": written.len(), "oldest": oldest.map(moment), "oldestSeconds": oldest.map(age)})
    }

    fn waiting_events(&self) -> Value {
        let (events, bytes) = self.hub.events.size();
        let oldest = self.hub.events.oldest();
        json!({
            "waiting": events,
            "bytes": bytes,
            "oldest": oldest.map(moment),
            "oldestSeconds": oldest.map(age),
        })
    }

    fn store_report(&self) -> Value {
        let stats = self.store.stats();
        json!({
            "bytes": stats.disk.total.saturating_sub(stats.disk.reusable),
            "fileBytes": stats.disk.total,
            "quotaBytes": self.quota,
            "pendingBytes": stats.pending_bytes,
            "commitFailures": stats.commit_failures,
            "failing": stats.failures_in_a_row > 0,
            "lastError": stats.last_error,
            "corrupt": stats.corrupt,
            "damaged": stats.suspect,
        })
    }

    pub(super) fn cloud(&self) -> Value {
        let state = self.hub.cloud.state();
        json!({
            "phase": state.phase.as_str(),
            "reachable": state.reachable(),
            "since": humantime::format_rfc3339_seconds(state.since_wall).to_string(),
            "seconds": state.age(Instant::now()).as_secs(),
            "server": self.hub.upstream.server().map(|server| server.to_string()),
            "connections": self.hub.upstream.connections(),
            "servers": self.hub.upstream.view().iter().map(|server| json!({
                "server": server.server.as_str(),
                "origin": server.origin.as_str(),
                "phase": server.standing.as_str(),
                "connections": server.connections,
                "roundTripMillis": server.round_trip.as_millis() as u64,
            })).collect::<Vec<_>>(),
        })
    }

    pub(super) fn scopes(&self) -> Value {
        let mut scopes = self.hub.mirror.scopes();
        scopes.sort_by(|one, other| one.key.cmp(&other.key));
        let describe = |scope: &Arc<Scope>| {
            let figures = scope.figures();
            json!({
                "scope": scope.key.describe(),
                "encoding": scope.encoding().content_type(),
                "state": scope.state().as_str(),
                "version": figures.version.to_string(),
                "objects": figures.objects,
                "bytes": figures.bytes,
                "watchers": figures.watchers,
                "ringEvents": figures.ring_events,
                "ringBytes": figures.ring_bytes,
                "written": figures.written,
                "corrected": figures.corrected,
                "standIns": figures.stand_ins,
                "message": scope.denied().map(|status| status.message),
            })
        };
        Value::Array(scopes.iter().map(describe).collect())
    }

    pub(super) fn journal(&self) -> Value {
        let statuses = self.written().into_iter().map(|(resource, key, version)| {
            json!({"resource": resource, "object": key, "since": moment(version), "seconds": age(version)})
        });
        let events = self.hub.events.waiting();
        let events = events.iter().map(|(sequence, entry)| event(*sequence, entry));
        json!({"statuses": statuses.collect::<Vec<_>>(), "events": events.collect::<Vec<_>>()})
    }

    /// Resource, key and version of each object whose status waits for the cloud. One that several scopes hold is one.
    fn written(&self) -> Vec<(String, Box<str>, u64)> {
        let (mut seen, mut written) = (BTreeSet::new(), Vec::new());
        for scope in self.hub.mirror.scopes() {
            for key in scope.written() {
                let Some(overlay) = scope.overlay(&key) else {
                    continue;
                };
                if seen.insert((scope.key.resource.clone(), key.clone())) {
                    written.push((scope.key.resource.clone(), key, overlay.version));
                }
            }
        }
        written.sort();
        written
    }
}

fn trouble(scope: &Scope) -> Value {
    json!({
        "scope": scope.key.describe(),
        "state": scope.state().as_str(),
        "message": scope.denied().map(|status| status.message),
    })
}

/// What of an event says what happened: nothing that its writer did not write into an Event.
fn event(sequence: u64, entry: &Entry) -> Value {
    let content = content(entry).unwrap_or_default();
    let first = |pointers: [&str; 2]| {
        let found = pointers.iter().find_map(|pointer| content.pointer(pointer));
        found.cloned().unwrap_or_default()
    };
    json!({
        "namespace": entry.head.namespace,
        "name": entry.head.name,
        "writer": entry.head.client.to_string(),
        "since": moment(sequence),
        "seconds": age(sequence),
        "reason": first(["/reason", "/reason"]),
        "kind": first(["/involvedObject/kind", "/regarding/kind"]),
        "object": first(["/involvedObject/name", "/regarding/name"]),
        "message": first(["/message", "/note"]),
    })
}

fn content(entry: &Entry) -> Option<Value> {
    let json = match entry.head.encoding() {
        Encoding::Json => entry.item.clone(),
        Encoding::Protobuf => form::of_kind(entry.head.api_version(), "Event", &entry.item)?,
    };
    serde_json::from_slice(&json).ok()
}

/// Versions of this node's own follow the clock: when one was given out.
fn time_of(version: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(version.saturating_sub(FIRST_OVERLAY_VERSION))
}

fn moment(version: u64) -> String {
    humantime::format_rfc3339_seconds(time_of(version)).to_string()
}

fn age(version: u64) -> u64 {
    let age = SystemTime::now().duration_since(time_of(version));
    age.map_or(0, |age| age.as_secs())
}
