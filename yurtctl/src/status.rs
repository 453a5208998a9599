//! `yurtctl status`, `node show` and `version`: what the cloud knows of edge nodes, without asking them.

mod node;
mod text;

use std::io::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use crate::app::Ending;
use crate::args::{ClusterArgs, Format, Shown};
use crate::cluster::Cluster;
use crate::objects;
use crate::progress::Progress;
use crate::selection::NodeView;
use crate::show::data;
use node::EdgeNode;

/// Nodes whose pods are asked for at a time.
const AT_A_TIME: usize = 10;

/// All converted nodes.
pub async fn command(args: &ClusterArgs, shown: Shown) -> Result<Ending> {
    let cluster = Cluster::connect(args).await?;
    let bindings = objects::bindings(&cluster).await?;
    let views: Vec<_> = cluster.nodes().await?.iter().map(NodeView::of).collect();
    let known = stream::iter(views)
        .filter_map(async |view| bindings.get(&view.name).map(|since| (view, *since)))
        .map(async |(view, since)| {
            let pods = cluster.pods(Some(&view.name)).await?;
            Ok::<_, anyhow::Error>(EdgeNode::of(&view, Some(since), &pods))
        })
        .buffered(AT_A_TIME);
    let mut nodes: Vec<_> = known.try_collect().await?;
    nodes.sort_by(|a, b| a.node.cmp(&b.node));
    if nodes.is_empty() {
        Progress::begin().say("no node is converted");
    }
    print(&match shown.output {
        Format::Json | Format::Yaml => data(&nodes, shown.output)?,
        Format::Table | Format::Wide if nodes.is_empty() => String::new(),
        format => text::rows(&nodes, format == Format::Wide, now()),
    });
    Ok(ending(&nodes))
}

/// One node, with all that is known of it.
pub async fn show(args: &ClusterArgs, name: &str, shown: Shown) -> Result<Ending> {
    let cluster = Cluster::connect(args).await?;
    let Some(node) = cluster.node(name).await? else {
        bail!("there is no node {name}");
    };
    let view = NodeView::of(&node);
    let since = objects::bindings(&cluster).await?.get(name).copied();
    let pods = cluster.pods(Some(name)).await?;
    let node = EdgeNode::of(&view, since, &pods);
    let findings = node::findings(&view, &pods, &node, now());
    print(&match shown.output {
        Format::Json | Format::Yaml => data(&json!({"node": node, "findings": findings}), shown.output)?,
        Format::Table | Format::Wide => text::description(&node, &findings, now()),
    });
    Ok(ending(&[node]))
}

fn ending(nodes: &[EdgeNode]) -> Ending {
    let fine = nodes
        .iter()
        .all(|node| ["fine", "not converted"].contains(&node.state));
    if fine { Ending::Fine } else { Ending::Failed }
}

/// Seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_secs().cast_signed())
}

/// Versions of yurtctl and of the cluster.
pub async fn versions(args: &ClusterArgs, shown: Shown) -> Result<Ending> {
    let own = env!("CARGO_PKG_VERSION");
    // The own version is known without a cluster.
    let cluster = match Cluster::connect(args).await {
        Ok(cluster) => cluster.version().await,
        Err(error) => Err(error),
    };
    let found = cluster.as_deref().ok();
    let text = match shown.output {
        Format::Json | Format::Yaml => data(&json!({"yurtctl": own, "cluster": found}), shown.output)?,
        Format::Table | Format::Wide => format!("yurtctl {own}\ncluster {}\n", found.unwrap_or("unknown")),
    };
    print(&text);
    cluster.context("ask the cluster").map(|_| Ending::Fine)
}

/// To stdout; a reader that has gone away is no failure.
pub fn print(text: &str) {
    drop(io::stdout().write_all(text.as_bytes()));
}
