//! How long to wait before the next attempt: anything up to a ceiling that doubles (full jitter), so that nodes which were
//! cut off together do not come back together. Only a server that answers is spared so: what reaches nobody burdens nobody.

use std::time::Duration;

use crate::transport::attempts::Met;

/// The first ceiling.
const FIRST: Duration = Duration::from_millis(200);
/// The ceiling where nobody has answered: the attempt itself took its time, and a network that is back is noticed soon.
const UNHEARD: Duration = Duration::from_millis(250);
/// The ceiling where a port is closed: a server that is started anew is back within seconds.
const CLOSED: Duration = Duration::from_secs(1);
/// It holds for so many failures, half a minute; then nobody is started anew there, and packets cost somebody money.
const SOON_BACK: u32 = 60;
/// The last one.
pub const LAST: Duration = Duration::from_secs(15);

/// Counts failures.
#[derive(Debug, Default, Clone, Copy)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait after one more attempt that has failed; `chance` is from 0 to 1.
    pub fn after(&mut self, met: Met, chance: f64) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.failures.min(10)).min(LAST);
        let ceiling = match met {
            Met::Nobody => UNHEARD,
            Met::ClosedPort if self.failures < SOON_BACK => doubled.min(CLOSED),
            Met::ClosedPort | Met::Server => doubled,
        };
        if met != Met::Nobody {
            self.failures = self.failures.saturating_add(1);
        }
        ceiling.mul_f64(chance.clamp(0.0, 1.0))
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
        let waits: Vec<_> = (0..9)
            .map(|_| backoff.after(Met::Server, 1.0).as_millis())
            .collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000]);
        assert_eq!(backoff.after(Met::Server, 0.0), Duration::ZERO);
        assert_eq!(backoff.after(Met::Server, 0.5), LAST / 2);
        assert_eq!(backoff.after(Met::Nobody, 1.0), UNHEARD);
        backoff.reset();
        assert_eq!(backoff.after(Met::Server, 1.0), FIRST);
    }

    #[test]
    fn a_closed_port_is_tried_every_second_for_a_while() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..=SOON_BACK)
            .map(|_| backoff.after(Met::ClosedPort, 1.0))
            .collect();
        assert_eq!(waits[..2], [FIRST, FIRST * 2]);
        assert!(waits[3..SOON_BACK as usize].iter().all(|wait| *wait == CLOSED));
        assert_eq!(waits.last(), Some(&LAST));
    }
}
