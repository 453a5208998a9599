//! The program: reads its arguments, runs one command, says how it ended by its exit code.

use std::process::ExitCode;

use clap::Parser as _;
use yurtctl::app;
use yurtctl::args::Args;

fn main() -> ExitCode {
    app::run(Args::parse())
}
