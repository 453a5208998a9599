//! Converting nodes with yurtctl as an administrator does, and reverting them.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use std::fs::File;

use crate::cluster::Cluster;
use crate::command::Cmd;
use crate::image::{self, Image};
use crate::node::Node;
use crate::progress::say;
use crate::{lock, programs};

/// A conversion takes some ten seconds; pods of a busy machine take their time.
const DEADLINE: Duration = Duration::from_mins(10);
const LOCK_DEADLINE: Duration = Duration::from_mins(15);

/// yurtctl as admin, where the apiserver can be reached.
///
/// # Errors
/// When it cannot be built.
pub fn yurtctl(cluster: &Cluster, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Cmd> {
    let program = programs::yurtctl()?;
    Ok(cluster.in_cloud(program).args(args).deadline(DEADLINE))
}

/// What yurtctl is told to `convert` or `revert` `nodes` (with commas between) with `image`, and to ask nobody. kubeadm may have put both DNS
/// servers of the cluster elsewhere: tests that need names run one of their own.
pub fn args<'a>(verb: &'a str, nodes: &'a str, image: &'a Image) -> Vec<&'a str> {
    let mut args = vec![verb, "--yes", "--edge-nodes", nodes, "--image", &image.reference];
    if verb == "convert" {
        args.push(WITHOUT_DNS);
    }
    args
}

/// Converts a node that would resolve no names while it is cut off.
pub const WITHOUT_DNS: &str = "--accept=no-dns";

/// yurtctl changes one cluster one at a time; tests wait for each other instead of being refused.
///
/// # Errors
/// When others hold it for a quarter of an hour.
pub fn turn(cluster: &Cluster) -> Result<File> {
    let path = cluster.instance().state().join("conversion.lock");
    lock::exclusive(&path, "a conversion of another test", LOCK_DEADLINE)
}

/// Makes `node` an edge node with the yurthub at `binary`, but leaves kube-proxy to who wants to lead pods there
/// ([`crate::hub::clients`]).
///
/// # Errors
/// What yurtctl said.
pub fn convert(node: &Node, binary: &Path) -> Result<()> {
    let image = image::with(binary)?;
    image::load(node, &image)?;
    say(format_args!("converting {}", node.name()));
    let _turn = turn(&node.cluster())?;
    // For yurt-controller-manager and the servers of the tunnel.
    for cloud in node
        .cluster()
        .nodes()
        .iter()
        .filter(|node| node.name().starts_with("cloud"))
    {
        image::load(cloud, &image)?;
    }
    let done = run_convert(node, &image);
    if done.is_ok() || node.exec(["test", "-e", LOCAL])?.status.code() != Some(0) {
        return done;
    }
    // A test has left it in a state that only the node itself can mend.
    node.exec([LOCAL, "node", "revert", "--local"])?;
    crate::wait::wait_for("the reverted node to be Ready", DEADLINE, || {
        let name = format!("node/{}", node.name());
        let wait = ["wait", "--for=condition=Ready", "--timeout=5s", &name];
        node.cluster().kubectl(wait)?;
        Ok(Some(()))
    })?;
    run_convert(node, &image)
}

const LOCAL: &str = "/usr/local/bin/yurtctl";

fn run_convert(node: &Node, image: &Image) -> Result<()> {
    yurtctl(&node.cluster(), args("convert", node.name(), image))?
        .arg("--system-clients=")
        .run_ok()
        .with_context(|| format!("convert {}", node.name()))?;
    Ok(())
}

/// Makes `node` an ordinary node again. Quick where it is one.
///
/// # Errors
/// What yurtctl said.
pub fn revert(node: &Node) -> Result<()> {
    let _turn = turn(&node.cluster())?;
    yurtctl(&node.cluster(), ["revert", "--yes", "--edge-nodes", node.name()])?
        .run_ok()
        .with_context(|| format!("revert {}", node.name()))?;
    Ok(())
}
