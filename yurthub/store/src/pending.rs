//! Changes that wait for the disk, and the reading of them. Pure.
//!
//! A layer is what one group commit will write: per key the last change, and the prefixes that were deleted before
//! them. Two layers lie over the engine: the one being committed and the open one above it.
//!
//! Invariant: laying a layer over an engine that already holds its changes shows the same as over one that does
//! not, so a reader need not know whether a commit is through.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::batch::{BatchChange, CHANGE_OVERHEAD, Protection};

/// The last change of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Put(Bytes, Protection),
    Delete,
}

/// What the layers know of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Put(Bytes),
    Deleted,
    /// Ask the engine.
    Unknown,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    entries: BTreeMap<Bytes, Change>,
    /// Deleted before `entries` were put. None begins with another.
    prefixes: Vec<Bytes>,
    bytes: usize,
}

fn cost(key: &Bytes, change: &Change) -> usize {
    let value = match change {
        Change::Put(value, _) => value.len(),
        Change::Delete => 0,
    };
    key.len() + value + CHANGE_OVERHEAD
}

impl Layer {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.prefixes.is_empty()
    }

    /// Memory held, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() + self.prefixes.len()
    }

    pub(crate) fn entries(&self) -> &BTreeMap<Bytes, Change> {
        &self.entries
    }

    pub(crate) fn prefixes(&self) -> &[Bytes] {
        &self.prefixes
    }

    pub(crate) fn apply(&mut self, change: BatchChange) {
        match change {
            BatchChange::Put {
                key,
                value,
                protection,
            } => self.set(&key, Change::Put(value, protection)),
            BatchChange::Delete { key } => self.set(&key, Change::Delete),
            BatchChange::DeletePrefix { prefix } => self.delete_prefix(prefix),
        }
    }

    /// Lays a later layer over this one.
    pub(crate) fn absorb(&mut self, later: Self) {
        for prefix in later.prefixes {
            self.delete_prefix(prefix);
        }
        for (key, change) in later.entries {
            self.set(&key, change);
        }
    }

    fn set(&mut self, key: &Bytes, change: Change) {
        self.bytes += cost(key, &change);
        if let Some(old) = self.entries.insert(key.clone(), change) {
            self.bytes -= cost(key, &old);
        }
    }

    fn delete_prefix(&mut self, prefix: Bytes) {
        let covered: Vec<Bytes> = self.range(&prefix, None).map(|(key, _)| key.clone()).collect();
        for key in covered {
            if let Some(old) = self.entries.remove(&key) {
                self.bytes -= cost(&key, &old);
            }
        }
        if self.deletes_prefix_of(&prefix) {
            return;
        }
        let bytes = &mut self.bytes;
        self.prefixes.retain(|longer| {
            let keep = !longer.starts_with(&prefix);
            if !keep {
                *bytes -= longer.len() + CHANGE_OVERHEAD;
            }
            keep
        });
        self.bytes += prefix.len() + CHANGE_OVERHEAD;
        self.prefixes.push(prefix);
    }

    fn deletes_prefix_of(&self, key: &[u8]) -> bool {
        self.prefixes.iter().any(|prefix| key.starts_with(prefix))
    }

    fn range<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
    ) -> impl Iterator<Item = (&'a Bytes, &'a Change)> + 'a {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.entries
            .range::<[u8], _>((start, Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    pub(crate) fn lookup(&self, key: &[u8]) -> Known {
        match self.entries.get(key) {
            Some(Change::Put(value, _)) => Known::Put(value.clone()),
            Some(Change::Delete) => Known::Deleted,
            None if self.deletes_prefix_of(key) => Known::Deleted,
            None => Known::Unknown,
        }
    }
}

/// The two layers over the engine at one moment. Taking one is two reference counts.
#[derive(Clone, Debug)]
pub(crate) struct Overlay {
    pub(crate) open: Arc<Layer>,
    pub(crate) committing: Option<Arc<Layer>>,
}

impl Overlay {
    pub(crate) fn lookup(&self, key: &[u8]) -> Known {
        match (self.open.lookup(key), &self.committing) {
            (Known::Unknown, Some(committing)) => committing.lookup(key),
            (known, _) => known,
        }
    }

    /// The put keys below `prefix` and after `after`, in order. What was only deleted is not in it: ask
    /// [`Self::lookup`] for each key of the engine.
    pub(crate) fn puts(&self, prefix: &[u8], after: Option<&[u8]>) -> Vec<(Bytes, Bytes)> {
        let layers = self.committing.iter().chain([&self.open]);
        let keys: BTreeSet<&Bytes> = layers
            .flat_map(|layer| layer.range(prefix, after))
            .map(|(key, _)| key)
            .collect();
        let value = |key: &Bytes| match self.lookup(key) {
            Known::Put(value) => Some((key.clone(), value)),
            Known::Deleted | Known::Unknown => None,
        };
        keys.into_iter().filter_map(value).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::Batch;

    #[derive(Clone, Debug)]
    enum Step {
        Put(String, u8),
        Delete(String),
        DeletePrefix(String),
        /// A commit begins: the open layer moves down.
        Freeze,
        /// It fails: both become one again.
        Merge,
    }

    fn step() -> impl Strategy<Value = Step> {
        let name = || "[ab\u{7f}]{0,3}";
        prop_oneof![
            4 => (name(), any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
            2 => name().prop_map(Step::Delete),
            2 => name().prop_map(Step::DeletePrefix),
            1 => Just(Step::Freeze),
            1 => Just(Step::Merge),
        ]
    }

    fn apply(layer: &mut Layer, model: &mut BTreeMap<String, u8>, step: &Step) {
        let mut batch = Batch::new();
        match step {
            Step::Put(key, value) => {
                batch.put(key, vec![*value], Protection::Plain);
                model.insert(key.clone(), *value);
            }
            Step::Delete(key) => {
                batch.delete(key);
                model.remove(key);
            }
            Step::DeletePrefix(prefix) => {
                batch.delete_prefix(prefix);
                model.retain(|key, _| !key.starts_with(prefix.as_str()));
            }
            Step::Freeze | Step::Merge => {}
        }
        for change in batch.changes {
            layer.apply(change);
        }
    }

    proptest! {
        /// Starts over an empty engine: unknown means absent.
        #[test]
        fn layers_show_what_a_plain_map_would(steps in proptest::collection::vec(step(), 0..40)) {
            let mut model = BTreeMap::new();
            let (mut open, mut committing) = (Layer::default(), None::<Layer>);
            for step in &steps {
                apply(&mut open, &mut model, step);
                match (step, committing.take()) {
                    (Step::Freeze, None) => committing = Some(std::mem::take(&mut open)),
                    (Step::Merge, Some(mut lower)) => {
                        lower.absorb(std::mem::take(&mut open));
                        open = lower;
                    }
                    (_, unchanged) => committing = unchanged,
                }
            }
            let counted: usize = open.entries.iter().map(|(key, change)| cost(key, change)).sum::<usize>()
                + open.prefixes.iter().map(|prefix| prefix.len() + CHANGE_OVERHEAD).sum::<usize>();
            prop_assert_eq!(open.bytes(), counted);
            let overlay = Overlay { open: Arc::new(open), committing: committing.map(Arc::new) };
            let shown: Vec<(Bytes, Bytes)> = overlay.puts(b"", None);
            let expected: Vec<(Bytes, Bytes)> =
                model.iter().map(|(key, value)| (key.clone().into(), vec![*value].into())).collect();
            prop_assert_eq!(shown, expected);
            for key in ["", "a", "b", "ab", "aab"] {
                let known = overlay.lookup(key.as_bytes());
                prop_assert_eq!(matches!(known, Known::Put(_)), model.contains_key(key));
            }
        }
    }
}
