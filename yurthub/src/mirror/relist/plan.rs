//! What a comparison with the cloud's list needs, and the order in which it is told. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::mirror::listing::Outline;
use crate::mirror::scope::IndexEntry;

/// What is known of a scope, by key.
type Index = BTreeMap<Box<str>, IndexEntry>;

/// Objects that are smaller on average are listed whole: their metadata is not much less (in protobuf some 300 bytes
/// of a plain object, more with annotations), and one answer is all it takes.
const SMALL_OBJECT: u64 = 1 << 10;
/// Most objects that are asked for one by one: each costs a request.
const MAX_SINGLE: usize = 50;
/// At most one object out of so many is asked for one by one.
const SINGLE_SHARE: usize = 4;

/// How a scope is compared, where its metadata has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Get what changed, one by one.
    Fetch(Difference),
    /// List all objects.
    List(WhyList),
}

/// Why all objects are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhyList {
    /// The cloud is older than what is here: it was restored from a backup.
    Older,
    /// An object is older than what is here: likewise, some time ago.
    Rewound,
    /// Too much changed.
    Many,
}

/// Where a list differs from what is here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Objects that are new or have another version, with it.
    pub(super) changed: Vec<(Box<str>, u64)>,
    /// Objects that are not in the list.
    pub(super) gone: Vec<Box<str>>,
}

/// One change, in the order in which local watchers are told.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Step {
    /// Version after the change.
    pub(super) version: u64,
    /// Of which object.
    pub(super) key: Box<str>,
    /// Whether the object is there after it.
    pub(super) present: bool,
}

/// Whether a list of metadata would be much smaller than one of the objects.
pub(super) fn metadata_pays(index: &Index) -> bool {
    let bytes: u64 = index.values().map(|entry| u64::from(entry.length)).sum();
    bytes
        .checked_div(index.len() as u64)
        .is_some_and(|mean| mean >= SMALL_OBJECT)
}

/// Decides how to come from what is here, true for `version`, to what a list of metadata says.
pub(super) fn decide(index: &Index, version: u64, outline: &Outline) -> Plan {
    if outline.version < version {
        return Plan::List(WhyList::Older);
    }
    let objects = outline.objects.iter().map(|(key, version)| (&**key, *version));
    let Some(difference) = difference(index, objects) else {
        return Plan::List(WhyList::Rewound);
    };
    let count = difference.changed.len();
    if count > MAX_SINGLE || (count > 1 && count * SINGLE_SHARE > outline.objects.len()) {
        return Plan::List(WhyList::Many);
    }
    Plan::Fetch(difference)
}

/// Where a list differs from the index; `None` where an object of the list is older than what is here, so that the
/// two have no history in common.
pub(super) fn difference<'a>(
    index: &Index,
    listed: impl Iterator<Item = (&'a str, u64)>,
) -> Option<Difference> {
    let mut difference = Difference::default();
    let mut names = BTreeSet::new();
    for (key, version) in listed {
        names.insert(key);
        match index.get(key) {
            Some(entry) if entry.version > version => return None,
            Some(entry) if entry.version == version => {}
            _ => difference.changed.push((key.into(), version)),
        }
    }
    let gone = index.keys().filter(|key| !names.contains(&***key));
    difference.gone = gone.cloned().collect();
    Some(difference)
}

/// The changes of a difference between versions `old` and `new`, in the order of their versions. `recreated` are those
/// of the changed objects that are others of the same name: they are gone before they are there.
///
/// A list does not say at which version an object was deleted. Each deletion gets a version of its own between the
/// two, one that no other change of the scope has: a client that resumes from it must not miss the next one. There
/// are enough, since every change took one.
pub(super) fn in_order(
    difference: &Difference,
    recreated: &BTreeSet<Box<str>>,
    (old, new): (u64, u64),
) -> Vec<Step> {
    let mut taken: BTreeSet<u64> = difference.changed.iter().map(|(_, version)| *version).collect();
    // The newest version up to `last` that no change has.
    let mut free = |last: u64| {
        let version = (old.saturating_add(1)..=last)
            .rev()
            .find(|version| !taken.contains(version))?;
        taken.insert(version);
        Some(version)
    };
    let mut steps = Vec::with_capacity(difference.changed.len() + difference.gone.len());
    let mut gone = |version: u64, key: &str| {
        steps.push(Step {
            version,
            key: key.into(),
            present: false,
        });
    };
    let mut again: Vec<_> = difference
        .changed
        .iter()
        .filter(|(key, _)| recreated.contains(key))
        .collect();
    // Those with the least room choose first.
    again.sort_by_key(|(_, version)| *version);
    for (key, version) in again {
        if let Some(version) = free(version.saturating_sub(1)) {
            gone(version, key);
        }
    }
    let mut last = new;
    for key in &difference.gone {
        let version = free(last).unwrap_or(new);
        last = version; // nothing above it is free
        gone(version, key);
    }
    steps.extend(difference.changed.iter().map(|(key, version)| Step {
        version: *version,
        key: key.clone(),
        present: true,
    }));
    steps.sort();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(entries: &[(&str, u64)], length: u32) -> Index {
        let entry = |version| IndexEntry { version, length };
        let entries = entries.iter();
        entries
            .map(|(key, version)| ((*key).into(), entry(*version)))
            .collect()
    }

    fn differs(before: &[(&str, u64)], after: &[(&str, u64)]) -> Option<Difference> {
        difference(&index(before, 1), after.iter().copied())
    }

    /// The steps between versions 100 and 200; deletions begin with a minus.
    fn steps(before: &[(&str, u64)], after: &[(&str, u64)], recreated: &[&str]) -> Vec<(u64, String)> {
        let recreated = recreated.iter().map(|key| (*key).into()).collect();
        in_order(&differs(before, after).unwrap(), &recreated, (100, 200))
            .into_iter()
            .map(|step| {
                let sign = if step.present { "" } else { "-" };
                (step.version, format!("{sign}{}", step.key))
            })
            .collect()
    }

    #[test]
    fn what_did_not_change_is_not_told() {
        assert_eq!(steps(&[("a", 90), ("b", 91)], &[("a", 90), ("b", 91)], &[]), []);
    }

    #[test]
    fn changes_come_in_the_order_of_their_versions() {
        let changes = steps(&[("a", 90), ("b", 91)], &[("a", 150), ("b", 91), ("c", 120)], &[]);
        assert_eq!(changes, [(120, "c".into()), (150, "a".into())]);
    }

    #[test]
    fn each_deletion_has_a_version_of_its_own() {
        let changes = steps(&[("a", 90), ("b", 91), ("c", 92)], &[("c", 200)], &[]);
        assert_eq!(
            changes,
            [(198, "-b".into()), (199, "-a".into()), (200, "c".into())]
        );
    }

    #[test]
    fn another_object_of_the_same_name_comes_after_the_first_has_gone() {
        let before = [("a", 90), ("b", 91), ("c", 92)];
        let changes = steps(&before, &[("a", 103), ("b", 102)], &["a", "b"]);
        // Both deletions were between 100 and their creation: there is just one way.
        assert_eq!(
            changes,
            [
                (101, "-b".into()),
                (102, "b".into()),
                (103, "a".into()),
                (200, "-c".into())
            ]
        );
        let changes = steps(&before, &[("a", 104), ("b", 102), ("c", 92)], &["a", "b"]);
        assert_eq!(
            changes,
            [
                (101, "-b".into()),
                (102, "b".into()),
                (103, "-a".into()),
                (104, "a".into())
            ]
        );
    }

    #[test]
    fn an_object_that_went_back_in_time_has_no_history_in_common() {
        assert_eq!(differs(&[("a", 90), ("b", 91)], &[("a", 89), ("b", 91)]), None);
    }

    fn decided(before: &[(&str, u64)], (version, after): (u64, &[(&str, u64)])) -> Plan {
        let objects = after.iter().map(|(key, version)| ((*key).into(), *version));
        let outline = Outline {
            version,
            objects: objects.collect(),
        };
        decide(&index(before, 4096), 100, &outline)
    }

    #[test]
    fn little_is_fetched_and_much_is_listed() {
        let names: Vec<String> = (0..400).map(|number| format!("n{number:03}")).collect();
        let at = |count: usize, changed: usize| -> Vec<(&str, u64)> {
            let version = |at: usize| if at < changed { 150 } else { 90 };
            (0..count).map(|at| (&*names[at], version(at))).collect()
        };
        for (count, changed, fetched) in [
            (1, 0, true),
            (1, 1, true),
            (3, 1, true),
            (3, 2, false),
            (8, 2, true),
            (8, 3, false),
            (200, 50, true),
            (400, 50, true),
            (400, 51, false),
        ] {
            let plan = decided(&at(count, 0), (200, &at(count, changed)));
            let expected = Difference {
                changed: at(count, changed)
                    .into_iter()
                    .filter(|object| object.1 == 150)
                    .map(|(key, version)| (key.into(), version))
                    .collect(),
                gone: vec![],
            };
            let expected = if fetched {
                Plan::Fetch(expected)
            } else {
                Plan::List(WhyList::Many)
            };
            assert_eq!(plan, expected, "{changed} of {count}");
        }
    }

    #[test]
    fn deletions_need_nothing_from_the_cloud() {
        let Plan::Fetch(difference) = decided(&[("a", 90), ("b", 91), ("c", 92)], (200, &[("b", 91)])) else {
            panic!("a list for nothing")
        };
        assert_eq!(difference.changed, []);
        assert_eq!(difference.gone, ["a".into(), "c".into()]);
        let Plan::Fetch(difference) = decided(&[("a", 90)], (200, &[])) else {
            panic!("a list for nothing")
        };
        assert_eq!(difference.gone, ["a".into()]);
    }

    #[test]
    fn a_restored_cloud_is_listed() {
        assert_eq!(
            decided(&[("a", 90)], (99, &[("a", 90)])),
            Plan::List(WhyList::Older)
        );
        assert_eq!(
            decided(&[("a", 90)], (200, &[("a", 80)])),
            Plan::List(WhyList::Rewound)
        );
    }

    #[test]
    fn small_objects_are_listed_whole() {
        assert!(!metadata_pays(&index(&[], 0)));
        assert!(!metadata_pays(&index(&[("a", 1), ("b", 2)], 1023)));
        assert!(metadata_pays(&index(&[("a", 1), ("b", 2)], 1024)));
    }
}
