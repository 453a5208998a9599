//! Who may stream a large list from the store now. Each holds a view of the store and a thread for as long as its
//! client reads; clients that do not read hold up neither the node nor other accounts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::identity::Client;

/// Large lists of the node that may be sent at a time, and as many of all others.
const AT_A_TIME: usize = 6;
/// Large lists of one account.
const OF_ONE: usize = 2;

/// See the module.
pub(super) struct Readers {
    node: Arc<Semaphore>,
    others: Arc<Semaphore>,
    each: Mutex<HashMap<Option<Client>, Weak<Semaphore>>>,
}

/// The right to stream one list, until dropped.
pub struct Reading {
    _place: OwnedSemaphorePermit,
    _own: Option<OwnedSemaphorePermit>,
}

impl Default for Readers {
    fn default() -> Self {
        Self {
            node: Arc::new(Semaphore::new(AT_A_TIME)),
            others: Arc::new(Semaphore::new(AT_A_TIME)),
            each: Mutex::default(),
        }
    }
}

impl Readers {
    /// Waits for a place; `None` only where the semaphores were closed, which nobody does.
    pub(super) async fn enter(&self, client: Option<&Client>) -> Option<Reading> {
        if client == Some(&Client::Node) {
            let place = Arc::clone(&self.node).acquire_owned().await.ok()?;
            return Some(Reading {
                _place: place,
                _own: None,
            });
        }
        // Its own first: one that waits for itself must not hold a place of all.
        let own = self.own(client).acquire_owned().await.ok()?;
        let place = Arc::clone(&self.others).acquire_owned().await.ok()?;
        Some(Reading {
            _place: place,
            _own: Some(own),
        })
    }

    /// The places of one account; kept while somebody holds or awaits one.
    fn own(&self, client: Option<&Client>) -> Arc<Semaphore> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        let key = client.cloned();
        if let Some(own) = each.get(&key).and_then(Weak::upgrade) {
            return own;
        }
        each.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Semaphore::new(OF_ONE));
        each.insert(key, Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_that_does_not_read_holds_up_nobody_else() {
        let account = |name: &str| Client::Account {
            namespace: "ns".into(),
            name: name.into(),
            uid: name.into(),
        };
        let readers = Readers::default();
        let now = |client: &Client| readers.enter(Some(client)).now_or_never().flatten();
        let (greedy, other) = (account("greedy"), account("other"));
        let mut unread: Vec<_> = (0..OF_ONE).map(|_| now(&greedy).unwrap()).collect();
        assert!(now(&greedy).is_none());
        assert!(now(&other).is_some());
        for index in unread.len()..AT_A_TIME {
            unread.push(now(&account(&index.to_string())).unwrap());
        }
        assert!(now(&other).is_none(), "all places of accounts are taken");
        assert!(now(&Client::Node).is_some());
        unread.clear();
        assert!(now(&greedy).is_some());
        assert_eq!(readers.each.lock().unwrap().len(), 1, "the others are forgotten");
    }
}
