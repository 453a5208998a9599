//! How long a client waits for a scope: while there is hope for a first list, or a moment for one that catches up.

use std::time::Duration;

use tokio::time::Instant;

use super::Mirror;
use super::scope::{Scope, State};
use crate::health::{CloudState, Phase};
use crate::metrics::Timeout;

/// How long the cloud may be away before nobody waits any more for a first list that had begun before. A node that starts
/// on a thin link has not heard of its cloud for some seconds, and a client that is sent away comes back at once.
const SHORT_BREAK: Duration = Duration::from_secs(20);

/// How long a client waits for the first list of a scope.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// While not a byte of any list comes.
    pub silence: Duration,
    /// In all.
    pub most: Duration,
}

impl Mirror {
    /// Waits until the scope has everything, was denied, or `patience` is over. A scope that has everything but lags
    /// behind a cloud that is there is given a moment to catch up.
    pub async fn ready(&self, scope: &Scope, patience: Patience, catch_up: Duration) {
        if scope.state() == State::Denied {
            // The node may have been given the right meanwhile (a pod that mounts the Secret): ask again.
            let mut attempts = scope.demand();
            let mut states = scope.subscribe();
            let settled = async {
                tokio::select! {
                    _ = attempts.changed() => {}
                    _ = states.wait_for(|state| *state == State::Live) => {}
                }
            };
            drop(tokio::time::timeout(catch_up, settled).await);
            if scope.state() == State::Denied {
                return;
            }
        }
        let (mut states, mut cloud) = (scope.subscribe(), self.context.cloud.subscribe());
        let settled = async {
            loop {
                let state = *states.borrow_and_update();
                let believed = *cloud.borrow_and_update();
                let first_list = match scope.is_complete() {
                    true => FirstList::Done,
                    false if scope.is_older_than(believed.since) => FirstList::Begun,
                    false => FirstList::New,
                };
                let until = match outlook(state, first_list, believed, Instant::now()) {
                    Outlook::Settled => return,
                    Outlook::Wait => None,
                    Outlook::WaitUntil(time) => Some(time),
                };
                tokio::select! {
                    () = scope.ended() => return,
                    changed = states.changed() => if changed.is_err() { return },
                    changed = cloud.changed() => if changed.is_err() { return },
                    () = reached(until) => {}
                }
            }
        };
        if scope.state() != State::Live {
            scope.wake_reflector(); // it may wait for a token that this client has just shown
        }
        if scope.is_complete() {
            drop(tokio::time::timeout(catch_up, settled).await);
            return;
        }
        if self.settles_in_time(scope, settled, patience).await {
            return;
        }
        self.context.metrics.timed_out(Timeout::FirstList);
    }

    /// Waits for `settled` as long as something of a list comes, be it of others that go first.
    async fn settles_in_time(
        &self,
        scope: &Scope,
        settled: impl Future<Output = ()>,
        patience: Patience,
    ) -> bool {
        let (start, mut came) = (Instant::now(), self.context.turns.what_came());
        let mut settled = std::pin::pin!(settled);
        loop {
            came.mark_unchanged();
            let limit = patience
                .silence
                .min(patience.most.saturating_sub(start.elapsed()));
            if tokio::time::timeout(limit, &mut settled).await.is_ok() {
                return true;
            }
            if start.elapsed() >= patience.most || !came.has_changed().unwrap_or(false) {
                return false;
            }
            scope.touch();
        }
    }
}

/// What somebody who waits for a scope may hope for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outlook {
    /// Nothing better comes.
    Settled,
    /// A list, or that the scope follows the cloud again.
    Wait,
    /// The same, but not for longer.
    WaitUntil(Instant),
}

/// How far the first list of a scope is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstList {
    /// All of it is here.
    Done,
    /// It was asked for before the cloud was what it is now.
    Begun,
    /// It is asked for since.
    New,
}

/// What to hope for from a scope in `state`. Where all is here nobody need wait for a cloud that is away, and what nobody
/// asked for before an outage cannot be had during it.
fn outlook(state: State, first_list: FirstList, cloud: CloudState, now: Instant) -> Outlook {
    if matches!(state, State::Live | State::Denied) {
        return Outlook::Settled;
    }
    match cloud.phase {
        Phase::Unknown | Phase::Up | Phase::Suspect => Outlook::Wait,
        Phase::Down if first_list != FirstList::Begun || cloud.age(now) >= SHORT_BREAK => Outlook::Settled,
        Phase::Down => Outlook::WaitUntil(cloud.since + SHORT_BREAK),
    }
}

async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::FirstList::{Begun, Done, New};
    use super::*;

    #[test]
    fn a_short_break_is_waited_through_for_a_list_that_had_begun() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let cloud = |phase| CloudState {
            phase,
            since: start,
            since_wall: std::time::SystemTime::UNIX_EPOCH,
            last_there: None,
        };
        for (state, first_list, phase, at, expected) in [
            (State::Syncing, New, Phase::Unknown, 0, Outlook::Wait),
            (State::Syncing, New, Phase::Up, 99, Outlook::Wait),
            (State::Syncing, Begun, Phase::Suspect, 99, Outlook::Wait),
            (
                State::Syncing,
                Begun,
                Phase::Down,
                0,
                Outlook::WaitUntil(after(20)),
            ),
            (
                State::Syncing,
                Begun,
                Phase::Down,
                19,
                Outlook::WaitUntil(after(20)),
            ),
            (State::Syncing, Begun, Phase::Down, 20, Outlook::Settled),
            (State::Syncing, New, Phase::Down, 0, Outlook::Settled),
            (State::Detached, Done, Phase::Down, 0, Outlook::Settled),
            (State::Resuming, Done, Phase::Up, 0, Outlook::Wait),
            (State::Live, Done, Phase::Up, 0, Outlook::Settled),
            (State::Denied, New, Phase::Up, 0, Outlook::Settled),
        ] {
            let found = outlook(state, first_list, cloud(phase), after(at));
            assert_eq!(found, expected, "{state:?} {first_list:?} {phase:?} {at}");
        }
    }
}
