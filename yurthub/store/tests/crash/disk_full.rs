//! A disk that runs full and gets space again.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use yurthub_store::{Batch, EngineKind, Lookup, OpenReport, Options, Protection, Store, StoreError};

pub(crate) fn run(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    crate::run_isolated(&["disk full", &engine.to_string(), dir.path().to_str().unwrap()]);
}

fn put(number: usize) -> Batch {
    let mut batch = Batch::new();
    batch.put(format!("k/{number:04}"), value(number), Protection::Plain);
    batch
}

fn value(number: usize) -> String {
    format!("{number}-").repeat(2000)
}

fn options(engine: EngineKind) -> Options {
    let commit_interval = Duration::from_millis(20);
    Options {
        engine,
        commit_interval,
        pending_limit: 256 << 10,
        ..Options::default()
    }
}

pub(crate) fn drive(engine: EngineKind, dir: &Path) {
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
        .arg(dir)
        .status()
        .unwrap();
    assert!(mounted.success());
    let (store, _) = Store::open(&dir.join("store"), options(engine)).unwrap();
    store.write_durable(put(0)).wait().unwrap();
    let ballast = dir.join("ballast");
    fill(&ballast);

    let mut durable = vec![0];
    let mut number = 0;
    let refused = loop {
        number += 1;
        assert!(number < 2000, "the disk never ran full");
        match store.write_durable(put(number)).wait() {
            Ok(()) => durable.push(number),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Engine(_)), "{refused:?}");
    let failed = number;
    assert_eq!(
        read(&store, failed),
        Some(value(failed)),
        "what is pending is visible"
    );
    assert!(
        durable
            .iter()
            .all(|&number| read(&store, number) == Some(value(number))),
        "what is durable stays readable"
    );
    let overflow = loop {
        number += 1;
        if let Err(error) = store.write(put(number)) {
            break error;
        }
    };
    assert!(matches!(overflow, StoreError::Overflow { .. }), "{overflow:?}");
    let taken = failed..number;
    let stats = store.stats();
    assert!(
        stats.failures_in_a_row > 0 && stats.pending_bytes > 0 && stats.overflows == 1,
        "{stats:?}"
    );
    println!(
        "{engine}: {} durable, then: {}",
        durable.len(),
        stats.last_error.unwrap()
    );

    fs::remove_file(&ballast).unwrap();
    let begun = Instant::now();
    while store.stats().pending_changes > 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it does not heal: {:?}",
            store.stats()
        );
        std::thread::sleep(Duration::from_millis(20)); // between polls
    }
    println!("{engine}: healed after {:?}", begun.elapsed());
    assert_eq!(store.stats().failures_in_a_row, 0);
    store.write_durable(put(5000)).wait().unwrap();
    drop(store);
    let (store, report) = Store::open(&dir.join("store"), options(engine)).unwrap();
    assert_eq!(report, OpenReport::Clean);
    for number in durable.into_iter().chain(taken).chain([5000]) {
        assert_eq!(read(&store, number), Some(value(number)), "entry {number}");
    }
}

fn read(store: &Store, number: usize) -> Option<String> {
    match store.get(format!("k/{number:04}").as_bytes()).unwrap() {
        Lookup::Found(value) => Some(String::from_utf8(value.to_vec()).unwrap()),
        Lookup::Absent | Lookup::Corrupt => None,
    }
}

/// Leaves room for some writes with either engine: sled wants more than 1 MiB to be free.
fn fill(ballast: &Path) {
    let stat = rustix::fs::statvfs(ballast.parent().unwrap()).unwrap();
    let free = (stat.f_bavail * stat.f_bsize) as usize;
    fs::write(ballast, vec![1; free.saturating_sub(1500 << 10)]).unwrap();
}
