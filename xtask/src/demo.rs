//! `cargo xtask demo`: a cluster to play with.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args as ClapArgs;
use e2e::progress::say;
use e2e::{Cluster, Instance, Profile, conversion, image, up};

const NODES: [&str; 3] = ["cloud1", "edge1", "edge2"];
const EDGE_NODES: [&str; 2] = ["edge1", "edge2"];
const WORKLOAD_DEADLINE: Duration = Duration::from_mins(2);
const WORKLOAD: &str = include_str!("demo/workload.yaml");

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Remove the demo
    #[arg(long)]
    down: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let instance = Instance::new("demo", Profile::Default)?;
    if args.down {
        instance.down()?;
        say("the demo is down");
        return Ok(ExitCode::SUCCESS);
    }
    let cluster = up::up(instance, &NODES)?;
    convert(&cluster)?;
    deploy(&cluster)?;
    say(include_str!("demo/next.txt"));
    Ok(ExitCode::SUCCESS)
}

/// As an administrator would: the image is on the nodes, yurtctl does the rest.
fn convert(cluster: &Cluster) -> Result<()> {
    let image = image::built()?;
    for node in NODES {
        image::load(&cluster.node(node), &image)?;
    }
    let args = [
        "convert",
        "--yes",
        "--edge-nodes",
        &EDGE_NODES.join(","),
        "--max-unavailable=2",
        conversion::WITHOUT_DNS,
    ];
    let mut yurtctl = conversion::yurtctl(cluster, args)?.to_std();
    let status = yurtctl.status().context("start yurtctl")?;
    ensure!(status.success(), "yurtctl convert ended with {status}");
    Ok(())
}

fn deploy(cluster: &Cluster) -> Result<()> {
    cluster.apply_yaml(WORKLOAD)?;
    let rollout = cluster.kubectl_cmd(["rollout", "status", "deployment/web", "--timeout=120s"]);
    rollout
        .deadline(WORKLOAD_DEADLINE + Duration::from_secs(10))
        .run_ok()?;
    say(cluster.kubectl(["get", "pods", "-o", "wide"])?);
    Ok(())
}
