//! A program that runs beside the test and dies with it.
//!
//! The kernel's parent-death signal alone will not do: it fires when the *thread* that forked ends, and test
//! threads end one by one. So a shell of one thread stands in between. It starts the program with that signal set
//! (`setpriv --pdeathsig`), reports its pid, and kills it when a pipe that only we hold open comes to its end.
//!
//! Not here: capturing standard output by line; a program's output goes to its log file.
//!
//! Invariant: the program's life lies within the life of the [`Process`], and within that of the test process.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// `$@` is the program. Descriptor 3 is the pipe from the test; the program itself must not hold it.
const SUPERVISOR: &str = r#"
exec 3<&0
setpriv --pdeathsig KILL -- "$@" 3<&- </dev/null >&2 &
program=$!
echo "$program"
exec >&-
{ read -r _ <&3; kill -KILL "$program"; } 2>/dev/null &
watcher=$!
wait "$program"
status=$?
kill -KILL "$watcher"
wait "$watcher" 2>/dev/null
exit "$status"
"#;

/// `USER_HZ`, the unit of times in `/proc/<pid>/stat`; 100 on every architecture that Linux runs on today.
const TICKS_PER_SECOND: u64 = 100;

/// What to run.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    log: PathBuf,
}

impl Program {
    /// The program at `path`, its standard output and error appended to the file `log`.
    pub fn new(path: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            args: Vec::new(),
            env: Vec::new(),
            log: log.into(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable on top of the inherited ones.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts it.
    pub fn start(self) -> Result<Process> {
        let (supervisor, pid) = self.spawn()?;
        Ok(Process {
            program: self,
            supervisor,
            pid,
        })
    }

    fn spawn(&self) -> Result<(Child, Pid)> {
        let mut supervisor = Command::new("/bin/sh")
            .args(["-c", SUPERVISOR, "yurt-testkit-process"])
            .arg(&self.path)
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(self.open_log()?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", self.path.display()))?;
        let reported = supervisor.stdout.take().context("the supervisor has no output")?;
        let mut line = String::new();
        BufReader::new(reported)
            .read_line(&mut line)
            .context("reading the pid of a program")?;
        let raw = line
            .trim()
            .parse()
            .with_context(|| format!("no pid of {}: `{line}`", self.path.display()))?;
        Ok((supervisor, Pid::from_raw(raw).context("the pid 0 was reported")?))
    }

    fn open_log(&self) -> Result<File> {
        let opened = OpenOptions::new().create(true).append(true).open(&self.log);
        opened.with_context(|| format!("opening the log `{}`", self.log.display()))
    }
}

/// A running (or ended) [`Program`].
#[derive(Debug)]
pub struct Process {
    program: Program,
    supervisor: Child,
    pid: Pid,
}

impl Process {
    /// Its process id. Another one after each [`Process::restart`].
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// How it ended, or `None` while it runs. A program killed by signal `n` ends with the code 128 + n.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.supervisor
            .try_wait()
            .context("asking whether a program has ended")
    }

    /// Sends `signal`, for instance `Signal::TERM`, if it still runs.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended()?.is_none() {
            kill_process(self.pid, signal)
                .with_context(|| format!("signalling {}", self.program.path.display()))?;
        }
        Ok(())
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        if self.ended()?.is_none() {
            // It may end by itself right now: then there is nothing to signal, and the wait below tells how it ended.
            let _ = kill_process(self.pid, Signal::KILL);
        }
        self.supervisor.wait().context("waiting for a program's end")
    }

    /// Kills it if it still runs and starts it anew with the same arguments and log.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        (self.supervisor, self.pid) = self.program.spawn()?;
        Ok(())
    }

    /// Its log file.
    pub fn log_path(&self) -> &Path {
        &self.program.log
    }

    /// What it has logged until now, over all restarts. Not UTF-8: replaced.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.program.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last `lines` lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Resident memory in bytes (`VmRSS`, proc(5)).
    pub fn rss(&self) -> Result<u64> {
        let status = self.proc_file("status")?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS: has it ended?")?;
        let kib: u64 = line
            .trim()
            .trim_end_matches("kB")
            .trim()
            .parse()
            .context("reading VmRSS")?;
        Ok(kib * 1024)
    }

    /// CPU time spent in user and kernel mode; see [`cpu_time`].
    pub fn cpu_time(&self) -> Result<Duration> {
        cpu_time(self.pid())
    }

    fn proc_file(&self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.pid());
        std::fs::read_to_string(&path).with_context(|| format!("reading `{path}`"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.kill().is_err()
            && let Some(group) = i32::try_from(self.supervisor.id()).ok().and_then(Pid::from_raw)
        {
            // The supervisor leads the group. Nothing more can be done if that fails, too.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Whether a program ended because it was killed with SIGKILL (directly, or as its supervisor reports it).
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw()) || status.code() == Some(128 + Signal::KILL.as_raw())
}

/// CPU time that a process has spent in user and kernel mode, in steps of 10 ms (`utime` + `stime`, proc(5)).
pub fn cpu_time(pid: i32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("reading `{path}`"))?;
    // The second field, the name in brackets, may hold spaces; what follows it may not.
    let (_, fields) = stat
        .rsplit_once(')')
        .with_context(|| format!("reading `{path}`"))?;
    let times = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = times.map(|ticks| ticks.parse::<u64>().unwrap_or(0)).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Whether a process with this id exists and is not a zombie.
pub fn is_alive(pid: i32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    !stat
        .rsplit_once(')')
        .is_some_and(|(_, fields)| fields.trim_start().starts_with('Z'))
}
