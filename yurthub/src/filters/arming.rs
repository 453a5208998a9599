//! When pods may be led to yurthub: once the CA file of each pod that runs here holds yurthub's CA. A container that
//! restarted before would not trust its server.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info, warn};
use yurthub_object::{fields, meta};
use yurthub_request::ResourcePath;

use super::{NodeFilters, created};
use crate::identity::Client;
use crate::mirror::{Mirror, Sight};
use crate::telemetry::ErrorChain;

/// How often the files are looked at. The kubelet renews them within some 90 s (`syncFrequency` and its cache).
const INTERVAL: Duration = Duration::from_secs(3);

/// Looks until all pods trust yurthub, then leads them to it.
pub async fn run(filters: Arc<NodeFilters>, mirror: Arc<Mirror>, kubelet_dir: PathBuf) {
    if filters.changed {
        tell_again(&mirror);
    }
    let mut rounds = tokio::time::interval(INTERVAL);
    while filters.lead_pods() && !filters.is_armed() {
        rounds.tick().await;
        let Some(pods) = running_pods(&mirror) else {
            continue;
        };
        let doubtful = pods.iter().find(|pod| {
            let volumes = kubelet_dir
                .join("pods")
                .join(&pod.uid)
                .join("volumes/kubernetes.io~projected");
            !all_hold(&volumes, filters.bundle.trim())
        });
        if let Some(pod) = doubtful {
            debug!(uid = pod.uid, "a pod does not trust this node's CA yet");
            continue;
        }
        let newest = pods.iter().map(|pod| pod.created).max().unwrap_or_default();
        match filters.arm(newest) {
            Ok(()) => {
                info!(
                    pods = pods.len(),
                    "all pods trust this node's CA; new containers are led to yurthub"
                );
                tell_again(&mirror);
            }
            Err(error) => warn!(error = %ErrorChain(&error), "pods are not led to yurthub"),
        }
    }
}

struct RunningPod {
    uid: String,
    created: i64,
}

/// The kubelet's pods that have not ended; `None` while they are not all known.
fn running_pods(mirror: &Mirror) -> Option<Vec<RunningPod>> {
    let scopes = mirror.of_resource(Sight::of(&Client::Node), &core("pods"));
    let scope = scopes
        .into_iter()
        .find(|scope| scope.is_complete() && scope.key.fields.starts_with("spec.nodeName="))?;
    let mut pods = Vec::new();
    for key in scope.keys() {
        let Ok(Ok((wire, item))) = scope.object(&key) else {
            return None;
        };
        let phase = fields::value(wire.encoding, ("", "pods"), &item, "status.phase");
        if matches!(phase.as_deref(), Some("Succeeded" | "Failed")) {
            continue;
        }
        pods.push(RunningPod {
            uid: meta::read(wire.encoding, &item).ok()?.uid,
            created: created(wire.encoding, &item).unwrap_or_default(),
        });
    }
    Some(pods)
}

fn core(resource: &str) -> ResourcePath {
    ResourcePath {
        version: "v1".into(),
        resource: resource.into(),
        ..ResourcePath::default()
    }
}

/// Whether each `ca.crt` of a pod's projected volumes holds the CA. A pod without one does not talk to the API.
fn all_hold(volumes: &Path, ca: &str) -> bool {
    let entries = match std::fs::read_dir(volumes) {
        Ok(entries) => entries,
        Err(error) => return error.kind() == io::ErrorKind::NotFound,
    };
    entries.flatten().all(
        |volume| match std::fs::read_to_string(volume.path().join("ca.crt")) {
            Ok(bundle) => bundle.contains(ca),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        },
    )
}

/// Shows the kubelet again what may look different now.
pub fn tell_again(mirror: &Mirror) {
    for resource in ["services", "configmaps"] {
        for client in [Client::Node, Client::Shared] {
            for scope in mirror.of_resource(Sight::of(&client), &core(resource)) {
                for object in scope
                    .keys()
                    .iter()
                    .filter(|key| is_shown_otherwise(resource, key))
                {
                    if let Err(error) = scope.tell_again(object) {
                        warn!(%object, error = %ErrorChain(&error), "the kubelet learns of a change late");
                    }
                }
            }
        }
    }
}

/// Pods are left out: what a container was started with must not change under it.
fn is_shown_otherwise(resource: &str, key: &str) -> bool {
    match resource {
        "services" => key == "default/kubernetes",
        _ => key == "kube-system/kube-proxy" || key.ends_with("/kube-root-ca.crt"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_ca_file_of_a_pod_counts() {
        let folder = tempfile::tempdir().unwrap();
        let volumes = folder.path().join("volumes");
        assert!(all_hold(&volumes, "MINE"), "no volumes at all");
        for (volume, file, content, expected) in [
            ("kube-api-access-1", "ca.crt", "THEIRS\nMINE\n", true),
            ("config", "settings", "x", true),
            ("kube-api-access-2", "ca.crt", "THEIRS\n", false),
        ] {
            fs::create_dir_all(volumes.join(volume)).unwrap();
            fs::write(volumes.join(volume).join(file), content).unwrap();
            assert_eq!(all_hold(&volumes, "MINE"), expected, "{volume}");
        }
    }
}
