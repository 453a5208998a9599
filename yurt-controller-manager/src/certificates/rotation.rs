//! When an authority is replaced, and by which steps (pure).
//!
//! ```text
//!            old enough, or asked for           trusted for `delay`
//!   alone ────────────────────────▶ announced ─────────────────────▶ retiring
//!     ▲   a new one is made, and trusted       it signs from now on     │
//!     └─────────────────────────────────────────────────────────────────┘
//!              all that the old one signed has ended: no longer trusted
//! ```
//!
//! Invariant: whoever signs, or has signed what is still valid, is trusted; nobody signs who was not trusted for `delay`.

use std::time::{Duration, SystemTime};

/// Times of a rotation.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// An authority that was made so long ago is replaced.
    pub replace_after: Duration,
    /// How long all servers may take to trust one that was announced, and how far their clocks may differ.
    pub delay: Duration,
    /// How long what is signed is valid, at most.
    pub lifetime: Duration,
}

/// Where a rotation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// When the authority that signs was made.
    pub made: SystemTime,
    /// Whether servers are told to trust exactly those that there are.
    pub published: bool,
    /// Authorities from before are to be replaced.
    pub replace_before: Option<SystemTime>,
    /// How far a rotation is.
    pub phase: Phase,
}

/// How far a rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// There is none.
    Alone,
    /// There is a next authority, trusted since then; `None`: not yet.
    Announced(Option<SystemTime>),
    /// There is one from before, trusted until then.
    Retiring(SystemTime),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing for so long.
    Nothing(Duration),
    /// Tell servers whom to trust.
    Publish,
    /// Make the next authority.
    Prepare,
    /// Note that the next one is trusted from now on.
    Announce,
    /// Let the next one sign; the present one is trusted until then.
    Switch(SystemTime),
    /// Trust the one from before no more.
    Drop,
}

/// The next step.
pub fn plan(state: &State, times: &Times, now: SystemTime) -> Step {
    if !state.published {
        return Step::Publish;
    }
    let until = |then: SystemTime| then.duration_since(now).unwrap_or_default();
    match state.phase {
        Phase::Announced(None) => Step::Announce,
        Phase::Announced(Some(since)) => match until(since + times.delay) {
            Duration::ZERO => Step::Switch(now + times.lifetime + times.delay),
            left => Step::Nothing(left),
        },
        Phase::Retiring(end) => match until(end) {
            Duration::ZERO => Step::Drop,
            left => Step::Nothing(left),
        },
        // A time to come would replace one after the other.
        Phase::Alone
            if state
                .replace_before
                .is_some_and(|before| state.made < before && before <= now) =>
        {
            Step::Prepare
        }
        Phase::Alone => match until(state.made + times.replace_after) {
            Duration::ZERO => Step::Prepare,
            left => Step::Nothing(left),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const MINUTE: Duration = Duration::from_mins(1);
    const TIMES: Times = Times {
        replace_after: Duration::from_hours(180 * 24),
        delay: Duration::from_mins(10),
        lifetime: DAY,
    };

    fn state(phase: Phase) -> State {
        State {
            made: SystemTime::UNIX_EPOCH,
            published: true,
            replace_before: None,
            phase,
        }
    }

    #[test]
    fn each_state_has_its_step() {
        let start = SystemTime::UNIX_EPOCH;
        let (alone, young, old) = (Phase::Alone, start + DAY, start + 180 * DAY);
        let announced = Phase::Announced(Some(old));
        let retiring = Phase::Retiring(old + DAY);
        for (phase, now, expected) in [
            (alone, young, Step::Nothing(179 * DAY)),
            (alone, old, Step::Prepare),
            (Phase::Announced(None), old, Step::Announce),
            (announced, old + 9 * MINUTE, Step::Nothing(MINUTE)),
            // The clock was set back: nothing comes early.
            (announced, old - DAY, Step::Nothing(DAY + 10 * MINUTE)),
            (
                announced,
                old + 10 * MINUTE,
                Step::Switch(old + DAY + 20 * MINUTE),
            ),
            (retiring, old + DAY - MINUTE, Step::Nothing(MINUTE)),
            (retiring, old + DAY, Step::Drop),
        ] {
            assert_eq!(plan(&state(phase), &TIMES, now), expected, "{phase:?} at {now:?}");
            let hidden = State {
                published: false,
                ..state(phase)
            };
            assert_eq!(plan(&hidden, &TIMES, now), Step::Publish, "{phase:?} at {now:?}");
        }
    }

    #[test]
    fn what_was_asked_for_is_done_once() {
        let now = SystemTime::UNIX_EPOCH + DAY;
        let asked = |made, before| {
            let asked = State {
                made,
                replace_before: Some(before),
                ..state(Phase::Alone)
            };
            plan(&asked, &TIMES, now) == Step::Prepare
        };
        assert!(asked(now - MINUTE, now));
        assert!(!asked(now, now));
        assert!(!asked(now - MINUTE, now + MINUTE), "a time to come");
    }

    /// Goes through years by its own steps, and asks at each moment whether all that is valid is trusted.
    #[test]
    fn whatever_is_valid_is_trusted_at_any_time() {
        let start = SystemTime::UNIX_EPOCH;
        let (mut now, mut at) = (start, state(Phase::Alone));
        // Authorities by number: who signs, who is known, who is trusted by all servers, and what they signed last.
        let (mut signs, mut known, mut trusted) = (0, vec![0], vec![0]);
        let mut last = vec![start];
        let mut switches = 0;
        while now < start + 1000 * DAY {
            assert!(trusted.contains(&signs), "{signs} signs at {now:?}");
            last[signs] = now;
            for (number, signed) in last.iter().enumerate() {
                let valid = *signed + TIMES.lifetime > now;
                assert!(!valid || trusted.contains(&number), "{number} at {now:?}");
            }
            match plan(&at, &TIMES, now) {
                Step::Nothing(time) => {
                    trusted.clone_from(&known);
                    now += time.min(MINUTE * 30).max(MINUTE);
                }
                Step::Publish => at.published = true,
                Step::Prepare => {
                    known.push(last.len());
                    last.push(start - TIMES.lifetime);
                    at = State {
                        phase: Phase::Announced(None),
                        published: false,
                        ..at
                    };
                }
                Step::Announce => at.phase = Phase::Announced(Some(now)),
                Step::Switch(until) => {
                    signs += 1;
                    switches += 1;
                    at = State {
                        made: now,
                        phase: Phase::Retiring(until),
                        ..at
                    };
                }
                Step::Drop => {
                    known.remove(0);
                    trusted.clone_from(&known);
                    at = State {
                        phase: Phase::Alone,
                        published: false,
                        ..at
                    };
                }
            }
        }
        assert_eq!((switches, known), (5, vec![5]));
    }
}
