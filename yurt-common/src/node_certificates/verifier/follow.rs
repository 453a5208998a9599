//! Keeps a verifier as the cluster is: watches both ConfigMaps.
//!
//! It takes `list` and `watch` of `configmaps` with the names [`TRUST`] and [`FORGOTTEN`] in the namespace of ours.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use tracing::warn;

use super::Verifier;
use crate::node_certificates::{FORGOTTEN, TRUST, TRUST_KEY};

/// The same complaint is told once in so long.
const QUIET: Duration = Duration::from_secs(30);

/// Follows, for ever. A change is known within a second where the apiserver answers.
pub async fn follow(client: Client, namespace: &str, verifier: &Verifier) {
    let maps: Api<ConfigMap> = Api::namespaced(client, namespace);
    let trust = each(&maps, TRUST, |data| {
        // Without it the last one counts: yurt-controller-manager writes it again.
        let Some(pem) = data.and_then(|data| data.get(TRUST_KEY).cloned()) else {
            return;
        };
        if let Err(error) = verifier.trust(&pem) {
            warn!(config_map = TRUST, %error, "not taken; whoever was trusted is trusted still");
        }
    });
    let forgotten = each(&maps, FORGOTTEN, |data| {
        verifier.forget(&data.unwrap_or_default());
    });
    futures_util::future::join(trust, forgotten).await;
}

/// Tells `told` what is in a ConfigMap, whenever that changes; `None`: there is no such.
async fn each(maps: &Api<ConfigMap>, name: &str, told: impl Fn(Option<BTreeMap<String, String>>)) {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = std::pin::pin!(watcher(maps.clone(), config).default_backoff());
    let (mut listed, mut complained) = (None, None::<Instant>);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed = None,
            Ok(Event::InitApply(map)) => listed = Some(map.data.unwrap_or_default()),
            Ok(Event::InitDone) => told(listed.take()),
            Ok(Event::Apply(map)) => told(Some(map.data.unwrap_or_default())),
            Ok(Event::Delete(_)) => told(None),
            Err(error) => {
                if complained.is_none_or(|last| last.elapsed() >= QUIET) {
                    complained = Some(Instant::now());
                    warn!(config_map = name, %error, "cannot follow the apiserver; trying again");
                }
            }
        }
    }
}
