//! A disk under a node's `/var/lib/yurthub` that forgets what was not flushed, and the moment of its power cut.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::progress::say;
use e2e::{Cluster, Node};
use powercut_disk::cache::{Cut, KeepPercent};
use powercut_disk::rig::Rig;

use crate::setup::Chance;

const DISK_BYTES: usize = 96 << 20;
/// How long to wait for a moment with as many unflushed blocks as are aimed at, and then for one with any.
const AIM: Duration = Duration::from_secs(1);
/// The most that is aimed at: a commit of yurthub rarely leaves more.
const MOST_BLOCKS: usize = 8;
const BE_DISK: &str = "YURT_BE_DISK";

/// Not a test of its own: the process that is the disk.
#[test]
fn be_the_disk() -> Result<()> {
    if std::env::var_os(BE_DISK).is_some() {
        powercut_disk::server::run_from_environment()?;
    }
    Ok(())
}

/// The disk under `/var/lib/yurthub` of a node.
pub(crate) struct Disk {
    node: Node,
    folder: PathBuf,
    rig: Option<Rig>,
}

impl Disk {
    /// Puts the node's `/var/lib/yurthub` on a new one; the node is off afterwards.
    pub(crate) fn new(cluster: &Cluster, node: &Node) -> Result<Self> {
        let folder = cluster.instance().state().join("powercut");
        fs::create_dir_all(&folder).context("make the disk's folder")?;
        let mut disk = Self {
            node: node.clone(),
            folder,
            rig: None,
        };
        disk.rig = Some(Rig::format(&disk.folder, DISK_BYTES, &Self::process()?).context("make the disk")?);
        node.power_off()?;
        let mountpoint = disk.rig()?.mountpoint();
        node.bind(&mountpoint, "/var/lib/yurthub")?;
        Ok(disk)
    }

    fn process() -> Result<Command> {
        let mut process = Command::new(std::env::current_exe().context("find this program")?);
        process
            .args([
                "--exact",
                "volatile_disk::be_the_disk",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(BE_DISK, "1");
        Ok(process)
    }

    fn rig(&mut self) -> Result<&mut Rig> {
        self.rig.as_mut().context("the disk is gone")
    }

    /// Cuts the power of disk and node; the node is off afterwards. `notice` is called just before. A moment of quiet
    /// proves little: it waits a while for one in which blocks can be lost.
    pub(crate) fn cut_power(&mut self, chance: &mut Chance, notice: impl Fn() -> u64) -> Result<(Cut, u64)> {
        let image = self.folder.join("image");
        let (begun, aim) = (Instant::now(), chance.number(1, MOST_BLOCKS + 1));
        let (cut, noticed) = loop {
            let noticed = notice();
            let at_least = match begun.elapsed() {
                waited if waited < AIM => aim,
                waited if waited < 2 * AIM => 1,
                _ => 0,
            };
            let (rig, random) = (self.rig()?, chance.random());
            let keep = KeepPercent::random(random);
            if let Some(cut) = rig.cut_if(at_least, &image, keep, random)? {
                break (cut, noticed);
            }
        };
        self.node.power_off()?;
        // Only now: it cannot be unmounted under a node that uses it.
        self.rig = None;
        self.rig =
            Some(Rig::resume(&self.folder, &image, &Self::process()?).context("mount what the cut left")?);
        Ok((cut, noticed))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = self.node.power_off().and_then(|()| self.node.unbind_all()) {
            say(format_args!(
                "cannot take the disk from {}: {error:#}",
                self.node.name()
            ));
        }
        self.rig = None;
        // What cannot be removed now goes with the cluster.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
