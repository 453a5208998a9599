//! Brings a scope to the state of a list, so that local watchers see only what really changed and the link carries
//! little more than that.
//!
//! A scope that has everything lists metadata and gets what differs; any doubt ends in a list of all objects. Either
//! way the scope is afterwards what the cloud had at the version of one snapshot.

mod plan;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::future::try_join_all;
use tracing::debug;
use yurthub_object::{Encoding, Malformed, edit, meta};
use yurthub_store::StoreError;

use super::context::Context;
use super::key::object_key;
use super::listing::{self, Answer, LIST_ATTEMPTS, Listed, Progress};
use super::reflector::ReflectError;
use super::scope::{Change, ChangeKind, IndexEntry, Scope, Wire};
use crate::metrics::RelistKind;
use crate::telemetry::ErrorChain;
use plan::{Difference, Plan};

/// Objects that one scope asks for at a time: after an outage many scopes do, on connections that they share.
const PARALLEL: usize = 4;

/// What is known of a scope before the list.
pub(super) struct Before {
    pub(super) wire: Wire,
    pub(super) version: u64,
    pub(super) index: BTreeMap<Box<str>, IndexEntry>,
}

/// Lists what `scope` mirrors and takes it in: as the first list, or as the differences to what is here.
pub(super) async fn run(
    scope: &Scope,
    context: &Context,
    progress: &mut Progress,
) -> Result<(), ReflectError> {
    let doubts = scope.doubts();
    let is_doubted = scope.is_doubted();
    let before = scope.indexed();
    let is_first = before.is_none();
    let before = before.filter(|before| !is_doubted && plan::metadata_pays(&before.index));
    let listed = match before {
        Some(before) => by_metadata((scope, context), before, progress).await?,
        None => Next::List,
    };
    let listed = match listed {
        Next::Live(kind) => {
            context.metrics.relisted(kind);
            return Ok(());
        }
        Next::TakeIn(listed) => listed,
        Next::List => whole(scope, context, progress).await?,
    };
    context.metrics.lists.inc();
    if !is_first {
        context.metrics.relisted(RelistKind::Full);
    }
    let (known, now) = (scope.version(), listed.version);
    take_in(scope, listed)?;
    if !is_first && !is_doubted && known > now {
        context.history.contradicted(scope, known);
    }
    Ok(scope.trust(doubts)?)
}

/// What is left to do after metadata was asked for.
enum Next {
    /// Nothing.
    Live(RelistKind),
    /// To take in the objects that came instead.
    TakeIn(Listed),
    /// To list all objects.
    List,
}

/// All objects of one snapshot. What came of one that ran out meanwhile is kept, and mended: metadata tells what of it
/// has changed since, and only that is read again.
async fn whole(scope: &Scope, context: &Context, progress: &mut Progress) -> Result<Listed, ReflectError> {
    for _ in 0..LIST_ATTEMPTS {
        let mut listed = listing::objects(scope, context, progress).await?;
        if !listed.torn {
            return Ok(listed);
        }
        match mend(scope, context, &mut listed).await {
            Ok(true) => return Ok(listed),
            Ok(false) => {}
            Err(error) if is_worth_a_list(&error) => {}
            Err(error) => {
                progress.keep(listed, scope.key.accept());
                return Err(error);
            }
        }
    }
    Err(ReflectError::ListTooSlow)
}

/// Brings objects of several snapshots to the state of one. Returns whether that was possible.
async fn mend(scope: &Scope, context: &Context, listed: &mut Listed) -> Result<bool, ReflectError> {
    let Answer::Outline(outline) = listing::outline(scope, context, &mut Progress::default()).await? else {
        return Ok(false);
    };
    let mut objects: BTreeMap<Box<str>, (u64, Bytes)> = BTreeMap::new();
    for (key, version, item) in keyed(listed.wire.encoding, listed.items.clone())? {
        objects.insert(key, (version, item));
    }
    let entries = objects.iter().map(|(key, (version, item))| {
        let (version, length) = (*version, item.len() as u32);
        (key.clone(), IndexEntry { version, length })
    });
    let before = Before {
        wire: listed.wire.clone(),
        version: listed.version,
        index: entries.collect(),
    };
    let Plan::Fetch(difference) = plan::decide(&before.index, before.version, &outline) else {
        return Ok(false);
    };
    let Some(fetched) = fetch(scope, context, &before, &difference, outline.version).await? else {
        return Ok(false);
    };
    for gone in &difference.gone {
        objects.remove(gone);
    }
    objects.extend(fetched.into_iter().map(|(key, item)| (key, (0, item))));
    listed.items = objects.into_values().map(|(_, item)| item).collect();
    listed.version = outline.version;
    listed.torn = false;
    Ok(true)
}

async fn by_metadata(
    (scope, context): (&Scope, &Context),
    before: Before,
    progress: &mut Progress,
) -> Result<Next, ReflectError> {
    let attempt = async {
        let outline = match listing::outline(scope, context, progress).await? {
            Answer::Outline(outline) => outline,
            Answer::Objects(listed) if listed.torn => return Ok(Next::List),
            Answer::Objects(listed) => return Ok(Next::TakeIn(listed)),
        };
        let difference = match plan::decide(&before.index, before.version, &outline) {
            Plan::Fetch(difference) => difference,
            Plan::List(why) => {
                debug!(scope = scope.key.describe(), ?why, "listing all objects");
                return Ok(Next::List);
            }
        };
        let Some(objects) = fetch(scope, context, &before, &difference, outline.version).await? else {
            return Ok(Next::List);
        };
        let kind = if difference.changed.is_empty() {
            RelistKind::Metadata
        } else {
            RelistKind::Fetched
        };
        let taken = apply(scope, &before, &difference, objects, outline.version)?;
        Ok(if taken { Next::Live(kind) } else { Next::List })
    };
    match attempt.await {
        Err(error) if is_worth_a_list(&error) => {
            debug!(scope = scope.key.describe(), error = %ErrorChain(&error), "listing all objects");
            Ok(Next::List)
        }
        outcome => outcome,
    }
}

/// Whether a list of all objects may succeed where metadata or single objects did not: the snapshot is gone by now
/// (410), the server refuses this way of asking, or answers it with something else. A cloud that is lost or has too
/// much to do is not asked for more.
fn is_worth_a_list(error: &ReflectError) -> bool {
    match error {
        ReflectError::Refused(status) => !matches!(status.code, 429 | 503),
        ReflectError::Malformed(_) | ReflectError::SnapshotGone(_) => true,
        ReflectError::Upstream(_)
        | ReflectError::Body(_)
        | ReflectError::Store(_)
        | ReflectError::NoToken
        | ReflectError::ListTooSlow => false,
    }
}

/// The changed objects as they were at `version`; `None` where the cloud tells something else of one of them.
async fn fetch(
    scope: &Scope,
    context: &Context,
    before: &Before,
    difference: &Difference,
    version: u64,
) -> Result<Option<BTreeMap<Box<str>, Bytes>>, ReflectError> {
    let mut objects = BTreeMap::new();
    for wanted in difference.changed.chunks(PARALLEL) {
        let asked = wanted
            .iter()
            .map(|(key, _)| listing::object_at(scope, context, key, version));
        for ((key, version), listed) in wanted.iter().zip(try_join_all(asked).await?) {
            let Some(item) = sole(listed, &before.wire, (key, *version))? else {
                return Ok(None);
            };
            objects.insert(key.clone(), item);
        }
    }
    Ok(Some(objects))
}

/// The one object of a list, where it is written as all others and is what the list of metadata said.
fn sole(listed: Listed, wire: &Wire, (key, version): (&str, u64)) -> Result<Option<Bytes>, Malformed> {
    let mut objects = keyed(listed.wire.encoding, listed.items)?;
    let Some((found, found_version, item)) = objects.pop() else {
        return Ok(None);
    };
    let as_said = objects.is_empty() && *found == *key && found_version == version && listed.wire == *wire;
    Ok(as_said.then_some(item))
}

/// Takes in a list of all objects.
fn take_in(scope: &Scope, listed: Listed) -> Result<(), ReflectError> {
    let objects = keyed(listed.wire.encoding, listed.items)?;
    // A cloud that is older than what is here was restored from a backup; a changed encoding or nothing before:
    // there is nothing to compare, and local watchers start again from a list.
    let comparable = scope.indexed().filter(|before| {
        !scope.is_doubted() && before.wire == listed.wire && before.version <= listed.version
    });
    if let Some(before) = comparable {
        let versions = objects.iter().map(|(key, version, _)| (&**key, *version));
        if let Some(difference) = plan::difference(&before.index, versions) {
            let items = objects.iter().map(|(key, _, item)| (key.clone(), item.clone()));
            if apply(scope, &before, &difference, items.collect(), listed.version)? {
                return Ok(());
            }
        }
    }
    Ok(scope.replace(listed.wire, objects, listed.version)?)
}

/// The objects of a list with their keys and versions, each in bytes of its own.
fn keyed(encoding: Encoding, items: Vec<Bytes>) -> Result<Vec<(Box<str>, u64, Bytes)>, Malformed> {
    let mut objects = Vec::with_capacity(items.len());
    for item in items {
        let key = meta::key(encoding, &item)?;
        let (name, version) = (object_key(&key.namespace, &key.name), key.resource_version);
        objects.push((name, version, Bytes::copy_from_slice(&item)));
    }
    Ok(objects)
}

/// Tells a difference as changes. Returns whether it could be told: an object that is gone is told with its last
/// content, which may not be readable any more.
fn apply(
    scope: &Scope,
    before: &Before,
    difference: &Difference,
    mut objects: BTreeMap<Box<str>, Bytes>,
    version: u64,
) -> Result<bool, ReflectError> {
    let encoding = before.wire.encoding;
    let recreated = recreated(scope, before, difference, &objects)?;
    let mut changes = Vec::new();
    for step in plan::in_order(difference, &recreated, (before.version, version)) {
        let kind = if step.present {
            objects.remove(&step.key).map(ChangeKind::Present)
        } else {
            let last = scope.stored(&step.key)?;
            let last = last.map(|item| edit::set_resource_version(encoding, &item, step.version));
            last.transpose()?.map(ChangeKind::Gone)
        };
        let Some(kind) = kind else { return Ok(false) };
        changes.push(Change {
            key: step.key,
            version: step.version,
            kind,
        });
    }
    scope.apply(changes, version).inspect_err(|_| {
        // The index may be ahead of the disk: the next attempt must not compare with it.
        scope.invalidate();
    })?;
    Ok(true)
}

/// Which of the changed objects are others of the same name. What cannot be read here counts as the same.
fn recreated(
    scope: &Scope,
    before: &Before,
    difference: &Difference,
    objects: &BTreeMap<Box<str>, Bytes>,
) -> Result<BTreeSet<Box<str>>, StoreError> {
    let encoding = before.wire.encoding;
    let uid = |item: &Bytes| meta::read(encoding, item).ok().map(|meta| meta.uid);
    let mut recreated = BTreeSet::new();
    for (key, _) in &difference.changed {
        if !before.index.contains_key(key) {
            continue;
        }
        let was = scope.stored(key)?.as_ref().and_then(uid);
        let is = objects.get(key).and_then(uid);
        if was.is_some() && is.is_some() && was != is {
            recreated.insert(key.clone());
        }
    }
    Ok(recreated)
}

#[cfg(test)]
mod tests {
    use yurthub_object::TypeMeta;
    use yurthub_store::{Batch, Options, Store};

    use crate::offline::overlay::{Over, Overlay};

    use super::super::key::ScopeKey;
    use super::super::record;
    use super::super::ring::{Limit, Start};
    use super::*;

    fn scope(folder: &tempfile::TempDir) -> (Scope, Store) {
        let (store, _) = Store::open(folder.path(), Options::default()).unwrap();
        let key = ScopeKey {
            client: crate::identity::Client::Node,
            group: String::new(),
            version: "v1".into(),
            resource: "pods".into(),
            namespace: None,
            labels: String::new(),
            fields: String::new(),
            protobuf: false,
        };
        let limit = Limit {
            entries: 100,
            bytes: 1 << 20,
        };
        let stock = (store.clone(), std::sync::Arc::new(crate::reality::Local::off()));
        (Scope::new(key, 1, stock, limit), store)
    }

    fn item(name: &str, uid: &str, version: u64) -> Bytes {
        let item =
            format!(r#"{{"metadata":{{"name":"{name}","uid":"{uid}","resourceVersion":"{version}"}}}}"#);
        item.into()
    }

    fn listed(version: u64, items: &[(&str, &str, u64)]) -> Listed {
        Listed {
            wire: Wire::new(Encoding::Json, TypeMeta::new("v1", "PodList")),
            version,
            items: items
                .iter()
                .map(|(name, uid, version)| item(name, uid, *version))
                .collect(),
            torn: false,
        }
    }

    /// Whether a client that knows `version` must list anew.
    fn is_lost(scope: &Scope, version: u64) -> bool {
        matches!(scope.start_watch(version), Start::TooOld { .. })
    }

    #[test]
    fn another_object_of_the_same_name_is_told_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let (scope, _store) = scope(&folder);
        take_in(&scope, listed(100, &[("a", "1", 90), ("b", "1", 91)])).unwrap();
        let Start::At { seq, above } = scope.start_watch(100) else {
            panic!("lost")
        };
        let mut cursor = super::super::scope::Cursor {
            seq,
            above,
            bookmarks: false,
            lens: None,
        };
        take_in(&scope, listed(200, &[("a", "2", 150), ("b", "1", 160)])).unwrap();
        let mut told = Vec::new();
        let waker = std::task::Waker::noop();
        while let super::super::scope::Poll::Frame(frame) = scope.poll_watch(&mut cursor, waker) {
            let frame: serde_json::Value = serde_json::from_slice(&frame).unwrap();
            let meta = &frame["object"]["metadata"];
            told.push(format!(
                "{} {} {} {}",
                frame["type"], meta["name"], meta["uid"], meta["resourceVersion"]
            ));
        }
        let expected = [
            r#""DELETED" "a" "1" "149""#,
            r#""ADDED" "a" "2" "150""#,
            r#""MODIFIED" "b" "1" "160""#,
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_restored_cloud_replaces_everything_and_sends_watchers_back() {
        let folder = tempfile::tempdir().unwrap();
        let (scope, _store) = scope(&folder);
        take_in(&scope, listed(100, &[("a", "1", 90)])).unwrap();
        take_in(&scope, listed(50, &[("a", "1", 40)])).unwrap();
        assert!(is_lost(&scope, 40) && !is_lost(&scope, 50));
        assert_eq!((scope.version(), scope.is_complete()), (50, true));
        assert_eq!(scope.stored("a").unwrap(), Some(item("a", "1", 40)));
        // It was restored while nobody looked, and is ahead again: its objects tell.
        take_in(&scope, listed(300, &[("a", "1", 30)])).unwrap();
        assert!(is_lost(&scope, 299));
        assert_eq!(scope.stored("a").unwrap(), Some(item("a", "1", 30)));
    }

    #[test]
    fn nothing_of_a_lost_past_is_compared_by_version() {
        let folder = tempfile::tempdir().unwrap();
        let (scope, _store) = scope(&folder);
        take_in(&scope, listed(100, &[("a", "1", 90), ("b", "1", 91)])).unwrap();
        let mut written = Overlay::new(Encoding::Json, &item("b", "1", 91)).unwrap();
        written.over = Over::Status { sent: 100 };
        scope.show_overlay("b", written);
        scope.doubt().unwrap();
        assert!(scope.is_doubted());
        // The cloud has come past all that is here, and its object has the same version, but is another one.
        let doubts = scope.doubts();
        take_in(&scope, listed(120, &[("a", "2", 90), ("b", "1", 91)])).unwrap();
        scope.trust(doubts).unwrap();
        assert!(!scope.is_doubted());
        assert_eq!(scope.stored("a").unwrap(), Some(item("a", "2", 90)));
        assert!(
            scope
                .overlay("b")
                .is_none_or(|overlay| overlay.over == Over::Status { sent: 0 }),
            "what was sent to the lost cloud is not there"
        );
    }

    #[test]
    fn whoever_comes_with_a_version_of_a_lost_past_must_list() {
        let folder = tempfile::tempdir().unwrap();
        let (scope, _store) = scope(&folder);
        take_in(&scope, listed(100, &[("a", "1", 90)])).unwrap();
        assert!(!is_lost(&scope, 130), "another client may be a little ahead");
        scope.doubt().unwrap();
        take_in(&scope, listed(50, &[("a", "1", 40)])).unwrap();
        assert!(is_lost(&scope, 51) && is_lost(&scope, 100) && !is_lost(&scope, 50) && !is_lost(&scope, 101));
        scope.bookmark(80);
        assert!(is_lost(&scope, 81) && !is_lost(&scope, 80));
        scope.bookmark(120);
        assert!(!is_lost(&scope, 130));
    }

    #[test]
    fn a_deletion_that_cannot_be_told_sends_watchers_back_to_a_list() {
        let folder = tempfile::tempdir().unwrap();
        let (scope, store) = scope(&folder);
        take_in(&scope, listed(100, &[("a", "1", 90), ("b", "1", 91)])).unwrap();
        let mut batch = Batch::new();
        batch.delete(record::object_key(1, "a"));
        store.write(batch).unwrap();
        take_in(&scope, listed(200, &[("b", "1", 91)])).unwrap();
        assert!(is_lost(&scope, 199));
        assert!(!scope.contains("a"), "what is gone is not shown");
    }

    #[test]
    fn an_object_is_taken_only_as_the_list_of_metadata_said() {
        let wire = listed(0, &[]).wire;
        let is_taken = |listed: Listed| sole(listed, &wire, ("a", 150)).unwrap().is_some();
        assert!(is_taken(listed(200, &[("a", "1", 150)])));
        assert!(!is_taken(listed(200, &[("a", "1", 151)])));
        assert!(!is_taken(listed(200, &[("b", "1", 150)])));
        assert!(!is_taken(listed(200, &[])));
        assert!(!is_taken(listed(200, &[("a", "1", 150), ("b", "1", 150)])));
        let other = Listed {
            wire: Wire::new(Encoding::Json, TypeMeta::unstructured("v1", "PodList")),
            ..listed(200, &[("a", "1", 150)])
        };
        assert!(!is_taken(other));
    }

    #[test]
    fn a_cloud_that_is_lost_or_busy_is_not_asked_for_more() {
        use yurthub_object::status::Status;
        let refused = |code| ReflectError::Refused(Box::new(Status::new(code, "Unknown", "no")));
        for code in [400, 403, 404, 406, 410, 500, 504] {
            assert!(is_worth_a_list(&refused(code)), "{code}");
        }
        for code in [429, 503] {
            assert!(!is_worth_a_list(&refused(code)), "{code}");
        }
        assert!(!is_worth_a_list(&ReflectError::ListTooSlow));
    }
}
