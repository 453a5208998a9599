//! What the kernel shows of the table, in a form that can be compared: as it was left, and as it is now.
//!
//! The kernel's own words are compared with the kernel's own words, and not with what was written: it adds handles and
//! values of its own.
//!
//! Invariant: two snapshots are equal exactly when nothing about table, chains, rules, sets and elements has changed.

use std::collections::BTreeSet;

use crate::attribute;
use crate::error::Unreadable;
use crate::layout::TABLE;
use crate::message::Kind;

/// `NFTA_SET_ELEM_LIST_ELEMENTS`.
const ELEMENTS: u16 = 3;

/// Objects of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    objects: Vec<(u16, Vec<u8>)>,
    /// Of all sets: the kernel shows them in no order.
    elements: BTreeSet<(Vec<u8>, Vec<u8>)>,
}

impl Snapshot {
    /// Adds an object of type `kind`, if it is of the table. All objects have the name of their table in attribute 1.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn add(&mut self, kind: u16, attributes: &[u8]) -> Result<(), Unreadable> {
        let table = attribute::find(attributes, 1).unwrap_or_default();
        if table.strip_suffix(&[0]) != Some(TABLE.as_bytes()) {
            return Ok(());
        }
        if kind != Kind::NewSetElem as u16 {
            self.objects.push((kind, attributes.to_vec()));
            return Ok(());
        }
        let set = attribute::find(attributes, 2).unwrap_or_default();
        for element in attribute::read(attribute::find(attributes, ELEMENTS).unwrap_or_default()) {
            let (_, element) = element?;
            let key = attribute::find(element, 1).unwrap_or_default();
            self.elements.insert((set.to_vec(), key.to_vec()));
        }
        Ok(())
    }

    /// Whether there is nothing of the table.
    pub const fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// How many elements the sets have together.
    pub fn elements(&self) -> usize {
        self.elements.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::attribute::Attributes;
    use crate::layout::name;
    use crate::rule::data;

    fn elements(keys: &[u8]) -> Vec<u8> {
        let list = keys.iter().fold(Attributes::new(), |list, key| {
            list.nested(1, &Attributes::new().nested(1, &data(&[*key])))
        });
        name(1)
            .text(2, "kubelets4")
            .nested(ELEMENTS, &list)
            .as_bytes()
            .to_vec()
    }

    #[test]
    fn the_order_of_elements_does_not_count_and_other_tables_neither() {
        let kind = Kind::NewSetElem as u16;
        let (mut one, mut two) = (Snapshot::default(), Snapshot::default());
        one.add(kind, &elements(&[1, 2])).unwrap();
        two.add(kind, &elements(&[2])).unwrap();
        assert_ne!(one, two);
        two.add(kind, &elements(&[1])).unwrap();
        two.add(0, Attributes::new().text(1, "other").as_bytes()).unwrap();
        assert_eq!(one, two);
        assert_eq!(two.elements(), 2);
        assert!(two.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_snapshot_or_an_error(kind in 0..20u16, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Snapshot::default().add(kind, &bytes);
            let named = [name(1).as_bytes(), &bytes].concat();
            let _ = Snapshot::default().add(kind, &named);
        }
    }
}
