//! What the store makes of an engine that fails, and of damage in its values: faults that files cannot give on demand.

#![expect(clippy::unwrap_used, reason = "all of it is test")]

use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use yurthub_store::{
    Batch, DiskBytes, Engine, EngineError, EngineSnapshot, KeyFileError, Lookup, MemoryEngine, Op, Options,
    Protection, SealingKey, Store, StoreError, Visit,
};

/// A memory engine whose commits fail while it is told so.
#[derive(Clone, Default)]
struct Flaky {
    inner: Arc<MemoryEngine>,
    fails: Arc<AtomicBool>,
    recovered: Arc<AtomicBool>,
}

impl Engine for Flaky {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.inner.get(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        self.inner.scan(prefix, after, visit)
    }

    fn reader(&self) -> Result<Box<dyn EngineSnapshot + Send>, EngineError> {
        self.inner.reader()
    }

    fn commit(&self, ops: &[Op]) -> Result<(), EngineError> {
        if self.fails.load(Ordering::SeqCst) {
            Err(full())
        } else {
            self.inner.commit(ops)
        }
    }

    fn recover(&self) -> Result<(), EngineError> {
        self.recovered.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn disk_bytes(&self) -> DiskBytes {
        DiskBytes::default()
    }
}

/// The error of a database in a folder that is not there: engines alone make engine errors.
fn full() -> EngineError {
    yurthub_store::SqliteEngine::open(std::path::Path::new("/nonexistent/store.sqlite")).unwrap_err()
}

fn put(key: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(key, value.to_owned(), Protection::Plain);
    batch
}

fn wait_for(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never came");
        std::thread::yield_now();
    }
}

#[test]
fn a_failed_commit_is_told_at_once_and_made_good_later() {
    let engine = Flaky::default();
    let store = Store::over(Box::new(engine.clone()), Options::default()).unwrap();
    store.write_durable(put("a", "old")).wait().unwrap();
    engine.fails.store(true, Ordering::SeqCst);
    assert!(matches!(
        store.write_durable(put("a", "new")).wait(),
        Err(StoreError::Engine(_))
    ));
    assert!(matches!(
        store.write_durable(put("b", "new")).wait(),
        Err(StoreError::Engine(_))
    ));
    assert_eq!(
        store.get(b"a").unwrap(),
        Lookup::Found("new".into()),
        "still visible"
    );
    let mut deleted = Batch::new();
    deleted.delete_prefix("b");
    store.write(deleted).unwrap();
    let stats = store.stats();
    assert!(
        stats.failures_in_a_row >= 2 && stats.commit_failures >= 2 && stats.last_error.is_some(),
        "{stats:?}"
    );
    assert_eq!(
        (stats.commits, stats.pending_changes),
        (1, 2),
        "later changes lie over the failed ones"
    );

    engine.fails.store(false, Ordering::SeqCst);
    wait_for(|| store.stats().pending_changes == 0);
    assert!(engine.recovered.load(Ordering::SeqCst));
    assert_eq!(store.stats().failures_in_a_row, 0);
    drop(store);
    let store = Store::over(Box::new(engine), Options::default()).unwrap();
    assert_eq!(store.get(b"a").unwrap(), Lookup::Found("new".into()));
    assert_eq!(store.get(b"b").unwrap(), Lookup::Absent);
}

#[test]
fn closing_over_a_dead_disk_ends_and_says_so() {
    let engine = Flaky::default();
    engine.fails.store(true, Ordering::SeqCst);
    let store = Store::over(Box::new(engine), Options::default()).unwrap();
    store.write(put("a", "v")).unwrap();
    assert!(store.close().is_err());
}

#[test]
fn quarantine_is_bounded_and_heals_by_overwriting() {
    let inner = Arc::<MemoryEngine>::default();
    let engine = Flaky {
        inner: inner.clone(),
        ..Flaky::default()
    };
    let store = Store::over(Box::new(engine), Options::default()).unwrap();
    let count = 200;
    let damaged: Vec<Op> = (0..count)
        .map(|n| Op::Put(format!("dk{n:03}").into_bytes(), vec![7; 20_000]))
        .collect();
    inner.commit(&damaged).unwrap();
    let is_marked = |n: usize| {
        inner
            .get(format!("dk{n:03}").as_bytes())
            .unwrap()
            .is_some_and(|value| value.len() < 20)
    };
    wait_for(|| {
        for n in 0..count {
            assert_eq!(store.get(format!("k{n:03}").as_bytes()).unwrap(), Lookup::Corrupt);
        }
        store.flush().wait().unwrap();
        (0..count).all(is_marked)
    });
    let (mut kept, mut bytes) = (0, 0);
    let mut visit = |_: &[u8], value: &[u8]| {
        kept += 1;
        bytes += value.len();
        std::ops::ControlFlow::Continue(())
    };
    inner.scan(b"q", None, &mut visit).unwrap();
    assert!(
        (1..=64).contains(&kept) && bytes <= 1 << 20,
        "{kept} kept, {bytes} bytes"
    );
    assert_eq!(store.stats().corrupt, count as u64);
    store.write_durable(put("k000", "new")).wait().unwrap();
    assert_eq!(store.get(b"k000").unwrap(), Lookup::Found("new".into()));
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn a_ticket_is_a_future() {
    let store = Store::over(Box::new(MemoryEngine::default()), Options::default()).unwrap();
    let mut ticket = pin!(store.write_durable(put("a", "v")));
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    while ticket
        .as_mut()
        .poll(&mut Context::from_waker(&waker))
        .is_pending()
    {
        std::thread::park_timeout(Duration::from_secs(30));
    }
    assert_eq!(store.stats().commits, 1);
}

#[test]
fn the_key_file_is_private_whole_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let id = |key: SealingKey| format!("{key:?}");
    let first = id(SealingKey::load_or_create(&path).unwrap());
    let permissions = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing temporary is left"
    );
    assert_eq!(id(SealingKey::load_or_create(&path).unwrap()), first);
    permissions(0o640);
    assert!(matches!(
        SealingKey::load_or_create(&path),
        Err(KeyFileError::Exposed { mode: 0o640, .. })
    ));
    permissions(0o600);
    for len in [0, 31, 33] {
        std::fs::write(&path, vec![1; len]).unwrap();
        let refused = SealingKey::load_or_create(&path);
        assert!(
            matches!(refused, Err(KeyFileError::Damaged { len: told, .. }) if told == len),
            "{refused:?}"
        );
    }
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(
        SealingKey::load_or_create(&link),
        Err(KeyFileError::Read { .. })
    ));
}
