//! Speaking to an emulator that runs: a Unix socket, one JSON line each way for each connection.
//!
//! The socket lies in the cluster's state folder, which is root's.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::line::Counters;
use crate::quality::Shape;

/// An emulator answers at once; one that does not hangs.
const DEADLINE: Duration = Duration::from_secs(5);

/// What an emulator is asked to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Say what it is like, and what was seen.
    Report,
    /// Be like that from now on.
    Set(Box<Shape>),
    /// Let everything go, and end.
    End,
}

/// What an emulator says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What the link is like.
    pub shape: Shape,
    /// Packets from the node since the emulator started.
    pub up: Counters,
    /// Packets to the node.
    pub down: Counters,
    /// Packets that are on their way.
    pub on_their_way: usize,
}

/// The way to an emulator.
#[derive(Clone, Debug)]
pub struct Control {
    socket: PathBuf,
}

impl Control {
    /// The emulator whose socket is at `socket`, whether it runs or not.
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
        }
    }

    /// Where its socket is.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether one answers.
    pub fn is_running(&self) -> bool {
        UnixStream::connect(&self.socket).is_ok()
    }

    /// Asks it for something; it answers when that is done.
    ///
    /// # Errors
    /// When it does not run or does not answer.
    pub fn ask(&self, request: &Request) -> Result<Report> {
        let attempt = || -> Result<Report> {
            let mut stream = UnixStream::connect(&self.socket)?;
            stream.set_read_timeout(Some(DEADLINE))?;
            stream.set_write_timeout(Some(DEADLINE))?;
            writeln!(stream, "{}", serde_json::to_string(request)?)?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line)?;
            ensure!(!line.is_empty(), "it ended without an answer");
            Ok(serde_json::from_str(&line)?)
        };
        attempt().with_context(|| format!("ask the link emulator at {}", self.socket.display()))
    }
}
