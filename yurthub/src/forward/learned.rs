//! Further apiservers, as the cluster itself names them: the endpoints of the Service `kubernetes` in `default`.
//!
//! They are kept over restarts, because they are needed when the configured address is away. Most of them cannot be reached
//! from an edge node (addresses inside the cloud's network), so one is counted on only once it has answered, and looked for
//! seldom; the monitor sees to both.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::uri::Authority;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::{debug, info, warn};
use yurthub_store::{Batch, Lookup, Protection, Store, StoreError};

use super::Upstream;
use super::exchange::get;
use crate::health::{Monitor, Origin, Phase, ServerId};
use crate::telemetry::ErrorChain;

/// Where they are kept.
const KEY: &[u8] = b"L";
/// Servers that are learned; a control plane has three or five.
const MAX_LEARNED: usize = 16;
/// Largest answer.
const MAX_ANSWER: usize = 1 << 20;
const JSON: &str = "application/json";
/// How often the cluster is asked, a quarter more or less.
const ASK: Duration = Duration::from_mins(30);
/// How often it is looked whether one has begun to work.
const LOOK: Duration = Duration::from_secs(10);
/// What a node may read: slices by the packaged rights of yurthub, endpoints as every kubelet.
const SOURCES: [&str; 2] = [
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes",
    "/api/v1/namespaces/default/endpoints/kubernetes",
];

/// One of them, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    server: String,
    worked: bool,
}

/// Learns them.
pub struct Learner<F> {
    upstream: Arc<Upstream>,
    cloud: Arc<Monitor>,
    store: Store,
    /// Starts to look for a server.
    look_for: F,
    learned: Vec<(Authority, ServerId)>,
    kept: Vec<Kept>,
}

impl<F: Fn(ServerId)> Learner<F> {
    /// Makes known what earlier runs learned. `look_for` is called with each server.
    pub fn open(
        (upstream, cloud): (Arc<Upstream>, Arc<Monitor>),
        store: Store,
        look_for: F,
    ) -> Result<Self, StoreError> {
        let kept = recall(&store)?;
        let mut learner = Self {
            upstream,
            cloud,
            store,
            look_for,
            learned: Vec::new(),
            kept: kept.clone(),
        };
        for server in kept.iter().take(MAX_LEARNED) {
            if let Ok(authority) = server.server.parse() {
                learner.add(&authority, server.worked);
            }
        }
        Ok(learner)
    }

    /// Asks the cluster now and then, until cancelled.
    pub async fn run(mut self) {
        let mut states = self.cloud.subscribe();
        loop {
            if states.wait_for(|state| state.phase == Phase::Up).await.is_err() {
                return;
            }
            match self.ask().await {
                Ok(named) => self.take(&named),
                Err(reason) => debug!(reason, "failed to read which apiservers there are"),
            }
            let rounds = ASK.mul_f64(0.75 + 0.5 * fastrand::f64()).as_secs() / LOOK.as_secs();
            for _ in 0..rounds {
                tokio::time::sleep(LOOK).await;
                self.keep();
            }
        }
    }

    /// The servers that the cluster names.
    async fn ask(&self) -> Result<BTreeSet<SocketAddr>, String> {
        let mut last = String::new();
        for path in SOURCES {
            let asked = self.upstream.exchange(get(path, JSON), MAX_ANSWER).await;
            let (parts, body) = asked
                .map_err(|error| format!("{path}: {}", ErrorChain(&error)))?
                .into_parts();
            if parts.status == StatusCode::OK {
                return serde_json::from_slice(&body)
                    .map(|answer| addresses(&answer))
                    .map_err(|error| format!("{path}: {error}"));
            }
            last = format!("{path}: the apiserver answered {}", parts.status);
        }
        Err(last)
    }

    fn take(&mut self, named: &BTreeSet<SocketAddr>) {
        // A control plane without endpoints is one that is being changed: what was known stays.
        if named.is_empty() {
            return;
        }
        let named: Vec<Authority> = named
            .iter()
            .filter_map(|address| address.to_string().parse().ok())
            .collect();
        for (authority, id) in &self.learned {
            self.cloud.set_gone(*id, !named.contains(authority));
        }
        for authority in &named {
            let known = self.learned.iter().any(|(known, _)| known == authority);
            if !known && self.learned.len() < MAX_LEARNED && self.add(authority, false) {
                info!(server = %authority, "learned of a further apiserver");
            }
        }
        self.keep();
    }

    fn add(&mut self, authority: &Authority, worked: bool) -> bool {
        let Some(id) = self.upstream.add(authority, (Origin::Learned, worked)) else {
            return false; // configured, too
        };
        self.learned.push((authority.clone(), id));
        (self.look_for)(id);
        true
    }

    /// Makes durable what is known, where that has changed.
    fn keep(&mut self) {
        let named = |id| !self.cloud.is_gone(id);
        let now: Vec<Kept> = self
            .learned
            .iter()
            .filter(|(_, id)| named(*id))
            .map(|(authority, id)| Kept {
                server: authority.to_string(),
                worked: self.cloud.has_worked(*id),
            })
            .collect();
        if now == self.kept {
            return;
        }
        match write(&self.store, &now) {
            Ok(()) => self.kept = now,
            Err(error) => warn!(%error, "failed to keep which apiservers there are"),
        }
    }
}

/// Forgets what earlier runs learned.
pub fn forget(store: &Store) -> Result<(), StoreError> {
    if recall(store)?.is_empty() {
        return Ok(());
    }
    write(store, &[])
}

fn recall(store: &Store) -> Result<Vec<Kept>, StoreError> {
    let Lookup::Found(value) = store.get(KEY)? else {
        return Ok(Vec::new());
    };
    Ok(serde_json::from_slice(&value).unwrap_or_default())
}

fn write(store: &Store, servers: &[Kept]) -> Result<(), StoreError> {
    let value = serde_json::to_vec(servers).unwrap_or_default();
    let mut batch = Batch::new();
    batch.put(Bytes::from_static(KEY), Bytes::from(value), Protection::Plain);
    store.write(batch)?;
    Ok(())
}

/// The addresses in a list of `EndpointSlices`, or in `Endpoints`, with the port named `https`. Pure. What cannot be one
/// of a server is left out.
fn addresses(answer: &Value) -> BTreeSet<SocketAddr> {
    let slices = answer["items"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|slice| {
            let ready = |endpoint: &&Value| endpoint["conditions"]["ready"] != false;
            let endpoints = list(&slice["endpoints"]).filter(ready);
            let addresses = endpoints.flat_map(|endpoint| list(&endpoint["addresses"]));
            pairs(addresses.filter_map(Value::as_str), &slice["ports"])
        });
    let subsets = list(&answer["subsets"]).flat_map(|subset| {
        let addresses = list(&subset["addresses"]).filter_map(|address| address["ip"].as_str());
        pairs(addresses, &subset["ports"])
    });
    slices.chain(subsets).take(MAX_LEARNED).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn pairs<'a>(addresses: impl Iterator<Item = &'a str>, ports: &Value) -> Vec<SocketAddr> {
    let port = list(ports).find(|port| port["name"] == "https" || port["name"].is_null());
    let Some(port) = port.and_then(|port| u16::try_from(port["port"].as_u64()?).ok()) else {
        return Vec::new();
    };
    let usable = |address: &IpAddr| !address.is_unspecified() && !address.is_multicast();
    let addresses = addresses
        .filter_map(|address| address.parse().ok())
        .filter(usable);
    addresses.map(|address| SocketAddr::new(address, port)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use yurthub_store::{MemoryEngine, Options};

    use super::*;

    fn sockets(texts: &[&str]) -> BTreeSet<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn slices_and_endpoints_name_servers() {
        let slices = json!({ "kind": "EndpointSliceList", "items": [
            { "addressType": "IPv4",
              "endpoints": [
                { "addresses": ["10.0.0.1"], "conditions": { "ready": true } },
                { "addresses": ["10.0.0.2"] },
                { "addresses": ["10.0.0.3"], "conditions": { "ready": false } } ],
              "ports": [{ "name": "other", "port": 1 }, { "name": "https", "port": 6443 }] },
            { "addressType": "IPv6", "endpoints": [{ "addresses": ["fd00::1"] }], "ports": [{ "name": "https", "port": 443 }] },
            { "addressType": "IPv4", "endpoints": [{ "addresses": ["10.0.0.9"] }], "ports": [{ "name": "metrics", "port": 9 }] },
        ] });
        let expected = sockets(&["10.0.0.1:6443", "10.0.0.2:6443", "[fd00::1]:443"]);
        assert_eq!(addresses(&slices), expected);
        let endpoints = json!({ "kind": "Endpoints", "subsets": [
            { "addresses": [{ "ip": "10.0.0.1" }], "notReadyAddresses": [{ "ip": "10.0.0.2" }],
              "ports": [{ "name": "https", "port": 6443 }] } ] });
        assert_eq!(addresses(&endpoints), sockets(&["10.0.0.1:6443"]));
    }

    #[test]
    fn nonsense_names_none_and_many_are_cut_off() {
        let port = json!([{ "name": "https", "port": 70_000 }]);
        for nonsense in [
            json!(null),
            json!({ "items": 7 }),
            json!({ "items": [{ "endpoints": [{ "addresses": ["10.0.0.1"] }], "ports": port }] }),
            json!({ "subsets": [{ "addresses": [{ "ip": "x" }, { "ip": "0.0.0.0" }], "ports": [{ "port": 6443 }] }] }),
        ] {
            assert_eq!(addresses(&nonsense), BTreeSet::new(), "{nonsense}");
        }
        let many: Vec<_> = (0..200)
            .map(|last| json!({ "ip": format!("10.0.0.{last}") }))
            .collect();
        let many = json!({ "subsets": [{ "addresses": many, "ports": [{ "port": 6443 }] }] });
        assert_eq!(addresses(&many).len(), MAX_LEARNED);
    }

    #[test]
    fn what_was_learned_is_kept_and_can_be_forgotten() {
        let store = Store::over(Box::new(MemoryEngine::default()), Options::default()).unwrap();
        assert_eq!(recall(&store).unwrap(), []);
        let servers = [true, false].map(|worked| Kept {
            server: "10.0.0.1:6443".into(),
            worked,
        });
        write(&store, &servers).unwrap();
        assert_eq!(recall(&store).unwrap(), servers);
        forget(&store).unwrap();
        assert_eq!(recall(&store).unwrap(), []);
    }
}
