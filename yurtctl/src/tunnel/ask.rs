//! Asks a kubelet through the apiserver, as `kubectl get --raw /api/v1/nodes/NODE/proxy/healthz` does.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::reason::Failure;
use crate::cluster::Cluster;

/// A kubelet is asked for so long. The apiserver itself may wait longer for one that swallows packets.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the answer took; or why there was none.
pub(super) async fn kubelet(cluster: &Cluster, node: &str) -> Result<Duration, Failure> {
    let path = format!("/api/v1/nodes/{node}/proxy/healthz");
    let request = http::Request::get(path).body(Vec::new());
    let request = request.map_err(|error| Failure::Other(error.to_string()))?;
    let start = Instant::now();
    match timeout(PATIENCE, cluster.client.request_text(request)).await {
        Ok(Ok(_)) => Ok(start.elapsed()),
        Ok(Err(kube::Error::Api(status))) => Err(Failure::Answer(status.code, status.message.clone())),
        Ok(Err(error)) => Err(Failure::Other(chain(&error))),
        Err(_) => Err(Failure::Silence(PATIENCE)),
    }
}

/// An error with all that it comes from.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
