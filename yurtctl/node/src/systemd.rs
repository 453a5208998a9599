//! The node's systemd, by `systemctl`.

use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use thiserror::Error;

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A call that went wrong.
#[derive(Debug, Error)]
pub enum CallError {
    /// The program could not be started.
    #[error("failed to run `{call}`; is it installed on this node?")]
    Start {
        /// What was called.
        call: String,
        /// Why it did not start.
        source: io::Error,
    },
    /// It ended badly.
    #[error("`{call}` failed: {said}")]
    Failed {
        /// What was called.
        call: String,
        /// What it said.
        said: String,
    },
    /// It did not end in time and was killed.
    #[error("`{call}` did not end within {} s and was killed", .after.as_secs())]
    Slow {
        /// What was called.
        call: String,
        /// Its time.
        after: Duration,
    },
}

/// Runs `program` with `args` and gives what it printed; killed when `limit` is over.
pub(crate) fn call(program: &str, args: &[&str], limit: Duration) -> Result<String, CallError> {
    let shown = || format!("{program} {}", args.join(" "));
    let start = |source| CallError::Start {
        call: shown(),
        source,
    };
    let deadline = Instant::now() + limit;
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    // Read beside waiting: a pipe that is full would stop the program.
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let out = std::thread::spawn(move || out.map(io::read_to_string));
    let err = std::thread::spawn(move || err.map(io::read_to_string));
    let status = loop {
        if let Some(status) = child.try_wait().map_err(start)? {
            break status;
        }
        if Instant::now() >= deadline {
            drop(child.kill());
            drop(child.wait());
            return Err(CallError::Slow {
                call: shown(),
                after: limit,
            });
        }
        std::thread::sleep(POLL_INTERVAL);
    };
    let text = |thread: std::thread::JoinHandle<Option<io::Result<String>>>| {
        thread
            .join()
            .ok()
            .flatten()
            .and_then(Result::ok)
            .unwrap_or_default()
    };
    let (out, err) = (text(out), text(err));
    if status.success() {
        return Ok(out);
    }
    let said = if err.trim().is_empty() { out } else { err };
    Err(CallError::Failed {
        call: shown(),
        said: format!("{} ({status})", said.trim()),
    })
}

/// `systemctl` with `args`.
pub(crate) fn systemctl(args: &[&str], limit: Duration) -> Result<String, CallError> {
    call("systemctl", args, limit)
}

/// A property of a unit; empty where it has none.
pub(crate) fn property(unit: &str, name: &str) -> Result<String, CallError> {
    let text = systemctl(&["show", "-P", name, "--", unit], Duration::from_secs(10))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_gives_what_was_printed_or_says_what_failed() {
        let limit = Duration::from_secs(10);
        assert_eq!(call("printf", &["%s", "one two"], limit).unwrap(), "one two");
        let failed = call("ls", &["/no/such/folder"], limit).unwrap_err().to_string();
        assert!(
            failed.contains("ls /no/such/folder") && failed.contains("No such file"),
            "{failed}"
        );
        let missing = call("no-such-program", &[], limit).unwrap_err().to_string();
        assert!(missing.contains("is it installed"), "{missing}");
    }

    #[test]
    fn a_call_that_hangs_is_killed() {
        let slow = call("sleep", &["60"], Duration::from_millis(50)).unwrap_err();
        assert!(matches!(slow, CallError::Slow { .. }), "{slow}");
    }
}
