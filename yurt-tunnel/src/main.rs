//! The yurt-tunnel binary: reads flags, then hands over.

use std::process::ExitCode;

use clap::Parser;
use yurt_tunnel::args::Args;

fn main() -> ExitCode {
    let Args {} = Args::parse();
    ExitCode::SUCCESS
}
