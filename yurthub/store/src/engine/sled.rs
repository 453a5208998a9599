//! sled, made durable by our own fsync.
//!
//! sled 0.34 ends its `flush` in `sync_file_range`, which is no fsync, and writes its configuration without any. So every
//! commit here flushes sled and fsyncs its log, and opening fsyncs everything before and after ([`files`]). Values are
//! cut into pieces ([`rows`]), because what sled puts in files of its own is lost by power cuts.
//!
//! sled has no views: this module keeps, for each open view, the old values of the keys that changed since.
//!
//! sled takes a truncated log for a torn tail and says nothing. A count of commits in the database and, after a clean
//! close, in a file beside it tells that apart; after a crash nothing can.
//!
//! After a failed write sled refuses all further ones and many reads, and shows what it did not write: `recover` opens
//! the database anew. Should that fail, reads fail, too, until it succeeds. On a full disk it does fail, because opening
//! writes: so a commit for which there may be no room is refused before sled sees it ([`files::check_room`]).
//!
//! Invariant: the old value of a key is in every open view before the new one can be read.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::ops::{Bound, ControlFlow};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use super::{DiskBytes, Engine, EngineError, EngineKind, EngineSnapshot, Fault, Op, Visit};

mod files;
mod rows;

/// Commits so far; not the caller's key.
const COUNT_KEY: &[u8] = b"\0commits";
/// Rows read at a time by a scan of a view.
const CHUNK: usize = 64;

type Undo = BTreeMap<Vec<u8>, Option<Vec<u8>>>;
type Views = Vec<Weak<Mutex<Undo>>>;

/// See the module. Keys that begin with 0 are its own.
#[derive(Debug)]
pub struct SledEngine {
    path: PathBuf,
    shared: Arc<Shared>,
    committer: Mutex<Committer>,
}

#[derive(Debug)]
struct Shared {
    /// `None` only while it is being reopened, or after that failed.
    db: RwLock<Option<sled::Db>>,
    views: Mutex<Views>,
}

#[derive(Debug)]
struct Committer {
    log: File,
    blobs: BTreeSet<PathBuf>,
    commits: u64,
    broken: bool,
}

fn error(
    fault: Fault,
    action: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> EngineError {
    EngineError::new(EngineKind::Sled, fault, action, source)
}

fn io_failed(action: &'static str) -> impl FnOnce(io::Error) -> EngineError {
    move |source| {
        let full = matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        error(if full { Fault::Full } else { Fault::Io }, action, source)
    }
}

fn failed(action: &'static str) -> impl FnOnce(sled::Error) -> EngineError {
    move |source| match source {
        sled::Error::Io(source) => io_failed(action)(source),
        sled::Error::Corruption { .. } => error(Fault::Corrupt, action, source),
        _ => error(Fault::Other, action, source),
    }
}

/// sled panics on some damage: the panic is taken for the report of it.
fn guarded<T>(action: &'static str, run: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|panic| Err(error(Fault::Corrupt, action, message(&*panic))))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("sled panicked: {}", text.unwrap_or("no message"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SledEngine {
    /// Opens or creates the database in the folder `path`, everything in it fsynced before and after.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let (db, committer) = guarded("open", || files::open(path))?;
        files::check_count(path, committer.commits)?;
        let shared = Arc::new(Shared {
            db: RwLock::new(Some(db)),
            views: Mutex::default(),
        });
        Ok(Self {
            path: path.to_owned(),
            shared,
            committer: Mutex::new(committer),
        })
    }

    fn write(&self, committer: &mut Committer, ops: &[Op]) -> Result<(), EngineError> {
        let db = self.shared.db()?;
        let stamp = committer.commits + 1;
        let mut batch = sled::Batch::default();
        for op in ops {
            match op {
                Op::Put(key, value) => rows::put(&db, &mut batch, (key, value), stamp)?,
                Op::Delete(key) => rows::remove(&db, &mut batch, key)?,
            }
        }
        batch.insert(COUNT_KEY, &stamp.to_be_bytes());
        let views = self.shared.save_old_values(&db, ops)?;
        db.apply_batch(batch).map_err(failed("write to"))?;
        drop(views); // until here no view may begin: it would see a part
        files::sync_new_blobs(&self.path, &mut committer.blobs).map_err(io_failed("sync the blobs of"))?;
        db.flush().map_err(failed("flush"))?;
        committer.log.sync_all().map_err(io_failed("sync"))?;
        committer.commits = stamp;
        Ok(())
    }

    fn reopen(&self, committer: &mut Committer) -> Result<(), EngineError> {
        let mut db = self.shared.db.write().unwrap_or_else(PoisonError::into_inner);
        *db = None; // closes it: two may not be open
        let (fresh, reopened) = guarded("reopen", || files::open(&self.path))?;
        (*db, *committer) = (Some(fresh), reopened);
        Ok(())
    }
}

impl Shared {
    fn db(&self) -> Result<sled::Db, EngineError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner).clone();
        db.ok_or_else(|| error(Fault::Io, "use", "it could not be reopened after a failure"))
    }

    fn save_old_values(&self, db: &sled::Db, ops: &[Op]) -> Result<MutexGuard<'_, Views>, EngineError> {
        let mut views = lock(&self.views);
        views.retain(|view| view.strong_count() > 0);
        let open: Vec<_> = views.iter().filter_map(Weak::upgrade).collect();
        for op in if open.is_empty() { &[] } else { ops } {
            let (Op::Put(key, _) | Op::Delete(key)) = op;
            let old = rows::get(db, key)?;
            for view in &open {
                lock(view).entry(key.clone()).or_insert_with(|| old.clone());
            }
        }
        Ok(views)
    }
}

impl Engine for SledEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let db = self.shared.db()?;
        guarded("read from", || rows::get(&db, key))
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        let db = self.shared.db()?;
        guarded("scan", || rows::scan(&db, prefix, after, visit))
    }

    fn reader(&self) -> Result<Box<dyn EngineSnapshot + Send>, EngineError> {
        Ok(Box::new(View {
            shared: self.shared.clone(),
            undo: Arc::default(),
        }))
    }

    fn commit(&self, ops: &[Op]) -> Result<(), EngineError> {
        let mut committer = lock(&self.committer);
        let bytes = ops.iter().map(Op::bytes).sum();
        files::check_room(&self.path, bytes).map_err(io_failed("find room for a write to"))?;
        let written = guarded("write to", || self.write(&mut committer, ops));
        committer.broken = written.is_err();
        written
    }

    fn recover(&self) -> Result<(), EngineError> {
        let mut committer = lock(&self.committer);
        if committer.broken {
            self.reopen(&mut committer)
        } else {
            Ok(())
        }
    }

    fn disk_bytes(&self) -> DiskBytes {
        DiskBytes {
            total: files::tree_bytes(&self.path),
            reusable: 0,
        }
    }
}

impl Drop for SledEngine {
    fn drop(&mut self) {
        let committer = lock(&self.committer);
        if committer.broken {
            return;
        }
        *self.shared.db.write().unwrap_or_else(PoisonError::into_inner) = None;
        if let Err(error) = files::note_clean_close(&self.path, committer.commits) {
            tracing::warn!(%error, "failed to note the clean close of the sled database");
        }
    }
}

/// A view: the database as it is, with the old values of what changed since laid over it.
struct View {
    shared: Arc<Shared>,
    undo: Arc<Mutex<Undo>>,
}

impl EngineSnapshot for View {
    fn pin(&mut self) -> Result<(), EngineError> {
        lock(&self.shared.views).push(Arc::downgrade(&self.undo));
        Ok(())
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let db = self.shared.db()?;
        let read = guarded("read from", || rows::get(&db, key))?;
        // In this order: a commit saves the old value before it writes the new one.
        Ok(lock(&self.undo).get(key).cloned().unwrap_or(read))
    }

    fn scan(
        &mut self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), EngineError> {
        let mut last = after.map(<[u8]>::to_vec);
        loop {
            let (rows, done) = self.chunk(prefix, last.as_deref())?;
            for (key, value) in &rows {
                if visit(key, value).is_break() {
                    return Ok(());
                }
            }
            match done {
                ControlFlow::Break(()) => return Ok(()),
                ControlFlow::Continue(key) => last = Some(key),
            }
        }
    }
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

impl View {
    /// The next rows, and the key up to which they are complete unless they are the last.
    fn chunk(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
    ) -> Result<(Rows, ControlFlow<(), Vec<u8>>), EngineError> {
        let mut rows = Rows::new();
        let db = self.shared.db()?;
        guarded("scan", || {
            rows::scan(&db, prefix, after, &mut |key, value| {
                rows.insert(key.to_vec(), value.to_vec());
                if rows.len() < CHUNK {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })
        })?;
        let end = rows
            .last_key_value()
            .map(|(key, _)| key.clone())
            .filter(|_| rows.len() == CHUNK);
        let undo = lock(&self.undo);
        let changed = undo
            .range::<[u8], _>((rows::start(prefix, after), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix) && end.as_ref().is_none_or(|end| *key <= end));
        for (key, old) in changed {
            match old {
                Some(old) => drop(rows.insert(key.clone(), old.clone())),
                None => drop(rows.remove(key)),
            }
        }
        Ok((rows, end.map_or(ControlFlow::Break(()), ControlFlow::Continue)))
    }
}

/// Visits the rows of a damaged database that can still be read: forward to the first damage, then backward.
pub(crate) fn salvage(path: &Path, visit: &mut Visit<'_>) {
    let readable = guarded("salvage", || {
        let db = files::open_waiting_for_lock(path)?;
        let mut last = None;
        let forward = guarded("salvage", || {
            rows::scan(&db, b"", None, &mut |key, value| {
                last = Some(key.to_vec());
                visit(key, value)
            })
        });
        forward.or_else(|_| rows::scan_back(&db, last.as_deref(), visit))
    });
    if let Err(error) = readable {
        tracing::warn!(error = %crate::store::with_sources(&error), "the damaged database could be read in part only");
    }
}
