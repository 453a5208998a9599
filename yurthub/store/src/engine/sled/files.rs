//! The files of a sled database: opening them, making them durable, counting them.
//!
//! Segments are 512 KiB, sled's own size: an entry or page of more than a quarter of a segment goes to a blob file, and
//! sled 0.34 removes blob files before the log that no longer needs them is durable. With smaller segments power cuts
//! lost acknowledged writes; see [`super::rows`] for how pages stay below that size.
//!
//! Invariant: whatever was in the folder before it is opened, and whatever opening changed, is durable before the
//! first read.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{COUNT_KEY, Committer, error, failed, io_failed};
use crate::durable_file::{self, sync_dir};
use crate::engine::{EngineError, Fault};

/// sled's own segment size, see the module.
const SEGMENT_BYTES: usize = 512 << 10;
/// Written at a clean close, in the database's folder.
const CLEAN_FILE: &str = "clean";
/// sled's own lock may outlive a dropped database for a moment.
const LOCK_WAIT: Duration = Duration::from_secs(5);

pub(super) fn open(path: &Path) -> Result<(sled::Db, Committer), EngineError> {
    if path.exists() {
        sync_tree(path).map_err(io_failed("sync before opening"))?;
    }
    let db = open_waiting_for_lock(path)?;
    sync_tree(path)
        .and_then(|()| durable_file::sync_parent(path))
        .map_err(io_failed("sync"))?;
    let log = File::open(path.join("db")).map_err(io_failed("open the log of"))?;
    let count = db.get(COUNT_KEY).map_err(failed("read from"))?;
    let commits = count
        .and_then(|count| count.as_ref().try_into().ok())
        .map_or(0, u64::from_be_bytes);
    let blobs = list_files(&path.join("blobs")).map_err(io_failed("list the blobs of"))?;
    Ok((
        db,
        Committer {
            log,
            blobs,
            commits,
            broken: false,
        },
    ))
}

pub(super) fn open_waiting_for_lock(path: &Path) -> Result<sled::Db, EngineError> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(8 << 20)
        .segment_size(SEGMENT_BYTES)
        .use_compression(false)
        .flush_every_ms(None);
    let begun = Instant::now();
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if is_locked(&error) && begun.elapsed() < LOCK_WAIT => {
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => return opened.map_err(failed("open")),
        }
    }
}

/// sled wraps the error of its lock in one that says `Other`.
fn is_locked(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.to_string().contains("could not acquire lock")
}

/// Refuses a write of `bytes` for which the disk may have no room: the log takes every byte again, in whole segments,
/// and opening the database needs one, too.
pub(super) fn check_room(path: &Path, bytes: usize) -> io::Result<()> {
    let disk = rustix::fs::statvfs(path)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = 2 * (bytes + SEGMENT_BYTES) as u64;
    if free < needed {
        let why = format!("{free} bytes are free on the disk, {needed} are needed");
        return Err(io::Error::new(io::ErrorKind::StorageFull, why));
    }
    Ok(())
}

/// Compares with the count that the last clean close left, if it was one.
pub(super) fn check_count(path: &Path, commits: u64) -> Result<(), EngineError> {
    let clean = path.join(CLEAN_FILE);
    let expected = match fs::read_to_string(&clean) {
        Ok(text) => text.trim().parse::<u64>().ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(io_failed("read the count of")(source)),
    };
    if expected.is_some_and(|expected| expected != commits) {
        let why = format!(
            "it ends at commit {commits}, but was closed after {}",
            expected.unwrap_or_default()
        );
        return Err(error(Fault::Corrupt, "open", why));
    }
    fs::remove_file(&clean)
        .and_then(|()| sync_dir(path))
        .map_err(io_failed("remove the count of"))
}

pub(super) fn list_files(dir: &Path) -> io::Result<BTreeSet<PathBuf>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

pub(super) fn sync_tree(dir: &Path) -> io::Result<()> {
    for path in list_files(dir)? {
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            sync_if_there(&path)?;
        }
    }
    sync_dir(dir)
}

pub(super) fn tree_bytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => tree_bytes(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

/// Makes the blob files durable that are not in `known`, and notes them. There should be none: see the module.
pub(super) fn sync_new_blobs(path: &Path, known: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    let dir = path.join("blobs");
    let present = list_files(&dir)?;
    let new: Vec<&PathBuf> = present.difference(known).collect();
    for blob in &new {
        sync_if_there(blob)?;
    }
    if !new.is_empty() {
        sync_dir(&dir)?;
    }
    *known = present;
    Ok(())
}

fn sync_if_there(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()), // sled removed it meanwhile
        Err(error) => Err(error),
    }
}

/// Notes how many commits a database that is being closed holds.
pub(super) fn note_clean_close(path: &Path, commits: u64) -> io::Result<()> {
    sync_tree(path)?;
    durable_file::replace(&path.join(CLEAN_FILE), format!("{commits}\n").as_bytes())
}
