//! ext4 on a loop device on the volatile disk, and the cutting of its power.
//!
//! The file system is at `DIR/mnt`; the disk below it is a process of its own ([`crate::server`]).
//!
//! The loop device frees itself with its mount. Run the holder of a rig in a private mount namespace (`unshare
//! --mount`): then the mount and the loop device go with it, however it dies, and nobody else's copy of the mount keeps
//! them.
//!
//! Invariant: dropping a rig leaves no mount, no loop device and no process.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::cache::{Cut, KeepPercent};
use crate::server::{ANSWER, BASE, MOUNTPOINT, SIZE, file_of};

/// The rig could not be set up or used.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// A file operation failed.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program failed.
    #[error("{program} failed: {message}")]
    Program {
        /// Its command line.
        program: String,
        /// What it said.
        message: String,
    },
    /// The disk's process died or refused.
    #[error("the volatile disk failed: {0}")]
    Disk(String),
}

/// A mounted file system on a volatile disk.
#[derive(Debug)]
pub struct Rig {
    dir: PathBuf,
    file: PathBuf,
    server: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

enum Start<'a> {
    Size(usize),
    Image(&'a Path),
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> RigError + 'a {
    move |source| RigError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

fn run(command: &mut Command) -> Result<(), RigError> {
    let program = format!("{command:?}");
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => {
            return Err(RigError::Program {
                program,
                message: error.to_string(),
            });
        }
    };
    if output.status.success() {
        return Ok(());
    }
    Err(RigError::Program {
        program,
        message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

impl Rig {
    /// A new file system of `size` bytes below `dir` (absolute; created if need be). `server` is a command line that
    /// ends up in [`crate::server::run_from_environment`]: the binary's own, or the test's.
    pub fn format(dir: &Path, size: usize, server: &Command) -> Result<Self, RigError> {
        let rig = Self::start(dir, &Start::Size(size), server)?;
        let mut mkfs = Command::new("mkfs.ext4");
        run(mkfs
            .args([
                "-q",
                "-F",
                "-E",
                "nodiscard,lazy_itable_init=0,lazy_journal_init=0",
            ])
            .arg(&rig.file))?;
        rig.mounted()
    }

    /// The file system that a power cut left in `image` (absolute), which is only read.
    pub fn resume(dir: &Path, image: &Path, server: &Command) -> Result<Self, RigError> {
        Self::start(dir, &Start::Image(image), server)?.mounted()
    }

    fn start(dir: &Path, start: &Start<'_>, server: &Command) -> Result<Self, RigError> {
        let fuse = dir.join("fuse");
        for part in [&fuse, &dir.join("mnt")] {
            fs::create_dir_all(part).map_err(failed("create", part))?;
        }
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "--"])
            .arg(server.get_program())
            .args(server.get_args());
        for (name, value) in server.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env(MOUNTPOINT, &fuse).env_remove(BASE).env_remove(SIZE);
        match start {
            Start::Size(size) => command.env(SIZE, size.to_string()),
            Start::Image(image) => command.env(BASE, image),
        };
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut server = spawned.map_err(failed("start the volatile disk at", &fuse))?;
        let (Some(commands), Some(answers)) = (server.stdin.take(), server.stdout.take()) else {
            return Err(RigError::Disk("it has no pipes".to_owned()));
        };
        let file = file_of(server.id(), &fuse);
        let answers = BufReader::new(answers);
        let mut rig = Self {
            dir: dir.to_owned(),
            file,
            server,
            commands: Some(commands),
            answers,
        };
        match rig.answer()?.as_str() {
            "serving" => Ok(rig),
            other => Err(RigError::Disk(other.to_owned())),
        }
    }

    fn mounted(self) -> Result<Self, RigError> {
        run(Command::new("mount")
            .args(["-t", "ext4", "-o", "loop,noatime"])
            .arg(&self.file)
            .arg(self.mountpoint()))?;
        Ok(self)
    }

    fn answer(&mut self) -> Result<String, RigError> {
        let mut line = String::new();
        loop {
            line.clear();
            match self.answers.read_line(&mut line) {
                Ok(0) => return Err(RigError::Disk("its process ended".to_owned())),
                Ok(_) => {}
                Err(error) => return Err(RigError::Disk(error.to_string())),
            }
            if let Some(answer) = line.strip_prefix(ANSWER) {
                return Ok(answer.trim_end().to_owned());
            }
        }
    }

    /// Where the file system is.
    pub fn mountpoint(&self) -> PathBuf {
        self.dir.join("mnt")
    }

    /// Writes to `image` (absolute) what a power cut at this moment leaves. The file system goes on: kill its users,
    /// drop the rig, then [`Rig::resume`] from the image.
    pub fn cut(
        &mut self,
        image: &Path,
        keep: KeepPercent,
        random: &mut fastrand::Rng,
    ) -> Result<Cut, RigError> {
        let cut = self.cut_if(0, image, keep, random)?;
        cut.ok_or_else(|| RigError::Disk("it refused to be cut".to_owned()))
    }

    /// As [`Self::cut`], but only if at least so many blocks could be lost: to hit the middle of a commit.
    pub fn cut_if(
        &mut self,
        unflushed: usize,
        image: &Path,
        keep: KeepPercent,
        random: &mut fastrand::Rng,
    ) -> Result<Option<Cut>, RigError> {
        let command = format!(
            "cut {unflushed} {} {} {}\n",
            keep.percent(),
            random.u64(..),
            image.display()
        );
        let written = self
            .commands
            .as_mut()
            .map(|commands| commands.write_all(command.as_bytes()));
        if !matches!(written, Some(Ok(()))) {
            return Err(RigError::Disk("its process ended".to_owned()));
        }
        let answer = self.answer()?;
        let mut numbers = answer.split(' ').skip(1).map(str::parse::<u64>);
        let mut number = || numbers.next().and_then(Result::ok).unwrap_or_default();
        match answer.split(' ').next() {
            Some("idle") => Ok(None),
            Some("cut") => Ok(Some(Cut {
                unflushed: number() as usize,
                kept: number() as usize,
                flushes: number(),
                writes: number(),
            })),
            _ => Err(RigError::Disk(answer)),
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let mountpoint = self.mountpoint();
        // Lazily where a user is still dying: it must not keep the mount. What was never mounted is no matter.
        if run(Command::new("umount").arg(&mountpoint)).is_err() {
            let _not_mounted = run(Command::new("umount").arg("--lazy").arg(&mountpoint));
        }
        drop(self.commands.take());
        let _ended = self.server.wait();
    }
}
