//! Files of OpenYurt, or of a conversion that nobody remembers, where ours would go.

use std::path::{Path, PathBuf};

/// OpenYurt's paths are those of its node servants, v0.3 to v1.7.
const PLACES: [&str; 12] = [
    "/etc/yurthub",
    "/var/lib/yurthub",
    "/usr/local/bin/yurthub",
    "/usr/local/bin/yurtctl",
    "/etc/systemd/system/yurthub.service",
    "/etc/systemd/system/yurthub.service.d",
    "/etc/systemd/system/multi-user.target.wants/yurthub.service",
    "/etc/systemd/system/kubelet.service.d/20-yurthub.conf",
    "/etc/kubernetes/manifests/yurt-hub.yaml",
    "/etc/kubernetes/manifests/yurthub.yaml",
    "/var/lib/openyurt",
    "/etc/kubernetes/cache",
];

/// Those that are there.
pub(crate) fn found() -> Vec<PathBuf> {
    PLACES
        .into_iter()
        .map(PathBuf::from)
        .filter(|path| is_there(path))
        .collect()
}

/// A link that leads nowhere is there, too.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
