//! Who may list now: what pods run on first, all else in turn, and on a thin link one page at a time.
//!
//! Requests of local clients and watches never wait here; they have connections of their own.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::key::ScopeKey;
use super::pace::{Pace, PageSize};

/// Pages that may come at a time on a link that is not thin.
const PAGES: u32 = 4;
/// The longest that other lists wait for those that go first.
const COURTESY: Duration = Duration::from_secs(20);

/// See the module. One for all scopes.
pub struct Turns {
    pages: Semaphore,
    /// Lists under way that go first.
    first: watch::Sender<usize>,
    /// Parts of pages that have come.
    came: watch::Sender<u64>,
    pace: Mutex<Pace>,
    /// Lists under way.
    lists: watch::Sender<usize>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            pages: Semaphore::new(PAGES as usize),
            first: watch::Sender::new(0),
            came: watch::Sender::new(0),
            pace: Mutex::default(),
            lists: watch::Sender::new(0),
        }
    }
}

/// The right to ask for one page; given back when dropped.
pub(super) enum Turn<'a> {
    /// Of a list that goes first.
    First(&'a Turns),
    /// Of another one.
    InTurn(Option<SemaphorePermit<'a>>),
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        match self {
            Self::First(turns) => turns.first.send_modify(|first| *first = first.saturating_sub(1)),
            Self::InTurn(permit) => drop(permit.take()),
        }
    }
}

impl Turns {
    /// A list begins.
    pub(super) fn begin(&self) {
        self.lists.send_modify(|lists| *lists += 1);
    }

    /// A list has ended; whether it was the last one under way.
    pub(super) fn end(&self) -> bool {
        let mut last = false;
        self.lists.send_modify(|lists| {
            last = *lists == 1;
            *lists = lists.saturating_sub(1);
        });
        last
    }

    /// Resolves when no list is under way.
    pub async fn no_lists(&self) {
        drop(self.lists.subscribe().wait_for(|lists| *lists == 0).await);
    }

    /// Waits for a turn to ask for a page of `key`.
    pub(super) async fn take(&self, key: &ScopeKey) -> Turn<'_> {
        if !key.is_bulk() {
            self.first.send_modify(|first| *first += 1);
            return Turn::First(self);
        }
        let mut first = self.first.subscribe();
        drop(tokio::time::timeout(COURTESY, first.wait_for(|first| *first == 0)).await);
        let share = if self.is_thin() { PAGES } else { 1 };
        // The semaphore is never closed.
        Turn::InTurn(self.pages.acquire_many(share).await.ok())
    }

    /// A page has come in `time`.
    pub(super) fn came(&self, carried: u64, time: Duration) {
        self.lock().measured(carried, time);
    }

    /// A part of a page has come.
    pub(super) fn moved(&self) {
        self.came.send_modify(|came| *came += 1);
    }

    /// How many objects the next page may have, at most `most`.
    pub(super) fn objects(&self, last: Option<PageSize>, most: u64) -> u64 {
        self.pace().objects(last, most)
    }

    /// Follows what comes of pages, for those who wait for a list: on a thin link one page takes its time.
    pub fn what_came(&self) -> watch::Receiver<u64> {
        self.came.subscribe()
    }

    /// Whether the link is known to be thin.
    pub fn is_thin(&self) -> bool {
        self.pace().is_thin()
    }

    fn pace(&self) -> Pace {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Client;

    fn key(resource: &str, fields: &str) -> ScopeKey {
        ScopeKey {
            client: Client::Node,
            group: String::new(),
            version: "v1".into(),
            resource: resource.into(),
            namespace: None,
            labels: String::new(),
            fields: fields.into(),
            protobuf: true,
        }
    }

    async fn waits(turns: &Turns, key: &ScopeKey) -> bool {
        tokio::time::timeout(Duration::from_secs(1), turns.take(key))
            .await
            .is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn what_pods_run_on_goes_before_the_rest_but_not_for_ever() {
        let turns = Turns::default();
        let services = key("services", "");
        let pods = turns.take(&key("pods", "spec.nodeName=edge1")).await;
        let secret = turns.take(&key("secrets", "metadata.name=a")).await;
        assert!(waits(&turns, &services).await);
        drop(pods);
        assert!(waits(&turns, &services).await, "the secret is still on its way");
        drop(secret);
        assert!(!waits(&turns, &services).await);
        let _hangs = turns.take(&key("pods", "")).await;
        let start = tokio::time::Instant::now();
        turns.take(&services).await;
        assert_eq!(start.elapsed(), COURTESY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_thin_link_carries_one_page_at_a_time() {
        let turns = Turns::default();
        let services = key("services", "");
        let several = [turns.take(&services).await, turns.take(&services).await];
        drop(several);
        turns.came(12_000, Duration::from_secs(2));
        let one = turns.take(&services).await;
        assert!(waits(&turns, &services).await);
        assert!(
            !waits(&turns, &key("nodes", "")).await,
            "a node's own objects do not wait"
        );
        drop(one);
        assert!(!waits(&turns, &services).await);
    }
}
