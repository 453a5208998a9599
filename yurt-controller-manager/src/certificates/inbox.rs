//! Hears of requests to our signers, and has those looked at on which nothing was decided.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use tokio::time::Instant;
use tracing::warn;

use super::decide::is_settled;
use super::signers::SIGNERS;
use crate::metrics::CacheMetrics;
use crate::queue::Queue;

const PAGE: u32 = 500;
/// The same complaint is told once in so long.
const QUIET: Duration = Duration::from_secs(30);

/// Fills `queue` with the names of requests, for ever. Others' requests, of which there may be many, are not sent here.
pub async fn follow(client: Client, queue: Arc<Queue>, metrics: CacheMetrics) {
    let of_signer = SIGNERS.each_ref().map(|signer| {
        let config = watcher::Config::default()
            .fields(&format!("spec.signerName={}", signer.name))
            .page_size(PAGE);
        let requests: Api<CertificateSigningRequest> = Api::all(client.clone());
        watcher(requests, config).default_backoff().boxed()
    });
    let mut events = stream::select_all(of_signer);
    let mut told: Option<Instant> = None;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::InitApply(request) | Event::Apply(request)) => {
                metrics.count_event();
                if !is_settled(&request) {
                    queue.add(&request.name_any().into());
                }
            }
            Ok(Event::Init | Event::InitDone | Event::Delete(_)) => {}
            Err(error) => {
                metrics.count_failure();
                if told.is_none_or(|told| told.elapsed() >= QUIET) {
                    told = Some(Instant::now());
                    warn!(kind = metrics.kind(), %error, "cannot follow the apiserver; trying again");
                }
            }
        }
    }
}
