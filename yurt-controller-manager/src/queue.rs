//! Keys that wait to be looked at: each once, however often it was added; never by two workers at a time; later after a
//! failure, the later the more often it failed.
//!
//! Modelled after client-go's `workqueue`. Invariant: what is added while it is looked at is looked at again.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// After a first failure.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// After many.
const LONGEST_DELAY: Duration = Duration::from_mins(1);

/// The key of what waits.
pub type Key = Arc<str>;

/// Keys that wait.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    ready: VecDeque<(Key, Instant)>,
    waiting: HashSet<Key>,
    active: HashSet<Key>,
    later: BinaryHeap<Reverse<(Instant, Key)>>,
    /// When each key of `later` is due; what `later` says otherwise was overtaken.
    due: HashMap<Key, Instant>,
    failures: HashMap<Key, u32>,
}

impl Queue {
    /// Has `key` looked at soon.
    pub fn add(&self, key: &Key) {
        self.state().add(key, Instant::now());
        self.changed.notify_one();
    }

    /// Has `key` looked at after a time, or sooner where that was asked for before.
    pub fn add_after(&self, key: &Key, delay: Duration) {
        let due = Instant::now() + delay;
        let mut state = self.state();
        if state.due.get(key).is_some_and(|sooner| *sooner <= due) {
            return;
        }
        state.due.insert(Arc::clone(key), due);
        state.later.push(Reverse((due, Arc::clone(key))));
        drop(state);
        self.changed.notify_one();
    }

    /// Has `key` looked at again after a failure. Returns after how long.
    pub fn add_failed(&self, key: &Key) -> Duration {
        let delay = {
            let mut state = self.state();
            let count = state.failures.entry(Arc::clone(key)).or_default();
            let delay = FIRST_DELAY.saturating_mul(1 << (*count).min(16));
            *count += 1;
            delay.min(LONGEST_DELAY)
        };
        self.add_after(key, delay);
        delay
    }

    /// Forgets that it ever failed.
    pub fn forget(&self, key: &Key) {
        self.state().failures.remove(key);
    }

    /// The next key, and for how long it has waited. [`Queue::done`] must follow.
    pub async fn next(&self) -> (Key, Duration) {
        loop {
            let next_due = {
                let mut state = self.state();
                let now = Instant::now();
                state.promote(now);
                if let Some((key, since)) = state.take() {
                    // Another worker may sleep for what is left.
                    if !state.ready.is_empty() {
                        self.changed.notify_one();
                    }
                    return (key, now - since);
                }
                state.later.peek().map(|Reverse((due, _))| *due)
            };
            match next_due {
                Some(due) => {
                    tokio::select! {
                        () = self.changed.notified() => {}
                        () = tokio::time::sleep_until(due) => {}
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    /// `key` was looked at.
    pub fn done(&self, key: &Key) {
        let mut state = self.state();
        state.active.remove(key);
        if state.waiting.contains(key) {
            state.ready.push_back((Arc::clone(key), Instant::now()));
            self.changed.notify_one();
        }
    }

    /// Takes back what was given to workers that are gone.
    pub fn reclaim(&self) {
        let mut state = self.state();
        for key in std::mem::take(&mut state.active) {
            state.waiting.insert(Arc::clone(&key));
            state.ready.push_back((key, Instant::now()));
        }
        drop(state);
        self.changed.notify_one();
    }

    /// How many wait, now or for later.
    pub fn len(&self) -> usize {
        let state = self.state();
        state.waiting.len() + state.due.len()
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, key: &Key, now: Instant) {
        if !self.waiting.insert(Arc::clone(key)) {
            return;
        }
        // What is looked at now waits until that is done.
        if !self.active.contains(key) {
            self.ready.push_back((Arc::clone(key), now));
        }
    }

    fn promote(&mut self, now: Instant) {
        while let Some(Reverse((due, _))) = self.later.peek()
            && *due <= now
        {
            if let Some(Reverse((due, key))) = self.later.pop()
                && self.due.get(&key) == Some(&due)
            {
                self.due.remove(&key);
                self.add(&key, due);
            }
        }
    }

    fn take(&mut self) -> Option<(Key, Instant)> {
        let (key, since) = self.ready.pop_front()?;
        self.waiting.remove(&key);
        self.active.insert(Arc::clone(&key));
        Some((key, since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        name.into()
    }

    #[tokio::test(start_paused = true)]
    async fn each_key_is_given_once_and_to_one_at_a_time() {
        let queue = Queue::default();
        for name in ["a", "b", "a"] {
            queue.add(&key(name));
        }
        assert_eq!(queue.len(), 2);
        let (first, _) = queue.next().await;
        queue.add(&first);
        let (second, _) = queue.next().await;
        assert_eq!((&*first, &*second), ("a", "b"));
        let third = tokio::time::timeout(Duration::from_secs(5), queue.next()).await;
        assert!(third.is_err(), "a is looked at still: {third:?}");
        queue.done(&first);
        let (again, _) = queue.next().await;
        assert_eq!(&*again, "a", "it was added while it was looked at");
        queue.done(&again);
        queue.done(&second);
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_worker_had_that_is_gone_is_given_to_another() {
        let queue = Queue::default();
        queue.add(&key("a"));
        let (first, _) = queue.next().await;
        queue.add(&first);
        queue.reclaim();
        let (again, _) = queue.next().await;
        queue.done(&again);
        assert_eq!((&*again, queue.len()), ("a", 0));
        let more = tokio::time::timeout(Duration::from_secs(5), queue.next()).await;
        assert!(more.is_err(), "given twice: {more:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_comes_later_each_time() {
        let queue = Queue::default();
        let a = key("a");
        let start = Instant::now();
        let mut waited = Vec::new();
        for _ in 0..12 {
            queue.add_failed(&a);
            let (given, _) = queue.next().await;
            waited.push(start.elapsed());
            queue.done(&given);
        }
        let gaps: Vec<_> = waited
            .windows(2)
            .map(|pair| pair[1].abs_diff(pair[0]).as_millis())
            .collect();
        assert!(
            gaps.is_sorted() && gaps[0] >= 200 && gaps[10] == 60_000,
            "{gaps:?}"
        );
        queue.forget(&a);
        assert_eq!(queue.add_failed(&a), FIRST_DELAY);
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_times_the_sooner_one_counts() {
        let queue = Queue::default();
        let (a, start) = (key("a"), Instant::now());
        for seconds in [30, 10, 20] {
            queue.add_after(&a, Duration::from_secs(seconds));
        }
        assert_eq!(queue.len(), 1);
        let (given, _) = queue.next().await;
        assert_eq!(start.elapsed(), Duration::from_secs(10));
        queue.done(&given);
        let more = tokio::time::timeout(Duration::from_mins(2), queue.next()).await;
        assert!(more.is_err() && queue.is_empty(), "{more:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn workers_share_what_comes_later() {
        let queue = Arc::new(Queue::default());
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let queue = Arc::clone(&queue);
                tokio::spawn(async move { queue.next().await.0 })
            })
            .collect();
        for (name, seconds) in [("c", 3), ("a", 1), ("b", 2)] {
            queue.add_after(&key(name), Duration::from_secs(seconds));
        }
        let mut names = Vec::new();
        for worker in workers {
            names.push(worker.await.unwrap().to_string());
        }
        names.sort();
        assert_eq!(names, ["a", "b", "c"]);
    }
}
