//! The program: waits for packets, for requests, and for the time at which a packet leaves.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::control::{Report, Request};
use crate::departures::{Departures, Direction, Packet};
use crate::line::{Fate, Line};
use crate::quality::Shape;
use crate::queue::Queue;

/// A client of the socket is a program of the same machine, which writes at once.
const CLIENT_DEADLINE: Duration = Duration::from_secs(1);
const LARGEST_REQUEST: u64 = 64 << 10;

/// A link that runs.
pub struct Emulator {
    queue: Queue,
    listener: UnixListener,
    start: Instant,
    up: Line,
    down: Line,
    departures: Departures,
}

impl Emulator {
    /// One that does nothing yet, with its packets from `queue` and its requests from the socket `control`.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn new(queue: Queue, control: &Path, seed: u64) -> Result<Self> {
        let _ = std::fs::remove_file(control); // of one that was killed
        let listener =
            UnixListener::bind(control).with_context(|| format!("listen at {}", control.display()))?;
        listener
            .set_nonblocking(true)
            .context("make the socket not wait")?;
        Ok(Self {
            queue,
            listener,
            start: Instant::now(),
            up: Line::new(seed),
            down: Line::new(!seed),
            departures: Departures::default(),
        })
    }

    /// Runs until it is told to end.
    ///
    /// # Errors
    /// When the kernel's queue fails.
    pub fn run(&mut self) -> Result<()> {
        loop {
            self.wait()?;
            // First what is due: a link that is flooded must not stand still.
            self.release_due()?;
            for packet in self.queue.arrived()? {
                self.take_in(packet)?;
            }
            while let Ok((client, _)) = self.listener.accept() {
                // A client that is gone or speaks nonsense is its own problem.
                if matches!(self.serve(&client), Ok(Request::End)) {
                    return self.release_all();
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Sleeps until there is something to do.
    fn wait(&self) -> Result<()> {
        let rest = self.departures.next_at().map(|at| at.saturating_sub(self.now()));
        let rest = rest.and_then(|rest| Timespec::try_from(rest).ok());
        let mut fds = [
            PollFd::from_borrowed_fd(self.queue.fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.listener.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, rest.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("wait for packets"),
        }
    }

    fn take_in(&mut self, packet: Packet) -> Result<()> {
        let now = self.now();
        match self.line(packet.direction).arrives(packet.length, now) {
            Fate::Leaves(at) => {
                self.departures.add(at, packet);
                self.release_due()
            }
            Fate::Lost(_) => self.queue.release(packet, false),
        }
    }

    fn release_due(&mut self) -> Result<()> {
        loop {
            let now = self.now();
            let Some(packet) = self.departures.take_due(now) else {
                return Ok(());
            };
            let passes = self.line(packet.direction).leaves(packet.length, now);
            self.queue.release(packet, passes)?;
        }
    }

    fn release_all(&mut self) -> Result<()> {
        while let Some(packet) = self.departures.take_due(Duration::MAX) {
            self.queue.release(packet, true)?;
        }
        Ok(())
    }

    fn line(&mut self, direction: Direction) -> &mut Line {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    fn serve(&mut self, mut client: &UnixStream) -> Result<Request> {
        client.set_nonblocking(false)?;
        client.set_read_timeout(Some(CLIENT_DEADLINE))?;
        client.set_write_timeout(Some(CLIENT_DEADLINE))?;
        let mut line = String::new();
        BufReader::new(client.take(LARGEST_REQUEST)).read_line(&mut line)?;
        let request: Request = serde_json::from_str(&line)?;
        if let Request::Set(shape) = &request {
            let now = self.now();
            self.up.set(shape.up.clone(), now);
            self.down.set(shape.down.clone(), now);
        }
        writeln!(client, "{}", serde_json::to_string(&self.report())?)?;
        Ok(request)
    }

    fn report(&self) -> Report {
        Report {
            shape: Shape {
                up: self.up.quality().clone(),
                down: self.down.quality().clone(),
            },
            up: self.up.counters(),
            down: self.down.counters(),
            on_their_way: self.departures.len(),
        }
    }
}
