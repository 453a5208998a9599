//! `cargo xtask bench` and `soak`: what takes too long for `test`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args as ClapArgs;
use e2e::{Instance, Profile, builds};

use crate::guard::{self, Guard};
use crate::stage::{self, Stage};

const BENCH_DEADLINE: Duration = Duration::from_hours(4);
const SOAK_DEADLINE: Duration = Duration::from_hours(24);

/// The name of the measurements of `yurt-controller-manager/bench`.
const CONTROLLERS: &str = "controllers";
/// The name of the measurements of `yurthub/bench`, and of the cluster that some of them need.
const HUB: &str = "hub";
/// The name of the measurements of `yurt-tunnel/bench`.
const TUNNEL: &str = "tunnel";
const HUB_INSTANCE: &str = "bench";

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Which one; all by default
    name: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct BenchArgs {
    /// Which one; all by default. `hub`: yurthub beside a direct connection to the apiserver; `convert`: what a conversion costs a node; `controllers`: yurt-controller-manager in a large cluster; `tunnel`: yurt-tunnel beside plain TCP and another tunnel
    name: Option<String>,
    /// Arguments of that one: `hub --quick`, `hub --figure NAME`, `hub --cluster` (20 minutes more), `hub --help`, `controllers --quick`, `tunnel --figure NAME`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn bench(args: &BenchArgs) -> Result<ExitCode> {
    let bench = Stage::cargo("bench", BENCH_DEADLINE, &["bench", "--workspace"]);
    match args.name.as_deref() {
        Some(HUB) => bench_hub(&args.args),
        Some(CONTROLLERS) => bench_controllers(&args.args),
        Some(TUNNEL) => bench_tunnel(&args.args),
        Some(name) => on_cluster(&bench.args(&["--bench", name])),
        None => {
            on_cluster(&bench.args(&["--benches"]))?;
            bench_hub(&args.args)?;
            bench_controllers(&[])?;
            bench_tunnel(&[])
        }
    }
}

/// Release build: its client must not be slower than what it measures.
fn bench_hub(args: &[String]) -> Result<ExitCode> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let run = ["run", "--quiet", "--release", "--package", "yurthub-bench", "--"];
    let bench = Stage::cargo("bench hub", BENCH_DEADLINE, &run).args(&args);
    on_instances(&bench, vec![Instance::new(HUB_INSTANCE, Profile::Default)?])
}

/// Beside an apiserver on loopback, whose programs come with those of a cluster; none is brought up.
fn bench_controllers(args: &[String]) -> Result<ExitCode> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let package = "yurt-controller-manager-bench";
    let run = ["run", "--quiet", "--release", "--package", package, "--"];
    builds::ensure(&Instance::new(HUB_INSTANCE, Profile::Default)?)?;
    stage::run(&Stage::cargo("bench controllers", BENCH_DEADLINE, &run).args(&args))?.verdict?;
    Ok(ExitCode::SUCCESS)
}

/// On loopback, and in network namespaces of its own, without a cluster.
fn bench_tunnel(args: &[String]) -> Result<ExitCode> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let run = [
        "run",
        "--quiet",
        "--release",
        "--package",
        "yurt-tunnel-bench",
        "--",
    ];
    stage::run(&Stage::cargo("bench tunnel", BENCH_DEADLINE, &run).args(&args))?.verdict?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn soak(args: &Args) -> Result<ExitCode> {
    let soak = Stage::cargo("soak", SOAK_DEADLINE, &["test", "--package", "e2e"]).env("YURT_SOAK", "1");
    // Names of tests are Rust's.
    let name = args.name.as_deref().map(|name| name.replace('-', "_"));
    let filter: Vec<&str> = name.as_deref().into_iter().collect();
    on_cluster(&soak.args(&filter).args(&["--", "--nocapture"]))
}

fn on_cluster(stage: &Stage) -> Result<ExitCode> {
    on_instances(stage, guard::test_instances()?)
}

/// Runs `stage`, which brings up those of the clusters `instances` that it wants, and takes them down.
fn on_instances(stage: &Stage, instances: Vec<Instance>) -> Result<ExitCode> {
    if let Some(instance) = instances.first() {
        builds::ensure(instance)?;
    }
    let guard = Guard::post(instances)?;
    let result = stage::run(stage);
    guard.take_down()?;
    result?.verdict?;
    Ok(ExitCode::SUCCESS)
}
