//! The cgroups of one instance, which say which processes are its own.
//!
//! `cluster/cgroups.sh` makes them. Invariant: no process outside of `yurt-NAME` is signalled, and no cgroup outside
//! of it is removed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::command::Cmd;
use crate::instance::Instance;
use crate::wait::wait_for;

/// As `CGROUP_CONTROLLERS` in `cluster/env.sh`.
pub const CONTROLLERS: [&str; 9] = [
    "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd",
];
/// Which of the hierarchies answers the question whose process it is.
const MEMBERSHIP: &str = "pids";
const DEADLINE: Duration = Duration::from_secs(30);

/// All cgroups of one instance.
#[derive(Debug)]
pub struct Cgroups {
    root: PathBuf,
    name: String,
}

impl Cgroups {
    /// The cgroups of `instance`, whether they exist or not.
    pub fn of(instance: &Instance) -> Self {
        Self {
            root: PathBuf::from("/sys/fs/cgroup"),
            name: format!("yurt-{}", instance.name()),
        }
    }

    /// The processes of the instance, those of its keepers first.
    pub fn processes(&self) -> Vec<u32> {
        let top = self.root.join(MEMBERSHIP).join(&self.name);
        let mut folders = Vec::new();
        collect_folders(&top, &mut folders);
        folders.sort_by_key(|folder| !folder.ends_with("keepers"));
        let lists = folders
            .iter()
            .filter_map(|folder| fs::read_to_string(folder.join("cgroup.procs")).ok());
        lists
            .flat_map(|list| {
                list.lines()
                    .filter_map(|pid| pid.parse().ok())
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// Kills every process of the instance, and waits until all are gone.
    ///
    /// # Errors
    /// Names the processes that do not die.
    pub fn kill(&self) -> Result<()> {
        wait_for(
            &format!("the processes of {} to die", self.name),
            DEADLINE,
            || {
                // A process that forks is not outrun by one round; one that died meanwhile makes `kill` fail.
                let processes = self.processes();
                if processes.is_empty() {
                    return Ok(Some(()));
                }
                Cmd::new("kill")
                    .arg("-9")
                    .args(processes.iter().map(u32::to_string))
                    .run()?;
                bail!("alive: {processes:?}")
            },
        )
    }

    /// Removes the cgroups, which must be empty. The kernel may need a moment to see that they are.
    ///
    /// # Errors
    /// Names the cgroup that stays.
    pub fn remove(&self) -> Result<()> {
        for controller in CONTROLLERS {
            let top = self.root.join(controller).join(&self.name);
            wait_for("cgroups to become empty", DEADLINE, || {
                let mut folders = Vec::new();
                collect_folders(&top, &mut folders);
                // Children come after their parents.
                for folder in folders.iter().rev() {
                    match fs::remove_dir(folder) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => {
                            bail!("remove {}: {error}", folder.display())
                        }
                        _ => {}
                    }
                }
                Ok(Some(()))
            })?;
        }
        Ok(())
    }
}

/// Adds `folder` and all below it, parents first; nothing if it does not exist.
fn collect_folders(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    found.push(folder.to_owned());
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_folders(&entry.path(), found);
        }
    }
}
