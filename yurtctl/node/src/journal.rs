//! What has happened to a node: one JSON line for each event, on disk before what it tells of begins.
//!
//! Invariants: a line that a power cut or a full disk tore is not read, and is gone with the next one; lines before it are
//! whole. An event that the disk did not take counts all the same, as long as this process lives, and is written with the
//! next one. The journal stays when all else is reverted: it is the tombstone that says what was here.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use yurt_common::fs::read_optional;

use crate::course::Reason;
use crate::disk::{self, Change};
use crate::steps::{Step, StepSet};
use crate::transaction::Goal;

/// Lines that are kept when a transaction begins: some twenty transactions.
const KEPT: usize = 400;

/// An event with its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The node's clock, in seconds since 1970. For people; no decision depends on it.
    pub at: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Event {
    /// A transaction was written down.
    Begun {
        /// Its name.
        id: String,
        /// Where it goes.
        goal: Goal,
        /// Version of the software.
        version: String,
        /// Whether the node was converted before.
        #[serde(default)]
        update: bool,
    },
    /// The service that carries it out was started: first, or again after a crash or a boot.
    Taken,
    /// A step begins.
    Started {
        /// Which.
        step: Step,
    },
    /// A step succeeded.
    Done {
        /// Which.
        step: Step,
    },
    /// A step failed; what was begun is taken back.
    Failed {
        /// Which.
        step: Step,
        /// Why, with all causes.
        why: String,
    },
    /// From here on what was begun is taken back.
    TurnedBack {
        /// Why.
        reason: Reason,
    },
    /// A step was taken back.
    Undone {
        /// Which.
        step: Step,
    },
    /// A step could not be taken back; it is tried again. The first failures of a step are told, not all.
    UndoFailed {
        /// Which.
        step: Step,
        /// Why, with all causes.
        why: String,
    },
    /// The transaction is over.
    Ended {
        /// How.
        outcome: Outcome,
    },
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The node is as the spec says.
    Converted,
    /// The node is as before the transaction.
    RolledBack,
    /// The node is as before any conversion.
    Reverted,
    /// The way back was gone as far as it could be; these steps could not be taken back. What they need for it is kept, and
    /// another transaction may end it.
    Incomplete(StepSet),
}

/// The journal, open for more.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Option<File>,
    records: Vec<Record>,
    /// How many of the records are on disk, and in how many bytes.
    written: usize,
    whole: u64,
    /// Whether there may be something behind these bytes.
    torn: bool,
}

impl Journal {
    /// Reads the journal at `path`, which need not be there. Nothing is written yet: who only goes back can do so although
    /// nothing can be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let text = read_optional(path)?.unwrap_or_default();
        let (records, whole) = parse(&text);
        Ok(Self {
            path: path.to_owned(),
            file: None,
            written: records.len(),
            records,
            whole: whole as u64,
            torn: whole < text.len(),
        })
    }

    /// All that happened.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Whether all of it is on disk.
    pub fn is_written(&self) -> bool {
        self.written == self.records.len()
    }

    /// Adds an event. It counts, also when the disk does not take it; it is on disk when this succeeds.
    pub fn add(&mut self, at: u64, event: Event) -> io::Result<()> {
        self.records.push(Record { at, event });
        self.write()
    }

    /// Writes what the disk did not take before.
    pub fn write(&mut self) -> io::Result<()> {
        while self.written < self.records.len() {
            let mut line = serde_json::to_vec(&self.records[self.written])?;
            line.push(b'\n');
            let whole = self.whole;
            let file = open_file(&self.path, &mut self.file)?;
            if self.torn {
                disk::make(&Change::Cut { file, len: whole })?;
                self.torn = false;
            }
            if let Err(error) = disk::make(&Change::Append { file, bytes: &line }) {
                // A part of the line may be there; the next one must not become its end.
                self.torn = disk::make(&Change::Cut { file, len: whole }).is_err();
                return Err(error);
            }
            self.whole += line.len() as u64;
            self.written += 1;
        }
        Ok(())
    }
}

fn open_file<'a>(path: &Path, file: &'a mut Option<File>) -> io::Result<&'a File> {
    let opened = if let Some(opened) = file.take() {
        opened
    } else {
        if !path.exists() {
            disk::write(path, b"", 0o600)?;
        }
        OpenOptions::new().append(true).open(path)?
    };
    Ok(file.insert(opened))
}

/// What is in the journal at `path`; nothing where there is none.
pub fn read(path: &Path) -> io::Result<Vec<Record>> {
    Ok(parse(&read_optional(path)?.unwrap_or_default()).0)
}

/// Drops what is older than its last lines.
pub fn shorten(path: &Path) -> io::Result<()> {
    let records = read(path)?;
    if records.len() <= KEPT {
        return Ok(());
    }
    let mut text = Vec::new();
    for record in &records[records.len() - KEPT..] {
        serde_json::to_writer(&mut text, record)?;
        text.push(b'\n');
    }
    disk::write(path, &text, 0o600)
}

/// The records of whole lines, and how many bytes these are.
fn parse(text: &[u8]) -> (Vec<Record>, usize) {
    let mut records = Vec::new();
    let mut whole = 0;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let Some(Ok(record)) = line.strip_suffix(b"\n").map(serde_json::from_slice) else {
            break;
        };
        records.push(record);
        whole += line.len();
    }
    (records, whole)
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun { goal, version, .. } => match goal {
                Goal::Converted => write!(f, "begin to convert this node to version {version}"),
                Goal::Reverted => write!(f, "begin to revert this node from version {version}"),
            },
            Self::Taken => write!(f, "the service takes it up"),
            Self::Started { step } => write!(f, "{step}: {}", step.about()),
            Self::Done { step } => write!(f, "{step}: done"),
            Self::Failed { step, why } => write!(f, "{step}: FAILED: {why}"),
            Self::TurnedBack { reason } => write!(f, "turn back, as {reason}"),
            Self::Undone { step } => write!(f, "{step}: taken back"),
            Self::UndoFailed { step, why } => write!(f, "{step}: could NOT be taken back: {why}"),
            Self::Ended { outcome } => write!(f, "{outcome}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Converted => write!(f, "this node is converted"),
            Self::RolledBack => write!(f, "this node is as it was before"),
            Self::Reverted => write!(f, "this node is reverted"),
            Self::Incomplete(steps) => write!(
                f,
                "this node is NOT as it was before: {steps} could not be taken back. What is needed for it is kept in {folder}: \
                 repair what is told, then run `yurtctl revert` for this node again, or \
                 `{folder}/programs/yurtctl node revert --local` on it",
                folder = crate::FOLDER
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::trial;

    #[test]
    fn a_torn_line_is_gone_and_the_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path).unwrap();
        journal.add(1, Event::Taken).unwrap();
        journal.add(2, Event::Started { step: Step::Switch }).unwrap();
        drop(journal);
        let mut text = std::fs::read(&path).unwrap();
        text.truncate(text.len() - 5);
        std::fs::write(&path, &text).unwrap();

        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(journal.records().len(), 1);
        journal.add(3, Event::Done { step: Step::Switch }).unwrap();
        assert_eq!(events(&path), [Event::Taken, Event::Done { step: Step::Switch }]);
    }

    fn events(path: &Path) -> Vec<Event> {
        let records = read(path).unwrap();
        records.into_iter().map(|record| record.event).collect()
    }

    #[test]
    fn what_a_full_disk_does_not_take_counts_and_is_written_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path).unwrap();
        journal.add(1, Event::Taken).unwrap();
        let kept = std::fs::read(&path).unwrap();

        trial::full_at(trial::passed()..usize::MAX);
        let step = Step::Switch;
        journal.add(2, Event::Started { step }).unwrap_err();
        journal.add(3, Event::Done { step }).unwrap_err();
        assert_eq!((journal.records().len(), journal.is_written()), (3, false));
        // A half line was written: it is gone.
        assert_eq!(std::fs::read(&path).unwrap(), kept);

        trial::full_at(0..0);
        journal.add(4, Event::Undone { step }).unwrap();
        assert!(journal.is_written());
        let all = [
            Event::Taken,
            Event::Started { step },
            Event::Done { step },
            Event::Undone { step },
        ];
        assert_eq!(events(&path), all);
    }

    #[test]
    fn a_journal_can_be_opened_where_nothing_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        trial::full_at(0..usize::MAX);
        let mut journal = Journal::open(&path).unwrap();
        journal.add(1, Event::Taken).unwrap_err();
        assert_eq!(journal.records().len(), 1);
        trial::full_at(0..0);
        journal.write().unwrap();
        assert_eq!(events(&path), [Event::Taken]);
    }

    #[test]
    fn an_old_journal_is_shortened_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path).unwrap();
        for at in 0..KEPT as u64 + 3 {
            journal.add(at, Event::Taken).unwrap();
        }
        shorten(&path).unwrap();
        let records = read(&path).unwrap();
        assert_eq!((records.len(), records[0].at), (KEPT, 3));
    }
}
