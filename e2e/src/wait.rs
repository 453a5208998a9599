//! Waiting for a condition that no event announces to us.
//!
//! Polls; it is not for time that must pass. Invariant: an error says what was waited for, how long, and what was
//! seen last.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Calls `look` every 100 ms until it returns `Ok(Some(_))`.
///
/// `Ok(None)` means not yet. So does `Err(_)`: it is the place to say what was seen instead, and never ends the
/// wait early. `look` is called at least once.
///
/// # Errors
/// When `deadline` has passed; the message holds `what` and the last observation.
pub fn wait_for<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        let seen = match look() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => "not yet".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if start.elapsed() >= deadline {
            bail!(
                "waited {:.1} s for {what}; last seen: {seen}",
                start.elapsed().as_secs_f64()
            );
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn returns_the_value_as_soon_as_it_is_there() {
        let mut calls = 0;
        let value = wait_for("the second call", Duration::from_secs(5), || {
            calls += 1;
            Ok((calls == 2).then_some("value"))
        });
        assert_eq!(value.unwrap(), "value");
        assert_eq!(calls, 2);
    }

    #[test]
    fn the_error_names_the_wish_and_the_last_observation() {
        let error =
            wait_for::<()>("a miracle", Duration::ZERO, || Err(anyhow!("phase is Pending"))).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("a miracle") && text.contains("phase is Pending"),
            "{text}"
        );
    }
}
