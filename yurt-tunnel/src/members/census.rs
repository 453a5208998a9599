//! Whose key is taken away (pure).
//!
//! As in client-go's `leaderelection`, what counts is when somebody has seen a Lease change, by his own clock: clocks of
//! machines differ. So a server that has just begun takes nobody away for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// When each server gave a sign of life, as seen from here.
#[derive(Debug)]
pub struct Census {
    dead: Duration,
    seen: BTreeMap<String, (Option<String>, Instant)>,
}

impl Census {
    /// Dead is who gave no sign of life for `dead`.
    pub fn new(dead: Duration) -> Self {
        Self {
            dead,
            seen: BTreeMap::new(),
        }
    }

    /// Those of the servers with a key who are dead. `renewals`: when each Lease was renewed, in its own words.
    pub fn dead<'a>(
        &mut self,
        with_key: impl Iterator<Item = &'a String>,
        renewals: &BTreeMap<String, String>,
        now: Instant,
    ) -> Vec<String> {
        let mut dead = Vec::new();
        let mut seen = BTreeMap::new();
        for id in with_key {
            let renewal = renewals.get(id).cloned();
            let since = match self.seen.remove(id) {
                Some((before, since)) if before == renewal || renewal.is_none() => since,
                _ => now,
            };
            if now.saturating_duration_since(since) >= self.dead {
                dead.push(id.clone());
            }
            seen.insert(id.clone(), (renewal, since));
        }
        // Who has no key any more is no longer known: should it come back, it has all the time again.
        self.seen = seen;
        dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD: Duration = Duration::from_secs(160);

    fn renewals(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter()
            .map(|(id, time)| ((*id).to_owned(), (*time).to_owned()))
            .collect()
    }

    #[test]
    fn who_renews_lives_and_who_does_not_is_dead_after_the_whole_time() {
        let (start, mut census) = (Instant::now(), Census::new(DEAD));
        let keys = ["a".to_owned(), "b".to_owned()];
        for second in 0..160 {
            let now = start + Duration::from_secs(second);
            // Its clock may stand where it likes.
            let all = renewals(&[("a", &second.to_string()), ("b", "1970")]);
            assert!(census.dead(keys.iter(), &all, now).is_empty(), "{second}");
        }
        let all = renewals(&[("a", "160"), ("b", "1970")]);
        assert_eq!(census.dead(keys.iter(), &all, start + DEAD), ["b"]);
    }

    #[test]
    fn who_has_no_lease_is_dead_too_but_not_at_once() {
        let (start, mut census) = (Instant::now(), Census::new(DEAD));
        let keys = ["b".to_owned()];
        assert!(
            census
                .dead(keys.iter(), &renewals(&[("b", "1")]), start)
                .is_empty()
        );
        let gone = start + Duration::from_secs(100);
        assert!(census.dead(keys.iter(), &BTreeMap::new(), gone).is_empty());
        assert_eq!(census.dead(keys.iter(), &BTreeMap::new(), start + DEAD), ["b"]);
    }

    #[test]
    fn who_comes_back_has_all_the_time_again() {
        let (start, mut census) = (Instant::now(), Census::new(DEAD));
        let keys = ["b".to_owned()];
        let same = renewals(&[("b", "1")]);
        census.dead(keys.iter(), &same, start);
        census.dead([].iter(), &same, start + DEAD);
        assert!(census.dead(keys.iter(), &same, start + 2 * DEAD).is_empty());
        let other = renewals(&[("b", "2")]);
        assert!(census.dead(keys.iter(), &other, start + 4 * DEAD).is_empty());
    }
}
