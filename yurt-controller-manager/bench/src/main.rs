//! `bench-controllers`: what yurt-controller-manager costs in a large cluster, and how soon it acts there.
//!
//! One JSON line per figure on stdout, everything else on stderr. Reading order: the cluster ([`size`], [`objects`],
//! [`stand`]), the manager in it ([`replica`], and what it wrote by the apiserver's book, [`audit`]), what goes on there
//! ([`load`]), then one file per measurement, in the order of measuring.
//!
//! The apiserver and etcd are real; there is no kube-controller-manager and no kubelet, what they write is written here.
//! Invariant: the manager is the binary as it is shipped, with the rights that the manifests give it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use e2e::progress::say;
use yurt_testkit::figure::{Figure, Reading, load_average};

use crate::size::Size;
use crate::stand::Stand;

mod audit;
mod load;
mod objects;
mod replica;
mod size;
mod stand;

mod cut;
mod failover;
mod start;
mod steady;

/// Measures yurt-controller-manager in a cluster of 10,000 nodes and 50,000 pods; one JSON line per figure.
#[derive(Debug, Parser)]
#[command(name = "bench-controllers")]
struct Args {
    /// A twentieth of the cluster, and shorter waits: shows that everything works
    #[arg(long)]
    quick: bool,
    /// How many seconds of ordinary life are measured [default: 60, quick: 10]
    #[arg(long, value_name = "SECONDS")]
    steady: Option<u64>,
    /// A yurt-controller-manager that is built already; by default it is built, or what `YURT_MANAGER_BINARY` names
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether every figure could be measured; goals that are missed do not count.
fn run(args: &Args) -> Result<bool> {
    let binary = match &args.binary {
        Some(path) => path.clone(),
        None => e2e::programs::controller_manager()?.to_owned(),
    };
    let size = Size::of(args.quick, args.steady);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a runtime")?;
    runtime.block_on(async {
        let mut stand = Stand::start(binary, size).await?;
        // Each begins where the one before has ended.
        let mut complete = report(&start::FIGURES, &start::measure(&mut stand).await);
        complete &= report(&steady::FIGURES, &steady::measure(&mut stand).await);
        complete &= report(&cut::FIGURES, &cut::measure(&mut stand).await);
        complete &= report(&failover::FIGURES, &failover::measure(&mut stand).await);
        Ok(complete)
    })
}

/// Prints the lines of some figures. Whether they were measured.
#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn report(figures: &[Figure], outcome: &Result<Vec<Reading>>) -> bool {
    for figure in figures {
        println!("{}", figure.report(outcome));
    }
    say(format_args!("(load {})", load_average()));
    outcome.is_ok()
}
