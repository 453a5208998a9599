//! What the cloud is told by annotations of this node's own Node: where peers find this yurthub, and what it sees of silent
//! members. Both are taken away where there is nothing to say; also when peers are not answered any more.
//!
//! [`decide`] says when (pure). Invariant: at most one write a second, one a minute while nothing changes, and none while
//! there is nothing to say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};
use yurt_common::pool::votes::{Vote, Votes};
use yurt_common::pool::{PEER, VOTES};

use super::Findings;
use crate::annotate::annotate;
use crate::forward::Upstream;
use crate::health::Monitor;
use crate::pool::{OwnNode, Pool};
use crate::telemetry::ErrorChain;

/// The shortest time between two writes; it doubles with each failure, up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);
/// How long the mirror may take to show what was written.
const ECHO: Duration = Duration::from_secs(10);
/// How often it is shown that this yurthub still looks.
const BEAT: Duration = Duration::from_mins(1);
/// How long after a start votes of the time before stay: as long as it takes to see the same again.
const SETTLING: Duration = Duration::from_secs(15);
/// How long votes are gathered, at most: one answer is followed by others, and not all members write in one moment.
const GATHER: Duration = Duration::from_millis(500);

/// What the Node says, or shall say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// [`PEER`].
    pub peer: Option<String>,
    /// [`VOTES`].
    pub votes: Option<String>,
}

impl Said {
    fn of(own: &OwnNode) -> Self {
        Self {
            peer: own.peer.clone(),
            votes: own.votes.clone(),
        }
    }

    /// What shall be said where this was found out. After a start nothing is found out yet: what was said before stays, so
    /// that no member seems to come and go. That a listener cannot be had now (`answers`: it is to be) is no news either.
    fn or_still(self, said: &Self, answers: bool, settling: bool) -> Self {
        Self {
            peer: self.peer.or_else(|| said.peer.clone().filter(|_| answers)),
            votes: self.votes.or_else(|| said.votes.clone().filter(|_| settling)),
        }
    }

    fn annotations(self) -> Map<String, Value> {
        let entry = |name: &str, value: Option<String>| (name.to_owned(), Value::from(value));
        [entry(PEER, self.peer), entry(VOTES, self.votes)]
            .into_iter()
            .collect()
    }
}

/// What was done before.
#[derive(Debug, Default)]
pub struct Past {
    /// When it was tried last.
    pub tried: Option<Instant>,
    /// Attempts that failed since the last that did not.
    pub failures: u32,
    /// What was written last, until the mirror shows it.
    pub written: Option<(Said, Instant)>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is nothing to tell.
    Nothing,
    /// Write it.
    Write,
    /// Look again then.
    Wait(Instant),
}

/// Decides: the Node shall say `wanted`, and `says` so much as far as the mirror knows.
pub fn decide(past: &Past, wanted: &Said, says: &Said, now: Instant) -> Step {
    let echo = past.written.as_ref().filter(|(_, at)| now < *at + ECHO);
    let says = echo.map_or(says, |(written, _)| written);
    if wanted == says {
        return match echo {
            Some((_, at)) => Step::Wait(*at + ECHO), // what is shown then counts
            None => Step::Nothing,
        };
    }
    let pause = PAUSE.saturating_mul(1 << past.failures.min(8)).min(LONGEST);
    match past.tried.map(|tried| tried + pause) {
        Some(rested) if rested > now => Step::Wait(rested),
        _ => Step::Write,
    }
}

/// Counts minutes while there is anything to say.
#[derive(Debug, Default)]
pub struct Beat {
    count: u64,
    next: Option<Instant>,
}

impl Beat {
    /// The votes as they are written at `now`; `said` is what the Node says. `None`: there is nothing to say.
    pub fn text(
        &mut self,
        votes: &BTreeMap<String, Vote>,
        said: Option<&str>,
        now: Instant,
    ) -> Option<String> {
        if votes.is_empty() {
            self.next = None;
            return None;
        }
        if self.next.is_none_or(|next| next <= now) {
            // It grows over restarts too.
            let said = said.and_then(|said| serde_json::from_str::<Votes>(said).ok());
            self.count = said.map_or(0, |said| said.beat).max(self.count) + 1;
            self.next = Some(now + BEAT);
        }
        let votes = Votes {
            beat: self.count,
            of: votes.clone(),
        };
        serde_json::to_string(&votes).ok()
    }
}

/// See the module.
pub struct Teller {
    /// What this node's Node says.
    pub pool: Arc<Pool>,
    /// What there is to tell.
    pub findings: Arc<Findings>,
    /// The cloud.
    pub upstream: Arc<Upstream>,
    /// Whether it is there.
    pub cloud: Arc<Monitor>,
    /// Name of this node.
    pub node: Arc<str>,
    /// Whether peers are to be answered at all.
    pub answers: bool,
}

impl Teller {
    /// Runs until cancelled. `news` says that what the Node says may have changed.
    pub async fn run(self, mut news: watch::Receiver<()>) {
        let mut cloud = self.cloud.subscribe();
        let mut listening = self.findings.listening.subscribe();
        let mut votes = self.findings.votes.subscribe();
        let (mut past, mut beat) = (Past::default(), Beat::default());
        let settled = Instant::now() + SETTLING;
        loop {
            news.borrow_and_update();
            let is_there = cloud.borrow_and_update().reachable();
            let mut until = None;
            if let Some(own) = self.pool.known().own.filter(|_| is_there) {
                let (says, now) = (Said::of(&own), Instant::now());
                if past.written.as_ref().is_some_and(|(written, _)| *written == says) {
                    past.written = None;
                }
                let seen = Said {
                    peer: listening.borrow_and_update().map(|address| address.to_string()),
                    votes: beat.text(&votes.borrow_and_update(), own.votes.as_deref(), now),
                };
                let settling = self.answers && now < settled;
                let wanted = seen.or_still(&says, self.answers, settling);
                until = beat.next.or_else(|| settling.then_some(settled));
                match decide(&past, &wanted, &says, now) {
                    Step::Nothing => {}
                    Step::Wait(time) => until = Some(until.map_or(time, |beat| beat.min(time))),
                    Step::Write => {
                        self.write(wanted, &mut past).await;
                        continue;
                    }
                }
            }
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                changed = cloud.changed() => if changed.is_err() { return },
                changed = listening.changed() => if changed.is_err() { return },
                changed = votes.changed() => {
                    if changed.is_err() { return }
                    sleep(GATHER.mul_f64(fastrand::f64())).await;
                }
                () = at(until) => {}
            }
        }
    }

    async fn write(&self, wanted: Said, past: &mut Past) {
        debug!(
            ?wanted,
            "telling the cloud where peers find this yurthub, and what it sees of them"
        );
        past.tried = Some(Instant::now());
        match annotate(&self.upstream, &self.node, wanted.clone().annotations()).await {
            Ok(()) => {
                past.failures = 0;
                past.written = Some((wanted, Instant::now()));
            }
            Err(error) => {
                let error = ErrorChain(&error);
                if past.failures == 0 {
                    warn!(%error, "failed to write what this yurthub sees of its peers to its Node; it is tried again");
                } else {
                    debug!(%error, "failed to write what this yurthub sees of its peers to its Node");
                }
                past.failures = past.failures.saturating_add(1);
            }
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use yurt_common::pool::votes::Seen;

    use super::*;

    fn said(peer: Option<&str>) -> Said {
        Said {
            peer: peer.map(str::to_owned),
            votes: None,
        }
    }

    #[test]
    fn what_differs_is_written_once_a_second_at_most_and_more_seldom_after_failures() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let past = |tried: Option<u64>, failures, written: Option<&str>| Past {
            tried: tried.map(after),
            failures,
            written: written.map(|text| (said(Some(text)), start)),
        };
        for (past, wanted, says, at, expected) in [
            (past(None, 0, None), None, None, 0, Step::Nothing),
            (past(None, 0, None), Some("a"), None, 0, Step::Write),
            (past(None, 0, None), None, Some("a"), 0, Step::Write),
            (past(Some(5), 0, None), Some("a"), None, 5, Step::Wait(after(6))),
            (past(Some(5), 0, None), Some("a"), None, 6, Step::Write),
            (past(Some(5), 3, None), Some("a"), None, 12, Step::Wait(after(13))),
            (
                past(Some(5), 40, None),
                Some("a"),
                None,
                64,
                Step::Wait(after(65)),
            ),
            (past(Some(5), 40, None), Some("a"), None, 65, Step::Write),
            // The mirror does not show yet what was written.
            (
                past(Some(0), 0, Some("a")),
                Some("a"),
                None,
                9,
                Step::Wait(after(10)),
            ),
            (past(Some(0), 0, Some("a")), Some("a"), None, 10, Step::Write),
            (past(Some(0), 0, Some("a")), Some("b"), None, 3, Step::Write),
        ] {
            let found = decide(&past, &said(wanted), &said(says), after(at));
            assert_eq!(found, expected, "{past:?} {wanted:?} {says:?} {at}");
        }
    }

    #[test]
    fn after_a_start_what_was_said_before_stays_until_something_is_found_out() {
        let of = |peer: Option<&str>, votes: Option<&str>| Said {
            peer: peer.map(str::to_owned),
            votes: votes.map(str::to_owned),
        };
        let before = of(Some("a"), Some("v"));
        for (seen, answers, settling, expected) in [
            (of(None, None), true, true, of(Some("a"), Some("v"))),
            (of(None, None), true, false, of(Some("a"), None)),
            (of(Some("b"), None), true, false, of(Some("b"), None)),
            (of(Some("b"), Some("w")), true, true, of(Some("b"), Some("w"))),
            (of(None, None), false, false, of(None, None)),
        ] {
            let found = seen.clone().or_still(&before, answers, settling);
            assert_eq!(found, expected, "{seen:?} {answers} {settling}");
        }
    }

    #[test]
    fn the_beat_grows_each_minute_and_over_restarts_while_there_is_anything_to_say() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let vote = Vote {
            since: "s1".into(),
            sees: Seen::Alive,
        };
        let votes = BTreeMap::from([("edge2".to_owned(), vote)]);
        let mut beat = Beat::default();
        let mut of = |votes: &BTreeMap<String, Vote>, said: Option<&str>, seconds| {
            let text = beat.text(votes, said, after(seconds))?;
            Some(serde_json::from_str::<Votes>(&text).unwrap().beat)
        };
        let said = r#"{"beat":41,"of":{}}"#;
        assert_eq!(of(&BTreeMap::new(), Some(said), 0), None);
        assert_eq!(of(&votes, Some(said), 0), Some(42));
        assert_eq!(of(&votes, Some(said), 59), Some(42));
        assert_eq!(of(&votes, None, 60), Some(43));
        assert_eq!(of(&BTreeMap::new(), None, 61), None);
        assert_eq!(of(&votes, Some("garbage"), 62), Some(44), "it never goes back");
    }
}
