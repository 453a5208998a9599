//! Which pods the kubelet has not reported since the node started. Their addresses went with their sandboxes, but only
//! the kubelet's next report of a pod says so.
//!
//! Kept over restarts: the boot as the kernel names it, and the pods that were here when a new one was noticed. A pod
//! leaves the list when a write of its status has passed yurthub, when it has other addresses than before (none but the kubelet writes
//! those: it may have gone past yurthub), or when it is gone. A first start knows no earlier boot, and waits for no pod.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use yurthub_store::{Batch, Lookup, Protection, Store, StoreError};

use super::Local;
use super::pods::Found;

const KEY: &[u8] = b"B";

/// What is kept.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    boot: String,
    /// By UID.
    waiting: BTreeMap<String, Waiting>,
}

/// A pod that was here when the node started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    /// `namespace/name`.
    key: String,
    /// Its addresses then.
    ips: Vec<IpAddr>,
    /// The cloud's version that holds the kubelet's report, once it was sent: what is shown before is from before.
    reported_at: Option<u64>,
}

/// See the module.
pub struct Boot {
    store: Store,
    local: Arc<Local>,
    record: Mutex<Record>,
}

impl Boot {
    /// Compares the boot `id` with the one that was kept; after a new one all of `pods` wait. `None`: it is not known,
    /// which counts as no new one. Durable when this returns.
    pub(super) async fn open(
        (store, local): (Store, Arc<Local>),
        id: Option<String>,
        pods: Option<&BTreeMap<Box<str>, Found>>,
    ) -> Result<Self, StoreError> {
        let kept = match store.get(KEY)? {
            Lookup::Found(value) => serde_json::from_slice::<Record>(&value).ok(),
            Lookup::Absent | Lookup::Corrupt => None,
        };
        let (record, changed) = compare(kept, id, pods);
        let boot = Self {
            store,
            local,
            record: Mutex::new(record),
        };
        if changed {
            let (batch, waiting) = (boot.batch(), boot.lock().waiting.len());
            info!(
                waiting,
                "the node has started; its pods' endpoints wait for the kubelet's reports"
            );
            if let Err(error) = boot.store.write_durable(batch).await {
                warn!(%error, "failed to keep which pods wait for a report; a restart may take old addresses for true");
            }
        }
        Ok(boot)
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn batch(&self) -> Batch {
        let mut batch = Batch::new();
        let value = serde_json::to_vec(&*self.lock()).unwrap_or_default();
        batch.put(KEY, Bytes::from(value), Protection::Plain);
        batch
    }

    /// Whether the pod `namespace/name` waits for a report.
    pub fn awaits(&self, key: &str) -> bool {
        let record = self.lock();
        let mut waiting = record.waiting.values();
        waiting.any(|pod| pod.key == key && pod.reported_at.is_none())
    }

    /// The kubelet has reported the pod: the report is shown already, or it comes with the cloud's version
    /// `version`. Durable when this returns, so that no restart waits for a report that was made.
    pub async fn reported(&self, key: &str, version: Option<u64>) {
        {
            let mut record = self.lock();
            match version {
                None => record.waiting.retain(|_, pod| pod.key != key),
                Some(_) => {
                    for pod in record.waiting.values_mut().filter(|pod| pod.key == key) {
                        pod.reported_at = version;
                    }
                }
            }
        }
        if let Err(error) = self.store.write_durable(self.batch()).await {
            warn!(key, %error, "failed to keep that the kubelet has reported a pod");
        }
        self.local.stir();
    }

    /// Says of each pod, by UID, whether it was reported in this boot.
    pub(super) fn settle(&self, pods: &BTreeMap<Box<str>, Found>) -> BTreeMap<String, bool> {
        let changed = {
            let mut record = self.lock();
            let before = record.waiting.len();
            settle(&mut record.waiting, pods);
            record.waiting.len() != before
        };
        if changed && let Err(error) = self.store.write(self.batch()) {
            warn!(%error, "failed to keep which pods wait for a report");
        }
        let record = self.lock();
        pods.values()
            .map(|found| (found.uid.clone(), !record.waiting.contains_key(&found.uid)))
            .collect()
    }
}

/// Forgets everything: what happens until endpoints are shown as they are again is not seen, and no pod may wait for it.
pub fn forget(store: &Store) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.delete(KEY);
    store.write(batch)
}

/// The name of the present boot, from the kernel's file.
pub(super) fn id(file: &Path) -> Option<String> {
    match std::fs::read_to_string(file) {
        Ok(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Ok(_) => None,
        Err(error) => {
            warn!(file = %file.display(), %error, "failed to read which boot this is; taking it for the last one");
            None
        }
    }
}

/// What counts now, and whether that is new.
fn compare(
    kept: Option<Record>,
    id: Option<String>,
    pods: Option<&BTreeMap<Box<str>, Found>>,
) -> (Record, bool) {
    match (kept, id) {
        (kept, None) => (kept.unwrap_or_default(), false),
        (None, Some(boot)) => (
            Record {
                boot,
                ..Record::default()
            },
            true,
        ),
        (Some(kept), Some(boot)) if kept.boot == boot => (kept, false),
        (Some(_), Some(boot)) => {
            let mut waiting = BTreeMap::new();
            for (key, found) in pods.into_iter().flatten() {
                let pod = Waiting {
                    key: key.to_string(),
                    ips: found.pod.ips.clone(),
                    reported_at: None,
                };
                waiting.insert(found.uid.clone(), pod);
            }
            (Record { boot, waiting }, true)
        }
    }
}

/// Drops the pods that wait no longer.
fn settle(waiting: &mut BTreeMap<String, Waiting>, pods: &BTreeMap<Box<str>, Found>) {
    waiting.retain(|uid, pod| {
        let found = pods.get(pod.key.as_str()).filter(|found| found.uid == *uid);
        let Some(found) = found else { return false };
        let reported = pod.reported_at.is_some_and(|version| found.version >= version);
        !reported && found.pod.ips == pod.ips
    });
}

#[cfg(test)]
mod tests {
    use yurthub_endpoints::LocalPod;

    use super::*;

    fn pods(ip: &str, version: u64) -> BTreeMap<Box<str>, Found> {
        let found = Found {
            version,
            uid: "u1".into(),
            mirrors: None,
            pod: LocalPod {
                ips: vec![ip.parse().unwrap()],
                ..LocalPod::default()
            },
        };
        BTreeMap::from([("ns/web".into(), found)])
    }

    fn record(boot: &str, waiting: usize) -> Record {
        let one = Waiting {
            key: "ns/web".into(),
            ips: vec!["10.0.0.1".parse().unwrap()],
            reported_at: None,
        };
        Record {
            boot: boot.into(),
            waiting: (0..waiting).map(|_| ("u1".to_owned(), one.clone())).collect(),
        }
    }

    #[test]
    fn pods_wait_after_a_boot_that_is_known_to_be_new() {
        let pods = pods("10.0.0.1", 7);
        for (kept, id, expected) in [
            (None, Some("a"), (record("a", 0), true)),
            (Some(record("a", 0)), Some("a"), (record("a", 0), false)),
            (Some(record("a", 1)), Some("a"), (record("a", 1), false)),
            (Some(record("a", 0)), Some("b"), (record("b", 1), true)),
            (Some(record("a", 1)), None, (record("a", 1), false)),
        ] {
            let got = compare(kept.clone(), id.map(str::to_owned), Some(&pods));
            assert_eq!(got, expected, "{kept:?} {id:?}");
        }
    }

    #[test]
    fn a_pod_waits_until_a_report_of_it_is_shown() {
        let waits = |reported_at, pods: &BTreeMap<Box<str>, Found>| {
            let mut waiting = record("a", 1).waiting;
            for pod in waiting.values_mut() {
                pod.reported_at = reported_at;
            }
            settle(&mut waiting, pods);
            !waiting.is_empty()
        };
        assert!(waits(None, &pods("10.0.0.1", 7)));
        assert!(!waits(None, &pods("10.0.0.9", 7)), "another address");
        assert!(waits(Some(8), &pods("10.0.0.1", 7)), "on its way");
        assert!(!waits(Some(8), &pods("10.0.0.1", 8)));
        assert!(!waits(None, &BTreeMap::new()), "gone");
        let mut other = pods("10.0.0.1", 7);
        for found in other.values_mut() {
            found.uid = "u2".into();
        }
        assert!(!waits(None, &other), "another pod of that name");
    }
}
