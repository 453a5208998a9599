//! Looks for one apiserver: at once when in doubt, every second while the cloud is away, and seldom while another one is
//! used.
//!
//! A packet that was lost just before the link came back would hold an attempt for seconds (TCP doubles its
//! retransmission time), so while the cloud is away a new attempt starts at every interval beside the old ones, a
//! few at a time; the first that succeeds ends the outage. An attempt is given up when no connection is there within
//! some seconds, so that there is always room for the next. Once the other end was reached nothing is started beside that
//! for a moment: handshakes side by side would hold each other up on a thin link, for as long as new ones come.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Errand, Monitor, ServerId};

/// Attempts that may be under way at a time.
const PARALLEL_ATTEMPTS: usize = 8;

/// Between the first attempts at one server and the next: the preferred one is the first to answer where it can.
const STAGGER: Duration = Duration::from_millis(300);
/// The last servers of many start together.
const LONGEST_STAGGER: Duration = Duration::from_secs(3);

/// Runs until cancelled. `attempt` makes one fresh connection to `server` and tells the monitor how that went;
/// `is_greeting` says whether the server was reached in this moment, and the rest may still be on its way.
pub async fn run<F, A, G>(
    monitor: Arc<Monitor>,
    server: ServerId,
    interval: Duration,
    (attempt, is_greeting): (F, G),
) where
    F: Fn() -> A,
    A: Future<Output = ()> + Send + 'static,
    G: Fn() -> bool,
{
    let stagger = (STAGGER * server.place() as u32).min(LONGEST_STAGGER);
    let mut attempts = JoinSet::new();
    let mut next_attempt = None;
    let mut news = monitor.news();
    loop {
        news.mark_unchanged();
        let now = Instant::now();
        let deadline = monitor.tick(now);
        let wake = match monitor.errand(server) {
            Errand::Seek => {
                let due = next_attempt.unwrap_or(now + stagger);
                next_attempt = Some(due);
                if now >= due && attempts.len() < PARALLEL_ATTEMPTS {
                    if attempts.is_empty() || !is_greeting() {
                        attempts.spawn(attempt());
                    }
                    // A fleet that lost the same cloud must not knock in step.
                    next_attempt = Some(now + interval.mul_f64(0.75 + 0.5 * fastrand::f64()));
                }
                next_attempt
            }
            errand => {
                if next_attempt.take().is_some() {
                    attempts.abort_all();
                }
                match errand {
                    Errand::Check(due) if now >= due && attempts.is_empty() => {
                        attempts.spawn(attempt());
                        None
                    }
                    Errand::Check(due) => Some(due),
                    _ => None,
                }
            }
        };
        let wake = wake.map(|wake| wake.max(now + Duration::from_millis(1)));
        let wake = [wake, deadline].into_iter().flatten().min();
        tokio::select! {
            _ = news.changed() => {}
            Some(_) = attempts.join_next() => {}
            () = sleep_until(wake) => {}
        }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::health::{Evidence, Origin, Patience, Phase};

    #[tokio::test(start_paused = true)]
    async fn attempts_go_on_beside_one_that_hangs_until_one_succeeds() {
        let second = Duration::from_secs(1);
        let monitor = Arc::new(Monitor::new(
            Patience {
                first_verdict: second,
                doubt: second,
            },
            None,
        ));
        let server = monitor.add(Origin::Configured, false);
        let made = Arc::new(AtomicUsize::new(0));
        let (probe_monitor, probe_made) = (Arc::clone(&monitor), Arc::clone(&made));
        let attempt = move || {
            let (monitor, number) = (
                Arc::clone(&probe_monitor),
                probe_made.fetch_add(1, Ordering::Relaxed),
            );
            async move {
                match number {
                    0 => std::future::pending().await,
                    1 => drop(monitor.attempted(server, Evidence::ConnectFailed)),
                    _ => drop(monitor.attempted(server, Evidence::Answer)),
                }
            }
        };
        let prober = tokio::spawn(run(Arc::clone(&monitor), server, second, (attempt, || false)));
        let mut states = monitor.subscribe();
        states.wait_for(|state| state.phase == Phase::Down).await.unwrap();
        let down = Instant::now();
        states.wait_for(|state| state.phase == Phase::Up).await.unwrap();
        assert!(down.elapsed() < 2 * second + second / 2, "{:?}", down.elapsed());
        assert_eq!(made.load(Ordering::Relaxed), 3);
        prober.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_reached_is_left_alone_for_a_moment() {
        let second = Duration::from_secs(1);
        let monitor = Arc::new(Monitor::new(
            Patience {
                first_verdict: second,
                doubt: second,
            },
            None,
        ));
        let server = monitor.add(Origin::Configured, false);
        let made = Arc::new(AtomicUsize::new(0));
        let (attempts, start) = (Arc::clone(&made), Instant::now());
        let attempt = move || {
            attempts.fetch_add(1, Ordering::Relaxed);
            std::future::pending()
        };
        let is_greeting = move || start.elapsed() < 5 * second;
        let prober = tokio::spawn(run(Arc::clone(&monitor), server, second, (attempt, is_greeting)));
        tokio::time::sleep(4 * second).await;
        assert_eq!(made.load(Ordering::Relaxed), 1);
        tokio::time::sleep(3 * second).await;
        assert!(made.load(Ordering::Relaxed) > 1);
        prober.abort();
    }
}
