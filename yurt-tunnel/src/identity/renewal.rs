//! When another certificate is due (pure).
//!
//! At 70 to 80 % of the life of the present one, as a kubelet does
//! (kubernetes/staging/src/k8s.io/client-go/util/certificate/certificate_manager.go): the rest is for a cloud that is away.

use std::time::{Duration, SystemTime};

use yurt_common::node_certificates::BACKDATED;

/// The life of a certificate, and where in it the next one is due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Term {
    /// Its beginning.
    pub not_before: SystemTime,
    /// Its end.
    pub not_after: SystemTime,
    /// 0 to 1: where in the time for renewals, so that nodes which began together do not ask together.
    pub chance: f64,
}

impl Term {
    /// When the next one is due.
    fn due(&self) -> SystemTime {
        // It was signed later than it begins, for clocks that are late.
        let signed = Some(self.not_before + BACKDATED).filter(|signed| *signed < self.not_after);
        let begin = signed.unwrap_or(self.not_before);
        let life = self.not_after.duration_since(begin).unwrap_or_default();
        begin + life.mul_f64(0.7 + 0.1 * self.chance.clamp(0.0, 1.0))
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Ask now.
    Now(Why),
    /// Look again then.
    At(SystemTime),
}

/// Why another certificate is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// There is none.
    First,
    /// The present one ends soon, or has ended.
    Due,
    /// Who signed it is trusted no more.
    Distrusted,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::First => "there is none yet",
            Self::Due => "the present one ends soon",
            Self::Distrusted => "who signed the present one is trusted no more",
        })
    }
}

/// What is to be done, with this certificate, and whether who signed it is trusted. A shortest pause between two requests is
/// up to the caller.
pub fn next(held: Option<(Term, bool)>, now: SystemTime) -> Next {
    let Some((term, trusted)) = held else {
        return Next::Now(Why::First);
    };
    if !trusted {
        return Next::Now(Why::Distrusted);
    }
    let due = term.due();
    if now >= due {
        return Next::Now(Why::Due);
    }
    // One that begins later, by a clock that was set back: it is as good as any, but its end is far.
    Next::At(due.min(now + Duration::from_hours(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(hours: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(500_000) + hours * HOUR
    }

    fn term(chance: f64) -> Term {
        Term {
            not_before: at(0) - BACKDATED,
            not_after: at(100),
            chance,
        }
    }

    #[test]
    fn the_next_one_is_asked_for_at_70_to_80_percent_of_its_life() {
        for (chance, hours) in [(0.0, 70), (0.5, 75), (1.0, 80), (7.0, 80)] {
            let held = Some((term(chance), true));
            let second = Duration::from_secs(1);
            assert!(matches!(next(held, at(hours) - second), Next::At(_)), "{chance}");
            assert_eq!(next(held, at(hours) + second), Next::Now(Why::Due), "{chance}");
            assert_eq!(next(held, at(1000)), Next::Now(Why::Due), "{chance}");
        }
        assert_eq!(next(Some((term(0.0), true)), at(69)), Next::At(at(70)));
        assert_eq!(next(None, at(0)), Next::Now(Why::First));
    }

    #[test]
    fn who_is_trusted_no_more_is_not_waited_out() {
        assert_eq!(next(Some((term(0.0), false)), at(0)), Next::Now(Why::Distrusted));
    }

    #[test]
    fn what_lives_for_seconds_is_not_due_at_once() {
        let short = Term {
            not_before: at(10) - BACKDATED,
            not_after: at(10) + Duration::from_secs(12),
            chance: 0.0,
        };
        assert!(matches!(next(Some((short, true)), at(10)), Next::At(_)));
        let later = at(10) + Duration::from_secs(9);
        assert_eq!(next(Some((short, true)), later), Next::Now(Why::Due));
    }

    #[test]
    fn a_clock_that_was_set_back_is_looked_at_again_within_an_hour() {
        assert_eq!(
            next(Some((term(0.0), true)), at(0) - 90 * HOUR),
            Next::At(at(0) - 89 * HOUR)
        );
        let never = Term {
            not_before: at(2),
            not_after: at(1),
            chance: 0.0,
        };
        assert_eq!(next(Some((never, true)), at(3)), Next::Now(Why::Due));
    }
}
