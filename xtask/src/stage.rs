//! One program of a run, with a deadline and an eye on what it prints.
//!
//! Invariants: all that the program prints is passed on at once, in its order; when its time is over, it and its
//! children are killed, and the error names what was running.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use e2e::Cmd;

use crate::second_chance::{Failed, Failures};

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A program to run.
pub(crate) struct Stage {
    name: &'static str,
    deadline: Duration,
    args: Vec<String>,
    env: Vec<(&'static str, String)>,
    /// What its lines begin with.
    label: &'static str,
    /// Takes what others leave of the processors.
    yields: bool,
}

impl Stage {
    /// Cargo with `args`.
    pub(crate) fn cargo(name: &'static str, deadline: Duration, args: &[&str]) -> Self {
        Self {
            name,
            deadline,
            args: Vec::new(),
            env: Vec::new(),
            label: "",
            yields: false,
        }
        .args(args)
    }

    pub(crate) fn name(&self) -> &str {
        self.name
    }

    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    /// Only tests whose name contains `filter`.
    pub(crate) fn filter(self, filter: Option<&str>) -> Self {
        match filter {
            Some(filter) => self.args(&[filter]),
            None => self,
        }
    }

    /// Begins each line that it prints with `label`: it does not run alone.
    pub(crate) fn label(mut self, label: &'static str) -> Self {
        self.label = label;
        self
    }

    /// Lets others have the processors first.
    pub(crate) fn yielding(mut self) -> Self {
        self.yields = true;
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    /// How many tests run at a time, unless who called has said it.
    pub(crate) fn test_threads(self, count: usize) -> Self {
        const THREADS: &str = "RUST_TEST_THREADS";
        if std::env::var_os(THREADS).is_some() {
            return self;
        }
        self.env(THREADS, &count.to_string())
    }

    fn command(&self) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = if self.yields {
            let mut nice = Command::new("nice");
            nice.args(["-n", "15"]).arg(cargo);
            nice
        } else {
            Command::new(cargo)
        };
        command.args(&self.args);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if io::stderr().is_terminal() && std::env::var_os("CARGO_TERM_COLOR").is_none() {
            command.env("CARGO_TERM_COLOR", "always");
        }
        command
    }
}

/// How a stage ended.
pub(crate) struct Outcome {
    /// The test runners' own summary lines.
    pub(crate) summaries: Vec<String>,
    /// Success, or what failed.
    pub(crate) verdict: Result<()>,
    /// Tests that failed and may be run once more.
    pub(crate) again: Option<Vec<Failed>>,
}

/// Runs `stage` to its end or its deadline. An error is about running it, not about its verdict.
pub(crate) fn run(stage: &Stage) -> Result<Outcome> {
    // One pipe for both, so that cargo's words and those of the tests keep their order.
    let (output, input) = io::pipe().context("make a pipe")?;
    let mut command = stage.command();
    command
        .stdin(Stdio::null())
        .stdout(input.try_clone().context("share the pipe")?)
        .stderr(input);
    let mut child = command
        .spawn()
        .with_context(|| format!("start cargo for `{}`", stage.name))?;
    // It holds the ends to write to, and the pipe would never end.
    drop(command);
    let (status, seen) = thread::scope(|scope| {
        let reader = scope.spawn(|| pass_on(output, stage.label, &mut io::stdout()));
        let status = wait(&mut child, stage.deadline);
        (status, reader.join().unwrap_or_default())
    });
    let status = status?;
    let verdict = match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(anyhow::anyhow!(
            "stage `{}` failed: cargo ended with {status}",
            stage.name
        )),
        None => Err(anyhow::anyhow!(
            "stage `{}` was killed after {} s; it hung in {}",
            stage.name,
            stage.deadline.as_secs(),
            seen.suspects()
        )),
    };
    let ended = status.is_some();
    Ok(Outcome {
        summaries: seen.summaries,
        verdict,
        again: ended.then(|| seen.failures.again()).flatten(),
    })
}

/// None when the deadline passed, and the program and all its children were killed.
fn wait(child: &mut Child, deadline: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("wait for cargo")? {
            return Ok(Some(status));
        }
        if start.elapsed() >= deadline {
            kill_with_children(child.id())?;
            child.wait().context("wait for the killed cargo")?;
            return Ok(None);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Copies lines to `out` as they come, each behind `label`; what they tell.
fn pass_on(pipe: impl Read, label: &str, out: &mut impl Write) -> Seen {
    let mut seen = Seen::default();
    for line in BufReader::new(pipe).split(b'\n') {
        let Ok(line) = line else {
            break;
        };
        let text = String::from_utf8_lossy(&line);
        // A reader that is gone is no reason to stop.
        let _ = out.write_all(format!("{label}{text}\n").as_bytes());
        seen.note(&text);
    }
    seen
}

/// What the lines of cargo and libtest tell.
#[derive(Default)]
struct Seen {
    /// The test binary that runs.
    binary: Option<String>,
    /// Tests that libtest called slow, and that have not ended.
    slow: BTreeSet<String>,
    summaries: Vec<String>,
    failures: Failures,
}

impl Seen {
    fn note(&mut self, line: &str) {
        self.failures.note(line);
        if line.starts_with("test result: ") {
            self.summaries.push(line.to_owned());
        } else if let Some((_, binary)) = line
            .split_once("Running ")
            .or_else(|| line.split_once("Doc-tests "))
        {
            self.binary = Some(binary.trim().to_owned());
            self.slow.clear();
        } else if let Some((test, _)) = line.split_once(" has been running for over ") {
            self.slow.insert(test.trim_start_matches("test ").to_owned());
        } else if let Some((test, _)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.split_once(" ... "))
        {
            self.slow.remove(test);
        }
    }

    fn suspects(&self) -> String {
        let binary = self.binary.as_deref().unwrap_or("cargo itself");
        if self.slow.is_empty() {
            return binary.to_owned();
        }
        let tests: Vec<_> = self.slow.iter().map(String::as_str).collect();
        format!("{binary}: {}", tests.join(", "))
    }
}

/// Kills `pid` and all that descends from it, parents first.
fn kill_with_children(pid: u32) -> Result<()> {
    let mut family = vec![pid];
    let mut next = 0;
    let parents = parents();
    while let Some(&parent) = family.get(next) {
        family.extend(
            parents
                .iter()
                .filter(|(_, found)| *found == parent)
                .map(|(child, _)| *child),
        );
        next += 1;
    }
    let killed = Cmd::new("kill")
        .arg("-9")
        .args(family.iter().map(u32::to_string))
        .run()?;
    if killed.status.success() || !fs::exists(format!("/proc/{pid}")).unwrap_or(false) {
        return Ok(());
    }
    bail!("kill the processes {family:?}: {}", killed.errors())
}

/// `(process, its parent)` of every process.
fn parents() -> Vec<(u32, u32)> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter_map(|pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, parse_parent(&stat)?))
        })
        .collect()
}

/// The fourth field of /proc/PID/stat; the second one, the name in parentheses, may hold anything.
fn parse_parent(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// Prints a line for those who read our results.
#[expect(clippy::print_stdout, reason = "the result that was asked for")]
pub(crate) fn print(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hang_is_pinned_on_the_tests_that_have_not_ended() {
        let mut seen = Seen::default();
        for line in [
            "     Running tests/cluster.rs (target/debug/deps/cluster-1)",
            "test reboot has been running for over 60 seconds",
            "test cut has been running for over 60 seconds",
            "test cut ... ok",
        ] {
            seen.note(line);
        }
        assert_eq!(
            seen.suspects(),
            "tests/cluster.rs (target/debug/deps/cluster-1): reboot"
        );
    }

    #[test]
    fn lines_behind_a_label_tell_the_same() {
        let mut out = Vec::new();
        let seen = pass_on(&b"a\ntest result: ok. 1 passed\n"[..], "own: ", &mut out);
        assert_eq!(out, b"own: a\nown: test result: ok. 1 passed\n");
        assert_eq!(seen.summaries, ["test result: ok. 1 passed"]);
    }

    #[test]
    fn summaries_are_kept_word_for_word() {
        let mut seen = Seen::default();
        let line =
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        seen.note(line);
        assert_eq!(seen.summaries, [line]);
        assert_eq!(seen.suspects(), "cargo itself");
    }

    #[test]
    fn a_process_may_have_any_name() {
        assert_eq!(parse_parent("12 (a) R (b) S 7 12 12 0"), Some(7));
        assert_eq!(parse_parent("12"), None);
    }

    #[test]
    fn children_are_killed_with_their_parent() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 60 & wait"])
            .spawn()
            .unwrap();
        let grandchild = e2e::wait_for("a child of the shell", Duration::from_secs(10), || {
            Ok(parents()
                .into_iter()
                .find(|(_, parent)| *parent == child.id())
                .map(|(pid, _)| pid))
        })
        .unwrap();
        assert!(wait(&mut child, Duration::ZERO).unwrap().is_none());
        e2e::wait_for("the grandchild to die", Duration::from_secs(10), || {
            let stat = fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
            Ok((stat.is_empty() || stat.contains(") Z ")).then_some(()))
        })
        .unwrap();
    }
}
