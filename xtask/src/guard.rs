//! Taking a test cluster down whatever happens to us.
//!
//! A second process holds the reading end of a pipe whose writing end is ours. When we end without a word (Ctrl-C,
//! SIGKILL, a closed terminal), the pipe ends, and the guard takes the clusters down. Invariant: the guard outlives
//! us, because it has a process group of its own; it does nothing if it was dismissed.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use e2e::progress::say;
use e2e::{Instance, Profile};

const DISMISSED: &[u8] = b"dismissed";

#[derive(ClapArgs)]
pub(crate) struct Args {
    instances: Vec<String>,
}

/// The guard's side.
pub(crate) fn stand(args: &Args) -> Result<ExitCode> {
    let mut word = Vec::new();
    std::io::stdin()
        .take(64)
        .read_to_end(&mut word)
        .context("wait for the end of the one we guard")?;
    if word == DISMISSED {
        return Ok(ExitCode::SUCCESS);
    }
    for name in &args.instances {
        let instance = Instance::new(name, Profile::Default)?;
        instance.down()?;
        say(format_args!("interrupted: the cluster `{name}` is down"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Clusters that vanish with us.
pub(crate) struct Guard {
    process: Child,
    instances: Vec<Instance>,
}

impl Guard {
    /// Guards those of `instances` that do not run yet; one that does was not made by us and stays.
    pub(crate) fn post(instances: Vec<Instance>) -> Result<Self> {
        let (found, ours): (Vec<_>, Vec<_>) = instances.into_iter().partition(Instance::is_up);
        for instance in found {
            say(format_args!(
                "the cluster `{}` runs already: it is used, and left running",
                instance.name()
            ));
        }
        let program = std::env::current_exe().context("find our own program")?;
        let mut command = Command::new(program);
        command
            .arg("guard")
            .args(ours.iter().map(Instance::name))
            .stdin(Stdio::piped())
            .process_group(0);
        let process = command.spawn().context("start the guard of the cluster")?;
        Ok(Self {
            process,
            instances: ours,
        })
    }

    /// Takes the clusters down now, and sends the guard away.
    pub(crate) fn take_down(mut self) -> Result<()> {
        for instance in &self.instances {
            instance.down()?;
        }
        self.dismiss()
    }

    /// Leaves the clusters running, and sends the guard away.
    pub(crate) fn leave_up(mut self) -> Result<()> {
        self.dismiss()
    }

    fn dismiss(&mut self) -> Result<()> {
        if let Some(mut pipe) = self.process.stdin.take() {
            pipe.write_all(DISMISSED)
                .context("dismiss the guard of the cluster")?;
        }
        self.process.wait().context("wait for the guard of the cluster")?;
        Ok(())
    }
}

/// Every instance that the tests may make.
pub(crate) fn test_instances() -> Result<Vec<Instance>> {
    Ok(vec![
        Instance::for_tests(Profile::Default)?,
        Instance::for_tests(Profile::ShortEviction)?,
        Instance::fleet()?,
        Instance::clouds()?,
    ])
}
