//! How long the cloud's answer to a write is waited for, where this node could answer by itself.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// The budget is not given again after so long: a kubelet's own time limit for its heartbeats is ten seconds.
const LONGEST: Duration = Duration::from_secs(6);

/// The answer, if it comes within `budget`. On a thin link it waits behind lists, and a write that was answered here would be
/// sent a second time: as long as parts of `lists` come the cloud is there, and the budget is given again.
pub(super) async fn in_time<T>(
    answer: impl Future<Output = T>,
    mut lists: watch::Receiver<u64>,
    budget: Duration,
) -> Option<T> {
    let begun = Instant::now();
    tokio::pin!(answer);
    loop {
        lists.mark_unchanged();
        match timeout(budget, &mut answer).await {
            Ok(answer) => return Some(answer),
            // An error says that nobody lists any more.
            Err(_) if lists.has_changed().unwrap_or(false) && begun.elapsed() < LONGEST => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const BUDGET: Duration = Duration::from_secs(2);

    /// Whether an answer that takes `seconds` is waited for, while a part of a list comes every second for `listing` seconds;
    /// and how long it was.
    async fn waited(seconds: u64, listing: u64) -> (bool, u64) {
        let (came, lists) = watch::channel(0);
        let parts = async {
            for part in 1..=listing {
                sleep(Duration::from_secs(1)).await;
                came.send_replace(part);
            }
            std::future::pending::<()>().await;
        };
        let begun = Instant::now();
        let answer = tokio::select! {
            answer = in_time(sleep(Duration::from_secs(seconds)), lists, BUDGET) => answer,
            () = parts => None,
        };
        (answer.is_some(), begun.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_waited_for_longer_while_lists_come() {
        for (seconds, listing, expected) in [
            (1, 0, (true, 1)),
            (3, 0, (false, 2)),
            (5, 60, (true, 5)),
            // The lists stop: so may have the cloud.
            (30, 3, (false, 6)),
            // A heartbeat cannot wait longer than its kubelet does.
            (30, 60, (false, 6)),
            (7, 60, (false, 6)),
        ] {
            assert_eq!(waited(seconds, listing).await, expected, "{seconds} {listing}");
        }
    }
}
