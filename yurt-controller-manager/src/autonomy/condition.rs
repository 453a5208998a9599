//! What the condition `NodeAutonomy` of a Node says (pure).
//!
//! What an operator asks for is said so that it holds before the node falls silent and while it is: when a region is cut
//! off, and the apiserver has most to do, nothing is written. That it is silent, and since when, the Node says by its
//! condition `Ready` and its taints.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
pub use yurt_common::autonomy::CONDITION as TYPE;

use super::wish::{Span, Wish};
use crate::pools::rulings::Vouch;

/// A condition of a Node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    #[serde(default)]
    pub status: String,
    /// Why, in a word.
    #[serde(default)]
    pub reason: String,
    /// Why, in a sentence.
    #[serde(default)]
    pub message: String,
    /// Since when it has this status.
    pub last_transition_time: Option<Timestamp>,
}

/// Why the condition says what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Pods stay however long the node is silent.
    ForEver,
    /// Pods stay for a while after the node has fallen silent.
    ForDuration,
    /// The node is silent for longer than was asked for: its pods are evicted.
    DurationOver,
    /// What was asked for is not understood.
    InvalidDuration,
    /// The node is silent, but its peers see it alive: its pods stay.
    PeersSeeItAlive,
    /// The node is silent, as most of its pool: its pods stay.
    PoolIsCut,
}

impl Reason {
    const ALL: [Self; 6] = [
        Self::ForEver,
        Self::ForDuration,
        Self::DurationOver,
        Self::InvalidDuration,
        Self::PeersSeeItAlive,
        Self::PoolIsCut,
    ];

    /// As the condition has it, and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ForEver => "ForEver",
            Self::ForDuration => "ForDuration",
            Self::DurationOver => "DurationOver",
            Self::InvalidDuration => "InvalidDuration",
            Self::PeersSeeItAlive => "PeersSeeItAlive",
            Self::PoolIsCut => "PoolIsCut",
        }
    }

    /// The condition's status.
    pub fn status(self) -> &'static str {
        match self {
            Self::ForEver | Self::ForDuration | Self::PeersSeeItAlive | Self::PoolIsCut => "True",
            Self::DurationOver => "False",
            Self::InvalidDuration => "Unknown",
        }
    }
}

/// What the condition shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Say {
    /// It is as it shall be.
    Nothing,
    /// It goes: the node asks for nothing any more, or others need not vouch for it any more.
    Remove {
        /// Whether others did.
        vouched: bool,
    },
    /// It says this.
    Set {
        /// Why.
        reason: Reason,
        /// In a sentence.
        message: String,
        /// Since when it has this status.
        since: Timestamp,
    },
}

/// What the condition shall be, and after how long it will have to be another one by itself.
pub fn decide(
    wish: &Wish,
    silent_since: Option<Timestamp>,
    held: Option<&Condition>,
    now: Timestamp,
) -> (Say, Option<Duration>) {
    let (reason, message, after) = match wish {
        Wish::Nothing => {
            // Another one's condition (OpenYurt's yurthub writes one) is not ours to remove.
            let ours = |held: &Condition| Reason::ALL.into_iter().find(|one| one.as_str() == held.reason);
            let say = held.and_then(ours).map_or(Say::Nothing, |reason| Say::Remove {
                vouched: matches!(reason, Reason::PeersSeeItAlive | Reason::PoolIsCut),
            });
            return (say, None);
        }
        Wish::Unclear { text, why } => (
            Reason::InvalidDuration,
            format!(
                "{text:?} is no duration, as {why}; pods are left as they are; write for example 2h30m, or 0 for ever"
            ),
            None,
        ),
        Wish::Stay(span, asked_by) => stay(*span, asked_by, silent_since, now),
        Wish::Vouched(Vouch::Alive, words) => (Reason::PeersSeeItAlive, words.to_string(), None),
        Wish::Vouched(Vouch::Cut, words) => (Reason::PoolIsCut, words.to_string(), None),
    };
    let same = held.is_some_and(|held| {
        held.status == reason.status() && held.reason == reason.as_str() && held.message == message
    });
    if same {
        return (Say::Nothing, after);
    }
    let transition = held.filter(|held| held.status == reason.status());
    let since = transition
        .and_then(|held| held.last_transition_time)
        .unwrap_or(now);
    let say = Say::Set {
        reason,
        message,
        since,
    };
    (say, after)
}

fn stay(
    span: Span,
    asked_by: &str,
    silent_since: Option<Timestamp>,
    now: Timestamp,
) -> (Reason, String, Option<Duration>) {
    let Span::Seconds(seconds) = span else {
        let message = format!("pods stay however long this node is silent, by {asked_by}");
        return (Reason::ForEver, message, None);
    };
    let left = silent_since.map(|since| {
        let end = since
            .as_second()
            .saturating_add(seconds.try_into().unwrap_or(i64::MAX));
        let left = u64::try_from(end.saturating_sub(now.as_second())).unwrap_or_default();
        (since, left)
    });
    match left {
        Some((since, 0)) => {
            let message = format!("silent since {since}, longer than {asked_by} asks for: pods are evicted");
            (Reason::DurationOver, message, None)
        }
        running => {
            let message = format!("pods stay {span} after this node has fallen silent, by {asked_by}");
            let after = running.map(|(_, left)| Duration::from_secs(left));
            (Reason::ForDuration, message, after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::go_duration::NoDuration;
    use super::super::wish::{AUTONOMY, DURATION};
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn two_hours() -> Wish {
        Wish::Stay(Span::Seconds(7200), DURATION)
    }

    fn held(say: &Say) -> Condition {
        let Say::Set {
            reason,
            message,
            since,
        } = say
        else {
            panic!("{say:?}");
        };
        Condition {
            kind: TYPE.to_owned(),
            status: reason.status().to_owned(),
            reason: reason.as_str().to_owned(),
            message: message.clone(),
            last_transition_time: Some(*since),
        }
    }

    #[test]
    fn it_says_what_holds_and_why() {
        let silent = Some(at(1000));
        for (wish, silent, now, reason, part, after) in [
            (
                Wish::Stay(Span::ForEver, AUTONOMY),
                None,
                0,
                Reason::ForEver,
                AUTONOMY,
                None,
            ),
            (two_hours(), None, 0, Reason::ForDuration, "for 2h0m0s", None),
            (
                two_hours(),
                silent,
                1010,
                Reason::ForDuration,
                "for 2h0m0s",
                Some(7190),
            ),
            (two_hours(), silent, 8200, Reason::DurationOver, "evicted", None),
            // The clock of this replica is behind the one that added the taint.
            (
                two_hours(),
                silent,
                900,
                Reason::ForDuration,
                "for 2h0m0s",
                Some(7300),
            ),
            (
                Wish::Unclear {
                    text: "soon".to_owned(),
                    why: NoDuration::Number,
                },
                silent,
                0,
                Reason::InvalidDuration,
                "soon",
                None,
            ),
        ] {
            let (say, left) = decide(&wish, silent, None, at(now));
            let condition = held(&say);
            assert_eq!(condition.reason, reason.as_str());
            assert!(condition.message.contains(part), "{condition:?}");
            assert_eq!(left, after.map(Duration::from_secs));
            // Said once.
            let (again, left) = decide(&wish, silent, Some(&condition), at(now + 1));
            assert!(again == Say::Nothing || left == Some(Duration::ZERO), "{again:?}");
        }
    }

    #[test]
    fn nothing_is_written_when_a_node_falls_silent_or_comes_back_in_time() {
        for wish in [two_hours(), Wish::Stay(Span::ForEver, AUTONOMY)] {
            let (before, _) = decide(&wish, None, None, at(0));
            let said = held(&before);
            for (silent, now) in [(Some(at(1000)), 1000), (Some(at(1000)), 8199), (None, 8200)] {
                let (say, _) = decide(&wish, silent, Some(&said), at(now));
                assert_eq!(say, Say::Nothing, "{wish:?} {now}");
            }
        }
    }

    #[test]
    fn the_time_is_that_of_the_status_not_of_the_reason() {
        let (first, _) = decide(&two_hours(), None, None, at(10));
        let forever = Wish::Stay(Span::ForEver, AUTONOMY);
        let (other, _) = decide(&forever, Some(at(50)), Some(&held(&first)), at(60));
        let (over, _) = decide(&two_hours(), Some(at(50)), Some(&held(&other)), at(9000));
        let since = |say: &Say| held(say).last_transition_time.unwrap().as_second();
        assert_eq!((since(&first), since(&other), since(&over)), (10, 10, 9000));
    }

    #[test]
    fn it_goes_with_the_wish_where_it_is_ours() {
        let (ours, _) = decide(&two_hours(), None, None, at(10));
        assert_eq!(
            decide(&Wish::Nothing, None, Some(&held(&ours)), at(20)).0,
            Say::Remove { vouched: false }
        );
        let vouched = Wish::Vouched(Vouch::Cut, "the pool is cut".into());
        let (ours, _) = decide(&vouched, Some(at(5)), None, at(10));
        assert_eq!(held(&ours).reason, "PoolIsCut");
        assert_eq!(
            decide(&Wish::Nothing, None, Some(&held(&ours)), at(20)).0,
            Say::Remove { vouched: true }
        );
        let mut other = held(&ours);
        other.reason = "AutonomyStatus".to_owned();
        assert_eq!(decide(&Wish::Nothing, None, Some(&other), at(20)).0, Say::Nothing);
        assert_eq!(decide(&Wish::Nothing, None, None, at(20)).0, Say::Nothing);
    }
}
