//! The yurthub binary: reads flags and configuration, then hands over to [`yurthub::app`].

use std::process::ExitCode;

use clap::Parser;
use yurthub::args::Cli;

fn main() -> ExitCode {
    yurthub::app::main(&Cli::parse())
}
