//! SQLite in WAL mode, every commit synced: the default engine.
//!
//! One connection writes, one serves point reads, a small pool serves consistent views. It does not repair: a
//! damaged file is reported as [`Fault::Corrupt`], and [`salvage`] reads what can still be read of it.
//!
//! Layout chosen by bytes written to the device for values of 0.3 to 8 KB (two updates per commit): a rowid table
//! with a unique index and pages of 1 KiB writes 3.5 bytes per byte of value; WITHOUT ROWID with pages of 4 KiB 6.2.
//!
//! Invariant: only the writer connection changes the file.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};

use super::{DiskBytes, Engine, EngineError, EngineKind, EngineSnapshot, Fault, Op, Visit, prefix_end};

/// Views that may be open at the same time.
const MAX_READERS: usize = 32;
/// Reader connections kept when they are not in use (each takes about 100 KiB).
const IDLE_READERS: usize = 3;
/// How long to wait for a reader when all are in use.
const READER_WAIT: Duration = Duration::from_secs(5);
const CREATE: &str = "CREATE TABLE IF NOT EXISTS kv(key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL)";
const GET: &str = "SELECT value FROM kv WHERE key = ?1";
const PUT: &str =
    "INSERT INTO kv(key, value) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value = excluded.value";
const DELETE: &str = "DELETE FROM kv WHERE key = ?1";

/// See the module.
#[derive(Debug)]
pub struct SqliteEngine {
    point: Mutex<Connection>,
    pool: Arc<ReaderPool>,
    writer: Mutex<Connection>, // dropped last: the last connection to close folds the WAL into the file
    path: PathBuf,
}

fn failed(action: &'static str) -> impl FnOnce(rusqlite::Error) -> EngineError {
    move |error| {
        let fault = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Fault::Corrupt,
            Some(ErrorCode::DiskFull) => Fault::Full,
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => Fault::Io,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Fault::Busy,
            _ => Fault::Other,
        };
        EngineError::new(EngineKind::Sqlite, fault, action, error)
    }
}

fn guard(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SqliteEngine {
    /// Opens or creates the database, checks its whole structure (about 2 ms per MB, and the pages read are those
    /// that the first lists need) and makes its name durable.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let writer = Connection::open(path).map_err(failed("open"))?;
        configure_writer(&writer).map_err(failed("configure"))?;
        writer.execute(CREATE, []).map_err(failed("create"))?;
        check(&writer)?;
        crate::durable_file::sync_parent(path).map_err(|error| {
            EngineError::new(EngineKind::Sqlite, Fault::Io, "sync the directory of", error)
        })?;
        let point = open_reader(path)?;
        let pool = Arc::new(ReaderPool::new(path.to_owned()));
        Ok(Self {
            point: Mutex::new(point),
            pool,
            writer: Mutex::new(writer),
            path: path.to_owned(),
        })
    }
}

fn configure_writer(writer: &Connection) -> rusqlite::Result<()> {
    writer.set_prepared_statement_cache_capacity(8);
    writer.busy_timeout(Duration::from_secs(5))?;
    writer.pragma_update(None, "page_size", 1024)?; // has effect on a new file only
    writer.pragma_update(None, "journal_mode", "WAL")?;
    writer.pragma_update(None, "synchronous", "FULL")?;
    writer.pragma_update(None, "cache_size", -1024)?; // KiB
    writer.pragma_update(None, "mmap_size", 0)?;
    writer.pragma_update(None, "wal_autocheckpoint", 4000)?; // pages: 4 MiB
    writer.pragma_update(None, "journal_size_limit", 4 << 20)
}

fn open_reader(path: &Path) -> Result<Connection, EngineError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let configured = Connection::open_with_flags(path, flags).and_then(|reader| {
        reader.set_prepared_statement_cache_capacity(8);
        reader.busy_timeout(Duration::from_secs(5))?;
        reader.pragma_update(None, "query_only", true)?;
        reader.pragma_update(None, "cache_size", -128)?;
        reader.pragma_update(None, "mmap_size", 0)?;
        Ok(reader)
    });
    configured.map_err(failed("open a reader of"))
}

/// A damaged index would make a key look absent, so the index is compared with the table, too.
fn check(connection: &Connection) -> Result<(), EngineError> {
    let verdict: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(failed("check"))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(EngineError::new(
        EngineKind::Sqlite,
        Fault::Corrupt,
        "check",
        verdict,
    ))
}

impl Engine for SqliteEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        get(&guard(&self.point), key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        let lease = self.pool.lease()?;
        scan(lease.connection()?, prefix, after, visit)
    }

    fn reader(&self) -> Result<Box<dyn EngineSnapshot + Send>, EngineError> {
        Ok(Box::new(self.pool.lease()?))
    }

    fn commit(&self, ops: &[Op]) -> Result<(), EngineError> {
        commit(&mut guard(&self.writer), ops).map_err(failed("write to"))
    }

    fn disk_bytes(&self) -> DiskBytes {
        let total = files(&self.path)
            .iter()
            .filter_map(|path| path.metadata().ok())
            .map(|meta| meta.len())
            .sum();
        let point = guard(&self.point);
        let number = |pragma| {
            point
                .pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
                .unwrap_or(0)
        };
        let reusable = number("freelist_count").saturating_mul(number("page_size"));
        DiskBytes {
            total,
            reusable: u64::try_from(reusable).unwrap_or(0),
        }
    }
}

fn commit(writer: &mut Connection, ops: &[Op]) -> rusqlite::Result<()> {
    let transaction = writer.transaction()?; // rolls back when dropped
    {
        let mut put = transaction.prepare_cached(PUT)?;
        let mut delete = transaction.prepare_cached(DELETE)?;
        for op in ops {
            match op {
                Op::Put(key, value) => put.execute(params![key, value])?,
                Op::Delete(key) => delete.execute(params![key])?,
            };
        }
    }
    transaction.commit()
}

fn get(connection: &Connection, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
    let read = || {
        connection
            .prepare_cached(GET)?
            .query_row(params![key], |row| row.get(0))
            .optional()
    };
    read().map_err(failed("read from"))
}

fn scan(
    connection: &Connection,
    prefix: &[u8],
    after: Option<&[u8]>,
    visit: &mut Visit<'_>,
) -> Result<(), EngineError> {
    let (start, excluded) = match after {
        Some(after) if after >= prefix => (after, true),
        _ => (prefix, false),
    };
    let end = prefix_end(prefix);
    let sql = match (excluded, end.is_some()) {
        (false, true) => "SELECT key, value FROM kv WHERE key >= ?1 AND key < ?2 ORDER BY key",
        (true, true) => "SELECT key, value FROM kv WHERE key > ?1 AND key < ?2 ORDER BY key",
        (false, false) => "SELECT key, value FROM kv WHERE key >= ?1 AND ?2 IS NULL ORDER BY key",
        (true, false) => "SELECT key, value FROM kv WHERE key > ?1 AND ?2 IS NULL ORDER BY key",
    };
    let mut walk = || -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![start, end])?;
        while let Some(row) = rows.next()? {
            let (key, value) = (row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
            if visit(key, value) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    };
    walk().map_err(failed("scan"))
}

/// Connections for consistent views.
#[derive(Debug)]
struct ReaderPool {
    path: PathBuf,
    state: Mutex<PoolState>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct PoolState {
    idle: Vec<Connection>,
    leased: usize,
}

impl ReaderPool {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            state: Mutex::default(),
            freed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease(self: &Arc<Self>) -> Result<Lease, EngineError> {
        let (mut state, waited) = self
            .freed
            .wait_timeout_while(self.state(), READER_WAIT, |state| state.leased >= MAX_READERS)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            let why = format!("all {MAX_READERS} readers have been in use for {READER_WAIT:?}");
            return Err(EngineError::new(
                EngineKind::Sqlite,
                Fault::Busy,
                "get a reader of",
                why,
            ));
        }
        state.leased += 1;
        let idle = state.idle.pop();
        drop(state);
        let mut lease = Lease {
            pool: self.clone(),
            connection: idle,
        };
        if lease.connection.is_none() {
            lease.connection = Some(open_reader(&self.path)?);
        }
        Ok(lease)
    }
}

/// A reader connection in use.
struct Lease {
    pool: Arc<ReaderPool>,
    connection: Option<Connection>,
}

impl Lease {
    fn connection(&self) -> Result<&Connection, EngineError> {
        let missing = || {
            EngineError::new(
                EngineKind::Sqlite,
                Fault::Other,
                "use a reader of",
                "it is not open",
            )
        };
        self.connection.as_ref().ok_or_else(missing)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A connection whose view cannot be ended is closed instead of kept.
        let ended = self
            .connection
            .take()
            .filter(|reader| reader.is_autocommit() || end_view(reader).is_ok());
        let mut state = self.pool.state();
        state.leased = state.leased.saturating_sub(1);
        if state.idle.len() < IDLE_READERS {
            state.idle.extend(ended);
        }
        drop(state);
        self.pool.freed.notify_one();
    }
}

fn end_view(reader: &Connection) -> rusqlite::Result<usize> {
    reader.prepare_cached("ROLLBACK")?.execute([])
}

impl EngineSnapshot for Lease {
    fn pin(&mut self) -> Result<(), EngineError> {
        let reader = self.connection()?;
        let begin = || -> rusqlite::Result<()> {
            reader.prepare_cached("BEGIN DEFERRED")?.execute([])?;
            // A deferred transaction fixes its view at the first read.
            reader
                .prepare_cached("SELECT rowid FROM kv LIMIT 1")?
                .query_row([], |_| Ok(()))
                .optional()?;
            Ok(())
        };
        begin().map_err(failed("pin a view of"))
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        get(self.connection()?, key)
    }

    fn scan(
        &mut self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), EngineError> {
        scan(self.connection()?, prefix, after, visit)
    }
}

/// The files of a database at `path`, the main one first. Not all need exist.
pub(crate) fn files(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

/// Visits the rows of a damaged database that can still be read: forward to the first damage, then backward to the
/// last.
pub(crate) fn salvage(path: &Path, visit: &mut Visit<'_>) {
    let Ok(connection) = Connection::open(path) else {
        return;
    };
    let mut last = i64::MIN;
    let forward = "SELECT rowid, key, value FROM kv NOT INDEXED ORDER BY rowid";
    let read = salvage_rows(&connection, forward, &mut |row, key, value| {
        last = row;
        visit(key, value)
    });
    if read.is_ok() {
        return;
    }
    let backward = "SELECT rowid, key, value FROM kv NOT INDEXED ORDER BY rowid DESC";
    let _ends_at_the_last_damage = salvage_rows(&connection, backward, &mut |row, key, value| {
        if row <= last {
            ControlFlow::Break(())
        } else {
            visit(key, value)
        }
    });
}

type VisitRow<'a> = dyn FnMut(i64, &[u8], &[u8]) -> ControlFlow<()> + 'a;

fn salvage_rows(connection: &Connection, sql: &str, visit: &mut VisitRow<'_>) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (Ok(key), Ok(value)) = (row.get_ref(1)?.as_blob(), row.get_ref(2)?.as_blob()) else {
            continue;
        };
        if visit(row.get(0)?, key, value) == ControlFlow::Break(()) {
            break;
        }
    }
    Ok(())
}
