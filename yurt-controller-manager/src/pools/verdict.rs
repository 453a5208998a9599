//! What is held of a silent node, and how its endpoints stand in its pool (pure).
//!
//! An operator's wish goes before what peers see, both ways. Then a quorum of peers decides; where they cannot, because the
//! pool as a whole is cut, the node is held; and where they do not agree, it is Kubernetes' own way.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;
use yurt_common::pool::Shown;

use super::ballot::{Ballot, Outcome};
use super::rulings::{Vouch, Word};
use crate::autonomy::wish::{Span, Wish};
use crate::cache::{NodeView, Readiness};

/// For so long peers may be expected to say something: a yurthub needs 4 s to call another one dead, and a node that was cut
/// together with others is marked up to 15 s before them (each renews its Lease every 10 s; all are looked at every 5 s).
pub const AWAIT: Duration = Duration::from_secs(20);
/// A silence that this replica sees for the first time, and that began longer ago, is not a new one. Minutes, because the
/// clocks of two machines are compared.
const NEW: Duration = Duration::from_mins(2);
/// A node that is back stays in its pool's silence for so long at most.
const RETURN: Duration = Duration::from_mins(2);

/// What is held of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// An operator wants its pods to stay.
    Autonomous,
    /// Its peers see it alive.
    Alive,
    /// Its peers see it dead.
    Dead,
    /// The pool is cut as a whole.
    Cut,
    /// Its peers have not said enough yet.
    Awaited,
    /// Nobody knows.
    Undecided,
    /// It is heard again; the cloud does not call all of its pods ready yet.
    Returned,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Autonomous,
        Self::Alive,
        Self::Dead,
        Self::Cut,
        Self::Awaited,
        Self::Undecided,
        Self::Returned,
    ];

    /// As metrics have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Autonomous => "autonomous",
            Self::Alive => "alive",
            Self::Dead => "dead",
            Self::Cut => "cut",
            Self::Awaited => "awaited",
            Self::Undecided => "undecided",
            Self::Returned => "returned",
        }
    }

    fn holds(self) -> bool {
        matches!(self, Self::Autonomous | Self::Alive | Self::Cut | Self::Awaited)
    }
}

/// What is remembered of a silence from one look to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// Which one.
    pub since: Timestamp,
    /// What was held.
    pub verdict: Verdict,
    /// How its endpoints were shown.
    pub endpoints: Shown,
    /// Since when its voters do not say enough.
    pub open: Option<Instant>,
    /// When the node was heard again.
    pub returned: Option<Instant>,
}

/// What follows for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// What becomes of its pods.
    pub word: Word,
    /// After how long it is another one by itself.
    pub again: Option<Duration>,
    /// What is held of it, which silence this is about, and how its endpoints stand.
    pub remember: Remembered,
}

/// When it is.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// By this replica's own clock, for times that it measures.
    pub own: Instant,
    /// By the wall clock, for times that others have written.
    pub wall: Timestamp,
}

/// Rules on a node; `marked`: whether some pod of it is marked. `None`: nothing is to be said of it.
pub fn rule(
    node: &NodeView,
    ballot: &Ballot,
    marked: bool,
    before: Option<&Remembered>,
    now: Now,
) -> Option<Ruling> {
    match node.readiness {
        Readiness::Silent(since) => {
            let before = before.filter(|before| before.since == since && before.returned.is_none());
            Some(silent((node, since), ballot, before, now))
        }
        Readiness::Ready | Readiness::NotReady => returned(node, marked, before?, now),
    }
}

fn silent(
    (node, since): (&NodeView, Timestamp),
    ballot: &Ballot,
    before: Option<&Remembered>,
    now: Now,
) -> Ruling {
    let outcome = ballot.outcome();
    // What was held goes on while those who could confirm it change: members come and go, voters come back.
    let may_wait = before.map_or_else(
        || until(since, NEW, now.wall).is_some(),
        |before| before.verdict.holds(),
    );
    let open_since = || before.and_then(|before| before.open).unwrap_or(now.own);
    let open = (outcome == Outcome::Open && may_wait).then(open_since);
    let patience = open.and_then(|open| left(AWAIT, open, now.own));
    let (verdict, again) = match (Wished::of(node, since, now.wall), outcome) {
        (Wished::Holds(left), _) => (Verdict::Autonomous, left),
        (Wished::No, Outcome::Alive) => (Verdict::Alive, None),
        (Wished::No, Outcome::Dead) => (Verdict::Dead, None),
        (Wished::No, Outcome::Cut) => (Verdict::Cut, None),
        (Wished::No, Outcome::Open) if patience.is_some() => (Verdict::Awaited, patience),
        (Wished::No, Outcome::Open | Outcome::Nobody) => (Verdict::Undecided, None),
    };
    let endpoints = match verdict {
        // Its pods stay, as was asked for; but nobody in the pool reaches them.
        Verdict::Autonomous if ballot.is_seen_dead() => Shown::AsInCloud,
        verdict if verdict.holds() => Shown::Kept,
        _ => Shown::AsInCloud,
    };
    let word = match verdict {
        _ if node.wish != Wish::Nothing => Word::Nothing,
        Verdict::Alive => Word::Hold(Vouch::Alive, seen_alive(since, &ballot.alive()).into()),
        Verdict::Cut => Word::Hold(Vouch::Cut, pool_is_cut(since).into()),
        Verdict::Awaited => Word::Wait,
        Verdict::Dead => Word::Dead(ballot.to_string().into()),
        Verdict::Autonomous | Verdict::Undecided | Verdict::Returned => Word::Nothing,
    };
    let remember = Remembered {
        since,
        verdict,
        endpoints,
        open,
        returned: None,
    };
    Ruling {
        word,
        again,
        remember,
    }
}

fn seen_alive(since: Timestamp, by: &str) -> String {
    format!("silent since {since}; pods stay, as its peers see it alive: {by}")
}

fn pool_is_cut(since: Timestamp) -> String {
    format!("silent since {since}; pods stay, as too few of its peers are heard themselves: the pool is cut")
}

fn returned(node: &NodeView, marked: bool, before: &Remembered, now: Now) -> Option<Ruling> {
    let returned = before.returned.unwrap_or(now.own);
    let again = left(RETURN, returned, now.own)?;
    // Until the taint is gone pods are evicted by what they tolerate.
    let tainted = node.tainted[1].is_some();
    let hidden = before.endpoints == Shown::Kept && marked;
    (tainted || hidden).then_some(Ruling {
        word: if tainted { Word::Leave } else { Word::Nothing },
        again: Some(again),
        remember: Remembered {
            verdict: Verdict::Returned,
            returned: Some(returned),
            ..*before
        },
    })
}

/// Whether an operator's wish holds.
enum Wished {
    /// It does; for so long still, where it ends.
    Holds(Option<Duration>),
    /// There is none, it is not understood, or its time is over.
    No,
}

impl Wished {
    fn of(node: &NodeView, since: Timestamp, now: Timestamp) -> Self {
        match node.wish {
            Wish::Stay(Span::ForEver, _) => Self::Holds(None),
            // From when Kubernetes counts.
            Wish::Stay(Span::Seconds(seconds), _) => {
                let from = node.tainted[1].unwrap_or(since);
                let left = until(from, Duration::from_secs(seconds), now);
                left.map_or(Self::No, |left| Self::Holds(Some(left)))
            }
            Wish::Nothing | Wish::Unclear { .. } | Wish::Vouched(..) => Self::No,
        }
    }
}

/// What is left of `span` after `since`; a `since` of the future was a moment ago.
fn until(since: Timestamp, span: Duration, now: Timestamp) -> Option<Duration> {
    let over = now.as_second().saturating_sub(since.as_second());
    let over = Duration::from_secs(u64::try_from(over).unwrap_or_default());
    span.checked_sub(over).filter(|left| !left.is_zero())
}

fn left(span: Duration, from: Instant, now: Instant) -> Option<Duration> {
    let over = now.saturating_duration_since(from);
    span.checked_sub(over).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests;
