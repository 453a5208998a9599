//! Engines side by side: 2,000 objects of 1 to 8 KB, 80 % of the updates to 100 of them.
//!
//! `cargo bench -p yurthub-store [-- DIR]` prints one JSON line per figure. With DIR on a file system of its own, the
//! bytes written to its block device are counted too (of the device that `/proc/diskstats` names); else only those that
//! the store gives to the engine.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench stops at the first surprise"
)]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use yurthub_store::{Batch, EngineKind, Options, Protection, Store};

const OBJECTS: usize = 2000;
const HOT: usize = 100;

fn main() {
    let own = tempfile::tempdir().unwrap();
    let given = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let dir = given.as_ref().map_or_else(|| own.path(), |dir| Path::new(dir));
    for engine in [EngineKind::Sqlite, EngineKind::Sled] {
        let home = dir.join(engine.to_string());
        run(engine, &home);
        fs::remove_dir_all(&home).unwrap();
    }
}

struct Load {
    random: fastrand::Rng,
    logical: usize,
}

impl Load {
    fn key(number: usize) -> String {
        format!("kubelet/pods.v1.core/team-{:02}/app-{number:05}", number % 20)
    }

    fn put(&mut self, batch: &mut Batch, number: usize) {
        let value: Vec<u8> = std::iter::repeat_with(|| self.random.u8(..))
            .take(1000 + number * 7919 % 7200)
            .collect();
        self.logical += value.len();
        batch.put(Self::key(number), value, Protection::Plain);
    }

    fn any(&mut self) -> usize {
        if self.random.u8(..10) < 8 {
            self.random.usize(..HOT)
        } else {
            self.random.usize(..OBJECTS)
        }
    }
}

fn run(engine: EngineKind, home: &Path) {
    let options = || Options {
        engine,
        commit_interval: Duration::from_hours(1),
        ..Options::default()
    };
    let (store, _) = Store::open(home, options()).unwrap();
    let mut load = Load {
        random: fastrand::Rng::with_seed(1),
        logical: 0,
    };
    let begun = Instant::now();
    for number in 0..OBJECTS {
        let mut batch = Batch::new();
        load.put(&mut batch, number);
        store.write(batch).unwrap();
    }
    store.flush().wait().unwrap();
    report(engine, "fill_2000_ms", begun.elapsed().as_secs_f64() * 1e3);
    for (group, rounds) in [(1, 2000), (5, 1000), (100, 100)] {
        grouped(&store, &mut load, (group, rounds), home);
    }
    reads(&store, engine);
    report(engine, "disk_mb", store.stats().disk.total as f64 / 1e6);
    drop(store);
    let begun = Instant::now();
    drop(Store::open(home, options()).unwrap());
    report(engine, "reopen_and_close_ms", begun.elapsed().as_secs_f64() * 1e3);
    report(engine, "rss_mb", resident_mb());
}

fn grouped(store: &Store, load: &mut Load, (group, rounds): (usize, usize), home: &Path) {
    let engine = if home.ends_with("sled") {
        EngineKind::Sled
    } else {
        EngineKind::Sqlite
    };
    let (written, logical, begun) = (device_bytes(home), load.logical, Instant::now());
    for _ in 0..rounds {
        for _ in 0..group {
            let mut batch = Batch::new();
            let number = load.any();
            load.put(&mut batch, number);
            store.write(batch).unwrap();
        }
        store.flush().wait().unwrap();
    }
    let seconds = begun.elapsed().as_secs_f64();
    report(
        engine,
        &format!("updates_per_s_groups_of_{group}"),
        (group * rounds) as f64 / seconds,
    );
    if let (Some(before), Some(after)) = (written, device_bytes(home)) {
        let ratio = (after - before) as f64 / (load.logical - logical) as f64;
        report(engine, &format!("device_bytes_per_byte_groups_of_{group}"), ratio);
    }
}

fn reads(store: &Store, engine: EngineKind) {
    let begun = Instant::now();
    for number in 0..OBJECTS {
        store.get(Load::key(number).as_bytes()).unwrap();
    }
    report(
        engine,
        "get_us",
        begun.elapsed().as_secs_f64() * 1e6 / OBJECTS as f64,
    );
    let begun = Instant::now();
    for _ in 0..100 {
        drop(store.snapshot().unwrap());
    }
    report(engine, "snapshot_us", begun.elapsed().as_secs_f64() * 1e6 / 100.0);
    let begun = Instant::now();
    let mut snapshot = store.snapshot().unwrap();
    let scan = snapshot.scan(b"kubelet/", None, &mut |_, _| ControlFlow::Continue(()));
    assert_eq!(scan.unwrap().corrupt_count, 0);
    report(engine, "list_2000_ms", begun.elapsed().as_secs_f64() * 1e3);
}

fn report(engine: EngineKind, figure: &str, value: f64) {
    println!("{{\"figure\":\"store_{engine}_{figure}\",\"value\":{value:.2}}}");
}

/// Bytes written so far to the device of `path`.
fn device_bytes(path: &Path) -> Option<u64> {
    let device = fs::metadata(path).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stats = fs::read_to_string("/proc/diskstats").ok()?;
    let line = stats.lines().find(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        (numbers.next(), numbers.next()) == (Some(Ok(major)), Some(Ok(minor)))
    })?;
    line.split_whitespace()
        .nth(9)?
        .parse::<u64>()
        .ok()
        .map(|sectors| sectors * 512)
}

fn resident_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next())
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0.0)
        / 1024.0
}
