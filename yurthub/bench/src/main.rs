//! `bench-hub`: what yurthub costs and saves, measured beside a direct connection to the same apiserver.
//!
//! One JSON line per figure on stdout, everything else on stderr. Reading order: what a figure is ([`figure`]), what
//! all measurements share ([`stand`], [`hub`], [`client`], [`load`], [`samples`]), then one file per group of
//! figures. Not here: micro-benchmarks of single crates (`cargo bench`).
//!
//! Invariants: yurthub is the binary as it is shipped; both sides of a comparison are measured in the same run, turn
//! by turn; a figure that cannot be measured is reported as an error, never left out.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use e2e::progress::say;
use yurt_testkit::figure::load_average;

use crate::figure::{Experiment, Place};
use crate::stand::Stand;

mod client;
mod figure;
mod hub;
mod load;
mod samples;
mod stand;

mod cluster;
mod disk;
mod memory;
mod outage;
mod pods;
mod requests;
mod thin_link;
mod truth;
mod watches;

/// Measures yurthub beside a direct connection to the apiserver; one JSON line per figure.
#[derive(Debug, Parser)]
#[command(name = "bench-hub")]
struct Args {
    /// Only these figures
    #[arg(long = "figure", value_name = "NAME", num_args = 1..)]
    figures: Vec<String>,
    /// Also the figures that need a whole cluster: about 25 minutes more
    #[arg(long)]
    cluster: bool,
    /// Fewer rounds and shorter waits: shows that everything works, and the order of magnitude
    #[arg(long)]
    quick: bool,
    /// How long the link is cut for `cut100s_bytes_ratio` [default: 100 s, quick: 10 s]
    #[arg(long, value_name = "SECONDS")]
    outage: Option<u64>,
    /// A yurthub that is built already (static, for the cluster); by default it is built
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Name the figures and their goals, and end
    #[arg(long)]
    list: bool,
}

/// In the order of measuring.
const EXPERIMENTS: &[&Experiment] = &[
    &requests::FORWARDED,
    &requests::MIRRORED,
    &requests::LIST,
    &watches::FIFTY_WATCHERS,
    &memory::TWO_THOUSAND_OBJECTS,
    &pods::FIFTY_PODS,
    &outage::NOTICED,
    &outage::CUT,
    &outage::RESTART,
    &disk::BINARY,
    &disk::IDLE_WRITES,
    &cluster::UPLINK,
    &cluster::REBOOT,
    &truth::TRUTH,
    &thin_link::SYNC,
];

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<ExitCode> {
    let wanted = wanted(args)?;
    if args.list {
        for figure in wanted.iter().flat_map(|experiment| experiment.figures) {
            print(&format!("{} <= {} {}", figure.name, figure.goal, figure.unit));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let binary = match &args.binary {
        Some(path) => path.clone(),
        None => e2e::hub::build()?,
    };
    let outage = args.outage.unwrap_or(if args.quick { 10 } else { 100 });
    let stand = Stand::new(binary, args.quick, Duration::from_secs(outage));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a runtime")?;
    let complete = runtime.block_on(measure_all(&wanted, args, &stand));
    Ok(if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The experiments that yield the figures asked for.
fn wanted(args: &Args) -> Result<Vec<&'static Experiment>> {
    let known = |name: &String| {
        let mut figures = EXPERIMENTS.iter().flat_map(|experiment| experiment.figures);
        figures.any(|figure| figure.name == *name)
    };
    if let Some(unknown) = args.figures.iter().find(|name| !known(name)) {
        bail!("there is no figure `{unknown}`; --list --cluster names them all");
    }
    let is_wanted = |experiment: &&Experiment| {
        if args.figures.is_empty() {
            return args.cluster || experiment.place == Place::Loopback;
        }
        let mut figures = experiment.figures.iter();
        figures.any(|figure| args.figures.iter().any(|name| name == figure.name))
    };
    Ok(EXPERIMENTS.iter().copied().filter(is_wanted).collect())
}

/// Whether every figure could be measured; goals that are missed do not count.
async fn measure_all(wanted: &[&Experiment], args: &Args, stand: &Stand) -> bool {
    let mut complete = true;
    for experiment in wanted {
        say(format_args!(
            "measuring {} (load {})",
            experiment.names().join(", "),
            load_average()
        ));
        let outcome = (experiment.measure)(stand).await;
        complete &= outcome.is_ok();
        for figure in experiment.figures {
            if args.figures.is_empty() || args.figures.iter().any(|name| name == figure.name) {
                print(&figure.report(&outcome));
            }
        }
    }
    complete
}

#[expect(clippy::print_stdout, reason = "the result that was asked for")]
fn print(line: &str) {
    println!("{line}");
}
