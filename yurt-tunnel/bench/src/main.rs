//! `bench-tunnel`: what yurt-tunnel costs, beside plain TCP and beside another tunnel.
//!
//! One JSON line per figure on stdout, everything else on stderr. Reading order: what a figure is ([`experiment`]), what is
//! at the far end ([`target`]) and how it is reached ([`way`]), the programs between ([`tunnel`], [`rathole`]) or many agents
//! in this process ([`crowd`]), a bad link ([`site`]); then one file per group of figures.
//!
//! Invariants: server and agent are the binary as it is shipped, each a process of its own; both sides of a comparison are
//! measured in the same run, turn by turn; a figure that cannot be measured is reported as an error, never left out.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use e2e::progress::say;
use yurt_testkit::figure::load_average;

use crate::experiment::{Experiment, Goal};
use crate::tunnel::Stand;

mod crowd;
mod experiment;
mod rathole;
mod samples;
mod site;
mod target;
mod tunnel;
mod way;

mod latency;
mod loss;
mod memory;
mod stall;
mod storm;
mod throughput;

/// Measures yurt-tunnel; one JSON line per figure.
#[derive(Debug, Parser)]
#[command(name = "bench-tunnel")]
struct Args {
    /// Only these figures
    #[arg(long = "figure", value_name = "NAME", num_args = 1..)]
    figures: Vec<String>,
    /// Fewer rounds, fewer agents and shorter waits: shows that everything works, and the order of magnitude
    #[arg(long)]
    quick: bool,
    /// A yurt-tunnel that is built already; by default it is built, or what `YURT_TUNNEL_BINARY` names
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Name the figures and their goals, and end
    #[arg(long)]
    list: bool,
    /// What this program runs in network namespaces of its own
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Serves what is at the far end of the tunnel, at a port of 127.0.0.1 or of all addresses
    #[command(hide = true)]
    Target { address: std::net::SocketAddr },
    /// Reads from a target for some seconds, and prints how many bytes a second
    #[command(hide = true)]
    Fetch {
        address: std::net::SocketAddr,
        warm_up: u64,
        seconds: u64,
    },
    /// Runs a link emulator
    #[command(hide = true)]
    Emulate {
        socket: PathBuf,
        up: u16,
        down: u16,
        seed: u64,
    },
}

/// In the order of measuring.
const EXPERIMENTS: &[&Experiment] = &[
    &throughput::ONE,
    &throughput::EIGHT,
    &latency::LATENCY,
    &stall::BESIDE,
    &memory::IDLE,
    &memory::LARGE,
    &storm::STORM,
    &loss::LOSS,
];

fn main() -> ExitCode {
    match run(&mut Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &mut Args) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start a runtime")?;
    match args.part.take() {
        Some(Part::Emulate {
            socket,
            up,
            down,
            seed,
        }) => {
            site::emulate(&socket, up, down, seed)?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Part::Target { address }) => {
            runtime.block_on(target::run(address))?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Part::Fetch {
            address,
            warm_up,
            seconds,
        }) => {
            let rate = runtime.block_on(site::fetch(address, warm_up, seconds))?;
            print(&format!("{rate}"));
            return Ok(ExitCode::SUCCESS);
        }
        None => {}
    }
    let wanted = wanted(args)?;
    if args.list {
        for (figure, goal) in wanted.iter().flat_map(|experiment| experiment.figures) {
            print(&format!(
                "{} {} {} {}",
                figure.name,
                goal.sign(),
                figure.goal,
                figure.unit
            ));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let binary = match &args.binary {
        Some(path) => path.clone(),
        None => e2e::programs::tunnel()?.to_owned(),
    };
    let stand = Stand::new(binary, args.quick)?;
    let complete = runtime.block_on(measure_all(&wanted, &args.figures, &stand));
    Ok(if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The experiments that yield the figures asked for.
fn wanted(args: &Args) -> Result<Vec<&'static Experiment>> {
    let has = |experiment: &Experiment, name: &String| {
        let mut figures = experiment.figures.iter();
        figures.any(|(figure, _)| figure.name == *name)
    };
    let known = |name: &String| EXPERIMENTS.iter().any(|experiment| has(experiment, name));
    if let Some(unknown) = args.figures.iter().find(|name| !known(name)) {
        bail!("there is no figure `{unknown}`; --list names them all");
    }
    let is_wanted = |experiment: &&Experiment| {
        args.figures.is_empty() || args.figures.iter().any(|name| has(experiment, name))
    };
    Ok(EXPERIMENTS.iter().copied().filter(is_wanted).collect())
}

/// Whether every figure could be measured; goals that are missed do not count.
async fn measure_all(wanted: &[&Experiment], figures: &[String], stand: &Stand) -> bool {
    let mut complete = true;
    for experiment in wanted {
        let names: Vec<_> = experiment.figures.iter().map(|(figure, _)| figure.name).collect();
        say(format_args!(
            "measuring {} (load {})",
            names.join(", "),
            load_average()
        ));
        let outcome = (experiment.measure)(stand).await;
        complete &= outcome.is_ok();
        for (figure, goal) in experiment.figures {
            if figures.is_empty() || figures.iter().any(|name| name == figure.name) {
                print(&match goal {
                    Goal::AtMost => figure.report(&outcome),
                    Goal::AtLeast => figure.report_at_least(&outcome),
                });
            }
        }
    }
    complete
}

#[expect(clippy::print_stdout, reason = "the result that was asked for")]
fn print(line: &str) {
    println!("{line}");
}
