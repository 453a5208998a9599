//! Fills a shelf from the apiserver: a list in pages, then a watch, for ever.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use tokio::time::Instant;
use tracing::{info, warn};

use super::shelf::{Key, Shelf, Touched, View};
use crate::metrics::CacheMetrics;

/// Objects in a page of a list: the whole of a large cluster's pods does not fit anybody's memory.
const PAGE: u32 = 500;
/// The same complaint is told once in so long.
const QUIET: Duration = Duration::from_secs(30);

/// Keeps `shelf` as the cluster is; tells `wake` what has changed.
pub async fn follow<V: View>(
    client: Client,
    shelf: Arc<Shelf<V>>,
    metrics: CacheMetrics,
    wake: impl Fn(&Touched),
) {
    let api: Api<V::Object> = Api::all(client);
    let events = watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff();
    let mut events = std::pin::pin!(events);
    // What was there before a list and is not among it has gone meanwhile.
    let mut unseen = HashSet::new();
    let mut told: Option<Instant> = None;
    while let Some(event) = events.next().await {
        let changed = match event {
            Ok(Event::Init) => {
                unseen = shelf.keys();
                Touched::nothing()
            }
            Ok(Event::InitApply(object)) => {
                let key = key_of::<V>(&object);
                unseen.remove(&key);
                shelf.put(key, V::of(object))
            }
            Ok(Event::InitDone) => {
                let gone = unseen.drain().collect::<Vec<_>>();
                info!(
                    kind = metrics.kind(),
                    objects = shelf.len(),
                    gone = gone.len(),
                    "listed"
                );
                shelf.set_complete();
                Touched::whole(gone.iter().filter_map(|key| shelf.take(key)).collect())
            }
            Ok(Event::Apply(object)) => {
                metrics.count_event();
                shelf.put(key_of::<V>(&object), V::of(object))
            }
            Ok(Event::Delete(object)) => {
                metrics.count_event();
                Touched::whole(shelf.take(&key_of::<V>(&object)).into_iter().collect())
            }
            Err(error) => {
                metrics.count_failure();
                if told.is_none_or(|told| told.elapsed() >= QUIET) {
                    told = Some(Instant::now());
                    warn!(kind = metrics.kind(), %error, "cannot follow the apiserver; trying again");
                }
                Touched::nothing()
            }
        };
        metrics.set_objects(shelf.len());
        if !changed.nodes.is_empty() {
            wake(&changed);
        }
    }
}

fn key_of<V: View>(object: &V::Object) -> Key {
    (
        object.namespace().unwrap_or_default().into(),
        object.name_any().into(),
    )
}
