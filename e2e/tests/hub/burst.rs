//! Writes of the kubelet, as fast as they are answered.

use anyhow::Result;
use e2e::{Background, Namespace, Node, hub};
use serde_json::json;

/// Writes of a burst: more than there is time for.
pub(crate) const LENGTH: u64 = 4000;

/// Writes of a pod's status, one after another on one connection, each a commit of its own, until the power goes.
pub(crate) struct Burst {
    /// The number of the first write.
    pub(crate) first: u64,
    writes: Background,
}

impl Burst {
    /// Writes `acked-FIRST` and so on to `pod0` of `namespace`, in a condition that the kubelet leaves alone.
    pub(crate) fn start(node: &Node, namespace: &Namespace, first: u64) -> Result<Self> {
        let path = format!("/api/v1/namespaces/{}/pods/pod0/status", namespace.name());
        let writes = (first..first + LENGTH).map(|number| {
            let condition =
                json!({"type": "e2e.test/acked", "status": "True", "message": format!("acked-{number}")});
            (number.to_string(), json!({"status": {"conditions": [condition]}}))
        });
        let writes = hub::client::patches(node, &path, writes)?;
        Ok(Self { first, writes })
    }

    /// The last write that was acknowledged; the one before the first, if none was.
    pub(crate) fn acked(&self) -> u64 {
        let lines = self.lines();
        let last = lines
            .iter()
            .rev()
            .find_map(|line| line.strip_prefix("200 ")?.parse().ok());
        last.unwrap_or(self.first - 1)
    }

    /// The answers, and what went wrong.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.writes.lines()
    }
}
