//! Two converted edge nodes behind NAT, and the ways to look at them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::{BrokenNode, Cluster, Cmd, Node, Profile, hub, wait_for};

/// Three times what it takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_mins(3);
/// Where our objects are.
pub(crate) const NAMESPACE: &str = "yurt-system";

/// Nodes that only dial out.
pub(crate) struct Site {
    pub(crate) cluster: Cluster,
    pub(crate) edges: [BrokenNode; 2],
}

impl Site {
    /// Takes both nodes, and waits until the tunnel is there.
    pub(crate) fn begin() -> Result<Self> {
        let cluster = Cluster::attach_or_up(Profile::Default)?;
        let [first, second] = ["edge1", "edge2"].map(|name| cluster.node(name).lock());
        let edges = [first?, second?];
        for edge in &edges {
            hub::ensure(edge)?;
            edge.nat()?;
        }
        let site = Self { cluster, edges };
        for edge in &site.edges {
            site.wait_reached(edge)?;
        }
        Ok(site)
    }

    /// Waits until the apiserver reaches the kubelet of `edge`; how long that took.
    pub(crate) fn wait_reached(&self, edge: &Node) -> Result<Duration> {
        let begin = Instant::now();
        wait_for(&format!("{} to be reached", edge.name()), DEADLINE, || {
            self.healthz(edge).map(Some)
        })?;
        Ok(begin.elapsed())
    }

    /// Asks the kubelet for its health as the apiserver does, once.
    pub(crate) fn healthz(&self, edge: &Node) -> Result<()> {
        let path = format!("/api/v1/nodes/{}/proxy/healthz", edge.name());
        let answer = self
            .cluster
            .kubectl(["get", "--raw", &path, "--request-timeout=2s"])?;
        ensure!(answer == "ok", "the kubelet says {answer}");
        Ok(())
    }

    /// A program in the network of `node` that needs nothing of its file system.
    pub(crate) fn in_network(node: &Node, args: &[&str]) -> Cmd {
        Cmd::new("ip").args(["netns", "exec", &node.netns()]).args(args)
    }
}
