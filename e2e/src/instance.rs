//! One cluster on this machine: its name, its folders, and how it is taken down.
//!
//! The state folder is `/var/tmp/yurt-NAME`. Invariant: [`Instance::down`] ends only processes in the instance's own
//! cgroups and removes only what carries the instance's name, and needs nothing but the name to find it all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cgroup::Cgroups;
use crate::command::Cmd;
use crate::lock;

/// Kubernetes' version, unless the variable `K8S_VERSION` names another.
const DEFAULT_KUBERNETES: &str = "1.34.4";
/// Building the cluster takes less; whoever holds the lock longer hangs.
const LOCK_DEADLINE: Duration = Duration::from_mins(10);

/// Where state folders lie.
const STATES: &str = "/var/tmp";

/// How fast the cluster gives up a node that it does not hear from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Kubernetes' defaults: not ready after 40 s, pods evicted 300 s later.
    Default,
    /// Not ready after 16 s, pods evicted 10 s later.
    ShortEviction,
}

impl Profile {
    /// The profile called `name`.
    fn from_name(name: &str) -> Option<Self> {
        [Self::Default, Self::ShortEviction]
            .into_iter()
            .find(|profile| profile.name() == name)
    }

    /// The name in the state folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::ShortEviction => "short-eviction",
        }
    }

    /// The variables that `provision/kubeadm.sh` reads.
    fn variables(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Default => &[],
            Self::ShortEviction => &[
                ("NODE_MONITOR_GRACE_PERIOD", "16s"),
                ("NODE_MONITOR_PERIOD", "2s"),
                ("TOLERATION_SECONDS", "10"),
            ],
        }
    }
}

/// The name of the instance that the tests share, with which those of their others begin.
fn shared_name() -> String {
    std::env::var("YURT_INSTANCE").unwrap_or_else(|_| "e2e".to_owned())
}

/// Names one cluster and knows where its parts are. Making one does nothing.
#[derive(Clone, Debug)]
pub struct Instance {
    name: String,
    kubernetes: String,
    cache: PathBuf,
    profile: Profile,
}

impl Instance {
    /// The instance `name`, with the version of Kubernetes that `K8S_VERSION` names.
    ///
    /// # Errors
    /// A name that is not 1–16 lower-case letters, digits and dashes; a version that is not three numbers; no home.
    pub fn new(name: &str, profile: Profile) -> Result<Self> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            (1..=16).contains(&name.len()) && name.chars().all(plain),
            "an instance is named by 1 to 16 lower-case letters, digits and dashes, not by {name:?}"
        );
        let kubernetes = std::env::var("K8S_VERSION").unwrap_or_else(|_| DEFAULT_KUBERNETES.to_owned());
        let numbers: Vec<_> = kubernetes.split('.').map(str::parse::<u16>).collect();
        ensure!(
            numbers.len() == 3 && numbers.iter().all(Result::is_ok),
            "K8S_VERSION is a version like {DEFAULT_KUBERNETES}, not {kubernetes:?}"
        );
        let cache = match std::env::var_os("XDG_CACHE_HOME") {
            Some(folder) => PathBuf::from(folder),
            None => PathBuf::from(std::env::var_os("HOME").context("find the cache: HOME is not set")?)
                .join(".cache"),
        };
        Ok(Self {
            name: name.to_owned(),
            kubernetes,
            cache: cache.join("yurt"),
            profile,
        })
    }

    /// The instance that the tests share: `e2e` (or what `YURT_INSTANCE` says), with `-short` for the other profile.
    ///
    /// # Errors
    /// As [`Instance::new`].
    pub fn for_tests(profile: Profile) -> Result<Self> {
        match profile {
            Profile::Default => Self::new(&shared_name(), profile),
            Profile::ShortEviction => Self::new(&format!("{}-short", shared_name()), profile),
        }
    }

    /// The instance of the tests that convert many nodes, or need the whole cluster for themselves.
    ///
    /// # Errors
    /// As [`Instance::new`].
    pub fn fleet() -> Result<Self> {
        Self::beside_tests("fleet")
    }

    /// The instance with two control planes.
    ///
    /// # Errors
    /// As [`Instance::new`].
    pub fn clouds() -> Result<Self> {
        Self::beside_tests("clouds")
    }

    /// The instance of the tests with `suffix`.
    fn beside_tests(suffix: &str) -> Result<Self> {
        Self::new(&format!("{}-{suffix}", shared_name()), Profile::Default)
    }

    /// The instance `name` as it runs, of whatever version and profile; as [`Instance::new`] if it does not run.
    ///
    /// # Errors
    /// As [`Instance::new`].
    pub fn find(name: &str) -> Result<Self> {
        let mut instance = Self::new(name, Profile::Default)?;
        let line = instance.ready_line().unwrap_or_default();
        if let ["kubernetes", version, "profile", profile, ..] = line.split(' ').collect::<Vec<_>>()[..] {
            version.clone_into(&mut instance.kubernetes);
            instance.profile = Profile::from_name(profile).unwrap_or(instance.profile);
        }
        Ok(instance)
    }

    /// Every instance that runs, or of which something is left; sorted by name.
    pub fn all() -> Vec<Self> {
        let entries = fs::read_dir(STATES)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_dir());
        let names = entries.filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_prefix("yurt-")
                .map(str::to_owned)
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        names.iter().filter_map(|name| Self::find(name).ok()).collect()
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of Kubernetes, as `1.34.4`.
    pub fn kubernetes(&self) -> &str {
        &self.kubernetes
    }

    /// How fast nodes are given up.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// What was built for all instances.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Kubernetes' programs, etcd and CoreDNS.
    pub fn binaries(&self) -> PathBuf {
        self.cache.join(format!("bin-{}", self.kubernetes))
    }

    /// The container images that the nodes load at their first boot.
    pub fn images(&self) -> PathBuf {
        self.cache.join(format!("images-{}", self.kubernetes))
    }

    /// What this run created.
    pub fn state(&self) -> PathBuf {
        Path::new(STATES).join(format!("yurt-{}", self.name))
    }

    /// The state of one node.
    pub fn node_state(&self, node: &str) -> PathBuf {
        self.state().join("nodes").join(node)
    }

    /// The admin's kubeconfig; its server is reached from within a node's network only.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state().join("admin.conf")
    }

    /// The network namespace of a node (or `switch`).
    pub fn namespace(&self, node: &str) -> String {
        format!("yurt-{}-{node}", self.name)
    }

    /// A script of `e2e/cluster`, told which instance it is for.
    pub fn script(&self, path: &str) -> Cmd {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster");
        let cmd = Cmd::new(scripts.join(path))
            .env("YURT_INSTANCE", &self.name)
            .env("K8S_VERSION", &self.kubernetes);
        self.profile
            .variables()
            .iter()
            .fold(cmd, |cmd, (name, value)| cmd.env(name, value))
    }

    /// Makes sure that nobody else brings this instance up or takes it down, until the guard is dropped.
    ///
    /// # Errors
    /// When another process holds the lock for ten minutes.
    pub fn lock(&self) -> Result<File> {
        let path = format!("/run/lock/yurt-{}", self.name);
        lock::exclusive(
            Path::new(&path),
            &format!("the cluster `{}`", self.name),
            LOCK_DEADLINE,
        )
    }

    /// Whether a process of this instance is alive.
    pub fn is_alive(&self) -> bool {
        !Cgroups::of(self).processes().is_empty()
    }

    /// Whether a finished cluster runs: it came up to its end, and has not died since.
    pub fn is_up(&self) -> bool {
        self.ready_line().is_some() && self.is_alive()
    }

    /// The file that says that the cluster is complete holds what it is: version, profile, nodes.
    pub(crate) fn ready_line(&self) -> Option<String> {
        fs::read_to_string(self.state().join("ready")).ok()
    }

    /// The names of the nodes that have a state folder, sorted.
    pub fn nodes(&self) -> Vec<String> {
        let entries = fs::read_dir(self.state().join("nodes"))
            .into_iter()
            .flatten()
            .flatten();
        let mut nodes: Vec<_> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        nodes.sort();
        nodes
    }

    /// Ends the cluster's processes and removes what it made; the cache stays. Nothing to do is no error.
    ///
    /// # Errors
    /// What could not be removed.
    pub fn down(&self) -> Result<()> {
        let _lock = self.lock()?;
        self.down_locked()
    }

    pub(crate) fn down_locked(&self) -> Result<()> {
        let state = self.state();
        // From here on, nobody takes what is left for a cluster.
        remove_if_there(&state.join("ready"))?;
        let cgroups = Cgroups::of(self);
        cgroups.kill()?;
        self.script("network.sh")
            .arg("remove")
            .run_ok()
            .context("remove the network")?;
        unmount_below(&state)?;
        cgroups.remove()?;
        match fs::remove_dir_all(&state) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", state.display()))
            }
            _ => Ok(()),
        }
    }
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Unmounts what a test has mounted in the state folder. Nodes mount in namespaces that died with them.
fn unmount_below(folder: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("read the list of mounts")?;
    for mount in mounts_below(&mounts, folder) {
        Cmd::new("umount").args(["--lazy", &mount]).run_ok()?;
    }
    Ok(())
}

/// The mount points in `folder`, the deepest first.
fn mounts_below(mounts: &str, folder: &Path) -> Vec<String> {
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let mut below: Vec<_> = points
        .filter(|point| Path::new(point).starts_with(folder))
        .map(str::to_owned)
        .collect();
    below.reverse();
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_meet_others_are_refused() {
        for name in ["", "Demo", "a/b", "..", "with space", "much-too-long-a-name"] {
            assert!(Instance::new(name, Profile::Default).is_err(), "{name:?}");
        }
        assert!(Instance::new("e2e-short", Profile::Default).is_ok());
    }

    #[test]
    fn only_mounts_of_the_folder_itself_are_found() {
        let mounts = "ext4 / ext4 rw 0 0\nt /var/tmp/yurt-e2e/a tmpfs rw 0 0\nt /var/tmp/yurt-e2e/a/b tmpfs rw 0 0\nt /var/tmp/yurt-e2e-short/a tmpfs rw 0 0\n";
        let below = mounts_below(mounts, Path::new("/var/tmp/yurt-e2e"));
        assert_eq!(below, ["/var/tmp/yurt-e2e/a/b", "/var/tmp/yurt-e2e/a"]);
    }
}
