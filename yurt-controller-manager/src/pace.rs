//! How fast this replica may write, and whether it still may.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// Writes at a constant rate, with a reserve for a burst; none after the leadership is over.
pub struct Pace {
    interval: Duration,
    reserve: Duration,
    next: Mutex<Instant>,
    over: CancellationToken,
}

impl Pace {
    /// So many writes in a second, and a second's worth of them at once, until `over`.
    pub fn new(per_second: u32, over: CancellationToken) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second.max(1),
            reserve: Duration::from_secs(1),
            next: Mutex::new(Instant::now()),
            over,
        }
    }

    /// Waits for one's turn.
    pub async fn wait(&self) -> Result<(), Failure> {
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let earliest = now.checked_sub(self.reserve).unwrap_or(now);
            let turn = (*next).max(earliest);
            *next = turn + self.interval;
            turn
        };
        let waited = self
            .over
            .run_until_cancelled(tokio::time::sleep_until(turn))
            .await;
        if waited.is_none() || self.over.is_cancelled() {
            return Err(Failure::NotLeading);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_then_there_is_a_rate() {
        let pace = Pace::new(10, CancellationToken::new());
        tokio::time::sleep(Duration::from_mins(1)).await;
        let start = Instant::now();
        let mut times = Vec::new();
        for _ in 0..31 {
            pace.wait().await.unwrap();
            times.push(start.elapsed().as_millis());
        }
        assert_eq!((times[0], times[10]), (0, 0));
        assert!((1900..=2100).contains(&times[30]), "{times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_writes_who_does_not_lead() {
        let over = CancellationToken::new();
        let pace = Pace::new(1, over.clone());
        for _ in 0..2 {
            pace.wait().await.unwrap();
        }
        over.cancel();
        assert!(matches!(pace.wait().await, Err(Failure::NotLeading)));
    }
}
