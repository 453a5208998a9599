//! What is done with a decision of the cloud that is known already. Pure: time is an argument.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

/// How long an answer stands while the cloud is there: the defaults of the apiserver for its own webhook authorizers
/// (`--authorization-webhook-cache-authorized-ttl`, `…-unauthorized-ttl`).
const ALLOWED_FOR: u64 = 300;
const DENIED_FOR: u64 = 30;
/// After this time an unchanged answer is written again, so that a restart during an outage finds a recent one.
const WORN_AFTER: u64 = 3600;

/// What the cloud said, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Seconds since 1970.
    pub at: u64,
}

/// Whether an account may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It may.
    Allowed,
    /// It may not.
    Denied,
    /// The cloud is away or does not decide, and has not allowed it, or too long ago.
    Unknown,
}

/// What to do with what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Answer.
    Answer(Access),
    /// Ask the cloud.
    Ask,
}

impl Decision {
    pub(super) fn access(self) -> Access {
        if self.allowed {
            Access::Allowed
        } else {
            Access::Denied
        }
    }

    /// Whether it is so old that the same answer is worth writing again. A clock that was set back makes it so, too.
    pub(super) fn is_worn(self, now: u64) -> bool {
        now.abs_diff(self.at) > WORN_AFTER
    }

    pub(super) fn encode(self) -> Bytes {
        let mut value = BytesMut::with_capacity(9);
        value.put_u8(u8::from(self.allowed));
        value.put_u64(self.at);
        value.freeze()
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let (allowed, at) = value.split_first()?;
        Some(Self {
            allowed: *allowed == 1,
            at: u64::from_be_bytes(at.try_into().ok()?),
        })
    }
}

/// `away`: for how long the cloud has been away, if it is. `memory`: how long into an outage an allowance lasts.
///
/// The age of a decision counts only while the cloud could have taken it back: during an outage the time of the
/// outage is what counts, so that a clock that is wrong takes nothing away.
pub(super) fn next_step(known: Option<Decision>, now: u64, away: Option<Duration>, memory: Duration) -> Step {
    let Some(known) = known else {
        return away.map_or(Step::Ask, |_| Step::Answer(Access::Unknown));
    };
    let Some(away) = away else {
        let lasts = if known.allowed { ALLOWED_FOR } else { DENIED_FOR };
        return if now.abs_diff(known.at) < lasts {
            Step::Answer(known.access())
        } else {
            Step::Ask
        };
    };
    Step::Answer(if known.allowed && away > memory {
        Access::Unknown
    } else {
        known.access()
    })
}

/// What stands where the cloud is there, and does not decide: for as long as an outage may last, an allowance; a refusal
/// until it is taken back. A clock that was set by more than that ends it, too.
pub(super) fn without_review(known: Option<Decision>, now: u64, memory: Duration) -> Access {
    match known {
        Some(known) if known.allowed && now.abs_diff(known.at) > memory.as_secs() => Access::Unknown,
        Some(known) => known.access(),
        None => Access::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn decided(allowed: bool, at: u64) -> Decision {
        Decision { allowed, at }
    }

    #[test]
    fn an_answer_stands_for_minutes_while_the_cloud_is_there() {
        for (known, now, expected) in [
            (None, 0, Step::Ask),
            (Some(decided(true, 1000)), 1299, Step::Answer(Access::Allowed)),
            (Some(decided(true, 1000)), 1300, Step::Ask),
            (Some(decided(false, 1000)), 1029, Step::Answer(Access::Denied)),
            (Some(decided(false, 1000)), 1030, Step::Ask),
            (Some(decided(true, 40_000_000)), 1000, Step::Ask), // the clock was set back by a year
        ] {
            assert_eq!(next_step(known, now, None, DAY), expected, "{known:?} {now}");
        }
    }

    #[test]
    fn an_allowance_lasts_for_an_outage_but_not_for_ever() {
        let hour = Duration::from_hours(1);
        for (known, away, expected) in [
            (None, hour, Access::Unknown),
            (Some(decided(true, 1000)), hour, Access::Allowed),
            (Some(decided(true, u64::MAX)), hour, Access::Allowed),
            (Some(decided(false, 1000)), hour, Access::Denied),
            (Some(decided(true, 1000)), DAY + hour, Access::Unknown),
        ] {
            let step = next_step(known, 90_000_000, Some(away), DAY);
            assert_eq!(step, Step::Answer(expected), "{known:?} {away:?}");
        }
    }

    #[test]
    fn an_allowance_does_not_outlast_its_time_where_the_cloud_answers_and_decides_nothing() {
        let (at, day) = (90_000_000, DAY.as_secs());
        for (known, now, expected) in [
            (None, at, Access::Unknown),
            (Some(decided(true, at)), at + 300, Access::Allowed),
            (Some(decided(true, at)), at + day, Access::Allowed),
            (Some(decided(true, at)), at + day + 1, Access::Unknown),
            (Some(decided(true, at)), at - day - 1, Access::Unknown), // the clock was set back
            (Some(decided(false, at)), at + 300, Access::Denied),
            (Some(decided(false, at)), at + day + 1, Access::Denied),
        ] {
            assert_eq!(without_review(known, now, DAY), expected, "{known:?} {now}");
        }
    }

    #[test]
    fn decisions_survive_a_round_trip() {
        let decision = Decision { allowed: true, at: 7 };
        assert_eq!(Decision::decode(&decision.encode()), Some(decision));
        assert_eq!(Decision::decode(b"\x01"), None);
        assert_eq!(Decision::decode(b""), None);
    }
}
