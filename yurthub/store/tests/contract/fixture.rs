//! A store in a folder of its own.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use yurthub_store::{
    Batch, EngineKind, Lookup, OpenReport, Options, Protection, SealingKey, Snapshot, Store,
};

pub(crate) struct Home {
    dir: TempDir,
    pub(crate) kind: EngineKind,
}

impl Home {
    pub(crate) fn new(kind: EngineKind) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            kind,
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir().join("store")
    }

    /// Far from its interval: only durable writes and flushes commit.
    pub(crate) fn lazy(&self) -> Options {
        Options {
            engine: self.kind,
            commit_interval: Duration::from_hours(1),
            unix_time: 1000,
            ..Options::default()
        }
    }

    pub(crate) fn sealed(&self, key: &str) -> Options {
        let key = SealingKey::load_or_create(&self.dir().join(key)).unwrap();
        Options {
            sealing_key: Some(key),
            ..self.lazy()
        }
    }

    pub(crate) fn open(&self) -> Store {
        self.open_with(self.lazy()).0
    }

    pub(crate) fn open_with(&self, options: Options) -> (Store, OpenReport) {
        Store::open(&self.data(), options).unwrap()
    }

    /// Whether there is anything on disk.
    pub(crate) fn has_disk(&self) -> bool {
        self.kind != EngineKind::Memory
    }
}

pub(crate) fn put(key: impl AsRef<[u8]>, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(key, value.to_owned(), Protection::Plain);
    batch
}

pub(crate) fn found(value: &str) -> Lookup {
    Lookup::Found(Bytes::from(value.to_owned()))
}

pub(crate) fn list(snapshot: &mut Snapshot, prefix: &[u8], after: Option<&[u8]>) -> Vec<(Vec<u8>, Bytes)> {
    let mut rows = Vec::new();
    let scan = snapshot.scan(prefix, after, &mut |key, value| {
        rows.push((key.to_vec(), value));
        ControlFlow::Continue(())
    });
    assert_eq!(scan.unwrap().corrupt_count, 0);
    rows
}

pub(crate) fn keys(snapshot: &mut Snapshot, prefix: &[u8], after: Option<&[u8]>) -> Vec<Vec<u8>> {
    list(snapshot, prefix, after)
        .into_iter()
        .map(|(key, _)| key)
        .collect()
}

/// All files of the store with their content.
pub(crate) fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            let content = std::fs::read(&path).unwrap();
            files.push((path, content));
        }
    }
    files.sort();
    files
}
