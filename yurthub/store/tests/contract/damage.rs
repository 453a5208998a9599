//! Locks, formats, damage of every kind.

use std::fs;
use std::path::{Path, PathBuf};

use yurthub_store::{
    Batch, EngineKind, FORMAT_VERSION, Lookup, Lost, OpenError, OpenReport, Protection, Store,
};

use super::fixture::{Home, files, found, put};

pub(super) fn a_second_opener_is_refused(kind: EngineKind) {
    let home = Home::new(kind);
    let store = home.open();
    let refused = Store::open(&home.data(), home.lazy()).map(|_| ()).unwrap_err();
    assert!(
        matches!(refused, OpenError::Locked { pid: Some(pid), .. } if pid == std::process::id()),
        "{refused:?}"
    );
    assert!(
        refused.to_string().contains("stop the other yurthub"),
        "{refused}"
    );
    drop(store);
    home.open();
}

pub(super) fn a_newer_format_is_refused_and_not_touched(kind: EngineKind) {
    let home = Home::new(kind);
    drop(home.open());
    fs::write(
        home.data().join("FORMAT"),
        format!("yurthub-store {} future stuff\n", FORMAT_VERSION + 1),
    )
    .unwrap();
    let without_lock = || {
        files(&home.data())
            .into_iter()
            .filter(|(path, _)| !path.ends_with("lock"))
            .collect::<Vec<_>>()
    };
    let before = without_lock();
    let refused = Store::open(&home.data(), home.lazy()).map(|_| ()).unwrap_err();
    assert!(
        matches!(refused, OpenError::NewerFormat { found: 2, .. }),
        "{refused:?}"
    );
    assert_eq!(without_lock(), before);
}

pub(super) fn another_engine_is_refused(kind: EngineKind) {
    let home = Home::new(kind);
    if !home.has_disk() {
        return;
    }
    let store = home.open();
    store.write(put("a", "v")).unwrap();
    drop(store);
    let other = if kind == EngineKind::Sled {
        EngineKind::Sqlite
    } else {
        EngineKind::Sled
    };
    let refused = Store::open(
        &home.data(),
        yurthub_store::Options {
            engine: other,
            ..home.lazy()
        },
    )
    .map(|_| ());
    assert!(matches!(refused, Err(OpenError::OtherEngine { found, .. }) if found == kind));
    assert_eq!(home.open().get(b"a").unwrap(), found("v"));
}

/// Writes `count` entries, closes, and returns the database's largest file.
fn filled(home: &Home, count: u32) -> PathBuf {
    let (store, _) = home.open_with(home.sealed("key"));
    for number in 0..count {
        let protection = if number % 10 == 0 {
            Protection::Sealed
        } else {
            Protection::Plain
        };
        let mut batch = Batch::new();
        batch.put(format!("k/{number:05}"), value(number), protection);
        store.write(batch).unwrap();
        if number % 100 == 0 {
            store.flush().wait().unwrap();
        }
    }
    drop(store);
    main_file(&home.data())
}

fn value(number: u32) -> String {
    format!("value-{number:05}-").repeat(20)
}

fn main_file(dir: &Path) -> PathBuf {
    ["store.sqlite", "store.sled/db"]
        .iter()
        .map(|name| dir.join(name))
        .find(|path| path.exists())
        .unwrap()
}

fn flip(path: &Path, offset: usize) {
    let mut content = fs::read(path).unwrap();
    content[offset] ^= 0x10;
    fs::write(path, content).unwrap();
}

fn position(content: &[u8], wanted: &[u8]) -> Option<usize> {
    content.windows(wanted.len()).position(|window| window == wanted)
}

pub(super) fn a_flipped_bit_makes_one_value_corrupt(kind: EngineKind) {
    if kind != EngineKind::Sqlite {
        return; // sled checks whole log messages itself: see many_flipped_bits
    }
    let home = Home::new(kind);
    let file = filled(&home, 300);
    let offset = position(&fs::read(&file).unwrap(), b"value-00042-").unwrap();
    flip(&file, offset);
    let (store, report) = home.open_with(home.sealed("key"));
    assert_eq!(report, OpenReport::Clean, "the database is whole, a value is not");
    for _ in 0..2 {
        assert_eq!(store.get(b"k/00042").unwrap(), Lookup::Corrupt);
        assert_eq!(store.get(b"k/00041").unwrap(), found(&value(41)));
        let mut seen = 0;
        let scan = store.snapshot().unwrap().scan(b"k/", None, &mut |_, _| {
            seen += 1;
            std::ops::ControlFlow::Continue(())
        });
        let scan = scan.unwrap();
        assert_eq!(
            (seen, scan.corrupt_count, &scan.corrupt[..]),
            (299, 1, &[bytes::Bytes::from("k/00042")][..])
        );
        store
            .write_durable(put("other", "moves what is found to quarantine"))
            .wait()
            .unwrap();
    }
    assert_eq!(store.stats().corrupt, 1, "counted once");
    drop(store);
    let (store, _) = home.open_with(home.sealed("key"));
    assert_eq!(
        store.get(b"k/00042").unwrap(),
        Lookup::Corrupt,
        "also after a restart"
    );
    store.write_durable(put("k/00042", "new")).wait().unwrap();
    assert_eq!(
        store.get(b"k/00042").unwrap(),
        found("new"),
        "until it is overwritten"
    );
}

pub(super) fn another_sealing_key_reads_corrupt_not_absent(kind: EngineKind) {
    let home = Home::new(kind);
    if !home.has_disk() {
        return;
    }
    filled(&home, 30);
    for options in [home.sealed("other key"), home.lazy()] {
        let (store, _) = home.open_with(options);
        assert_eq!(store.get(b"k/00010").unwrap(), Lookup::Corrupt);
        assert_eq!(store.get(b"k/00011").unwrap(), found(&value(11)));
        store.write_durable(put("x", "y")).wait().unwrap();
        assert_eq!(store.stats().corrupt, 1);
    }
    let (store, _) = home.open_with(home.sealed("key"));
    assert_eq!(
        store.get(b"k/00010").unwrap(),
        found(&value(10)),
        "with the right key it is there again"
    );
}

pub(super) fn sealed_values_are_not_in_the_files(kind: EngineKind) {
    let home = Home::new(kind);
    if !home.has_disk() {
        return;
    }
    filled(&home, 30);
    let all = files(&home.data());
    let anywhere = |wanted: &str| {
        all.iter()
            .any(|(_, content)| position(content, wanted.as_bytes()).is_some())
    };
    assert!(anywhere("value-00011-"), "the search finds what is plain");
    assert!(!anywhere("value-00010-"));
}

type Damage = fn(&Path);

pub(super) fn a_damaged_database_opens_and_says_so(kind: EngineKind) {
    let damages: [(&str, Damage); 6] = [
        ("deleted", |file| {
            fs::remove_file(file).unwrap();
            if file.ends_with("db") {
                fs::remove_dir_all(file.parent().unwrap()).unwrap();
            }
        }),
        ("emptied", |file| fs::write(file, b"").unwrap()),
        ("halved", |file| {
            let content = fs::read(file).unwrap();
            fs::write(file, &content[..content.len() / 2]).unwrap();
        }),
        ("zeroed", |file| {
            fs::write(file, vec![0; fs::metadata(file).unwrap().len() as usize]).unwrap();
        }),
        ("garbage", |file| {
            let mut random = fastrand::Rng::with_seed(7);
            let garbage: Vec<u8> = fs::read(file).unwrap().iter().map(|_| random.u8(..)).collect();
            fs::write(file, garbage).unwrap();
        }),
        ("a hole", |file| {
            let mut content = fs::read(file).unwrap();
            let middle = content.len() / 2;
            content[middle..middle + 8192].fill(0);
            fs::write(file, content).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let home = Home::new(kind);
        if !home.has_disk() {
            return;
        }
        let file = filled(&home, 1000);
        damage(&file);
        let (store, report) = home.open_with(home.sealed("key"));
        let OpenReport::Recovered {
            salvaged,
            lost,
            moved_to,
            ..
        } = &report
        else {
            panic!("{kind} {name}: {report:?}");
        };
        let readable =
            (0..1000).filter(
                |number| match store.get(format!("k/{number:05}").as_bytes()).unwrap() {
                    Lookup::Found(read) => {
                        assert_eq!(read, value(*number));
                        true
                    }
                    Lookup::Absent | Lookup::Corrupt => false,
                },
            );
        assert_eq!(readable.count() as u64, *salvaged, "{kind} {name}");
        assert_eq!(*lost == Lost::Everything, *salvaged == 0, "{kind} {name}");
        if name == "a hole" && kind == EngineKind::Sqlite {
            assert!(*salvaged > 900, "only {salvaged} of 1000 salvaged");
        }
        if name != "deleted" {
            let aside = moved_to.as_ref().unwrap();
            assert!(
                aside.to_str().unwrap().ends_with(".corrupt-1000") && aside.exists(),
                "{kind} {name}: {}",
                aside.display()
            );
        }
        store.write_durable(put("k/00001", "new")).wait().unwrap();
        drop(store);
        let (store, report) = home.open_with(home.sealed("key"));
        assert_eq!(report, OpenReport::Clean, "{kind} {name}: once recovered, clean");
        assert_eq!(store.get(b"k/00001").unwrap(), found("new"));
    }
}

/// Whatever bits flip, wherever: it opens, and each value is right, corrupt, or missing with a report that says that
/// entries may be lost.
pub(super) fn many_flipped_bits_never_yield_a_wrong_value(kind: EngineKind) {
    let home = Home::new(kind);
    if !home.has_disk() {
        return;
    }
    let file = filled(&home, 200);
    let sound = files(&home.data());
    let mut random = fastrand::Rng::with_seed(11);
    for round in 0..40 {
        fs::remove_dir_all(home.data()).unwrap();
        for (path, content) in &sound {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let len = fs::metadata(&file).unwrap().len() as usize;
        let offsets: Vec<usize> = (0..=round % 3).map(|_| random.usize(..len)).collect();
        for &offset in &offsets {
            flip(&file, offset);
        }
        let (store, report) = home.open_with(home.sealed("key"));
        for number in 0..200 {
            match store.get(format!("k/{number:05}").as_bytes()) {
                Ok(Lookup::Found(read)) => assert_eq!(read, value(number)),
                Ok(Lookup::Corrupt) | Err(_) => {}
                Ok(Lookup::Absent) => {
                    assert_ne!(
                        report,
                        OpenReport::Clean,
                        "{kind}: {number} is silently gone, flipped {offsets:?}"
                    );
                }
            }
        }
    }
}
