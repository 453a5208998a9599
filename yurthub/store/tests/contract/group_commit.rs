//! When writes become durable, and what that costs.

use std::time::{Duration, Instant};

use yurthub_store::{Batch, EngineKind, Lookup, Options, Protection, StoreError};

use super::fixture::{Home, found, put};

pub(super) fn writes_of_one_interval_share_a_commit(kind: EngineKind) {
    let home = Home::new(kind);
    let store = home.open();
    for number in 0..1000 {
        store
            .write(put(format!("k{}", number % 10), &number.to_string()))
            .unwrap();
    }
    assert_eq!(store.stats().pending_changes, 10, "coalesced per key");
    assert_eq!(store.stats().commits, 0);
    store.flush().wait().unwrap();
    let stats = store.stats();
    assert_eq!(
        (
            stats.commits,
            stats.puts,
            stats.pending_bytes,
            stats.pending_changes
        ),
        (1, 10, 0, 0)
    );
    assert!(stats.bytes_written < 400);

    let timed = Options {
        commit_interval: Duration::from_millis(20),
        ..home.lazy()
    };
    drop(store);
    let (store, _) = home.open_with(timed);
    store.write(put("timed", "v")).unwrap();
    let begun = Instant::now();
    while store.stats().commits == 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "never committed by itself"
        );
        std::thread::yield_now();
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(15),
        "committed before its interval"
    );
}

pub(super) fn a_durable_write_does_not_wait_for_the_interval(kind: EngineKind) {
    let home = Home::new(kind);
    let store = home.open();
    store.write(put("lazy", "v")).unwrap();
    let tickets: Vec<_> = (0..100)
        .map(|n| store.write_durable(put(format!("k{n}"), "v")))
        .collect();
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    assert_eq!(
        store.stats().pending_changes,
        0,
        "what was pending before went along"
    );
    assert!(store.stats().commits < 100);
    assert_eq!(store.get(b"lazy").unwrap(), found("v"));
    store.flush().wait().unwrap();
}

pub(super) fn unchanged_values_are_not_written_again(kind: EngineKind) {
    let home = Home::new(kind);
    let (store, _) = home.open_with(home.sealed("key"));
    let list = |changed: &str| {
        let mut batch = Batch::new();
        batch.delete_prefix("l/");
        for key in 0..20 {
            batch.put(format!("l/{key}"), "same", Protection::Plain);
        }
        batch
            .put("l/s", "same", Protection::Sealed)
            .put("l/x", changed.to_owned(), Protection::Plain);
        batch
    };
    store.write_durable(list("one")).wait().unwrap();
    store.write_durable(list("one")).wait().unwrap();
    assert_eq!(store.stats().commits, 1, "nothing changed, nothing written");
    store.write_durable(list("two")).wait().unwrap();
    let stats = store.stats();
    assert_eq!(
        (stats.commits, stats.puts, stats.puts_unchanged),
        (2, 22 + 1, 22 + 21)
    );
    // The same bytes, but now to be sealed: that is a change.
    let mut batch = Batch::new();
    batch.put("l/1", "same", Protection::Sealed);
    store.write_durable(batch).wait().unwrap();
    assert_eq!(store.stats().puts, 24);
}

pub(super) fn too_much_pending_is_refused(kind: EngineKind) {
    let home = Home::new(kind);
    let (store, _) = home.open_with(Options {
        pending_limit: 10_000,
        ..home.lazy()
    });
    store.write(put("a", &"x".repeat(6000))).unwrap();
    let refused = store.write(put("b", &"x".repeat(6000)));
    assert!(
        matches!(refused, Err(StoreError::Overflow { limit: 10_000, .. })),
        "{refused:?}"
    );
    assert_eq!(store.get(b"b").unwrap(), Lookup::Absent);
    assert_eq!(store.stats().overflows, 1);
    store.flush().wait().unwrap();
    store.write(put("b", &"x".repeat(6000))).unwrap();
}

pub(super) fn a_closed_store_refuses_writes_and_keeps_reading(kind: EngineKind) {
    let home = Home::new(kind);
    let store = home.open();
    store.write(put("a", "v")).unwrap();
    store.close().unwrap();
    assert!(matches!(store.write(put("a", "w")), Err(StoreError::Closed)));
    assert!(matches!(
        store.write_durable(put("a", "w")).wait(),
        Err(StoreError::Closed)
    ));
    assert_eq!(store.get(b"a").unwrap(), found("v"));
    store.close().unwrap();
}

pub(super) fn values_survive_reopening(kind: EngineKind) {
    let home = Home::new(kind);
    if !home.has_disk() {
        return;
    }
    let big = "b".repeat(300_000);
    for round in 0..3 {
        let (store, _) = home.open_with(home.sealed("key"));
        if round > 0 {
            assert_eq!(store.get(b"big").unwrap(), found(&big));
            assert_eq!(store.get(b"sealed").unwrap(), found("secret"));
            assert_eq!(store.get(b"round").unwrap(), found(&(round - 1).to_string()));
        }
        let mut batch = put("big", &big);
        batch
            .put("sealed", "secret", Protection::Sealed)
            .put("round", round.to_string(), Protection::Plain);
        store.write(batch).unwrap();
    }
}
