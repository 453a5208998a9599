//! How much a client may ask for at a time: no pod takes from the kubelet, or from other pods, what they need.
//!
//! Requests in flight are counted apart for the node and for everybody else, until the last byte of their answers is
//! taken: an answer that its client does not read holds a place on a connection to the cloud. Of the places of
//! everybody else one service account gets a part; so do bearers whom only the cloud knows, together. What lasts
//! (watches, streams) is counted for each account in the same way. The node itself watches as much as it has pods.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::BodyExt;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::forward::{Body, Holding};
use crate::identity::{Client, Identity};

/// Which part of the places of all pods one service account may take.
const PART_OF_AN_ACCOUNT: usize = 4;
/// The same for all bearers whom only the cloud knows: at a node's first start that is every pod.
const PART_OF_BEARERS: usize = 2;

/// Why a request is not taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// As many are in flight as are allowed.
    #[error("yurthub has as many requests in flight as it may")]
    InFlight,
    /// As many are in flight as one client may have.
    #[error(
        "yurthub lets this client have {limit} requests in flight at a time, a part of `--max-in-flight`, and they are; answers that are not read to their end count"
    )]
    Part {
        /// The bound.
        limit: usize,
    },
    /// As many watches and streams are open as one client may have.
    #[error(
        "yurthub lets one client have {limit} watches and streams open at a time, and they are open; `--max-watches-per-client` sets this bound"
    )]
    Open {
        /// The bound.
        limit: usize,
    },
}

/// Leave for one request, until dropped. It is held until the answer has ended.
#[derive(Debug)]
pub enum Permit {
    /// For one that is answered soon.
    InFlight {
        /// Its place among those in flight.
        _place: OwnedSemaphorePermit,
        /// Its place among those of its client; the node has no other bound.
        _ticket: Option<Ticket>,
    },
    /// For a watch or stream.
    Open(Ticket),
    /// Without a bound.
    Free,
}

/// How many there are of each client; `None` are those whom only the cloud knows.
#[derive(Debug, Clone, Default)]
struct Tally(Arc<Mutex<HashMap<Option<Client>, usize>>>);

/// One that is counted, until dropped.
#[derive(Debug)]
pub struct Ticket {
    client: Option<Client>,
    tally: Tally,
}

impl Tally {
    /// Counts one more of `client`, where it has fewer than `limit`.
    fn take(&self, client: Option<&Client>, limit: usize) -> Option<Ticket> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(client.cloned()).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Ticket {
            client: client.cloned(),
            tally: self.clone(),
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut counts = self.tally.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

/// The bounds, and what counts against them.
#[derive(Debug)]
pub struct Limits {
    node: Arc<Semaphore>,
    others: Arc<Semaphore>,
    in_flight: usize,
    answering: Tally,
    open: Tally,
    watches_per_client: usize,
}

impl Limits {
    /// `in_flight` requests of the node and as many of all others; `watches_per_client` for each of these.
    pub fn new(in_flight: usize, watches_per_client: usize) -> Self {
        Self {
            node: Arc::new(Semaphore::new(in_flight)),
            others: Arc::new(Semaphore::new(in_flight)),
            in_flight,
            answering: Tally::default(),
            open: Tally::default(),
            watches_per_client,
        }
    }

    /// Takes a request that lasts (`long`) or does not.
    pub fn admit(&self, identity: &Identity, long: bool) -> Result<Permit, Refused> {
        let client = identity.client();
        match (identity, long) {
            (Identity::Node, true) => Ok(Permit::Free),
            (Identity::Node, false) => in_flight(&self.node, None),
            (Identity::Account(_) | Identity::Bearer, false) => {
                let limit = self.part(identity);
                let ticket = self
                    .answering
                    .take(client, limit)
                    .ok_or(Refused::Part { limit })?;
                in_flight(&self.others, Some(ticket))
            }
            (Identity::Account(_) | Identity::Bearer, true) => {
                let limit = self.watches_per_client;
                let ticket = self.open.take(client, limit);
                ticket.map(Permit::Open).ok_or(Refused::Open { limit })
            }
        }
    }

    /// How many requests of this client may be in flight.
    fn part(&self, identity: &Identity) -> usize {
        let part = match identity {
            Identity::Node => 1,
            Identity::Account(_) => PART_OF_AN_ACCOUNT,
            Identity::Bearer => PART_OF_BEARERS,
        };
        (self.in_flight / part).max(1)
    }
}

fn in_flight(places: &Arc<Semaphore>, ticket: Option<Ticket>) -> Result<Permit, Refused> {
    let place = Arc::clone(places).try_acquire_owned();
    place
        .map(|place| Permit::InFlight {
            _place: place,
            _ticket: ticket,
        })
        .map_err(|_| Refused::InFlight)
}

impl Permit {
    /// Keeps the permit for as long as `body` goes on, or something else holds it.
    pub fn until_the_end_of(self: Arc<Self>, body: Body) -> Body {
        match *self {
            Self::Open(_) | Self::InFlight { .. } => Holding::new(body, self).boxed_unsync(),
            Self::Free => body,
        }
    }
}

#[cfg(test)]
mod tests {
    use yurthub_token::UserInfo;

    use super::*;
    use crate::forward::empty_body;
    use crate::identity::Account;

    fn account(name: &str) -> Identity {
        let client = Client::Account {
            namespace: "ns".into(),
            name: name.into(),
            uid: name.into(),
        };
        Identity::Account(Arc::new(Account {
            client,
            user: UserInfo {
                username: name.into(),
                uid: name.into(),
                groups: vec![],
                extra: std::collections::BTreeMap::new(),
            },
        }))
    }

    #[test]
    fn each_client_has_its_own_bound_and_the_node_none() {
        let limits = Limits::new(1, 2);
        let (one, other) = (account("one"), account("other"));
        let first = Arc::new(limits.admit(&one, true).unwrap());
        let second = limits.admit(&one, true).unwrap();
        assert_eq!(limits.admit(&one, true).unwrap_err(), Refused::Open { limit: 2 });
        let _others = [&other, &other, &Identity::Bearer].map(|client| limits.admit(client, true).unwrap());
        let _nodes = [(); 9].map(|()| limits.admit(&Identity::Node, true).unwrap());
        let body = first.until_the_end_of(empty_body());
        assert!(limits.admit(&one, true).is_err(), "its answer goes on");
        drop(body);
        let third = limits.admit(&one, true).unwrap();
        drop((second, third));
        assert!(!limits.open.0.lock().unwrap().contains_key(&one.client().cloned()));
    }

    #[test]
    fn pods_take_no_place_from_the_kubelet() {
        let limits = Limits::new(1, 1);
        let _pod = limits.admit(&account("one"), false).unwrap();
        assert_eq!(
            limits.admit(&Identity::Bearer, false).unwrap_err(),
            Refused::InFlight
        );
        let kubelet = limits.admit(&Identity::Node, false).unwrap();
        assert_eq!(
            limits.admit(&Identity::Node, false).unwrap_err(),
            Refused::InFlight
        );
        drop(kubelet);
        assert!(limits.admit(&Identity::Node, false).is_ok());
        assert!(
            limits.answering.0.lock().unwrap().len() == 1,
            "who was refused is not counted"
        );
    }

    #[test]
    fn answers_that_are_not_read_take_places_from_their_client_only() {
        let limits = Limits::new(8, 1);
        let unread = |client: &Identity| {
            let permit = limits.admit(client, false);
            permit.map(|permit| Arc::new(permit).until_the_end_of(empty_body()))
        };
        let (greedy, other) = (account("greedy"), account("other"));
        let mut held: Vec<Body> = (0..2).map(|_| unread(&greedy).unwrap()).collect();
        assert_eq!(unread(&greedy).unwrap_err(), Refused::Part { limit: 2 });
        held.extend((0..4).map(|_| unread(&Identity::Bearer).unwrap()));
        assert_eq!(unread(&Identity::Bearer).unwrap_err(), Refused::Part { limit: 4 });
        held.extend((0..2).map(|_| unread(&other).unwrap()));
        held.drain(..1);
        assert!(unread(&greedy).is_ok(), "it has read one");
    }
}
