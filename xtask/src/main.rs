//! `cargo xtask`: the one entry for people. What each command does is in its help.
//!
//! Compiled first on a fresh machine, so it depends on little. It knows the order of things and prints; how a cluster
//! comes to be is in the crate `e2e`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod cluster;
mod demo;
mod gate;
mod guard;
mod image;
mod link;
mod long;
mod manifests;
mod second_chance;
mod stage;
mod tidy;

/// Everything that people do with this repository: `demo` to look at it, `test` to judge it.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install Debian packages and build Kubernetes into the cache; quick when all is there. demo, test, e2e and
    /// cluster up do it by themselves
    Setup,
    /// Bring up a cluster with an edge node behind yurthub, leave it running, and say what to try next
    Demo(demo::Args),
    /// Judge everything: tidy, format, clippy, docs, the chart, unit and component tests, tests on the real cluster
    Test(gate::Args),
    /// Only the tests on the real cluster
    E2e(gate::E2eArgs),
    /// Make a cluster and break it by hand
    Cluster(cluster::Args),
    /// Measure against the goals: one JSON line for each figure
    Bench(long::BenchArgs),
    /// The tests on the real cluster with as many rounds as a long night allows
    Soak(long::Args),
    /// Render manifests/yurt.yaml from charts/yurt; with --check, judge both
    Manifests(manifests::Args),
    /// Pack yurtctl and yurthub into an image, target/image/yurt-ARCHITECTURE.tar
    Image(image::Args),
    /// Check what no compiler checks: headers of source files, names that must not be in them
    Tidy,
    /// Wait until the standard input ends, then take clusters down
    #[command(hide = true)]
    Guard(guard::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Setup => cluster::setup(),
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => gate::run(&args),
        Command::E2e(args) => gate::run_e2e(&args),
        Command::Cluster(args) => cluster::run(args),
        Command::Bench(args) => long::bench(&args),
        Command::Soak(args) => long::soak(&args),
        Command::Manifests(args) => manifests::run(&args),
        Command::Image(args) => image::run(&args),
        Command::Tidy => tidy::run(),
        Command::Guard(args) => guard::stand(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            e2e::progress::say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
