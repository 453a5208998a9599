//! What is told while something goes on: one line for each event, with the time since the beginning and the node, on
//! stderr; so that stdout holds results only, and a pipe or a log shows the same as a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Instant;

/// Tells how far it is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    start: Instant,
    colours: bool,
}

impl Progress {
    /// From now on.
    pub fn begin() -> Self {
        Self {
            start: Instant::now(),
            colours: io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    /// About a node.
    pub fn node(&self, node: &str, text: &str) {
        self.line(&format!("{node}: {text}"), "");
    }

    /// Something that went wrong.
    pub fn trouble(&self, node: &str, text: &str) {
        self.line(&format!("{node}: {text}"), "\x1b[31m");
    }

    /// About the cluster.
    pub fn say(&self, text: &str) {
        self.line(text, "");
    }

    fn line(&self, text: &str, colour: &str) {
        let seconds = self.start.elapsed().as_secs_f64();
        let (on, off) = if self.colours && !colour.is_empty() {
            (colour, "\x1b[0m")
        } else {
            ("", "")
        };
        drop(writeln!(io::stderr(), "{seconds:7.1} s  {on}{text}{off}"));
    }
}
