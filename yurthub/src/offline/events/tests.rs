//! Cases of the journal: what is kept, what is given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use yurthub_store::{
    DiskBytes, Engine, EngineError, EngineSnapshot, MemoryEngine, Op, Options, SqliteEngine, Visit,
};

use super::*;

const BOUNDS: Bounds = Bounds {
    entries: 3,
    bytes: 1 << 20,
};

fn store() -> Store {
    Store::over(Box::new(MemoryEngine::default()), Options::default()).unwrap()
}

fn events(store: &Store) -> Events {
    Events::open(store, BOUNDS, &EventMetrics::default()).unwrap()
}

fn path(name: Option<&str>) -> ResourcePath {
    ResourcePath {
        version: "v1".into(),
        resource: "events".into(),
        namespace: Some("shop".into()),
        name: name.map(str::to_owned),
        ..ResourcePath::default()
    }
}

async fn post(events: &Events, name: &str) -> Result<Value, EventError> {
    let body = json!({ "kind": "Event", "apiVersion": "v1", "metadata": { "name": name }, "count": 1 });
    let write = EventWrite {
        method: &Method::POST,
        path: &path(None),
        content_type: "application/json",
        body: &body.to_string().into(),
    };
    let answer = events.write(&Client::Node, write).await?;
    assert_eq!(answer.code, StatusCode::CREATED);
    Ok(serde_json::from_slice(&answer.body).unwrap())
}

async fn patch(events: &Events, client: &Client, name: &str, count: u32) -> Result<Value, EventError> {
    let write = EventWrite {
        method: &Method::PATCH,
        path: &path(Some(name)),
        content_type: "application/strategic-merge-patch+json",
        body: &json!({ "count": count }).to_string().into(),
    };
    let answer = events.write(client, write).await?;
    Ok(serde_json::from_slice(&answer.body).unwrap())
}

fn names(events: &Events) -> Vec<(String, Value)> {
    let entries = events.sequences().into_iter().map(|sequence| {
        let entry = events.next(sequence).unwrap().0;
        let object: Value = serde_json::from_slice(&entry.answer()).unwrap();
        (entry.head.name, object["count"].clone())
    });
    entries.collect()
}

#[tokio::test]
async fn events_survive_a_restart_in_their_order_and_the_oldest_goes_first() {
    let store = store();
    let before = events(&store);
    for name in ["a", "b", "c"] {
        post(&before, name).await.unwrap();
    }
    patch(&before, &Client::Node, "b", 7).await.unwrap();
    let after = events(&store);
    assert_eq!(
        names(&after),
        [
            ("a".into(), json!(1)),
            ("b".into(), json!(7)),
            ("c".into(), json!(1))
        ]
    );
    post(&after, "d").await.unwrap();
    let left: Vec<_> = names(&after).into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["b", "c", "d"]);
    assert_eq!(names(&events(&store)).len(), 3, "what went is gone on disk, too");
}

#[tokio::test]
async fn a_name_is_taken_once_and_only_its_writer_changes_an_event() {
    let events = events(&store());
    let version = |object: &Value| {
        object["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse::<u64>()
    };
    let made = post(&events, "a").await.unwrap();
    assert!(matches!(post(&events, "a").await, Err(EventError::Exists(_))));
    let patched = patch(&events, &Client::Node, "a", 2).await.unwrap();
    assert!(version(&patched).unwrap() > version(&made).unwrap());
    let other = Client::Account {
        namespace: "shop".into(),
        name: "web".into(),
        uid: "1".into(),
    };
    for (client, name) in [(&other, "a"), (&Client::Node, "unknown")] {
        let refused = patch(&events, client, name, 3).await;
        assert!(matches!(refused, Err(EventError::Unknown)), "{client} {name}");
    }
    assert_eq!(names(&events), [("a".into(), json!(2))]);
}

#[tokio::test]
async fn a_repeat_of_what_the_cloud_has_makes_a_whole_event() {
    let events = events(&store());
    let known = json!({
        "kind": "Event", "apiVersion": "v1", "reason": "BackOff", "count": 1,
        "metadata": { "name": "a", "namespace": "shop", "uid": "cloud", "resourceVersion": "12" },
    });
    events.saw(
        &Client::Node,
        &path(None),
        (Encoding::Json, &known.to_string().into()),
    );
    let patched = patch(&events, &Client::Node, "a", 2).await.unwrap();
    assert_eq!(
        (&patched["reason"], &patched["count"]),
        (&json!("BackOff"), &json!(2))
    );
    let entry = events.next(events.sequences()[0]).unwrap().0;
    let sent: Value = serde_json::from_slice(&entry.upstream().unwrap()).unwrap();
    assert_eq!(sent["metadata"], json!({ "name": "a", "namespace": "shop" }));
}

#[tokio::test]
async fn what_was_written_again_while_it_was_sent_stays() {
    let events = events(&store());
    post(&events, "a").await.unwrap();
    let sequence = events.sequences()[0];
    let (_, sent) = events.next(sequence).unwrap();
    patch(&events, &Client::Node, "a", 2).await.unwrap();
    events.finish(sequence, Some(sent)).unwrap();
    assert_eq!(names(&events), [("a".into(), json!(2))]);
    let (_, sent) = events.next(sequence).unwrap();
    events.finish(sequence, Some(sent)).unwrap();
    assert_eq!(events.size(), (0, 0));
}

#[tokio::test]
async fn an_event_that_would_fill_the_journal_is_refused() {
    let events = events(&store());
    let long = "x".repeat(BOUNDS.bytes / LARGEST_PART);
    let body = json!({ "kind": "Event", "apiVersion": "v1", "metadata": { "name": "a" }, "message": long });
    let write = EventWrite {
        method: &Method::POST,
        path: &path(None),
        content_type: "application/json",
        body: &body.to_string().into(),
    };
    let refused = events.write(&Client::Node, write).await;
    assert!(matches!(refused, Err(EventError::TooLarge(_))));
    assert_eq!(events.size(), (0, 0));
}

/// A disk that is full while it is told so.
#[derive(Clone, Default)]
struct Disk {
    inner: Arc<MemoryEngine>,
    full: Arc<AtomicBool>,
}

impl Engine for Disk {
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
        if self.full.load(Ordering::SeqCst) {
            // Engines alone make engine errors: this one is of a folder that is not there.
            SqliteEngine::open(std::path::Path::new("/nonexistent/store.sqlite")).map(|_| ())
        } else {
            self.inner.commit(ops)
        }
    }

    fn disk_bytes(&self) -> DiskBytes {
        DiskBytes::default()
    }
}

#[tokio::test]
async fn an_event_counts_as_taken_only_once_it_is_durable() {
    let disk = Disk::default();
    let store = Store::over(Box::new(disk.clone()), Options::default()).unwrap();
    let events = events(&store);
    post(&events, "kept").await.unwrap();
    disk.full.store(true, Ordering::SeqCst);
    for attempt in 0..3 {
        let refused = post(&events, "a").await;
        assert!(
            matches!(refused, Err(EventError::Store(_))),
            "{attempt}: {refused:?}"
        );
    }
    let other = Client::Account {
        namespace: "shop".into(),
        name: "web".into(),
        uid: "1".into(),
    };
    let body = json!({ "kind": "Event", "apiVersion": "v1", "metadata": { "name": "a" } });
    let write = EventWrite {
        method: &Method::POST,
        path: &path(None),
        content_type: "application/json",
        body: &body.to_string().into(),
    };
    let taken = events.write(&other, write).await;
    assert!(
        matches!(taken, Err(EventError::Exists(_))),
        "the name is its writer's: {taken:?}"
    );
    assert!(patch(&events, &Client::Node, "kept", 2).await.is_err());
    disk.full.store(false, Ordering::SeqCst);
    post(&events, "a").await.unwrap();
    assert!(matches!(post(&events, "a").await, Err(EventError::Exists(_))));
    // What was acknowledged once stays so, whatever becomes of a later write.
    assert!(matches!(post(&events, "kept").await, Err(EventError::Exists(_))));
    let after = Events::open(&store, BOUNDS, &EventMetrics::default()).unwrap();
    let names: Vec<_> = names(&after).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["kept", "a"], "once, and on disk");
}
