//! One request over the admin socket. A connection for each question, HTTP/1.1 as our own server answers it: a length, no
//! chunks. It is written out here because a second HTTP client in the program would take more room than this.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::Exit;

/// The longest answer that is read.
const MAX_ANSWER: u64 = 128 << 20;

/// What came back.
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(super) enum AskError {
    #[error("failed to ask yurthub at `{}`: only root may; try it with sudo", .0.display())]
    NotRoot(PathBuf),
    #[error(
        "failed to ask yurthub: there is no socket `{}`. Is yurthub running? See `systemctl status yurthub`; \
         where its configuration names another socket, give --admin-socket or --config",
        .0.display()
    )]
    NoSocket(PathBuf),
    #[error(
        "failed to ask yurthub at `{}`: nobody listens. It has ended; see `journalctl -u yurthub`",
        .0.display()
    )]
    Ended(PathBuf),
    #[error(
        "yurthub at `{}` did not answer within {} s; see `journalctl -u yurthub`",
        .path.display(),
        .patience.as_secs()
    )]
    Silent { path: PathBuf, patience: Duration },
    #[error("failed to talk to yurthub at `{}`", .path.display())]
    Broken { path: PathBuf, source: io::Error },
    #[error(
        "failed to read the answer of yurthub; are this program and the running one of the same version?"
    )]
    Unreadable(#[source] serde_json::Error),
    #[error("{reason}")]
    Refused { code: u16, reason: String },
}

impl AskError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::NoSocket(_) | Self::Ended(_) | Self::Silent { .. } | Self::Broken { .. } => Exit::NoAnswer,
            Self::Refused { code, .. } if *code >= 500 => Exit::NoAnswer,
            Self::NotRoot(_) | Self::Unreadable(_) | Self::Refused { .. } => Exit::Failed,
        }
    }

    fn of(path: &Path, patience: Duration, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::NotRoot(path),
            io::ErrorKind::NotFound => Self::NoSocket(path),
            io::ErrorKind::ConnectionRefused => Self::Ended(path),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Silent { path, patience },
            _ => Self::Broken { path, source },
        }
    }
}

/// Sends a request without a body, by method and target (path and query), and waits `patience` for the answer.
pub(super) fn ask(socket: &Path, request: (&str, &str), patience: Duration) -> Result<Answer, AskError> {
    let bytes = exchange(socket, request, patience).map_err(|error| AskError::of(socket, patience, error))?;
    read(bytes).ok_or_else(|| AskError::Broken {
        path: socket.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, "the answer is not whole"),
    })
}

fn exchange(socket: &Path, (method, target): (&str, &str), patience: Duration) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let request = format!("{method} {target} HTTP/1.1\r\nHost: yurthub\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    Ok(answer)
}

/// Takes an answer apart; `None` where it is not HTTP or not whole.
fn read(mut bytes: Vec<u8>) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let mut lines = head.lines();
    let code = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok()).flatten()
    })?;
    let body = bytes.split_off(end + 4);
    (length == body.len()).then_some(Answer { code, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_none() {
        for (text, expected) in [
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
                Some((200, "{}")),
            ),
            (
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                Some((404, "")),
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}", None),
            ("HTTP/1.1 200 OK\r\n\r\n{}", None),
            ("HTTP/1.1 é\r\ncontent-length: 0\r\n\r\n", None),
            ("", None),
        ] {
            let answer = read(text.as_bytes().to_vec());
            let answer = answer.map(|answer| (answer.code, String::from_utf8(answer.body).unwrap()));
            let expected = expected.map(|(code, body)| (code, body.to_owned()));
            assert_eq!(answer, expected, "{text}");
        }
    }

    #[test]
    fn each_failure_says_what_to_do() {
        let path = Path::new("/run/x.sock");
        for (kind, word, exit) in [
            (io::ErrorKind::PermissionDenied, "sudo", Exit::Failed),
            (
                io::ErrorKind::NotFound,
                "systemctl status yurthub",
                Exit::NoAnswer,
            ),
            (io::ErrorKind::ConnectionRefused, "journalctl", Exit::NoAnswer),
            (io::ErrorKind::WouldBlock, "did not answer", Exit::NoAnswer),
            (io::ErrorKind::BrokenPipe, "failed to talk", Exit::NoAnswer),
        ] {
            let error = AskError::of(path, Duration::from_secs(10), kind.into());
            assert!(error.to_string().contains(word), "{error}");
            assert!(error.to_string().contains("/run/x.sock"), "{error}");
            assert_eq!(error.exit(), exit);
        }
    }
}
