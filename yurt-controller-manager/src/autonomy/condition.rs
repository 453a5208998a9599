//! What the condition `NodeAutonomy` of a Node says (pure).

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
    /// The node is silent, and its pods stay.
    Silent,
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
    const ALL: [Self; 7] = [
        Self::ForEver,
        Self::ForDuration,
        Self::Silent,
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
            Self::Silent => "Silent",
            Self::DurationOver => "DurationOver",
            Self::InvalidDuration => "InvalidDuration",
            Self::PeersSeeItAlive => "PeersSeeItAlive",
            Self::PoolIsCut => "PoolIsCut",
        }
    }

    /// The condition's status.
    pub fn status(self) -> &'static str {
        match self {
            Self::ForEver | Self::ForDuration | Self::Silent | Self::PeersSeeItAlive | Self::PoolIsCut => {
                "True"
            }
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
    match (span, silent_since) {
        (Span::ForEver, None) => (
            Reason::ForEver,
            format!("pods stay however long this node is silent, by {asked_by}"),
            None,
        ),
        (Span::Seconds(_), None) => (
            Reason::ForDuration,
            format!("pods stay {span} after this node has fallen silent, by {asked_by}"),
            None,
        ),
        (Span::ForEver, Some(since)) => (
            Reason::Silent,
            format!("silent since {since}; pods stay, by {asked_by}"),
            None,
        ),
        (Span::Seconds(seconds), Some(since)) => {
            let end = since
                .as_second()
                .saturating_add(seconds.try_into().unwrap_or(i64::MAX));
            let left = u64::try_from(end.saturating_sub(now.as_second())).unwrap_or_default();
            if left == 0 {
                let message =
                    format!("silent since {since}, longer than {asked_by} asks for: pods are evicted");
                (Reason::DurationOver, message, None)
            } else {
                let until = Timestamp::from_second(end)
                    .map_or_else(|_| "for ever".to_owned(), |end| format!("until {end}"));
                let message = format!("silent since {since}; pods stay {until}, by {asked_by}");
                (Reason::Silent, message, Some(Duration::from_secs(left)))
            }
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
                Reason::Silent,
                "until 1970-01-01T02:16:40Z",
                Some(7190),
            ),
            (two_hours(), silent, 8200, Reason::DurationOver, "evicted", None),
            // The clock of this replica is behind the one that added the taint.
            (
                two_hours(),
                silent,
                900,
                Reason::Silent,
                "until 1970-01-01T02:16:40Z",
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
    fn the_time_is_that_of_the_status_not_of_the_reason() {
        let (first, _) = decide(&two_hours(), None, None, at(10));
        let (silent, _) = decide(&two_hours(), Some(at(50)), Some(&held(&first)), at(60));
        let (over, _) = decide(&two_hours(), Some(at(50)), Some(&held(&silent)), at(9000));
        let since = |say: &Say| held(say).last_transition_time.unwrap().as_second();
        assert_eq!((since(&first), since(&silent), since(&over)), (10, 10, 9000));
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
