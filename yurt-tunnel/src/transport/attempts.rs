//! Attempts at one server: while nothing at all is heard, a fresh one follows every second or so.
//!
//! What QUIC and TCP send again by themselves comes in intervals that double; a network that has come back would be noticed
//! late. Older attempts go on beside fresh ones, so that a long way does not matter.

use std::future::Future;
use std::io;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// From one attempt to the next, on average.
const AFRESH: Duration = Duration::from_millis(900);
/// Nothing heard for so long: another address may do.
pub const UNHEARD: Duration = Duration::from_secs(4);

/// How an attempt tells that the other end has answered something.
#[derive(Debug, Clone)]
pub struct Heard(watch::Sender<bool>);

impl Heard {
    /// It has.
    pub fn now(&self) {
        self.0.send_replace(true);
    }
}

/// Who was met at the other end by an attempt that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// Nobody, as far as is known: no packet came back.
    Nobody,
    /// A machine where nobody listens.
    ClosedPort,
    /// A server that would not have us.
    Server,
}

impl Met {
    /// By the error of an attempt (pure).
    pub fn by(error: &io::Error) -> Self {
        use io::ErrorKind::{
            AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkDown, NetworkUnreachable, NotFound,
            TimedOut,
        };
        match error.kind() {
            AddrNotAvailable | HostUnreachable | NetworkDown | NetworkUnreachable | NotFound | TimedOut => {
                Self::Nobody
            }
            ConnectionRefused => Self::ClosedPort,
            _ => Self::Server,
        }
    }
}

/// Until one attempt succeeds, or one fails after it was answered, or as many fail as there are `ways`. `attempt` gets its
/// number.
pub async fn afresh<T, F>(ways: usize, mut attempt: impl FnMut(usize, Heard) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let (sender, mut heard) = watch::channel(false);
    let told = Heard(sender);
    let end = Instant::now() + UNHEARD;
    let (mut running, mut begun, mut failed) = (FuturesUnordered::new(), 0, 0);
    let mut next = Instant::now();
    loop {
        let silent = !*heard.borrow_and_update();
        tokio::select! {
            Some(outcome) = running.next() => match outcome {
                Err(error) if Met::by(&error) == Met::Nobody => {
                    failed += 1;
                    if failed >= ways.max(1) {
                        return Err(error);
                    }
                    // What fails at once is no reason to wait.
                    next = Instant::now();
                }
                outcome => return outcome,
            },
            () = sleep_until(next), if silent => {
                running.push(attempt(begun, told.clone()));
                begun += 1;
                next = Instant::now() + AFRESH.mul_f64(fastrand::f64().mul_add(0.4, 0.8));
            }
            () = sleep_until(end), if silent => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing was heard of it"));
            }
            _ = heard.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn while_nothing_is_heard_a_fresh_attempt_comes_every_second_and_older_ones_go_on() {
        let begun = AtomicUsize::new(0);
        let outcome: io::Result<()> = afresh(1, |_, _| async {
            begun.fetch_add(1, Ordering::Relaxed);
            std::future::pending().await
        })
        .await;
        assert_eq!(Met::by(&outcome.unwrap_err()), Met::Nobody);
        assert!((4..=6).contains(&begun.load(Ordering::Relaxed)), "{begun:?}");
        // The first one is answered after three seconds.
        let slow = afresh(1, |number, _| async move {
            sleep(Duration::from_secs(3)).await;
            Ok(number)
        });
        assert_eq!(slow.await.unwrap(), 0);
        // The network comes back after two and a half seconds.
        let since = Instant::now();
        let back = afresh(1, |number, _| async move {
            if since.elapsed() < Duration::from_millis(2500) {
                std::future::pending::<()>().await;
            }
            Ok(number)
        });
        back.await.unwrap();
        assert!(
            since.elapsed() < Duration::from_millis(3700),
            "{:?}",
            since.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_is_answered_has_time_and_a_refusal_ends_all() {
        let begun = AtomicUsize::new(0);
        let answered = afresh(1, |_, heard| {
            begun.fetch_add(1, Ordering::Relaxed);
            async move {
                heard.now();
                sleep(Duration::from_secs(8)).await;
                Ok(())
            }
        });
        answered.await.unwrap();
        assert_eq!(begun.load(Ordering::Relaxed), 1);
        let refused: io::Result<()> =
            afresh(4, |_, _| async { Err(io::ErrorKind::ConnectionRefused.into()) }).await;
        assert_eq!(Met::by(&refused.unwrap_err()), Met::ClosedPort);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_fails_at_once_is_followed_by_the_next_one_at_once() {
        let begun = Instant::now();
        let outcome = afresh(2, |number, _| async move {
            match number {
                0 => Err(io::ErrorKind::NetworkUnreachable.into()),
                number => Ok(number),
            }
        });
        assert_eq!(outcome.await.unwrap(), 1);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let outcome: io::Result<()> =
            afresh(2, |_, _| async { Err(io::ErrorKind::NetworkUnreachable.into()) }).await;
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::NetworkUnreachable);
    }
}
