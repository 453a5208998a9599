//! Where a scope stands with the cloud, and who is told: watchers when it is denied, the reflector when somebody asks.

use std::task::Waker;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use yurthub_object::Encoding;
use yurthub_object::status::Status;
use yurthub_object::watch as frames;

use super::Scope;

/// Where a scope stands with the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Never had all objects.
    Syncing,
    /// The watch upstream is open.
    Live,
    /// Has all objects as of its version; the cloud is away or not asked yet.
    Detached,
    /// The watch upstream is being opened again.
    Resuming,
    /// The cloud no longer knows the version; a list is being compared with what is here.
    Relisting,
    /// The cloud refuses this node the resource.
    Denied,
    /// Nobody on the node uses it; the watch upstream is closed.
    Parked,
}

impl State {
    /// Name in logs, metrics and on the admin socket.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syncing => "syncing",
            Self::Live => "live",
            Self::Detached => "detached",
            Self::Resuming => "resuming",
            Self::Relisting => "relisting",
            Self::Denied => "denied",
            Self::Parked => "parked",
        }
    }
}

/// How long nobody must have asked for a scope that is denied and empty before it counts as left over.
const LEFT_OVER_AFTER: Duration = Duration::from_mins(1);

/// Whether a scope is of no use to anybody: what it was made for is gone (a Secret, with its pod or its namespace), the
/// cloud denies it therefore, and nobody asks for it any more. One with objects may be denied by mistake.
fn left_over(state: State, objects: usize, watchers: usize, idle: Duration) -> bool {
    state == State::Denied && objects == 0 && watchers == 0 && idle >= LEFT_OVER_AFTER
}

impl Scope {
    /// See [`left_over`].
    pub(in crate::mirror) fn is_left_over(&self, now: Instant) -> bool {
        let inner = self.lock();
        let idle = now.saturating_duration_since(inner.last_used);
        left_over(self.state(), inner.index.len(), inner.watchers, idle)
    }

    /// Where the scope stands with the cloud.
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Follows the state.
    pub fn subscribe(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(in crate::mirror) fn set_state(&self, state: State) {
        let modified = self.state.send_if_modified(|current| {
            let changed = *current != state;
            *current = state;
            changed
        });
        if modified {
            self.local.scope_changed(&self.key);
        }
    }

    /// A client asks for what is not there: the reflector tries again at once. Returns how to see that it has.
    pub(in crate::mirror) fn demand(&self) -> watch::Receiver<u64> {
        let mut attempts = self.attempts.subscribe();
        attempts.mark_unchanged();
        self.demand.notify_one();
        attempts
    }

    /// Lets a reflector that waits before its next attempt go on.
    pub(in crate::mirror) fn wake_reflector(&self) {
        self.demand.notify_one();
    }

    /// Resolves when a client asks for what is not there.
    pub(in crate::mirror) async fn demanded(&self) {
        self.demand.notified().await;
    }

    /// The reflector's attempt has ended, well or not.
    pub(in crate::mirror) fn attempt_ended(&self) {
        self.attempts.send_modify(|count| *count += 1);
    }

    /// How the cloud refused, where it did.
    pub fn denied(&self) -> Option<Status> {
        self.lock().denied.clone()
    }

    /// Ends all local watches with `status` and refuses new ones, until the scope is alive again. Objects are kept.
    pub(in crate::mirror) fn deny(&self, status: &Status) {
        let wakers = {
            let mut inner = self.lock();
            let encoding = inner.wire.as_ref().map_or(Encoding::Json, |wire| wire.encoding);
            inner.closed = Some(frames::encode_error(encoding, status));
            inner.denied = Some(status.clone());
            std::mem::take(&mut inner.wakers)
        };
        self.set_state(State::Denied);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Takes back [`Scope::deny`].
    pub(in crate::mirror) fn admit(&self) {
        let mut inner = self.lock();
        inner.closed = None;
        inner.denied = None;
    }

    /// Marks the scope as not knowing everything: what is here may be read object by object, never as a whole.
    /// The reflector asks the cloud for everything again.
    pub(in crate::mirror) fn invalidate(&self) {
        self.lock().complete = false;
        self.demand.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_and_empty_is_left_over_once_nobody_asks() {
        for (state, objects, watchers, idle, expected) in [
            (State::Denied, 0, 0, 60, true),
            (State::Denied, 0, 0, 59, false),
            (State::Denied, 1, 0, 600, false),
            (State::Denied, 0, 1, 600, false),
            (State::Live, 0, 0, 600, false),
            (State::Syncing, 0, 0, 600, false),
        ] {
            let found = left_over(state, objects, watchers, Duration::from_secs(idle));
            assert_eq!(found, expected, "{state:?} {objects} {watchers} {idle}");
        }
    }
}
