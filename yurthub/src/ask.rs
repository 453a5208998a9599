//! A person's questions to the yurthub that runs on this node: `yurthub status`, `scopes`, `journal`, `get`, `warm`.
//!
//! They go over the root-only Unix socket (`socket`), and the answers become text (`status`, `lists`, `objects`, `warm`;
//! pure). Only `warm` changes something, what is mirrored, and only that needs the cloud. Data goes to stdout, what is
//! said about it to stderr, so that pipes get data only. Exit codes are for scripts: see `Exit`.

mod lists;
mod objects;
mod socket;
mod status;
mod warm;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::args::{Command, Get, Settings, Warm};
use crate::config::ADMIN_SOCKET;
use crate::telemetry::ErrorChain;
use socket::AskError;

/// How long yurthub may take to answer what it knows.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked.
#[derive(Debug, Clone)]
pub enum Question {
    /// How yurthub is. Whether as JSON.
    Status(bool),
    /// What it mirrors. Whether as JSON.
    Scopes(bool),
    /// What waits for the cloud. Whether as JSON.
    Journal(bool),
    /// What the mirror holds.
    Get(Get),
    /// To mirror what the kubelet will ask for.
    Warm(Warm),
}

impl Question {
    /// The question that a command is; other commands are given back.
    pub fn of(command: Command) -> Result<Self, Command> {
        match command {
            Command::Status(shown) => Ok(Self::Status(shown.output.is_some())),
            Command::Scopes(shown) => Ok(Self::Scopes(shown.output.is_some())),
            Command::Journal(shown) => Ok(Self::Journal(shown.output.is_some())),
            Command::Get(get) => Ok(Self::Get(get)),
            Command::Warm(warm) => Ok(Self::Warm(warm)),
            other @ (Command::Run | Command::CheckConfig) => Err(other),
        }
    }

    /// Path and query on the socket.
    fn path(&self) -> String {
        match self {
            Self::Status(_) => "/status".to_owned(),
            Self::Scopes(_) => "/scopes".to_owned(),
            Self::Journal(_) => "/journal".to_owned(),
            Self::Get(get) => objects::path(get),
            Self::Warm(warm) => format!("/warm?timeoutSeconds={}", warm.timeout.as_secs()),
        }
    }

    /// How it is asked, and how long the answer may take.
    fn manner(&self) -> (&'static str, Duration) {
        match self {
            Self::Warm(warm) => ("POST", warm.timeout + PATIENCE),
            _ => ("GET", PATIENCE),
        }
    }
}

/// What a script can tell by the exit code. 2 is clap's, for a command line that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// Answered; of `status`: and the cloud is there.
    Fine = 0,
    /// The question could not be asked or has no answer: not root, no such object. Of `warm`: something is missing.
    Failed = 1,
    /// Only of `status`: yurthub serves, and the cloud is away.
    CloudAway = 3,
    /// yurthub does not run, does not answer, or does not serve yet.
    NoAnswer = 4,
}

/// What goes to the two streams, and the exit code.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    data: String,
    notes: Vec<String>,
    exit: Exit,
}

/// Asks, and prints the answer.
pub fn main(settings: &Settings, question: &Question) -> ExitCode {
    let path = settings.admin_socket.clone();
    let socket = path.unwrap_or_else(|| PathBuf::from(ADMIN_SOCKET));
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_secs().cast_signed());
    let said = ask(&socket, question, now).unwrap_or_else(|error| Said {
        data: String::new(),
        exit: error.exit(),
        notes: vec![format!("yurthub: {}", ErrorChain(&error))],
    });
    // A reader that has gone away (`| head`) is no failure.
    drop(std::io::stdout().write_all(said.data.as_bytes()));
    for note in &said.notes {
        drop(writeln!(std::io::stderr(), "{note}"));
    }
    ExitCode::from(said.exit as u8)
}

fn ask(socket: &Path, question: &Question, now: i64) -> Result<Said, AskError> {
    let (method, patience) = question.manner();
    let answer = socket::ask(socket, (method, &question.path()), patience)?;
    let read = || serde_json::from_slice(&answer.body).map_err(AskError::Unreadable);
    if answer.code != 200 {
        return Err(refused(answer.code, &read()?));
    }
    let value: Value = read()?;
    let text = |as_json: bool, text: fn(&Value, i64) -> String| {
        if as_json {
            format!("{}\n", String::from_utf8_lossy(&answer.body))
        } else {
            text(&value, now)
        }
    };
    let fine = |data: String| Said {
        data,
        notes: Vec::new(),
        exit: Exit::Fine,
    };
    Ok(match question {
        Question::Status(as_json) => Said {
            exit: status::exit(&value),
            ..fine(text(*as_json, status::text))
        },
        Question::Scopes(as_json) => fine(text(*as_json, lists::scopes)),
        Question::Journal(as_json) => fine(text(*as_json, lists::journal)),
        Question::Get(get) => objects::said(&value, get, now),
        Question::Warm(warm) => Said {
            exit: warm::exit(&value),
            ..fine(text(warm.shown.output.is_some(), warm::text))
        },
    })
}

fn refused(code: u16, body: &Value) -> AskError {
    let text = body
        .get("error")
        .and_then(Value::as_str)
        .unwrap_or("no reason given");
    let resources = body.get("resources").and_then(Value::as_array);
    let known: Vec<_> = resources
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let hint = if known.is_empty() {
        String::new()
    } else {
        format!("; there are: {}", known.join(", "))
    };
    AskError::Refused {
        code,
        reason: format!("{text}{hint}"),
    }
}

/// Rows as aligned columns, three spaces apart; the last column is not padded.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            cells(column)
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&shown(cell));
            let missing = width.saturating_sub(cell.chars().count());
            line.extend(std::iter::repeat_n(' ', missing + 3));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Text from outside without what a terminal would obey.
fn shown(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect()
}

/// `1.5 MiB`.
fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{}.{} MiB", bytes >> 20, ((bytes % 0x10_0000) * 10) >> 20),
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_terminals_are_not_told_anything() {
        let rows = [
            vec!["NAME".to_owned(), "STATUS".to_owned()],
            vec!["a-long-name".to_owned(), "\u{1b}[2J".to_owned()],
        ];
        assert_eq!(aligned(&rows), "NAME          STATUS\na-long-name   ?[2J\n");
        assert_eq!(aligned(&[]), "");
    }

    #[test]
    fn a_refusal_names_what_there_is() {
        let body = serde_json::json!({"error": "this node mirrors no `x`", "resources": ["nodes", "pods"]});
        let error = refused(404, &body);
        assert_eq!(
            error.to_string(),
            "this node mirrors no `x`; there are: nodes, pods"
        );
        assert_eq!(error.exit(), Exit::Failed);
    }
}
