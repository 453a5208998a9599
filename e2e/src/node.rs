//! One node: its life, programs in it, sharing it. Its files and its cable are in `node/`.
//!
//! Everything here works on a [`Node`] by its name and the state folder; nothing is cached, so that tests, `xtask`
//! and the node's keeper may act at the same time. Invariant: a program runs in the node or not at all, never on the
//! machine itself by mistake (a node that is still building its root folder counts as off).

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cluster::Cluster;
use crate::command::{Cmd, Output};
use crate::instance::Instance;
use crate::lock;
use crate::progress::say;
use crate::wait::wait_for;

mod files;
mod link;
mod network;

/// Who breaks a node is done with it after that time.
const LOCK_DEADLINE: Duration = Duration::from_mins(15);
const START_DEADLINE: Duration = Duration::from_secs(10);
const DEATH_DEADLINE: Duration = Duration::from_secs(30);
const HEAL_DEADLINE: Duration = Duration::from_mins(2);

/// The number of a node's addresses; as `node_number` in `cluster/env.sh`.
///
/// # Errors
/// For any name but cloud1..9 and edge1..9.
pub fn number(node: &str) -> Result<u8> {
    let digit = |text: &str| match text.as_bytes() {
        [digit @ b'1'..=b'9'] => Some(digit - b'0'),
        _ => None,
    };
    let cloud = node.strip_prefix("cloud").and_then(digit).map(|digit| 9 + digit);
    let edge = node.strip_prefix("edge").and_then(digit).map(|digit| 20 + digit);
    cloud
        .or(edge)
        .with_context(|| format!("there is no node {node}: the names are cloud1..9 and edge1..9"))
}

/// One node of a cluster.
#[derive(Clone, Debug)]
pub struct Node {
    instance: Instance,
    name: String,
}

impl Node {
    pub(crate) fn new(instance: &Instance, name: &str) -> Self {
        Self {
            instance: instance.clone(),
            name: name.to_owned(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster that it belongs to.
    pub fn cluster(&self) -> Cluster {
        Cluster::new(self.instance.clone())
    }

    /// Its address in the cluster.
    ///
    /// # Errors
    /// For a name that no node can have.
    pub fn ip(&self) -> Result<String> {
        Ok(format!("10.99.0.{}", number(&self.name)?))
    }

    /// Its network namespace, for `ip netns exec`. It outlives reboots and power cuts.
    pub fn netns(&self) -> String {
        self.instance.namespace(&self.name)
    }

    /// Its folder on the machine. `boot.log` in it tells of its boots.
    pub fn state(&self) -> PathBuf {
        self.instance.node_state(&self.name)
    }

    // === life ===

    /// The pid, on the machine, of the node's systemd; None while it is off, booting or shutting down.
    pub fn pid(&self) -> Option<u32> {
        // A node that boots still sees the machine's files: whoever entered it would change those.
        self.first_process().filter(|pid| {
            let program = fs::read_link(format!("/proc/{pid}/exe"));
            program.is_ok_and(|program| program.ends_with("systemd"))
        })
    }

    /// Whether its systemd runs.
    pub fn is_up(&self) -> bool {
        self.pid().is_some()
    }

    /// How often it has begun to boot.
    pub fn boots(&self) -> u32 {
        self.read_state("boots")
            .and_then(|count| count.parse().ok())
            .unwrap_or(0)
    }

    /// Lets it boot; it comes back by itself from then on. Does not wait for the boot.
    ///
    /// # Errors
    /// When its keeper cannot be started. A node that is on already is left alone.
    pub fn power_on(&self) -> Result<()> {
        number(&self.name)?;
        let state = self.state();
        fs::create_dir_all(&state).with_context(|| format!("make {}", state.display()))?;
        if state.join("on").exists() {
            return Ok(());
        }
        self.expect_boot()?;
        fs::write(state.join("on"), "").context("switch the node on")?;
        let keeper = self.instance.script("node/keeper.sh").arg(&self.name);
        let pid_file = state.join("keeper.pid");
        let _ = fs::remove_file(&pid_file);
        detached(&keeper).log_to(state.join("keeper.log")).run_ok()?;
        wait_for(&format!("the keeper of {}", self.name), START_DEADLINE, || {
            Ok(pid_file.exists().then_some(()))
        })
    }

    /// Takes its power away for good: all its processes die at once, its disk stays.
    ///
    /// # Errors
    /// When something of it does not die.
    pub fn power_off(&self) -> Result<()> {
        let _ = fs::remove_file(self.state().join("on"));
        let Some(keeper) = self.read_state("keeper.pid") else {
            return Ok(());
        };
        // The keeper may be about to start another life: only its own end is the end.
        wait_for(
            &format!("the keeper of {} to end", self.name),
            DEATH_DEADLINE,
            || {
                self.kill()?;
                ensure!(!self.owns(&keeper, "keepers"), "process {keeper} is alive");
                Ok(Some(()))
            },
        )
    }

    /// Takes its power away for a moment; it boots again at once. Returns when it is dead.
    ///
    /// # Errors
    /// When it was not up.
    pub fn power_cut(&self) -> Result<()> {
        ensure!(self.is_up(), "cut the power of {}: it is not up", self.name);
        self.expect_boot()?;
        self.kill()
    }

    /// `systemctl reboot`. Returns at once; [`Node::wait_booted`] waits for what follows.
    ///
    /// # Errors
    /// When systemd refuses.
    pub fn reboot(&self) -> Result<()> {
        self.expect_boot()?;
        self.exec_ok(["systemctl", "reboot"])?;
        Ok(())
    }

    /// Waits until containerd runs, in the boot that `power_on`, `power_cut` or `reboot` asked for last.
    ///
    /// # Errors
    /// When it does not by then, with what was seen last.
    pub fn wait_booted(&self, deadline: Duration) -> Result<()> {
        let expected = self
            .read_state("expected-boot")
            .and_then(|count| count.parse().ok())
            .unwrap_or(1);
        wait_for(&format!("{} to boot", self.name), deadline, || {
            ensure!(self.boots() >= expected, "its last life has not ended");
            let output = self.exec(["systemctl", "is-active", "containerd"])?;
            ensure!(output.status.success(), "containerd is {}", output.text());
            Ok(Some(()))
        })
    }

    // === programs ===

    /// `args` as a program of the node, with the node's own environment: to be given stdin or a deadline.
    ///
    /// # Errors
    /// When the node is not up.
    pub fn cmd(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Cmd> {
        let pid = self
            .pid()
            .with_context(|| format!("run a program on {}: it is not up", self.name))?;
        let enter = Cmd::new(self.instance.cache().join("enter")).arg(pid.to_string());
        let home = enter.clear_env().env("HOME", "/root");
        Ok(home
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .args(args))
    }

    /// Runs a program on the node, whatever its exit status.
    ///
    /// # Errors
    /// When the node is not up, or the program hangs.
    pub fn exec(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Output> {
        Ok(self.cmd(args)?.run()?)
    }

    /// Runs a program on the node; returns what it prints.
    ///
    /// # Errors
    /// When the node is not up, or the program fails or hangs.
    pub fn exec_ok(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<String> {
        Ok(self.cmd(args)?.run_ok()?)
    }

    // === sharing ===

    /// Takes the node for us alone, healed: for tests that break it. It is healed again when the guard is dropped.
    ///
    /// # Errors
    /// When others use it for 15 minutes, or it cannot be healed.
    pub fn lock(&self) -> Result<BrokenNode> {
        self.lock_within(LOCK_DEADLINE)
    }

    /// As [`Node::lock`], with a deadline of your own.
    ///
    /// # Errors
    /// When others use it for so long, or it cannot be healed.
    pub fn lock_within(&self, deadline: Duration) -> Result<BrokenNode> {
        let lock = lock::exclusive(&self.lock_path(), &format!("the node {}", self.name), deadline)?;
        self.heal()?;
        Ok(BrokenNode {
            node: self.clone(),
            _lock: lock,
        })
    }

    /// Keeps others from breaking the node, as long as the guard lives: for tests that only use it.
    ///
    /// # Errors
    /// When somebody breaks it for 15 minutes.
    pub fn share(&self) -> Result<fs::File> {
        self.share_within(LOCK_DEADLINE)
    }

    /// As [`Node::share`], with a deadline of your own.
    ///
    /// # Errors
    /// When somebody breaks it for so long.
    pub fn share_within(&self, deadline: Duration) -> Result<fs::File> {
        lock::shared(&self.lock_path(), &format!("the node {}", self.name), deadline)
    }

    /// Cable in, no bad link, no black hole, no NAT, power on, booted.
    ///
    /// # Errors
    /// What could not be healed.
    pub fn heal(&self) -> Result<()> {
        self.network("heal")?;
        self.clear_link()?;
        self.power_on()?;
        self.wait_booted(HEAL_DEADLINE)
    }

    fn lock_path(&self) -> PathBuf {
        self.instance.state().join("locks").join(&self.name)
    }

    fn read_state(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.state().join(file))
            .ok()
            .map(|text| text.trim().to_owned())
    }

    /// Notes that the node's next life is the one to wait for.
    fn expect_boot(&self) -> Result<()> {
        let next = self.boots() + 1;
        fs::write(self.state().join("expected-boot"), next.to_string()).context("note which boot to wait for")
    }

    /// The first process of the node's pid namespace, whatever it is at.
    fn first_process(&self) -> Option<u32> {
        let unshare = self.read_state("unshare.pid")?;
        let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).ok()?;
        let pid = children.split_whitespace().next()?;
        self.owns(pid, &self.name).then(|| pid.parse().ok()).flatten()
    }

    /// Whether `pid` is a living process in `cgroup` of our instance: its number may have gone to somebody else.
    fn owns(&self, pid: &str, cgroup: &str) -> bool {
        let ours = format!(":/yurt-{}/{cgroup}", self.instance.name());
        let below = format!("{ours}/");
        let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        cgroups
            .lines()
            .any(|line| line.ends_with(&ours) || line.contains(&below))
    }

    /// Kills the node's first process, and with it all others of its pid namespace.
    fn kill(&self) -> Result<()> {
        let Some(pid) = self.first_process() else {
            return Ok(());
        };
        // It may have died meanwhile.
        Cmd::new("kill").args(["-9", &pid.to_string()]).run()?;
        wait_for(&format!("{} to die", self.name), DEATH_DEADLINE, || {
            ensure!(self.first_process() != Some(pid), "process {pid} is alive");
            Ok(Some(()))
        })
    }
}

/// The same program in a session of its own, so that no terminal that closes ends it. Does not wait for its end.
fn detached(cmd: &Cmd) -> Cmd {
    let command = cmd.to_std();
    let mut detached = Cmd::new("setsid")
        .arg("--fork")
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let (Some(name), Some(value)) = (name.to_str(), value) {
            detached = detached.env(name, value);
        }
    }
    detached
}

/// A node that one test has for itself, to break. Dropping it heals the node for the next one.
#[derive(Debug)]
pub struct BrokenNode {
    node: Node,
    _lock: fs::File,
}

impl std::ops::Deref for BrokenNode {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Drop for BrokenNode {
    fn drop(&mut self) {
        if let Err(error) = self.node.heal() {
            say(format_args!("cannot heal {}: {error:#}", self.node.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_names_have_one_number_each() {
        assert_eq!(number("cloud1").unwrap(), 10);
        assert_eq!(number("edge1").unwrap(), 21);
        assert_eq!(number("edge9").unwrap(), 29);
        for name in ["", "edge", "edge0", "edge10", "cloud-1", "fog1", "edge+1"] {
            assert!(number(name).is_err(), "{name:?}");
        }
    }
}
