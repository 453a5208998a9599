//! `powercut-disk`: holds a file system on a disk whose power can be cut.
//!
//! ```text
//! unshare --mount --propagation private powercut-disk DIR --size-mib 256
//! ```
//!
//! It mounts the file system at `DIR/mnt`, prints `ready`, and obeys lines on its standard input:
//!
//! - `cut IMAGE [PERCENT]` writes to IMAGE what a power cut at this moment leaves: all that was flushed, and PERCENT
//!   (default: 0, 10, 50 or 90 by chance) of the 4 KiB blocks that were not. Answers
//!   `cut unflushed=N kept=N flushes=N writes=N`, or `error …`. The disk goes on.
//! - `stop`, or the end of input: unmounts and exits.
//!
//! To boot after the cut: `powercut-disk DIR --base IMAGE`.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser;
use powercut_disk::cache::KeepPercent;
use powercut_disk::rig::{Rig, RigError};

/// Hold a file system on a disk whose power can be cut (see the module's documentation for the commands).
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder for the mounts: the file system appears at DIR/mnt.
    dir: PathBuf,
    /// Size of a new, empty disk.
    #[arg(long, default_value_t = 64)]
    size_mib: usize,
    /// Begin with this image, as a cut has left it, instead of an empty file system. It is only read.
    #[arg(long)]
    base: Option<PathBuf>,
    /// Makes chance repeatable.
    #[arg(long)]
    seed: Option<u64>,
    /// Be the process behind the disk.
    #[arg(long, hide = true)]
    serve: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _nobody_reads = writeln!(io::stderr(), "powercut-disk: {}", described(&*error));
            ExitCode::FAILURE
        }
    }
}

fn described(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let Arguments {
        dir,
        size_mib,
        base,
        seed,
        serve,
    } = arguments;
    if *serve {
        return Ok(powercut_disk::server::run_from_environment()?);
    }
    let mut random = seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
    let mut server = Command::new(std::env::current_exe()?);
    server.args(["--serve", "-"]);
    let dir = std::path::absolute(dir)?;
    let mut rig = match base {
        Some(image) => Rig::resume(&dir, &std::path::absolute(image)?, &server)?,
        None => Rig::format(&dir, size_mib << 20, &server)?,
    };
    let mut output = io::stdout();
    writeln!(output, "ready")?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["cut", image] => cut(&mut rig, image, KeepPercent::random(&mut random), &mut random),
            ["cut", image, percent] => match percent.parse().ok().and_then(KeepPercent::new) {
                Some(keep) => cut(&mut rig, image, keep, &mut random),
                None => format!("error {percent} is no percentage"),
            },
            ["stop"] => break,
            _ => format!("error unknown command: {line}"),
        };
        writeln!(output, "{answer}")?;
    }
    Ok(())
}

fn cut(rig: &mut Rig, image: &str, keep: KeepPercent, random: &mut fastrand::Rng) -> String {
    let cut = std::path::absolute(image).map_err(|error| RigError::Disk(error.to_string()));
    match cut.and_then(|image| rig.cut(&image, keep, random)) {
        Ok(cut) => {
            format!(
                "cut unflushed={} kept={} flushes={} writes={}",
                cut.unflushed, cut.kept, cut.flushes, cut.writes
            )
        }
        Err(error) => format!("error {}", described(&error).replace('\n', " ")),
    }
}
