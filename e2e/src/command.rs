//! External programs, each with a deadline.
//!
//! Invariant: [`Cmd::run`] returns within its deadline (and a moment to kill), whatever the program does; what a
//! program prints is kept up to a bound; an error shows the command, its exit code, and the end of its stderr.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a program may run if the caller does not say otherwise.
pub const DEFAULT_DEADLINE: Duration = Duration::from_mins(1);
/// What is kept of a program's stdout, and of its stderr.
const KEPT_BYTES: u64 = 64 << 20;
/// What an error shows of a program's stderr.
const TAIL_BYTES: usize = 2000;
/// After the program's end, how long its pipes may be held open by what it left behind.
const PIPE_GRACE: Duration = Duration::from_secs(1);

/// Why a program did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("start `{command}`")]
    Start {
        /// The program and its arguments.
        command: String,
        /// The reason.
        source: io::Error,
    },
    /// It ended without success.
    #[error("`{command}` ended with {status}: {tail}")]
    Failed {
        /// The program and its arguments.
        command: String,
        /// Its exit status.
        status: ExitStatus,
        /// The end of its stderr (of its log, if it wrote one).
        tail: String,
    },
    /// It was killed because its time was over.
    #[error("`{command}` was killed after {} s: {tail}", after.as_secs())]
    TimedOut {
        /// The program and its arguments.
        command: String,
        /// The deadline that it missed.
        after: Duration,
        /// The end of its stderr (of its log, if it wrote one).
        tail: String,
    },
}

/// What a program left: its status and what it printed (empty where a log file took it).
#[derive(Debug)]
pub struct Output {
    /// The exit status.
    pub status: ExitStatus,
    /// The first 64 MiB of stdout.
    pub stdout: Vec<u8>,
    /// The first 64 MiB of stderr.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Stdout as text, without white space at the end.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// Stderr as text, without white space at the end.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim_end().to_owned()
    }
}

/// A program to run, its arguments, what it reads, and how long it may take.
#[derive(Clone, Debug)]
pub struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(String, OsString)>,
    clear_env: bool,
    stdin: Vec<u8>,
    log: Option<PathBuf>,
    deadline: Duration,
}

impl Cmd {
    /// `program`, found in PATH, without arguments.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            clear_env: false,
            stdin: Vec::new(),
            log: None,
            deadline: DEFAULT_DEADLINE,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the program's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Starts from an empty environment instead of ours.
    #[must_use]
    pub fn clear_env(mut self) -> Self {
        self.clear_env = true;
        self
    }

    /// What the program reads; nothing by default.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Sends stdout and stderr to the end of a file instead of to [`Output`].
    #[must_use]
    pub fn log_to(mut self, path: impl Into<PathBuf>) -> Self {
        self.log = Some(path.into());
        self
    }

    /// How long the program may run before it is killed.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs the program to its end, whatever its exit status.
    ///
    /// # Errors
    /// [`CommandError::Start`] and [`CommandError::TimedOut`].
    pub fn run(&self) -> Result<Output, CommandError> {
        self.run_watched(|_| {})
    }

    /// Runs the program; an exit status other than 0 is an error too. Returns stdout as text.
    ///
    /// # Errors
    /// Each variant of [`CommandError`].
    pub fn run_ok(&self) -> Result<String, CommandError> {
        self.succeeded(&self.run()?)
    }

    /// The stdout of `output` if it tells of success.
    ///
    /// # Errors
    /// [`CommandError::Failed`].
    pub fn succeeded(&self, output: &Output) -> Result<String, CommandError> {
        if output.status.success() {
            return Ok(output.text());
        }
        let tail = self.tail(&output.stderr);
        Err(CommandError::Failed {
            command: self.to_string(),
            status: output.status,
            tail,
        })
    }

    /// As [`Cmd::run`], and calls `tick` with the time that has passed, some fifty times a second.
    ///
    /// # Errors
    /// As [`Cmd::run`].
    pub fn run_watched(&self, mut tick: impl FnMut(Duration)) -> Result<Output, CommandError> {
        let failed_to_start = |source| CommandError::Start {
            command: self.to_string(),
            source,
        };
        let (out, err) = self.sinks().map_err(failed_to_start)?;
        let mut child = self
            .to_std()
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(failed_to_start)?;
        self.feed(&mut child);
        let stdout = child.stdout.take().map(keep);
        let stderr = child.stderr.take().map(keep);
        let status = self.wait(&mut child, &mut tick).map_err(failed_to_start)?;
        let (stdout, stderr) = (collect(stdout), collect(stderr));
        let Some(status) = status else {
            let tail = self.tail(&stderr);
            return Err(CommandError::TimedOut {
                command: self.to_string(),
                after: self.deadline,
                tail,
            });
        };
        Ok(Output {
            status,
            stdout,
            stderr,
        })
    }

    /// The same program for the standard library: no deadline, stdio inherited. For what a person talks to.
    pub fn to_std(&self) -> Command {
        let mut command = Command::new(&self.program);
        if self.clear_env {
            command.env_clear();
        }
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    fn sinks(&self) -> io::Result<(Stdio, Stdio)> {
        let Some(path) = &self.log else {
            return Ok((Stdio::piped(), Stdio::piped()));
        };
        let log = File::options().create(true).append(true).open(path)?;
        Ok((log.try_clone()?.into(), log.into()))
    }

    /// Writes stdin from a thread of its own: a program may print before it reads.
    fn feed(&self, child: &mut Child) {
        if let Some(mut pipe) = child.stdin.take() {
            let bytes = self.stdin.clone();
            // An error means that the program did not care to read on.
            thread::spawn(move || pipe.write_all(&bytes));
        }
    }

    /// None when the deadline passed and the program was killed.
    fn wait(&self, child: &mut Child, tick: &mut impl FnMut(Duration)) -> io::Result<Option<ExitStatus>> {
        let start = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if start.elapsed() >= self.deadline {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            tick(start.elapsed());
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    fn tail(&self, stderr: &[u8]) -> String {
        let logged = self.log.as_ref().and_then(|path| std::fs::read(path).ok());
        let bytes = logged.as_deref().unwrap_or(stderr);
        let tail = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        String::from_utf8_lossy(tail).trim().to_owned()
    }
}

impl std::fmt::Display for Cmd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.program.to_string_lossy())?;
        self.args
            .iter()
            .try_for_each(|arg| write!(f, " {}", arg.to_string_lossy()))
    }
}

/// Reads a pipe to its end in the background, and keeps its first [`KEPT_BYTES`].
fn keep(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut kept = Vec::new();
        // What was read before an error is still worth having.
        let _ = pipe.by_ref().take(KEPT_BYTES).read_to_end(&mut kept);
        let _ = io::copy(&mut pipe, &mut io::sink());
        kept
    })
}

/// What a reader has kept. A daemon that inherited the pipe may hold it open for ever: its output is given up.
fn collect(reader: Option<JoinHandle<Vec<u8>>>) -> Vec<u8> {
    let Some(reader) = reader else {
        return Vec::new();
    };
    let end = Instant::now() + PIPE_GRACE;
    while !reader.is_finished() {
        if Instant::now() >= end {
            return Vec::new();
        }
        thread::sleep(Duration::from_millis(1));
    }
    reader.join().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Cmd {
        Cmd::new("sh").args(["-c", script])
    }

    #[test]
    fn output_status_and_stdin_pass() {
        let output = sh("cat; echo no >&2; exit 3").stdin("yes").run().unwrap();
        assert_eq!((output.text().as_str(), output.errors().as_str()), ("yes", "no"));
        assert_eq!(output.status.code(), Some(3));
    }

    #[test]
    fn an_error_shows_command_code_and_stderr() {
        let text = sh("echo broken pipe dream >&2; exit 7")
            .run_ok()
            .unwrap_err()
            .to_string();
        for part in ["sh -c", "exit status: 7", "broken pipe dream"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let error = sh("echo stuck >&2; exec sleep 60")
            .deadline(Duration::from_millis(200))
            .run()
            .unwrap_err();
        assert!(
            matches!(&error, CommandError::TimedOut { tail, .. } if tail == "stuck"),
            "{error}"
        );
    }

    #[test]
    fn a_daemon_that_keeps_the_pipe_does_not_keep_us() {
        let start = Instant::now();
        let output = sh("sleep 20 & echo started").run().unwrap();
        assert!(output.status.success() && start.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Cmd::new("no-such-program").run().unwrap_err();
        assert!(error.to_string().contains("no-such-program"), "{error}");
    }

    #[test]
    fn a_log_takes_the_output_and_explains_the_failure() {
        let folder = tempfile::tempdir().unwrap();
        let error = sh("echo reason; exit 1")
            .log_to(folder.path().join("log"))
            .run_ok()
            .unwrap_err();
        assert!(error.to_string().contains("reason"), "{error}");
    }
}
