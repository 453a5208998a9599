//! What this node's kubelet sees otherwise than the cloud sent it, so that pods reach the API through yurthub.
//!
//! The changes themselves are in the crate `yurthub-filter`. Here is who gets them (the kubelet only, in mirrored and
//! in forwarded answers), and when: pods learn yurthub's CA first, and are led to yurthub only once the CA files of all
//! of them hold it ([`arming`]). What was reached is kept over restarts: a node that boots without the cloud goes on as
//! it was.

pub mod arming;

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use thiserror::Error;
use tracing::warn;
use yurthub_filter::{BadSettings, FilterName, Filtered, Filters, Place, Server, Settings};
use yurthub_object::{Encoding, json, wire};
use yurthub_request::ResourcePath;
use yurthub_store::{Batch, Lookup, Protection, Store, StoreError};

use crate::metrics::FilterMetrics;
use crate::mirror::key::ScopeKey;
use crate::telemetry::ErrorChain;

const KEY: &[u8] = b"f";

/// What the filters make of each resource that they concern, as they are when all are on: a number that changes when
/// an answer might.
type Fingerprints = [u64; 3];

const CONCERNED: [&str; 3] = ["services", "configmaps", "pods"];

fn fingerprints(filters: &Filters) -> Fingerprints {
    CONCERNED.map(|resource| filters.fingerprint(&Place::all("", resource)))
}

/// What is kept of the filters over restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    fingerprints: Fingerprints,
    /// Since when pods are led to yurthub.
    armed: Option<i64>,
}

impl Kept {
    fn read(store: &Store) -> Result<Option<Self>, StoreError> {
        let Lookup::Found(value) = store.get(KEY)? else {
            return Ok(None);
        };
        let (numbers, _) = value.as_chunks::<8>();
        let Some((fingerprints, rest)) = numbers.split_first_chunk() else {
            return Ok(None);
        };
        Ok(Some(Self {
            fingerprints: fingerprints.map(u64::from_be_bytes),
            armed: rest.first().copied().map(i64::from_be_bytes),
        }))
    }

    fn write(self, store: &Store) -> Result<(), StoreError> {
        let mut value = self.fingerprints.map(u64::to_be_bytes).concat();
        value.extend(self.armed.iter().flat_map(|armed| armed.to_be_bytes()));
        let mut batch = Batch::new();
        batch.put(KEY, value, Protection::Plain);
        store.write(batch)
    }
}

/// Forgets how far the filters were: pods are no longer served. Returns whether the kubelet was shown something.
pub fn forget(store: &Store) -> Result<bool, StoreError> {
    let Some(_) = Kept::read(store)? else {
        return Ok(false);
    };
    let mut batch = Batch::new();
    batch.delete(KEY);
    store.write(batch)?;
    Ok(true)
}

/// Why the filters cannot be made.
#[derive(Debug, Error)]
pub enum FiltersError {
    /// What they are told is wrong.
    #[error("failed to set up the filters for the kubelet")]
    Settings(#[from] BadSettings),
    /// What was reached cannot be read or kept.
    #[error("failed to read or keep how far the filters are")]
    Store(#[from] StoreError),
}

/// The filters of this node.
pub struct NodeFilters {
    wanted: Vec<FilterName>,
    server: Server,
    bundle: String,
    active: ArcSwap<Active>,
    /// Whether they are others than at the last run: the kubelet has seen what it would see otherwise now.
    changed: bool,
    store: Store,
    metrics: FilterMetrics,
}

struct Active {
    filters: Filters,
    /// Since when pods are led to yurthub: the creation of the newest pod of that moment, in seconds since 1970.
    armed: Option<i64>,
}

impl NodeFilters {
    /// The filters `wanted`, which lead to `server`, whose CA is `bundle` (PEM).
    pub fn open(
        wanted: Vec<FilterName>,
        (server, bundle): (Server, String),
        store: Store,
        metrics: FilterMetrics,
    ) -> Result<Self, FiltersError> {
        let fingerprints = fingerprints(&Filters::new(&settings(&wanted, server, &bundle, true))?);
        let kept = Kept::read(&store)?;
        let changed = kept.is_some_and(|kept| kept.fingerprints != fingerprints);
        // Another CA or another address: pods have to trust it first.
        let armed = kept.filter(|_| !changed).and_then(|kept| kept.armed);
        let active = Active {
            filters: Filters::new(&settings(&wanted, server, &bundle, armed.is_some()))?,
            armed,
        };
        Kept { fingerprints, armed }.write(&store)?;
        metrics.armed.set(i64::from(armed.is_some()));
        Ok(Self {
            wanted,
            server,
            bundle,
            active: ArcSwap::from_pointee(active),
            changed,
            store,
            metrics,
        })
    }

    /// Whether there is anything that waits until pods trust yurthub.
    fn lead_pods(&self) -> bool {
        self.wanted.iter().any(|name| *name != FilterName::TrustBundle)
    }

    /// Whether pods are led to yurthub.
    pub fn is_armed(&self) -> bool {
        self.active.load().armed.is_some()
    }

    /// Leads pods to yurthub from now on; `newest` is the creation of the newest pod that exists.
    fn arm(&self, newest: i64) -> Result<(), FiltersError> {
        let active = Active {
            filters: Filters::new(&settings(&self.wanted, self.server, &self.bundle, true))?,
            armed: Some(newest),
        };
        let kept = Kept {
            fingerprints: fingerprints(&active.filters),
            armed: active.armed,
        };
        kept.write(&self.store)?;
        self.active.store(Arc::new(active));
        self.metrics.armed.set(1);
        Ok(())
    }

    /// Whether an object of this scope might be shown otherwise, now or later.
    pub fn concerns(&self, key: &ScopeKey) -> bool {
        let name = key.fields.strip_prefix("metadata.name=");
        let place = Place {
            group: &key.group,
            resource: &key.resource,
            namespace: key.namespace.as_deref(),
            name: name.filter(|name| !name.contains(',')),
        };
        self.concerns_place(&place)
    }

    /// Whether an answer to a request for this might be shown otherwise.
    pub fn concerns_path(&self, path: &ResourcePath) -> bool {
        path.subresource.is_none() && self.concerns_place(&place_of(path))
    }

    fn concerns_place(&self, place: &Place<'_>) -> bool {
        let later =
            !self.is_armed() && self.lead_pods() && CONCERNED.map(|name| place.is_core(name)).contains(&true);
        later || self.active.load().filters.concerns(place)
    }

    /// The item as the kubelet is to see it.
    pub fn show(&self, (group, resource): (&str, &str), encoding: Encoding, item: &Bytes) -> Option<Bytes> {
        let active = self.active.load();
        let place = Place::all(group, resource);
        // What a container was started with must not change under it: the kubelet would start it again.
        if place.is_core("pods")
            && active
                .armed
                .is_none_or(|armed| created(encoding, item) <= Some(armed))
        {
            return None;
        }
        match active.filters.apply(&place, encoding, item) {
            Ok(Filtered::Keep) => None,
            Ok(Filtered::Changed { item, by }) => {
                self.metrics.count(by);
                Some(item)
            }
            Err(error) => {
                warn!(resource, error = %ErrorChain(&error), "an object is shown unfiltered: it cannot be read");
                None
            }
        }
    }
}

fn place_of(path: &ResourcePath) -> Place<'_> {
    Place {
        group: &path.group,
        resource: &path.resource,
        namespace: path.namespace.as_deref(),
        name: path.name.as_deref(),
    }
}

/// What is on. The bundle goes first, alone.
fn settings(wanted: &[FilterName], server: Server, bundle: &str, armed: bool) -> Settings {
    let on = |name| wanted.contains(&name);
    let lead = |name| (armed && on(name)).then_some(server);
    Settings {
        trust_bundle: on(FilterName::TrustBundle).then(|| bundle.to_owned()),
        kubernetes_service: lead(FilterName::KubernetesService),
        service_env: lead(FilterName::ServiceEnv),
        kube_proxy_config: lead(FilterName::KubeProxyConfig),
    }
}

/// When an object was created, in seconds since 1970 (`ObjectMeta.creationTimestamp`, field 8 of `ObjectMeta`).
fn created(encoding: Encoding, item: &[u8]) -> Option<i64> {
    match encoding {
        Encoding::Json => {
            let raw = json::find(item, &["metadata", "creationTimestamp"]).ok()??;
            let text = json::string(raw).ok()?;
            let time = humantime::parse_rfc3339(&text).ok()?;
            let age = time.duration_since(std::time::UNIX_EPOCH).ok()?;
            i64::try_from(age.as_secs()).ok()
        }
        Encoding::Protobuf => Some(wire::varint(item, &[1, 8, 1]).ok()?.cast_signed()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use yurthub_store::{MemoryEngine, Options};

    use super::*;

    fn store() -> Store {
        Store::over(Box::new(MemoryEngine::default()), Options::default()).unwrap()
    }

    fn filters(store: &Store) -> NodeFilters {
        filters_of(store, 10268, &bundle())
    }

    fn bundle() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let ca = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        ca.pem()
    }

    fn filters_of(store: &Store, port: u16, bundle: &str) -> NodeFilters {
        let server = Server {
            host: "169.254.2.1".parse().unwrap(),
            port,
        };
        let wanted = vec![
            FilterName::TrustBundle,
            FilterName::KubernetesService,
            FilterName::ServiceEnv,
        ];
        NodeFilters::open(
            wanted,
            (server, bundle.to_owned()),
            store.clone(),
            FilterMetrics::default(),
        )
        .unwrap()
    }

    fn kubernetes() -> Bytes {
        let object = json!({
            "metadata": { "name": "kubernetes", "namespace": "default" },
            "spec": { "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "ipFamilies": ["IPv4"],
                      "ports": [{ "name": "https", "port": 443 }] },
        });
        object.to_string().into()
    }

    fn pod(created: &str) -> Bytes {
        let env = json!([{ "name": "KUBERNETES_SERVICE_HOST", "value": "10.0.0.1" }]);
        let object = json!({
            "metadata": { "name": "web", "namespace": "default", "creationTimestamp": created },
            "spec": { "containers": [{ "name": "a", "env": env }] },
        });
        object.to_string().into()
    }

    #[test]
    fn pods_are_led_here_only_once_they_trust_this_node_also_after_a_restart() {
        let (store, bundle) = (store(), bundle());
        let shown = |filters: &NodeFilters| filters.show(("", "services"), Encoding::Json, &kubernetes());
        let first = filters_of(&store, 10268, &bundle);
        assert_eq!(shown(&first), None);
        first.arm(1_767_225_600).unwrap(); // 2026-01-01
        let text = String::from_utf8(shown(&first).unwrap().to_vec()).unwrap();
        assert!(text.contains("169.254.2.1") && text.contains("10268"), "{text}");
        let again = filters_of(&store, 10268, &bundle);
        assert!(again.is_armed() && !again.changed);
    }

    #[test]
    fn what_leads_pods_elsewhere_begins_anew_and_is_told_again() {
        let (store, one, other) = (store(), bundle(), bundle());
        let armed = |port, bundle: &str| {
            let filters = filters_of(&store, port, bundle);
            let seen = (filters.changed, filters.is_armed());
            filters.arm(0).unwrap();
            seen
        };
        assert_eq!(armed(10268, &one), (false, false), "nothing was shown before");
        assert_eq!(armed(10268, &one), (false, true));
        assert_eq!(armed(10269, &one), (true, false), "another address");
        assert_eq!(armed(10269, &other), (true, false), "another CA");
        assert!(forget(&store).unwrap());
        assert!(!forget(&store).unwrap(), "nothing is left");
        assert_eq!(armed(10269, &other), (false, false));
    }

    #[test]
    fn a_pod_that_runs_already_keeps_its_environment() {
        let filters = filters(&store());
        let shown = |created| {
            filters
                .show(("", "pods"), Encoding::Json, &pod(created))
                .is_some()
        };
        assert!(!shown("2026-01-02T00:00:00Z"));
        filters.arm(1_767_225_600).unwrap();
        assert!(!shown("2025-12-31T00:00:00Z"));
        assert!(!shown("2026-01-01T00:00:00Z"));
        assert!(shown("2026-01-02T00:00:00Z"));
    }
}
