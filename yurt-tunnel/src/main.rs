//! The yurt-tunnel binary: reads flags, then hands over to [`yurt_tunnel::app`].

use std::process::ExitCode;

use clap::Parser;
use yurt_tunnel::args::Args;

fn main() -> ExitCode {
    yurt_tunnel::app::main(Args::parse())
}
