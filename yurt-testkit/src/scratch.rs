//! A temporary folder that also goes when its owner is killed.
//!
//! `Drop` does not run for statics nor after SIGKILL, so a guard process waits for the end of a pipe that only we
//! hold open, and removes the folder then.
//!
//! Invariant: after the owner's end, however it came, the folder is gone within seconds.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Processes that die with us may still write while we remove: so it is tried for about 5 s.
const GUARD: &str = r#"
read -r _
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf -- "$1" 2>/dev/null && exit 0
  sleep 0.5
done
"#;

/// A temporary folder; see the module's header.
#[derive(Debug)]
pub struct Scratch {
    folder: Option<TempDir>,
    path: PathBuf,
    guard: Child,
}

impl Scratch {
    /// An empty folder, readable by its owner only.
    pub fn new() -> Result<Self> {
        let folder = TempDir::with_prefix("yurt-testkit-").context("creating a temporary folder")?;
        let path = folder.path().to_owned();
        let guard = Command::new("/bin/sh")
            .args(["-c", GUARD, "yurt-testkit-scratch"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting the guard of a temporary folder")?;
        Ok(Self {
            folder: Some(folder),
            path,
            guard,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.folder.take());
        drop(self.guard.stdin.take());
        // The guard has nothing left to remove; a failure to wait for it leaves a zombie until we end.
        let _ = self.guard.wait();
    }
}
