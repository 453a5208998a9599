//! What a person who waits gets to read, on stderr.
//!
//! Invariant: a terminal sees the seconds pass; a log file gets a line at the start, each half minute, and at the end.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

const LINE_INTERVAL: Duration = Duration::from_secs(30);

/// Prints one line.
pub fn say(line: impl std::fmt::Display) {
    // Nobody to read it is no reason to fail.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Lines that begin with the time since the start of something.
#[derive(Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts at zero.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Prints one line.
    pub fn say(&self, line: impl std::fmt::Display) {
        say(format_args!("{:>6.1} s  {line}", self.0.elapsed().as_secs_f64()));
    }
}

/// One step of several, shown while it runs.
#[derive(Debug)]
pub struct Step {
    title: String,
    start: Instant,
    shown: Instant,
    terminal: bool,
}

impl Step {
    /// Announces step `number` of `total`.
    pub fn start(number: usize, total: usize, what: &str) -> Self {
        let title = format!("[{number}/{total}] {what}");
        say(format_args!("{title} …"));
        let now = Instant::now();
        Self {
            title,
            start: now,
            shown: now,
            terminal: io::stderr().is_terminal(),
        }
    }

    /// Shows the time that has passed, if it is time to.
    pub fn tick(&mut self) {
        let interval = if self.terminal {
            Duration::from_secs(1)
        } else {
            LINE_INTERVAL
        };
        if self.shown.elapsed() < interval {
            return;
        }
        self.shown = Instant::now();
        let seconds = self.start.elapsed().as_secs();
        if self.terminal {
            let _ = write!(io::stderr(), "\r{} … {seconds} s", self.title);
        } else {
            say(format_args!("{} … {seconds} s", self.title));
        }
    }

    /// Says that the step is done.
    pub fn finish(self) {
        let return_to_start = if self.terminal { "\r" } else { "" };
        say(format_args!(
            "{return_to_start}{} done in {:.1} s",
            self.title,
            self.start.elapsed().as_secs_f64()
        ));
    }
}
