//! Whether there is room for one more scope, and whose place it takes. Pure.
//!
//! A pod that lists with ever new selectors makes a scope for each of them. What the node itself follows is counted
//! apart from what accounts follow, and each account by itself: it loses scopes of its own that it has not used for
//! longest, and takes none from others.

use std::collections::HashMap;
use std::time::Duration;

use thiserror::Error;

use super::scope::ScopeId;
use crate::identity::Client;

/// A scope that somebody asked for so recently keeps its place: it may be on its way to become watched.
pub(super) const IN_USE: Duration = Duration::from_secs(10);

/// Why a scope cannot be made: all that would have to go are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TooManyScopes {
    /// One account has as many as it may.
    #[error(
        "this account follows {limit} different lists on this node, all in use and as many as one may; it lists with ever new selectors, or `--max-scopes-per-client` is too low"
    )]
    OfClient {
        /// The bound.
        limit: usize,
    },
    /// There are as many as there may be.
    #[error("{limit} scopes exist already, all in use and as many as are allowed")]
    InAll {
        /// The bound.
        limit: usize,
    },
}

/// How many scopes there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Of the node with what all share, and as many of all accounts together.
    pub(super) in_all: usize,
    /// Of each account.
    pub(super) each: usize,
}

/// A scope that exists.
pub(super) struct Place<'a, F> {
    pub(super) id: ScopeId,
    pub(super) client: &'a Client,
    /// Says how long nobody has used it; asked only where that matters.
    pub(super) idle: F,
}

/// What becomes of the one who asks for a new scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// There is room.
    Free,
    /// Once this one is gone.
    InPlaceOf(ScopeId),
    /// There is none.
    None(TooManyScopes),
}

/// Whether `client` may have one more scope beside `places`.
pub(super) fn room<'a, F: Fn() -> Duration>(
    client: &Client,
    places: impl Iterator<Item = Place<'a, F>> + Clone,
    bounds: Bounds,
) -> Room {
    let is_account = |client: &Client| matches!(client, Client::Account { .. });
    let beside = places.filter(|place| is_account(place.client) == is_account(client));
    let own = beside.clone().filter(|place| place.client == client);
    if is_account(client) && own.clone().count() >= bounds.each {
        return in_place_of(own, TooManyScopes::OfClient { limit: bounds.each });
    }
    if beside.clone().count() < bounds.in_all {
        return Room::Free;
    }
    let full = TooManyScopes::InAll { limit: bounds.in_all };
    if !is_account(client) {
        return in_place_of(beside, full);
    }
    // Whoever has most gives way, not whoever comes last.
    let mut counts = HashMap::new();
    for place in beside.clone() {
        *counts.entry(place.client).or_insert(0) += 1;
    }
    let most = counts.into_iter().max_by_key(|(client, count)| (*count, *client));
    let most = most.map(|(client, _)| client);
    in_place_of(beside.filter(|place| Some(place.client) == most), full)
}

fn in_place_of<'a, F: Fn() -> Duration>(
    places: impl Iterator<Item = Place<'a, F>>,
    full: TooManyScopes,
) -> Room {
    let idle = places.map(|place| ((place.idle)(), place.id));
    let oldest = idle.filter(|(idle, _)| *idle >= IN_USE).max();
    oldest.map_or(Room::None(full), |(_, id)| Room::InPlaceOf(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> Client {
        Client::Account {
            namespace: "ns".into(),
            name: name.into(),
            uid: name.into(),
        }
    }

    type Row<'a> = (&'a str, &'a Client, &'a [(&'a Client, u64)], Room);
    const BOUNDS: Bounds = Bounds { in_all: 5, each: 3 };

    #[test]
    fn a_client_makes_room_of_its_own_and_the_node_never_for_pods() {
        let (greedy, other, third) = (account("greedy"), account("other"), account("third"));
        let (node, shared) = (&Client::Node, &Client::Shared);
        let (greedy, other, third) = (&greedy, &other, &third);
        let of_client = Room::None(TooManyScopes::OfClient { limit: 3 });
        let in_all = Room::None(TooManyScopes::InAll { limit: 5 });
        let table: [Row<'_>; 10] = [
            ("nothing yet", greedy, &[], Room::Free),
            (
                "below",
                greedy,
                &[(greedy, 99), (greedy, 99), (node, 99)],
                Room::Free,
            ),
            (
                "its oldest",
                greedy,
                &[(greedy, 20), (greedy, 30), (greedy, 0), (other, 99)],
                Room::InPlaceOf(1),
            ),
            (
                "all in use",
                greedy,
                &[(greedy, 0), (greedy, 9), (greedy, 0), (other, 99)],
                of_client,
            ),
            (
                "others go on",
                other,
                &[(greedy, 0), (greedy, 9), (greedy, 0), (node, 99)],
                Room::Free,
            ),
            (
                "full of pods",
                node,
                &[(greedy, 99), (greedy, 99), (greedy, 99), (other, 99), (other, 99)],
                Room::Free,
            ),
            (
                "full of the node's",
                greedy,
                &[(node, 99), (node, 99), (node, 99), (shared, 99), (shared, 99)],
                Room::Free,
            ),
            (
                "the node's own bound",
                node,
                &[
                    (node, 50),
                    (node, 99),
                    (node, 0),
                    (shared, 60),
                    (shared, 0),
                    (greedy, 99),
                ],
                Room::InPlaceOf(1),
            ),
            (
                "who has most gives way",
                third,
                &[(other, 99), (greedy, 0), (greedy, 20), (other, 99), (greedy, 30)],
                Room::InPlaceOf(4),
            ),
            (
                "unless all of it is in use",
                third,
                &[(other, 99), (greedy, 0), (greedy, 1), (other, 99), (greedy, 2)],
                in_all,
            ),
        ];
        for (what, client, places, expected) in table {
            let places = places.iter().zip(0..).map(|((client, idle), id)| Place {
                id,
                client,
                idle: || Duration::from_secs(*idle),
            });
            assert_eq!(room(client, places, BOUNDS), expected, "{what}");
        }
    }
}
