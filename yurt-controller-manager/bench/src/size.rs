//! How large the cluster is, and how much goes on in it (pure).

use std::time::Duration;

/// A kubelet writes the status of a node that has not changed once in so long (`nodeStatusReportFrequency`).
const HEARTBEAT_S: usize = 300;
/// A kubelet renews its Lease once in so long.
const LEASE_S: usize = 10;

/// See the module's header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) nodes: usize,
    pub(crate) pods_per_node: usize,
    /// The first so many nodes ask for autonomy.
    pub(crate) autonomous: usize,
    /// How long ordinary life is measured.
    pub(crate) steady: Duration,
}

impl Size {
    /// The large cluster, or a small one that shows whether everything works.
    pub(crate) fn of(quick: bool, steady: Option<u64>) -> Self {
        let (nodes, autonomous, usual) = if quick { (500, 50, 10) } else { (10_000, 1_000, 60) };
        Self {
            nodes,
            pods_per_node: 5,
            autonomous,
            steady: Duration::from_secs(steady.unwrap_or(usual)),
        }
    }

    /// Pods of nodes that ask for autonomy.
    pub(crate) fn kept_pods(&self) -> usize {
        self.autonomous * self.pods_per_node
    }

    /// Leases that are renewed in a second.
    pub(crate) fn leases_per_second(&self) -> usize {
        self.nodes.div_ceil(LEASE_S)
    }

    /// Statuses of nodes that are written in a second.
    pub(crate) fn statuses_per_second(&self) -> usize {
        self.nodes.div_ceil(HEARTBEAT_S)
    }
}

/// A count as a float, for figures.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(crate) fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_cluster_renews_a_thousand_leases_a_second() {
        let size = Size::of(false, None);
        assert_eq!(
            (size.leases_per_second(), size.statuses_per_second()),
            (1_000, 34)
        );
        assert_eq!(size.kept_pods(), 5_000);
    }
}
