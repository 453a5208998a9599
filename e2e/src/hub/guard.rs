//! A node behind yurthub for one test: to break it, or to use it with others.
//!
//! Takes whichever edge node is free: then tests that take a node each do not wait for one another. Invariant: as long
//! as a guard lives, its node stands behind the yurthub that was built.

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cluster::Cluster;
use crate::node::{BrokenNode, Node};

/// The edge nodes of the shared cluster, in the order in which they are used; who breaks one begins at the other end.
pub const NODES: [&str; 3] = ["edge1", "edge2", "edge3"];
/// Between a look at one node and at the next.
const TURN: Duration = Duration::from_millis(200);
const LOCK_DEADLINE: Duration = Duration::from_mins(15);

/// An edge node behind yurthub for us alone, healed.
///
/// # Errors
/// When none becomes free in 15 minutes, or yurthub cannot be put on it.
pub fn lock_any(cluster: &Cluster) -> Result<BrokenNode> {
    let node = first_free(&to_break(cluster), |node| node.lock_within(TURN))?;
    super::ensure(&node)?;
    wait_known(cluster, &node)?;
    Ok(node)
}

/// An edge node without yurthub for us alone, healed.
///
/// # Errors
/// When none becomes free in 15 minutes, or yurthub cannot be taken away.
pub fn lock_plain(cluster: &Cluster) -> Result<BrokenNode> {
    let node = first_free(&to_break(cluster), |node| node.lock_within(TURN))?;
    make_plain(cluster, &node)?;
    Ok(node)
}

fn make_plain(cluster: &Cluster, node: &Node) -> Result<()> {
    if node
        .exec(["test", "-e", "/usr/local/bin/yurthub"])?
        .status
        .success()
    {
        crate::conversion::revert(node)?;
    }
    wait_known(cluster, node)
}

/// Two edge nodes without yurthub for us alone, healed. Everybody who wants two takes them in this order: so nobody waits for
/// somebody who waits for him.
///
/// # Errors
/// As [`lock_plain`].
pub fn lock_two_plain(cluster: &Cluster) -> Result<[BrokenNode; 2]> {
    let [first, second, _] = NODES.map(|name| cluster.node(name).lock());
    let nodes = [first?, second?];
    for node in &nodes {
        make_plain(cluster, node)?;
    }
    Ok(nodes)
}

/// An edge node behind yurthub that nobody breaks as long as the guard lives.
///
/// # Errors
/// As [`lock_any`].
pub fn share_any(cluster: &Cluster) -> Result<(Node, File)> {
    let nodes = NODES.map(|name| cluster.node(name));
    loop {
        let (node, guard) = first_free(&nodes, |node| Ok((node.clone(), node.share_within(TURN)?)))?;
        if super::stands(&node).unwrap_or(false) {
            return Ok((node, guard));
        }
        drop(guard);
        super::ensure(&*node.lock()?)?;
        wait_known(cluster, &node)?;
    }
}

fn to_break(cluster: &Cluster) -> [Node; 3] {
    let [first, second, third] = NODES.map(|name| cluster.node(name));
    [third, second, first]
}

fn first_free<T>(nodes: &[Node], take: impl Fn(&Node) -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        for node in nodes {
            match take(node) {
                Ok(taken) => return Ok(taken),
                Err(error) if start.elapsed() >= LOCK_DEADLINE => {
                    return Err(error).context("take an edge node");
                }
                Err(_) => {}
            }
        }
    }
}

/// The cloud says that the node is Ready: what a test before this one has broken is mended.
fn wait_known(cluster: &Cluster, node: &Node) -> Result<()> {
    let name = format!("node/{}", node.name());
    let wait = cluster.kubectl_cmd(["wait", "--for=condition=Ready", "--timeout=90s", &name]);
    if let Err(error) = wait.deadline(Duration::from_secs(100)).run_ok() {
        bail!("{} is not Ready in the cloud: {error}", node.name());
    }
    Ok(())
}
