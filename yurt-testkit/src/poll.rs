//! Waiting for something that others bring about, without a `sleep` that is either too short or too long.

use std::fmt::Debug;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// What a look came back with: what was waited for, or what was seen instead.
pub trait Look {
    /// What is waited for.
    type Found;

    /// `Err` describes what was seen instead.
    fn judge(self) -> Result<Self::Found, String>;
}

impl<T> Look for Option<T> {
    type Found = T;

    fn judge(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl Look for bool {
    type Found = ();

    fn judge(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("false".to_owned()) }
    }
}

impl<T, E: Debug> Look for Result<T, E> {
    type Found = T;

    fn judge(self) -> Result<T, String> {
        self.map_err(|seen| format!("{seen:?}"))
    }
}

/// Looks every 20 ms until `look` finds what is waited for. `look` may give an `Option`, a `bool`, or a `Result`
/// whose error is what it saw instead; a look that hangs is abandoned at the deadline.
///
/// # Panics
/// When `deadline` has passed: with `what`, how long, and what was seen last.
pub async fn wait_for<L: Look>(what: &str, deadline: Duration, mut look: impl AsyncFnMut() -> L) -> L::Found {
    let until = Instant::now() + deadline;
    let mut last = "no answer at all".to_owned();
    loop {
        match tokio::time::timeout_at(until, look()).await.map(Look::judge) {
            Ok(Ok(found)) => return found,
            Ok(Err(seen)) => last = seen,
            Err(_) => {}
        }
        assert!(
            Instant::now() + PAUSE < until,
            "waited {deadline:?} in vain for {what}; last seen: {last}"
        );
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_what_was_found_at_the_third_look() {
        let mut looks = 0;
        let found = wait_for("three", Duration::from_secs(5), async || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(found.await, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "in vain for a miracle; last seen: \"still water\"")]
    async fn says_what_it_waited_for_and_what_it_saw() {
        let look = async || Err::<(), _>("still water");
        wait_for("a miracle", Duration::from_millis(60), look).await;
    }

    #[tokio::test]
    #[should_panic(expected = "last seen: no answer at all")]
    async fn gives_up_on_a_look_that_hangs() {
        wait_for(
            "an answer",
            Duration::from_millis(60),
            std::future::pending::<bool>,
        )
        .await;
    }
}
