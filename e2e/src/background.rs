//! Programs that run beside a test: a watch that stays open, an informer, a port-forward.
//!
//! Invariant: dropping one kills it; what it prints is kept line by line, up to a bound.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

use crate::command::Cmd;

/// What is kept of a program's lines, and of its complaints.
const KEPT_LINES: usize = 1_000_000;

type Lines = Arc<Mutex<Vec<String>>>;

/// A program that runs.
#[derive(Debug)]
pub struct Background {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines,
    errors: Lines,
}

impl Background {
    /// Starts `cmd`; its deadline and its stdin are not heeded.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(cmd: &Cmd) -> Result<Self> {
        let mut command = cmd.to_std();
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start `{cmd}`"))?;
        Ok(Self {
            name: cmd.to_string(),
            stdin: child.stdin.take(),
            lines: collect(child.stdout.take()),
            errors: collect(child.stderr.take()),
            child,
        })
    }

    /// What it has printed so far, without the line that it is at.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it has complained about so far.
    pub fn errors(&self) -> String {
        self.errors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n")
    }

    /// Whether it has not ended.
    ///
    /// # Errors
    /// When the kernel does not know it.
    pub fn is_running(&mut self) -> Result<bool> {
        let status = self
            .child
            .try_wait()
            .with_context(|| format!("ask for `{}`", self.name))?;
        Ok(status.is_none())
    }

    /// Writes a line to its stdin.
    ///
    /// # Errors
    /// When it does not read any more.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("its stdin is closed")?;
        writeln!(stdin, "{line}").with_context(|| format!("tell {line:?} to `{}`", self.name))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> Lines {
    let lines = Lines::default();
    let kept = Arc::clone(&lines);
    thread::spawn(move || {
        for line in pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).lines()) {
            let Ok(line) = line else { return };
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < KEPT_LINES {
                kept.push(line);
            }
        }
    });
    lines
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wait::wait_for;

    #[test]
    fn lines_come_while_it_runs_and_it_dies_with_the_value() {
        let mut echo = Background::start(&Cmd::new("sh").args(["-c", "echo $$; exec cat"])).unwrap();
        echo.tell("hello").unwrap();
        let lines = wait_for("two lines", Duration::from_secs(5), || {
            Ok(Some(echo.lines()).filter(|lines| lines.len() == 2))
        });
        let lines = lines.unwrap();
        assert_eq!(lines[1], "hello");
        assert!(echo.is_running().unwrap());
        drop(echo);
        assert!(!std::path::Path::new("/proc").join(&lines[0]).exists());
    }
}
