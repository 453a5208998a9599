//! Whether the summary is to be written now. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::content::{Change, Summary};

/// How often what is no news is told: at most once in so many intervals.
const NUMBERS_EVERY: u32 = 60;
/// After failures the pause doubles, up to so many intervals.
const LONGEST_PAUSE: u32 = 64;

/// What was done before.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// What the cloud has.
    pub(super) told: Option<Summary>,
    /// When it was tried last.
    pub(super) tried: Option<Instant>,
    /// Attempts that failed since the last that did not.
    pub(super) failures: u32,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Write it.
    Now,
    /// There is something to tell, later.
    Later,
    /// There is nothing to tell.
    Nothing,
    /// Nobody would hear it.
    Away,
}

/// Decides. `settled`: from when on the state of things counts after the cloud has come (back), `None` while it is away;
/// `interval`: the shortest time between two writes.
pub(super) fn decide(
    past: &Past,
    summary: &Summary,
    (now, settled): (Instant, Option<Instant>),
    interval: Duration,
) -> Due {
    let Some(settled) = settled else {
        return Due::Away;
    };
    let change = past
        .told
        .as_ref()
        .map_or(Change::News, |told| told.change_to(summary));
    let intervals = match (change, past.failures) {
        (Change::Nothing, _) => return Due::Nothing,
        (Change::Numbers, 0) => NUMBERS_EVERY,
        (_, failures) => 1_u32
            .checked_shl(failures)
            .map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE)),
    };
    let rested = past
        .tried
        .is_none_or(|tried| now.saturating_duration_since(tried) >= interval * intervals);
    if rested && now >= settled {
        Due::Now
    } else {
        Due::Later
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::content::{Report, StoreState, of};
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn summary(live: usize, events: usize) -> Summary {
        of(&Report {
            now: SystemTime::UNIX_EPOCH,
            started: SystemTime::UNIX_EPOCH,
            connected: SystemTime::UNIX_EPOCH,
            live,
            lagging: Vec::new(),
            statuses: 0,
            events,
            certificate: None,
            store: StoreState::Fine,
            led: false,
        })
    }

    #[test]
    fn changes_are_told_at_most_once_a_minute_and_numbers_once_an_hour() {
        let (start, told) = (Instant::now(), summary(1, 0));
        let after = |seconds| start + Duration::from_secs(seconds);
        let past = |failures| Past {
            told: Some(told.clone()),
            tried: Some(start),
            failures,
        };
        let (same, news, numbers) = (told.clone(), summary(1, 7), summary(2, 0));
        for (past, summary, at, settled, expected) in [
            (Past::default(), &same, 0, Some(0), Due::Now),
            (Past::default(), &same, 0, Some(1), Due::Later),
            (Past::default(), &same, 0, None, Due::Away),
            (past(0), &same, 1_000_000, Some(0), Due::Nothing),
            (past(0), &news, 59, Some(0), Due::Later),
            (past(0), &news, 60, Some(0), Due::Now),
            (past(0), &news, 60, Some(61), Due::Later),
            (past(0), &news, 60, None, Due::Away),
            (past(0), &numbers, 3599, Some(0), Due::Later),
            (past(0), &numbers, 3600, Some(0), Due::Now),
            // Each failure doubles the pause, to about an hour.
            (past(1), &news, 119, Some(0), Due::Later),
            (past(1), &news, 120, Some(0), Due::Now),
            (past(40), &news, 64 * 60 - 1, Some(0), Due::Later),
            (past(40), &news, 64 * 60, Some(0), Due::Now),
        ] {
            let due = decide(&past, summary, (after(at), settled.map(after)), MINUTE);
            assert_eq!(due, expected, "{past:?} {at} {settled:?}");
        }
    }
}
