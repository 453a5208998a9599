//! Keys, order, snapshots, batches.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use yurthub_store::{Batch, EngineKind, Lookup, Protection, StoreError, Usage};

use super::fixture::{Home, found, keys, list, put};

pub(super) fn values_are_put_overwritten_and_deleted(kind: EngineKind) {
    let home = Home::new(kind);
    let store = home.open();
    assert_eq!(store.get(b"a").unwrap(), Lookup::Absent);
    for committed in [false, true] {
        for (key, value) in [("a", "one"), ("a", "two"), ("", "of the empty key"), ("b", "")] {
            store.write(put(key, value)).unwrap();
            if committed {
                store.flush().wait().unwrap();
            }
            assert_eq!(
                store.get(key.as_bytes()).unwrap(),
                found(value),
                "read your write, committed: {committed}"
            );
        }
        let mut batch = Batch::new();
        batch.delete("a").delete("b").delete("never there");
        store.write(batch).unwrap();
        if committed {
            store.flush().wait().unwrap();
        }
        assert_eq!(store.get(b"a").unwrap(), Lookup::Absent);
        assert_eq!(store.get(b"").unwrap(), found("of the empty key"));
    }
}

pub(super) fn scans_go_in_key_order_within_the_prefix(kind: EngineKind) {
    let home = Home::new(kind);
    let store = home.open();
    let all: [&[u8]; 12] = [
        b"",
        b"\x00",
        b"a",
        b"a\x00",
        b"a\x00\xFF",
        b"a\xFF",
        b"a\xFF\xFF",
        b"a\xFF\xFF\x01",
        b"b",
        b"\xFF",
        b"\xFF\xFF",
        b"\xFF\xFF\xFF",
    ];
    for key in all.iter().rev() {
        store.write(put(key, "v")).unwrap();
    }
    for committed in [false, true] {
        if committed {
            store.flush().wait().unwrap();
        }
        let mut snapshot = store.snapshot().unwrap();
        for prefix in [
            &b""[..],
            b"a",
            b"a\xFF",
            b"\xFF",
            b"\xFF\xFF",
            b"\xFF\xFF\xFF\xFF",
            b"c",
        ] {
            for after in [
                None,
                Some(&b""[..]),
                Some(b"a"),
                Some(b"a\xFF\x80"),
                Some(b"\xFF"),
                Some(b"\xFF\xFF\xFF"),
            ] {
                let expected: Vec<Vec<u8>> = all
                    .iter()
                    .filter(|key| key.starts_with(prefix) && after.is_none_or(|after| **key > after))
                    .map(|key| key.to_vec())
                    .collect();
                assert_eq!(
                    keys(&mut snapshot, prefix, after),
                    expected,
                    "{prefix:?} after {after:?}"
                );
            }
        }
        let mut first = None;
        let stop = snapshot.scan(b"a", None, &mut |key, _| {
            assert!(
                first.replace(key.to_vec()).is_none(),
                "visited after it was told to stop"
            );
            ControlFlow::Break(())
        });
        assert_eq!((stop.unwrap().corrupt_count, first), (0, Some(b"a".to_vec())));
    }
}

pub(super) fn scans_show_pending_over_stored(kind: EngineKind) {
    let home = Home::new(kind);
    let store = home.open();
    for number in 0..200 {
        store.write(put(format!("k/{number:03}"), "stored")).unwrap();
    }
    store.write_durable(put("other", "stored")).wait().unwrap();
    let mut batch = Batch::new();
    batch
        .delete("k/000")
        .put("k/001", "pending", Protection::Plain)
        .put("k/0005", "pending", Protection::Plain);
    batch
        .delete_prefix("k/01")
        .put("k/015", "pending", Protection::Plain)
        .put("k/999", "pending", Protection::Plain);
    store.write(batch).unwrap();
    for committed in [false, true] {
        if committed {
            store.flush().wait().unwrap();
        }
        let rows = list(&mut store.snapshot().unwrap(), b"k/", None);
        assert_eq!(rows.len(), 200 - 1 - 10 + 1 + 2);
        let pending: Vec<_> = rows
            .iter()
            .filter(|(_, value)| value == "pending")
            .map(|(key, _)| key.clone())
            .collect();
        assert_eq!(pending, [&b"k/0005"[..], b"k/001", b"k/015", b"k/999"]);
        assert!(rows.is_sorted());
    }
}

pub(super) fn a_snapshot_stays_as_it_was_while_writers_run(kind: EngineKind) {
    let home = Home::new(kind);
    let store = home.open();
    let generation = |number: u32| {
        let mut batch = Batch::new();
        for key in 0..150 {
            // Some come and go, so that a torn view shows in the keys, too.
            if key % 7 == number % 7 {
                batch.delete(format!("k/{key:03}"));
            } else {
                batch.put(format!("k/{key:03}"), number.to_string(), Protection::Plain);
            }
        }
        batch
    };
    store.write(generation(0)).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                store.write(generation(number)).unwrap();
                if number % 3 == 0 {
                    store.flush().wait().unwrap();
                }
            }
        });
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..60 {
                        let mut snapshot = store.snapshot().unwrap();
                        let rows = list(&mut snapshot, b"k/", None);
                        let value = rows[0].1.clone();
                        let number: u32 = std::str::from_utf8(&value).unwrap().parse().unwrap();
                        let expected: Vec<Vec<u8>> = (0..150)
                            .filter(|key| key % 7 != number % 7)
                            .map(|key| format!("k/{key:03}").into_bytes())
                            .collect();
                        assert_eq!(
                            rows.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(),
                            expected
                        );
                        assert!(
                            rows.iter().all(|(_, other)| *other == value),
                            "two generations in one view"
                        );
                        assert_eq!(snapshot.get(&rows[7].0).unwrap(), Lookup::Found(value));
                        assert_eq!(list(&mut snapshot, b"k/", None), rows, "the view moved");
                    }
                })
            })
            .collect();
        for reader in readers {
            let outcome = reader.join();
            stop.store(true, Ordering::Relaxed);
            outcome.unwrap();
        }
    });
}

pub(super) fn a_snapshot_outlives_the_store(kind: EngineKind) {
    let home = Home::new(kind);
    let store = home.open();
    store.write_durable(put("a", "stored")).wait().unwrap();
    store.write(put("b", "pending")).unwrap();
    let mut snapshot = store.snapshot().unwrap();
    store.close().unwrap();
    drop(store);
    let elsewhere = std::thread::spawn(move || keys(&mut snapshot, b"", None));
    assert_eq!(elsewhere.join().unwrap(), [b"a", b"b"]);
    let _unlocked = home.open();
}

pub(super) fn replacing_a_list_is_atomic(kind: EngineKind) {
    let home = Home::new(kind);
    let store = home.open();
    let replace = |from: u32| {
        let mut batch = Batch::new();
        batch
            .put("l/early", "is deleted by what follows", Protection::Plain)
            .delete_prefix("l/");
        for key in from..from + 50 {
            batch.put(format!("l/{key:04}"), from.to_string(), Protection::Plain);
        }
        batch
    };
    let stop = AtomicBool::new(false);
    store.write(replace(0)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for from in (10..).step_by(10) {
                if stop.load(Ordering::Relaxed) || from > 9000 {
                    break;
                }
                store.write_durable(replace(from)).wait().unwrap();
            }
        });
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..100 {
                let rows = list(&mut store.snapshot().unwrap(), b"l/", None);
                assert_eq!(rows.len(), 50);
                assert!(rows.iter().all(|(_, value)| *value == rows[0].1));
            }
        }));
        stop.store(true, Ordering::Relaxed);
        assert!(seen.is_ok());
    });
    store.flush().wait().unwrap();
    assert_eq!(list(&mut store.snapshot().unwrap(), b"l/", None).len(), 50);
    let mut all = Batch::new();
    all.delete_prefix("");
    store.write_durable(all).wait().unwrap();
    assert_eq!(list(&mut store.snapshot().unwrap(), b"", None), []);
}

pub(super) fn usage_counts_entries_and_bytes(kind: EngineKind) {
    let home = Home::new(kind);
    let store = home.open();
    store.write_durable(put("u/1", "12345")).wait().unwrap();
    store.write(put("u/2", "1")).unwrap();
    store.write(put("v", "no")).unwrap();
    let usage = store.snapshot().unwrap().usage(b"u/").unwrap();
    assert_eq!(
        usage,
        Usage {
            entries: 2,
            bytes: 12
        }
    );
    if home.has_disk() {
        assert!(store.stats().disk.total > 0);
    }
}

pub(super) fn oversized_and_unsealable_batches_are_refused_whole(kind: EngineKind) {
    let home = Home::new(kind);
    let store = home.open();
    let mut batch = put("a", "first");
    batch.put("s", "secret", Protection::Sealed);
    assert!(matches!(store.write(batch), Err(StoreError::NoSealingKey)));
    let mut batch = put("a", "first");
    batch.delete(vec![b'k'; 5000]);
    assert!(matches!(
        store.write_durable(batch).wait(),
        Err(StoreError::KeyTooLong { len: 5000 })
    ));
    assert_eq!(store.get(b"a").unwrap(), Lookup::Absent);
}
