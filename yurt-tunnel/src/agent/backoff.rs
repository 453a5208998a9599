//! How long to wait before the next attempt: anything up to a ceiling that doubles (full jitter), so that nodes which were
//! cut off together do not come back together. Only who answers is spared so: what reaches nobody burdens nobody.

use std::time::Duration;

/// The first ceiling.
const FIRST: Duration = Duration::from_millis(200);
/// The ceiling where nobody has answered: the attempt itself took its time, and a network that is back is noticed soon.
const UNHEARD: Duration = Duration::from_millis(250);
/// The last one.
pub const LAST: Duration = Duration::from_secs(15);

/// Counts failures.
#[derive(Debug, Default, Clone, Copy)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait after one more failure; `chance` is from 0 to 1.
    pub fn next(&mut self, chance: f64) -> Duration {
        let ceiling = FIRST.saturating_mul(1 << self.failures.min(10)).min(LAST);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(chance.clamp(0.0, 1.0))
    }

    /// How long to wait after an attempt that somebody has `answered`, or nobody.
    pub fn after(&mut self, answered: bool, chance: f64) -> Duration {
        if answered {
            return self.next(chance);
        }
        UNHEARD.mul_f64(chance.clamp(0.0, 1.0))
    }

    /// It has worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_last_one() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..9).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000]);
        assert_eq!(backoff.next(0.0), Duration::ZERO);
        for _ in 0..100 {
            assert!(backoff.next(0.5) <= LAST);
        }
        assert_eq!(backoff.after(true, 1.0), LAST);
        assert_eq!(backoff.after(false, 1.0), UNHEARD);
        backoff.reset();
        assert_eq!(backoff.next(1.0), FIRST);
    }
}
