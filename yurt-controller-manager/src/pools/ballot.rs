//! What the voters of a silent node say, and what follows (pure).
//!
//! Never one voter alone: both ways more than half of all voters must say the same, those counted that say nothing.

use std::fmt;
use std::sync::Arc;

use yurt_common::pool::votes::{Seen, Vote, quorum};

/// What one voter says of a silent node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cast {
    /// It sees it alive.
    Alive,
    /// It sees it dead.
    Dead {
        /// Whether it has said anything since this replica listens. Who has not may have stopped long ago; nothing is
        /// deleted for that.
        fresh: bool,
    },
    /// It is heard, but has not said anything of this silence.
    Nothing,
    /// It is not heard itself: whatever it has said is old.
    Unheard,
}

impl Cast {
    /// By what is known of the voter: whether the cloud hears it, its vote on the node, the silence that this is about,
    /// and whether its beat changes: `None` for too long, otherwise whether it was seen to.
    pub fn of(heard: bool, vote: Option<&Vote>, since: &str, beat: Option<bool>) -> Self {
        let vote = vote.filter(|vote| vote.since == since);
        match (heard, vote, beat) {
            (false, _, _) => Self::Unheard,
            (true, Some(vote), Some(changed)) => match vote.sees {
                Seen::Alive => Self::Alive,
                Seen::Dead => Self::Dead { fresh: changed },
            },
            (true, _, _) => Self::Nothing,
        }
    }
}

/// All voters of a node, each with what it says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ballot(pub Vec<(Arc<str>, Cast)>);

/// What the voters say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A quorum sees it alive.
    Alive,
    /// A quorum sees it dead.
    Dead,
    /// Too few voters are heard themselves: the pool as a whole is cut.
    Cut,
    /// They do not agree, or have not said enough yet.
    Open,
    /// It has too few voters ever to agree.
    Nobody,
}

impl Ballot {
    /// What follows.
    pub fn outcome(&self) -> Outcome {
        let Some(quorum) = quorum(self.0.len()) else {
            return Outcome::Nobody;
        };
        let count = |which: fn(&Cast) -> bool| self.0.iter().filter(|(_, cast)| which(cast)).count();
        let heard = count(|cast| *cast != Cast::Unheard);
        if count(|cast| *cast == Cast::Alive) >= quorum {
            Outcome::Alive
        } else if count(|cast| *cast == Cast::Dead { fresh: true }) >= quorum {
            Outcome::Dead
        } else if heard < quorum && count(|cast| matches!(cast, Cast::Dead { .. })) == 0 {
            // That the pool is cut is what is likely where most of it falls silent. One who is left and sees the node dead
            // does not decide, but who says that makes it less likely.
            Outcome::Cut
        } else {
            Outcome::Open
        }
    }

    /// Whether a quorum sees it dead, or saw it when it was heard last: enough to show it so, not to delete anything.
    pub fn is_seen_dead(&self) -> bool {
        let dead = self
            .0
            .iter()
            .filter(|(_, cast)| matches!(cast, Cast::Dead { .. }));
        quorum(self.0.len()).is_some_and(|quorum| dead.count() >= quorum)
    }

    /// The names of those who see it alive.
    pub fn alive(&self) -> String {
        self.names(|cast| *cast == Cast::Alive)
    }

    fn names(&self, which: fn(&Cast) -> bool) -> String {
        let those = self.0.iter().filter(|(_, cast)| which(cast));
        let names: Vec<_> = those.map(|(name, _)| &**name).collect();
        if names.is_empty() {
            "nobody".to_owned()
        } else {
            names.join(", ")
        }
    }
}

/// In words: `seen dead by a, b, alive by nobody, of 3 voters`.
impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dead = self.names(|cast| matches!(cast, Cast::Dead { .. }));
        write!(
            f,
            "seen dead by {dead}, alive by {}, of {} voters",
            self.alive(),
            self.0.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ballot(casts: &str) -> Ballot {
        let cast = |letter| match letter {
            'a' => Cast::Alive,
            'd' => Cast::Dead { fresh: true },
            'o' => Cast::Dead { fresh: false },
            'n' => Cast::Nothing,
            _ => Cast::Unheard,
        };
        let named = casts.chars().enumerate();
        Ballot(
            named
                .map(|(number, letter)| (format!("v{number}").into(), cast(letter)))
                .collect(),
        )
    }

    #[test]
    fn a_quorum_decides_and_never_one_alone() {
        use Outcome::{Alive, Cut, Dead, Nobody, Open};
        for (casts, expected, why) in [
            ("", Nobody, "no voters"),
            ("a", Nobody, "one alone"),
            ("d", Nobody, "one alone"),
            ("-", Nobody, "one that is not heard says nothing of the pool"),
            ("aa", Alive, "both of two"),
            ("dd", Dead, "both of two"),
            ("an", Open, "one of two"),
            ("dn", Open, "one of two"),
            ("ad", Open, "they do not agree"),
            ("--", Cut, "all are silent"),
            ("n-", Cut, "one of two cannot decide"),
            ("a-", Cut, "who is left sees it alive"),
            ("d-", Open, "who is left sees it dead"),
            ("o-", Open, "who is left saw it dead"),
            ("do", Open, "a vote of which nobody knows how old it is"),
            ("aaann", Alive, "three of five"),
            ("aaadd", Alive, "three of five"),
            ("dddaa", Dead, "three of five"),
            ("dddoo", Dead, "three of five"),
            ("ddaan", Open, "nobody has three"),
            ("ddd--", Dead, "three of five are heard"),
            ("aa---", Cut, "two of five cannot decide"),
            ("nnn--", Open, "three could"),
        ] {
            assert_eq!(ballot(casts).outcome(), expected, "{casts}: {why}");
        }
    }

    #[test]
    fn only_what_a_heard_voter_says_of_this_silence_counts() {
        let vote = |sees| Vote {
            since: "now".to_owned(),
            sees,
        };
        let (alive, dead) = (vote(Seen::Alive), vote(Seen::Dead));
        for (heard, vote, since, beat, expected) in [
            (true, Some(&alive), "now", Some(false), Cast::Alive),
            (true, Some(&dead), "now", Some(true), Cast::Dead { fresh: true }),
            (true, Some(&dead), "now", Some(false), Cast::Dead { fresh: false }),
            (true, Some(&dead), "then", Some(true), Cast::Nothing),
            (true, Some(&alive), "now", None, Cast::Nothing),
            (true, None, "now", Some(true), Cast::Nothing),
            (false, Some(&alive), "now", Some(true), Cast::Unheard),
        ] {
            assert_eq!(Cast::of(heard, vote, since, beat), expected);
        }
    }

    #[test]
    fn it_says_who_saw_what() {
        let words = ballot("adan").to_string();
        assert_eq!(words, "seen dead by v1, alive by v0, v2, of 4 voters");
    }
}
