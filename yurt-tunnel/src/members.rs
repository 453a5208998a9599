//! Which servers there are, and where: the ConfigMap [`TUNNEL_MEMBERS`], a key for each server, its addresses the lines of it.
//!
//! Each server writes its own key when it is not as it should be, renews a Lease of its own, and takes away keys of others
//! whose Lease nobody renews ([`census`], pure). Agents have the ConfigMap as a volume; servers follow it here. [`entry`]
//! is what a key says.
//!
//! Invariants: a server writes no key of another one but to remove it, and removes none that it has not seen without a sign of
//! life for all of [`Times::dead`], by its own clock. What is not as it was read is not removed.

pub mod census;
pub mod entry;
mod lease;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;
use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use yurt_common::error_chain::ErrorChain;
use yurt_common::node_certificates::TUNNEL_MEMBERS;

use census::Census;

/// One call to the API.
const CALL: Duration = Duration::from_secs(CALL_SECONDS);
const CALL_SECONDS: u64 = 10;
/// What may be done at the end: a server that is told to stop has agents to lead elsewhere, too.
const FAREWELL: Duration = Duration::from_secs(3);

/// The addresses of each server, by its id.
pub type Members = BTreeMap<String, Vec<String>>;

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Between two renewals of a Lease, and between two looks at the others'.
    pub renew: Duration,
    /// How long a Lease holds, as it says itself.
    pub lease: Duration,
    /// The key of a server is taken away when its Lease was not renewed for so long.
    pub dead: Duration,
}

impl Default for Times {
    /// Dead is who is two minutes late.
    fn default() -> Self {
        Self {
            renew: Duration::from_secs(10),
            lease: Duration::from_secs(40),
            dead: Duration::from_secs(160),
        }
    }
}

/// A call that did not succeed.
#[derive(Debug, Error)]
pub enum Failure {
    /// The API did not answer.
    #[error("{0}: the API has not answered within {CALL_SECONDS} s")]
    Silent(&'static str),
    /// It answered otherwise.
    #[error("{0}")]
    Api(&'static str, #[source] Box<kube::Error>),
}

/// A call with its deadline.
async fn call<T>(
    what: &'static str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Failure> {
    let answered = tokio::time::timeout(CALL, call).await;
    let answered = answered.map_err(|_| Failure::Silent(what))?;
    answered.map_err(|error| Failure::Api(what, Box::new(error)))
}

fn complain(result: Result<(), Failure>) {
    if let Err(error) = result {
        warn!(why = %ErrorChain(&error), "the list of tunnel servers is not as it should be; trying again");
    }
}

/// One server among the others.
pub struct Member {
    id: String,
    text: String,
    times: Times,
    maps: Api<ConfigMap>,
    leases: Api<Lease>,
    members: watch::Sender<Arc<Members>>,
    /// The version of the ConfigMap that `members` is from.
    version: watch::Sender<Option<String>>,
    look: Notify,
}

impl Member {
    /// The server `id`, which is to be dialled at `addresses` (`HOST:PORT`).
    pub fn new(client: Client, namespace: &str, id: &str, addresses: &[String], times: Times) -> Self {
        Self {
            id: id.to_owned(),
            text: entry::text(addresses),
            times,
            maps: Api::namespaced(client.clone(), namespace),
            leases: Api::namespaced(client, namespace),
            members: watch::Sender::new(Arc::default()),
            version: watch::Sender::new(None),
            look: Notify::new(),
        }
    }

    /// All servers, this one among them once it has said where it is.
    pub fn members(&self) -> watch::Receiver<Arc<Members>> {
        self.members.subscribe()
    }

    /// Takes part until `stop`; then takes its key and its Lease away, where the API lets it within three seconds.
    pub async fn run(&self, stop: &CancellationToken) {
        tokio::select! {
            () = self.follow() => {}
            () = self.renew() => {}
            () = self.announce() => {}
            () = stop.cancelled() => {}
        }
        let farewell = async {
            complain(self.remove(&self.id, None).await);
            complain(lease::give_up(&self.leases, &self.id).await);
        };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            warn!("the API does not answer: other servers take the key of this one away in some minutes");
        }
    }

    /// Follows the ConfigMap, for ever.
    async fn follow(&self) {
        let config = watcher::Config::default().fields(&format!("metadata.name={TUNNEL_MEMBERS}"));
        let mut events = std::pin::pin!(watcher(self.maps.clone(), config).default_backoff());
        let mut listed = None;
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed = None,
                Ok(Event::InitApply(map)) => listed = Some(map),
                Ok(Event::InitDone) => self.seen(listed.take().unwrap_or_default()),
                Ok(Event::Apply(map)) => self.seen(map),
                Ok(Event::Delete(_)) => self.seen(ConfigMap::default()),
                Err(error) => debug!(%error, "cannot follow the list of tunnel servers; trying again"),
            }
        }
    }

    fn seen(&self, map: ConfigMap) {
        let data = map.data.unwrap_or_default();
        let is_own = data.get(&self.id) == Some(&self.text);
        let members: Members = data
            .into_iter()
            .map(|(id, text)| (id, entry::addresses(&text)))
            .collect();
        self.version.send_replace(map.metadata.resource_version);
        self.members.send_if_modified(|known| {
            let changed = **known != members;
            if changed {
                *known = Arc::new(members);
            }
            changed
        });
        if !is_own {
            self.look.notify_one();
        }
    }

    /// Writes this server's key whenever it is not as it should be.
    async fn announce(&self) {
        loop {
            self.look.notified().await;
            let done = self.write().await;
            if done.is_err() {
                complain(done);
                self.look.notify_one();
            } else {
                info!(id = self.id, addresses = self.text, "told where this server is");
            }
            // Somebody who writes it otherwise, again and again, is not joined.
            tokio::time::sleep(Duration::from_secs(1).mul_f64(1.0 + fastrand::f64())).await;
        }
    }

    /// Applies the key. Each server is a field manager of its own: it owns its key, and no other.
    async fn write(&self) -> Result<(), Failure> {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": TUNNEL_MEMBERS, "labels": lease::LABELS.iter().copied().collect::<BTreeMap<_, _>>()},
            "data": {self.id.as_str(): self.text},
        });
        let params = PatchParams::apply(&lease::manager(&self.id)).force();
        let patch = Patch::Apply(map);
        let written = self.maps.patch(TUNNEL_MEMBERS, &params, &patch);
        call("apply ConfigMap yurt-tunnel-servers", written)
            .await
            .map(|_| ())
    }

    /// Takes a key away, where the ConfigMap has this version still (any: `None`). What is gone already is no failure.
    async fn remove(&self, id: &str, version: Option<&str>) -> Result<(), Failure> {
        let mut patch = json!({"data": {id: null}});
        if let Some(version) = version {
            patch["metadata"] = json!({"resourceVersion": version});
        }
        let params = PatchParams {
            field_manager: Some(lease::manager(&self.id)),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(patch);
        let removed = self.maps.patch(TUNNEL_MEMBERS, &params, &patch);
        match call("patch ConfigMap yurt-tunnel-servers", removed).await {
            // 404: there is no list; 409: it is another one by now, and is looked at again.
            Err(Failure::Api(_, error)) if lease::is_code(&error, &[404, 409]) => Ok(()),
            done => done.map(|_| ()),
        }
    }

    /// Renews this server's Lease, and looks after the others'.
    async fn renew(&self) {
        let mut census = Census::new(self.times.dead);
        let mut ticks = tokio::time::interval(self.times.renew);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            complain(lease::renew(&self.leases, &self.id, self.times.lease).await);
            complain(self.look_after_others(&mut census).await);
        }
    }

    async fn look_after_others(&self, census: &mut Census) -> Result<(), Failure> {
        // The version first: what is decided is about no newer list than that.
        let Some(version) = self.version.borrow().clone() else {
            return Ok(());
        };
        let members = Arc::clone(&self.members.borrow());
        let renewals = lease::renewals(&self.leases).await?;
        let others = members.keys().filter(|id| **id != self.id);
        for id in census.dead(others, &renewals, Instant::now()) {
            info!(id, "gave no sign of life: taken off the list of tunnel servers");
            self.remove(&id, Some(&version)).await?;
        }
        Ok(())
    }
}
