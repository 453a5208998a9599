//! The yurt-controller-manager binary: reads flags, then hands over to [`yurt_controller_manager::app`].

use std::process::ExitCode;

use clap::Parser;
use yurt_controller_manager::args::Args;

fn main() -> ExitCode {
    yurt_controller_manager::app::main(&Args::parse())
}
