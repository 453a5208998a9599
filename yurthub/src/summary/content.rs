//! What the summary says, from what yurthub knows of itself. Pure: times are arguments.
//!
//! It names times, never ages: what has not changed reads the same a day later, and is not written again.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::mirror::scope::{ScopeId, State};

/// How long a scope may be without the cloud before that is worth telling: watches end and are opened again all the time.
const WORTH_TELLING: Duration = Duration::from_mins(1);
/// The longest name of a scope that is told.
const LONGEST_NAME: usize = 200;

/// What yurthub knows of itself.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) now: SystemTime,
    /// When this yurthub began to serve.
    pub(super) started: SystemTime,
    /// Since when the cloud is there without a break.
    pub(super) connected: SystemTime,
    /// Scopes that follow the cloud.
    pub(super) live: usize,
    /// Scopes that somebody uses and that do not.
    pub(super) lagging: Vec<Lagging>,
    /// Statuses that wait for the cloud.
    pub(super) statuses: usize,
    /// Events that wait for the cloud.
    pub(super) events: usize,
    /// When the kubelet's client certificate ends, where that can be read.
    pub(super) certificate: Option<SystemTime>,
    pub(super) store: StoreState,
    /// Whether new containers are led here.
    pub(super) led: bool,
}

/// A scope that somebody uses and that does not follow the cloud.
#[derive(Debug, Clone)]
pub(super) struct Lagging {
    pub(super) scope: String,
    pub(super) state: State,
    pub(super) since: SystemTime,
}

/// How the store is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StoreState {
    /// The database is damaged.
    Damaged,
    /// Nothing reaches the disk now.
    Failing,
    /// It is above its quota.
    Full,
    /// Values could not be read back since the start.
    Corrupt,
    Fine,
}

/// What is told, as it stands in the annotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    version: &'static str,
    /// When this yurthub began to serve.
    since: String,
    /// When the cloud came back last.
    connected: String,
    scopes: Scopes,
    /// Of the scopes that do not follow the cloud the one that has not for longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<Oldest>,
    waiting: Waiting,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    store: StoreState,
    /// Whether new containers are led to yurthub.
    led: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Scopes {
    live: usize,
    behind: usize,
    denied: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Oldest {
    scope: String,
    state: &'static str,
    since: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Waiting {
    statuses: usize,
    events: usize,
}

/// How a summary differs from the one that was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Not at all.
    Nothing,
    /// By how much works: pods come and go.
    Numbers,
    /// By something that somebody may have to look at.
    News,
}

/// What there is to tell.
pub(super) fn of(report: &Report) -> Summary {
    let is_told = |lagging: &&Lagging| match report.now.duration_since(lagging.since) {
        Ok(age) => age >= WORTH_TELLING,
        Err(_) => false, // the clock was set back
    };
    let told: Vec<_> = report.lagging.iter().filter(is_told).collect();
    let denied = told.iter().filter(|lagging| lagging.state == State::Denied);
    let denied = denied.count();
    let oldest = told
        .iter()
        .min_by(|one, other| (one.since, &one.scope).cmp(&(other.since, &other.scope)));
    Summary {
        version: env!("CARGO_PKG_VERSION"),
        since: moment(report.started),
        connected: moment(report.connected),
        scopes: Scopes {
            live: report.live,
            behind: told.len() - denied,
            denied,
        },
        oldest: oldest.map(|lagging| Oldest {
            scope: lagging.scope.chars().take(LONGEST_NAME).collect(),
            state: lagging.state.as_str(),
            since: moment(lagging.since),
        }),
        waiting: Waiting {
            statuses: report.statuses,
            events: report.events,
        },
        certificate: report.certificate.map(moment),
        store: report.store,
        led: report.led,
    }
}

impl Summary {
    /// How `other`, which is newer, differs.
    pub(super) fn change_to(&self, other: &Self) -> Change {
        if self == other {
            return Change::Nothing;
        }
        let mut same = self.clone();
        same.scopes.live = other.scopes.live;
        if same == *other {
            Change::Numbers
        } else {
            Change::News
        }
    }
}

/// RFC 3339 knows the years 1970 to 9999; a clock or a certificate may not.
fn moment(time: SystemTime) -> String {
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().min(LAST);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

/// Since when scopes do not follow the cloud, as far as somebody looked.
#[derive(Debug, Default)]
pub(super) struct Lags(BTreeMap<ScopeId, SystemTime>);

impl Lags {
    /// Takes in the states of now. Returns how many scopes follow the cloud, and which of those in use do not, with the
    /// time since when.
    pub(super) fn look(
        &mut self,
        scopes: impl Iterator<Item = (ScopeId, State)>,
        now: SystemTime,
    ) -> (usize, Vec<(ScopeId, State, SystemTime)>) {
        let (mut live, mut lagging) = (0, Vec::new());
        let before = std::mem::take(&mut self.0);
        for (id, state) in scopes {
            match state {
                State::Live => live += 1,
                State::Parked => {}
                State::Syncing | State::Detached | State::Resuming | State::Relisting | State::Denied => {
                    let since = before.get(&id).copied().unwrap_or(now);
                    self.0.insert(id, since);
                    lagging.push((id, state, since));
                }
            }
        }
        (live, lagging)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_000_000 + seconds)
    }

    fn report(now: u64) -> Report {
        Report {
            now: at(now),
            started: at(0),
            connected: at(1),
            live: 12,
            lagging: Vec::new(),
            statuses: 0,
            events: 0,
            certificate: Some(at(1_000_000)),
            store: StoreState::Fine,
            led: true,
        }
    }

    fn lagging(scope: &str, state: State, since: u64) -> Lagging {
        Lagging {
            scope: scope.to_owned(),
            state,
            since: at(since),
        }
    }

    #[test]
    fn nothing_changes_while_time_goes_by() {
        assert_eq!(of(&report(100)), of(&report(90_000)));
        let text = serde_json::to_string(&of(&report(100))).unwrap();
        assert_eq!(
            text,
            r#"{"version":"0.1.0","since":"2026-11-18T11:06:40Z","connected":"2026-11-18T11:06:41Z","scopes":{"live":12,"behind":0,"denied":0},"waiting":{"statuses":0,"events":0},"certificate":"2026-11-30T00:53:20Z","store":"fine","led":true}"#
                .replace("0.1.0", env!("CARGO_PKG_VERSION"))
        );
    }

    #[test]
    fn only_what_lasts_is_told_and_of_it_the_oldest_by_name() {
        let with = |now, lagging| {
            of(&Report {
                lagging,
                ..report(now)
            })
        };
        let lags = vec![
            lagging("pods", State::Resuming, 150),
            lagging("secrets in a", State::Denied, 60),
            lagging("services", State::Detached, 100),
        ];
        let summary = with(165, lags.clone());
        assert_eq!((summary.scopes.behind, summary.scopes.denied), (1, 1));
        let oldest = summary.oldest.unwrap();
        assert_eq!((oldest.scope.as_str(), oldest.state), ("secrets in a", "denied"));
        assert_eq!(
            with(40, lags).scopes,
            Scopes {
                live: 12,
                behind: 0,
                denied: 0
            }
        );
    }

    #[test]
    fn numbers_of_what_works_are_no_news() {
        let first = of(&report(100));
        let more = of(&Report {
            live: 13,
            ..report(200)
        });
        let waits = of(&Report {
            live: 13,
            events: 1,
            ..report(200)
        });
        assert_eq!(first.change_to(&first), Change::Nothing);
        assert_eq!(first.change_to(&more), Change::Numbers);
        assert_eq!(first.change_to(&waits), Change::News);
        assert_eq!(more.change_to(&waits), Change::News);
    }

    #[test]
    fn a_scope_lags_since_it_was_first_seen_to() {
        let mut lags = Lags::default();
        let look = |lags: &mut Lags, states: &[(ScopeId, State)], now| {
            let (live, lagging) = lags.look(states.iter().copied(), at(now));
            let lagging: Vec<_> = lagging.into_iter().map(|(id, _, since)| (id, since)).collect();
            (live, lagging)
        };
        let first = [(1, State::Live), (2, State::Syncing), (3, State::Parked)];
        assert_eq!(look(&mut lags, &first, 10), (1, vec![(2, at(10))]));
        let second = [(1, State::Denied), (2, State::Detached)];
        assert_eq!(look(&mut lags, &second, 20), (0, vec![(1, at(20)), (2, at(10))]));
        assert_eq!(
            look(&mut lags, &[(1, State::Denied), (2, State::Live)], 30),
            (1, vec![(1, at(20))])
        );
        assert_eq!(
            look(&mut lags, &[(2, State::Syncing)], 40),
            (0, vec![(2, at(40))])
        );
    }
}
