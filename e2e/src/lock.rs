//! File locks between processes, with a deadline and a word about what one waits for.
//!
//! Invariant: the kernel releases a lock when its holder ends, however it ends; the files themselves stay.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::progress::say;

const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Waits shorter than this are nobody's business.
const SILENCE: Duration = Duration::from_secs(5);

/// Takes the lock at `path` for us alone; dropping the file releases it. `what` is the thing that it guards.
///
/// # Errors
/// When others hold it until `deadline`, or the file cannot be made.
pub fn exclusive(path: &Path, what: &str, deadline: Duration) -> Result<File> {
    take(path, what, deadline, File::try_lock)
}

/// As [`exclusive`], but shared with others that take it so.
///
/// # Errors
/// As [`exclusive`].
pub fn shared(path: &Path, what: &str, deadline: Duration) -> Result<File> {
    take(path, what, deadline, File::try_lock_shared)
}

fn take(
    path: &Path,
    what: &str,
    deadline: Duration,
    try_lock: impl Fn(&File) -> Result<(), TryLockError>,
) -> Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    let file = File::options().create(true).append(true).open(path);
    let file = file.with_context(|| format!("open the lock {}", path.display()))?;
    let start = Instant::now();
    let mut said = false;
    loop {
        match try_lock(&file) {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock {}", path.display()));
            }
        }
        if start.elapsed() >= deadline {
            bail!(
                "waited {} s for {what}, which somebody else uses",
                deadline.as_secs()
            );
        }
        if !said && start.elapsed() >= SILENCE {
            say(format_args!("waiting for {what}, which somebody else uses"));
            said = true;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_locks_meet_and_exclusive_ones_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("locks/edge1");
        let now = Duration::ZERO;
        let first = shared(&path, "edge1", now).unwrap();
        let second = shared(&path, "edge1", now).unwrap();
        assert!(
            exclusive(&path, "edge1", now)
                .unwrap_err()
                .to_string()
                .contains("edge1")
        );
        drop((first, second));
        let _alone = exclusive(&path, "edge1", now).unwrap();
        assert!(shared(&path, "edge1", now).is_err());
    }
}
