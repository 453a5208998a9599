//! Where the pods of this node find the API: in the environment that their containers were born with.
//!
//! The environment of a process is what it was started with, whatever became of the pod's object since; so this is the
//! truth about containers that run, also about those from before a conversion.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

const VARIABLE: &[u8] = b"KUBERNETES_SERVICE_HOST=";

/// One pod, and the way its containers have to the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodRoute {
    /// UID of the pod; of a static pod the one in its file's annotation, not that of its mirror pod.
    pub uid: String,
    /// Whether a container of it was born with yurthub's address.
    pub hub: bool,
}

/// All pods with a running container that was told where the API is.
pub(crate) fn routes(pods_address: &str) -> Vec<PodRoute> {
    let host = pods_address
        .rsplit_once(':')
        .map_or(pods_address, |(host, _)| host);
    let mut found = BTreeMap::<String, bool>::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some((uid, api_host)) = look(&process.path()) else {
            continue;
        };
        *found.entry(uid).or_default() |= api_host == host.as_bytes();
    }
    found
        .into_iter()
        .map(|(uid, hub)| PodRoute { uid, hub })
        .collect()
}

fn look(process: &Path) -> Option<(String, Vec<u8>)> {
    let name = process.file_name()?.to_str()?;
    name.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    let uid = pod_uid(&fs::read_to_string(process.join("cgroup")).ok()?)?;
    let environment = fs::read(process.join("environ")).ok()?;
    let host = environment
        .split(|&byte| byte == 0)
        .find_map(|variable| variable.strip_prefix(VARIABLE))?;
    Some((uid, host.to_vec()))
}

/// The pod of a process, by the names that kubelets give cgroups: `pod<uid>` with the cgroupfs driver,
/// `kubepods-…-pod<uid, dashes as underscores>.slice` with systemd's.
fn pod_uid(cgroup: &str) -> Option<String> {
    cgroup.split(['/', '\n']).find_map(|part| {
        let uid = match part.strip_suffix(".slice") {
            Some(slice) => slice.rsplit_once("-pod")?.1.replace('_', "-"),
            None => part.strip_prefix("pod")?.to_owned(),
        };
        let is_uid = uid.len() >= 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        is_uid.then_some(uid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_drivers_names_of_a_pod_are_known() {
        let uid = "0f3c2b6e-7d52-4f1a-9f57-2f8f0a1b2c3d";
        let plain = format!("0::/kubepods/burstable/pod{uid}/abc\n");
        let slice = format!(
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-abc.scope\n",
            uid.replace('-', "_")
        );
        assert_eq!(pod_uid(&plain).as_deref(), Some(uid));
        assert_eq!(pod_uid(&slice).as_deref(), Some(uid));
        // A static pod's is a hash.
        let hash = "0123456789abcdef0123456789abcdef";
        assert_eq!(
            pod_uid(&format!("0::/kubepods/pod{hash}/x")).as_deref(),
            Some(hash)
        );
        assert_eq!(pod_uid("0::/system.slice/podman.service"), None);
    }
}
