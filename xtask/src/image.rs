//! `cargo xtask image`: the image of all our programs in a file. How it is packed is in the crate `e2e`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args as ClapArgs;
use e2e::programs::Architecture;
use e2e::{Instance, Profile, builds, image};

use crate::stage;

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// For which processor: `x86_64`, `aarch64`, `armv7`
    #[arg(long, default_value = "x86_64", value_name = "ARCHITECTURE")]
    arch: Architecture,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    builds::ensure_packages(&Instance::for_tests(Profile::Default)?)?;
    let image = image::build_for(args.arch)?;
    stage::print(&format!(
        "{}\n{}\n{} ({} bytes)",
        image.reference,
        image.digest,
        image.archive.display(),
        image.size
    ));
    Ok(ExitCode::SUCCESS)
}
