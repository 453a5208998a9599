//! Notices that the database is damaged: it is rebuilt when the store is opened, so yurthub has to start anew.
//!
//! Only while the cloud is there, which fills the new one; without it, what can still be read is worth more. And not
//! sooner than a minute after the start: a disk that damages all that is written must not keep yurthub starting.
//! Reads no store itself: the store notes what it meets.

use std::time::Duration;

use tokio::time::Instant;
use yurthub_store::Store;

use crate::health::{Monitor, Phase};

const POLL_INTERVAL: Duration = Duration::from_secs(5);
const LEAST_UPTIME: Duration = Duration::from_mins(1);

fn calls_for_a_start(suspect: bool, cloud: Phase, uptime: Duration) -> bool {
    suspect && cloud == Phase::Up && uptime >= LEAST_UPTIME
}

/// Waits until the store is damaged and another start mends it.
pub async fn noticed(store: &Store, cloud: &Monitor) {
    let (start, mut poll) = (Instant::now(), tokio::time::interval(POLL_INTERVAL));
    loop {
        poll.tick().await;
        if calls_for_a_start(store.stats().suspect, cloud.state().phase, start.elapsed()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yurthub_starts_anew_only_when_that_mends_more_than_it_breaks() {
        let (soon, late) = (
            LEAST_UPTIME.saturating_sub(Duration::from_millis(1)),
            LEAST_UPTIME,
        );
        for (suspect, cloud, uptime, expected) in [
            (true, Phase::Up, late, true),
            (true, Phase::Up, soon, false),
            (true, Phase::Suspect, late, false),
            (true, Phase::Down, late, false),
            (true, Phase::Unknown, late, false),
            (false, Phase::Up, late, false),
        ] {
            assert_eq!(
                calls_for_a_start(suspect, cloud, uptime),
                expected,
                "{suspect} {cloud:?} {uptime:?}"
            );
        }
    }
}
