//! A bad link for a node: starting, changing and ending its link emulator.
//!
//! The emulator is a process of the cluster and ends with it; what it does is in the crate `link-emulator`, and
//! `cluster/network.sh` sends it the packets. Invariant: without one the link is perfect, and [`Node::heal`] ends it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use link_emulator::control::{Control, Report, Request};
use link_emulator::{Quality, Shape};

use super::{Node, detached};
use crate::command::Cmd;
use crate::wait::wait_for;

const BUILD_DEADLINE: Duration = Duration::from_mins(10);
const START_DEADLINE: Duration = Duration::from_secs(10);

impl Node {
    /// Makes its link like `shape` from now on. Counters go on.
    ///
    /// # Errors
    /// When the emulator cannot be built or started.
    pub fn set_link(&self, shape: &Shape) -> Result<Report> {
        let control = self.link_control();
        if !control.is_running() {
            self.start_emulator(&control)?;
        }
        let report = control.ask(&Request::Set(Box::new(shape.clone())))?;
        self.network("emulate")?;
        Ok(report)
    }

    /// Makes its link like `quality` in both directions from now on.
    ///
    /// # Errors
    /// As [`Node::set_link`].
    pub fn degrade(&self, quality: Quality) -> Result<Report> {
        self.set_link(&Shape::both(quality))
    }

    /// What its link is like and has seen; `None` where it is perfect.
    ///
    /// # Errors
    /// When an emulator is there and does not answer.
    pub fn link_report(&self) -> Result<Option<Report>> {
        let control = self.link_control();
        if !control.is_running() {
            return Ok(None);
        }
        control.ask(&Request::Report).map(Some)
    }

    /// Makes its link perfect again; returns what it has seen.
    ///
    /// # Errors
    /// When the switch refuses, or the emulator does not answer.
    pub fn clear_link(&self) -> Result<Option<Report>> {
        self.network("unemulate")?;
        let control = self.link_control();
        if !control.is_running() {
            return Ok(None);
        }
        let report = control.ask(&Request::End)?;
        wait_for("the link emulator to end", START_DEADLINE, || {
            Ok((!control.is_running()).then_some(()))
        })?;
        Ok(Some(report))
    }

    fn link_control(&self) -> Control {
        Control::at(self.state().join("link.sock"))
    }

    fn start_emulator(&self, control: &Control) -> Result<()> {
        let seed = std::env::var("YURT_SEED").unwrap_or_else(|_| "1".to_owned());
        let script = self.instance.script("link.sh").arg(&self.name);
        let log = self.state().join("link.log");
        let cmd = detached(&script.arg(built()?).arg(seed)).log_to(&log);
        cmd.run_ok()?;
        wait_for("the link emulator to answer", START_DEADLINE, || {
            Ok(control.is_running().then_some(()))
        })
        .with_context(|| {
            format!(
                "start the link emulator of {}; its log is {}",
                self.name,
                log.display()
            )
        })
    }
}

/// The emulator, built once in this process.
fn built() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let program = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    program.as_deref().map_err(|error| anyhow!("{error}"))
}

fn build() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Cmd::new("cargo")
        .args(["build", "--package", "link-emulator", "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .deadline(BUILD_DEADLINE)
        .run_ok()
        .context("build the link emulator")?;
    let program = folder.join("debug").join("link-emulator");
    program
        .canonicalize()
        .with_context(|| format!("find {}", program.display()))
}
