//! In which order the elements of a merged list stand.
//!
//! Works on keys only: an element's merge key, or the element itself in a list of scalars. Invariant: elements are
//! moved, never lost or made.

use serde_json::Value;

/// An element with the key that it is matched by.
#[derive(Clone, Debug)]
pub(super) struct Keyed<T> {
    pub(super) key: Value,
    pub(super) element: T,
}

/// Puts the elements that `wanted` names in its order, the others in the order of `server`, and interleaves the two
/// by the order of `server`; `normalizeElementOrder`.
pub(super) fn arrange<T>(elements: Vec<Keyed<T>>, wanted: &[Value], server: &[Value]) -> Vec<Keyed<T>> {
    let (named, others): (Vec<_>, Vec<_>) = elements
        .into_iter()
        .partition(|element| wanted.contains(&element.key));
    interleave(sort(others, server), sort(named, wanted), server)
}

fn position(order: &[Value], key: &Value) -> Option<usize> {
    order.iter().position(|value| value == key)
}

/// `normalizeSliceOrder`. Its comparison calls an element that the order does not have less than any other, in both
/// directions; what comes of that is what insertion from the left makes of it, as Go's stable sort does for up to 20
/// elements.
fn sort<T>(elements: Vec<Keyed<T>>, order: &[Value]) -> Vec<Keyed<T>> {
    let mut sorted: Vec<(Option<usize>, Keyed<T>)> = elements
        .into_iter()
        .map(|element| (position(order, &element.key), element))
        .collect();
    if sorted.iter().all(|(place, _)| place.is_some()) {
        sorted.sort_by_key(|(place, _)| *place);
    } else {
        for i in 1..sorted.len() {
            let mut at = i;
            while at > 0 && is_less(sorted[at].0, sorted[at - 1].0) {
                sorted.swap(at, at - 1);
                at -= 1;
            }
        }
    }
    sorted.into_iter().map(|(_, element)| element).collect()
}

fn is_less(left: Option<usize>, right: Option<usize>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => left < right,
        _ => true,
    }
}

/// `mergeSortedSlice`: the next of `left` comes first only where `server` had it before the next of `right`.
fn interleave<T>(left: Vec<Keyed<T>>, right: Vec<Keyed<T>>, server: &[Value]) -> Vec<Keyed<T>> {
    let place = |element: Keyed<T>| (position(server, &element.key), element);
    let mut left = left.into_iter().map(place).peekable();
    let mut right = right.into_iter().map(place).peekable();
    let mut all = Vec::new();
    loop {
        let next = match (left.peek(), right.peek()) {
            (Some((Some(l), _)), Some((Some(r), _))) if l < r => left.next(),
            (_, Some(_)) => right.next(),
            (_, None) => left.next(),
        };
        match next {
            Some((_, element)) => all.push(element),
            None => return all,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arranged(elements: &str, wanted: &str, server: &str) -> String {
        let keys = |text: &str| {
            text.chars()
                .map(|c| Value::from(c.to_string()))
                .collect::<Vec<_>>()
        };
        let elements = keys(elements)
            .into_iter()
            .map(|key| Keyed { key, element: () })
            .collect();
        let arranged = arrange(elements, &keys(wanted), &keys(server));
        arranged
            .iter()
            .filter_map(|element| element.key.as_str())
            .collect()
    }

    /// What Kubernetes makes of such lists is in the vectors; this shows the rule at a glance.
    #[test]
    fn order_is_by_directive_then_by_server() {
        for (elements, wanted, server, expected) in [
            ("abc", "cb", "abc", "acb"),
            ("abcd", "d", "abc", "dabc"),
            ("abcx", "cxa", "abc", "bcxa"),
            ("", "ab", "ab", ""),
            ("ab", "", "ab", "ab"),
            ("abx", "", "ab", "xab"),
            ("xyz", "", "", "zyx"),
        ] {
            assert_eq!(
                arranged(elements, wanted, server),
                expected,
                "{elements} {wanted} {server}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_element_is_lost(elements in "[a-h]{0,12}", wanted in "[a-h]{0,6}", server in "[a-h]{0,12}") {
            let mut before: Vec<_> = elements.chars().collect();
            let mut after: Vec<_> = arranged(&elements, &wanted, &server).chars().collect();
            before.sort_unstable();
            after.sort_unstable();
            prop_assert_eq!(before, after);
        }
    }
}
