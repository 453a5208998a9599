//! How long to wait for the other end of a link, by how long a round trip on it takes. Pure.
//!
//! The aim is two-sided (decision 0013): on a common link (round trips up to 100 ms) silence is noticed within five
//! seconds; on a link over a satellite with a round trip of 1.2 s and a packet in ten lost, nothing is ever concluded
//! from one lost packet, and a connection that loses two while it is made still comes about.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Round trips longer than this get no more patience.
const LONGEST: Duration = Duration::from_secs(2);
/// Assumed while nothing has been measured.
const ASSUMED: Duration = Duration::from_secs(1);

/// Time limits on one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    round_trip: Duration,
}

impl Patience {
    /// For a link with this round trip; `None` where it is not known.
    pub(super) fn of(round_trip: Option<Duration>) -> Self {
        Self {
            round_trip: round_trip.unwrap_or(ASSUMED).min(LONGEST),
        }
    }

    /// The round trip that it is for.
    pub(super) fn round_trip(self) -> Duration {
        self.round_trip
    }

    /// For a TCP connection to be there: the kernel repeats its first segment after 1 s and 3 s.
    pub(super) fn connect(self) -> Duration {
        Duration::from_secs(3) + 2 * self.round_trip
    }

    /// For the TLS handshake on it. One round trip; a lost segment is repeated after three, the next after six more.
    pub(super) fn handshake(self) -> Duration {
        Duration::from_secs(5) + 6 * self.round_trip
    }

    /// For the answer to a question that costs the apiserver nothing.
    pub(super) fn answer(self) -> Duration {
        Duration::from_secs(3) + 6 * self.round_trip
    }

    /// For an acknowledgement, before the other end counts as silent. The kernel asks once a second: up to 100 ms that
    /// is the second question unanswered, at 1.2 s the fourth.
    pub(super) fn acknowledgement(self) -> Duration {
        Duration::from_secs(1) + (3 * self.round_trip).max(Duration::from_millis(300))
    }

    /// For doubt: a fresh connection and one answer on it take three round trips.
    pub(super) fn doubt(self) -> Duration {
        (6 * self.round_trip).max(Duration::from_millis(1200))
    }
}

/// The round trip of a link, as connections over it have measured it.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<Option<Duration>>);

impl Pace {
    /// Takes in the round trip that a fresh connection saw: as the kernel measured it, and as long as the TLS handshake
    /// took. The latter counts where something on the way acknowledges on behalf of the other end.
    pub(super) fn measured(&self, kernel: Duration, handshake: Duration) -> Patience {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = smooth(*known, kernel.max(handshake.min(LONGEST)));
        *known = Some(next);
        Patience::of(Some(next))
    }

    pub(super) fn patience(&self) -> Patience {
        Patience::of(*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Rises by halves and falls by quarters: one handshake that lost a packet is not the link.
fn smooth(known: Option<Duration>, seen: Duration) -> Duration {
    let Some(known) = known else { return seen };
    let (rise, fall) = (seen.saturating_sub(known), known.saturating_sub(seen));
    known.saturating_sub(fall / 4) + rise / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn on_common_links_silence_is_decided_within_five_seconds() {
        for round_trip in [0, 30, 100] {
            let patience = Patience::of(Some(millis(round_trip)));
            let idle = millis(2000);
            let looked_at = millis(250);
            let away = idle + patience.acknowledgement() + looked_at + patience.doubt();
            assert!(away <= millis(5000), "{round_trip} ms: {away:?}");
        }
    }

    #[test]
    fn slow_links_get_time_for_lost_packets_and_no_link_gets_it_without_end() {
        let satellite = Patience::of(Some(millis(1200)));
        // Three questions, a second apart, are out and could have been answered before the fourth decides.
        assert!(satellite.acknowledgement() >= millis(3000 + 1200));
        // Two lost first segments: sent at 0, 1 and 3 s.
        assert!(satellite.connect() >= millis(3000 + 1200));
        // Two lost segments, repeated after 3.6 and 7.2 s (RFC 6298: the first round trip, and four times its half).
        assert!(satellite.handshake() >= millis(3600 + 7200 + 1200));
        assert!(satellite.doubt() >= millis(3 * 1200 + 3000));
        let endless = Patience::of(Some(Duration::from_mins(1)));
        assert!(endless.connect() <= millis(7000) && endless.doubt() <= millis(12_000));
    }

    #[test]
    fn one_slow_handshake_does_not_make_a_slow_link() {
        let pace = Pace::default();
        assert_eq!(pace.patience().round_trip(), ASSUMED);
        pace.measured(millis(20), millis(30));
        assert_eq!(pace.patience().round_trip(), millis(30));
        let slow = pace.measured(millis(20), millis(1030)).round_trip();
        assert_eq!(slow, millis(530));
        let mut last = slow;
        for _ in 0..10 {
            last = pace.measured(millis(20), millis(30)).round_trip();
        }
        assert!(last < millis(60), "{last:?}");
    }
}
