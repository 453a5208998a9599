//! Whether the cloud is there: evidence from every exchange with each of its apiservers, a machine for each that judges
//! it, and a prober for each that looks for it while it is away. The cloud is there while one of them is.
//!
//! The mirror never asks; only `route` does, for what must be the cloud's own answer while there is one.

mod fleet;
mod machine;
pub mod memory;
mod prober;
mod standing;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

pub use machine::{Evidence, Patience, Phase};
pub use prober::run as run_prober;
pub use standing::{Origin, ServerId, Standing};

use fleet::Fleet;
use standing::Errand;

/// How long a preferred server must be back before it is used again instead of another one; up to twice as long, at random.
const SETTLING: Duration = Duration::from_secs(10);

/// What is believed of the cloud, and since when.
#[derive(Debug, Clone, Copy)]
pub struct CloudState {
    /// What is believed.
    pub phase: Phase,
    /// Since when, on the monotonic clock.
    pub since: Instant,
    /// Since when, on the wall clock, for people.
    pub since_wall: SystemTime,
    /// When the cloud was last there, also before yurthub's last restart; for certificates. `None`: not known.
    pub last_there: Option<SystemTime>,
}

impl CloudState {
    /// Whether requests should be sent to the cloud.
    pub fn reachable(&self) -> bool {
        matches!(self.phase, Phase::Up | Phase::Suspect)
    }

    /// How long the cloud has been away, over restarts; `None` while it is there or not known to be away. Where the
    /// clock was set back, no less than yurthub itself has seen.
    pub fn away(&self, now: Instant, wall: SystemTime) -> Option<Duration> {
        let by_clock = self.last_there.and_then(|there| wall.duration_since(there).ok());
        (self.phase == Phase::Down).then(|| by_clock.unwrap_or_default().max(self.age(now)))
    }

    /// How long the phase has lasted.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

/// The time of day, which may jump either way. For what outlives this process, and for people.
type WallClock = Box<dyn Fn() -> SystemTime + Send + Sync>;

/// The one place that knows the cloud's state.
pub struct Monitor {
    fleet: Mutex<Fleet>,
    state: watch::Sender<CloudState>,
    news: watch::Sender<u64>,
    wall: WallClock,
}

impl Monitor {
    /// A monitor that has not heard yet, and knows no server. `last_there` is what an earlier run knew.
    pub fn new(patience: Patience, last_there: Option<SystemTime>) -> Self {
        Self::with_wall_clock(patience, last_there, SystemTime::now)
    }

    /// As [`Monitor::new`], with another time of day.
    fn with_wall_clock(
        patience: Patience,
        last_there: Option<SystemTime>,
        wall: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Self {
        let now = Instant::now();
        let first = CloudState {
            phase: Phase::Unknown,
            since: now,
            since_wall: wall(),
            last_there,
        };
        Self {
            fleet: Mutex::new(Fleet::new(patience)),
            state: watch::Sender::new(first),
            news: watch::Sender::new(0),
            wall: Box::new(wall),
        }
    }

    /// The time of day.
    fn wall(&self) -> SystemTime {
        (self.wall)()
    }

    /// The present state.
    pub fn state(&self) -> CloudState {
        *self.state.borrow()
    }

    /// Follows the state.
    pub fn subscribe(&self) -> watch::Receiver<CloudState> {
        self.state.subscribe()
    }

    /// Makes a server known, after all others. `worked`: it answered in an earlier run.
    pub fn add(&self, origin: Origin, worked: bool) -> ServerId {
        // A fleet whose server is back must not return in one moment.
        let settling = SETTLING.mul_f64(1.0 + fastrand::f64());
        let now = Instant::now();
        let id = self.fleet().add((origin, worked), settling, now);
        self.announce(None, now);
        id
    }

    /// Takes in what was seen of a server on the wire.
    pub fn report(&self, server: ServerId, evidence: Evidence) {
        let now = Instant::now();
        let mut fleet = self.fleet();
        let before = fleet.standing(server);
        let change = fleet.on(server, evidence, now);
        let after = fleet.standing(server);
        drop(fleet);
        // The common case by far, once per answer: nothing has changed.
        if before != after || change.is_some() {
            self.announce(change, now);
        }
    }

    /// An attempt to reach a server has ended; returns whether its connection is to be kept.
    pub fn attempted(&self, server: ServerId, evidence: Evidence) -> bool {
        let (now, jitter) = (Instant::now(), 0.75 + 0.5 * fastrand::f64());
        let (keep, change) = self.fleet().attempted(server, evidence, (now, jitter));
        self.announce(change, now);
        keep
    }

    /// A server's certificate is not for the address by which it was reached: it is left alone.
    pub fn dismiss(&self, server: ServerId) {
        let now = Instant::now();
        let change = self.fleet().dismiss(server, now);
        self.announce(change, now);
    }

    /// The cluster names a learned server no more, or again.
    pub fn set_gone(&self, server: ServerId, gone: bool) {
        let now = Instant::now();
        let change = self.fleet().set_gone(server, gone, now);
        self.announce(change, now);
    }

    /// Nothing is left on the connections of a server while a preferred one is used.
    pub fn rest(&self, server: ServerId) {
        let now = Instant::now();
        let change = self.fleet().rest(server, now);
        self.announce(change, now);
    }

    /// How long doubt about a server may last: longer on a slow link.
    pub fn set_doubt(&self, server: ServerId, doubt: Duration) {
        self.fleet().set_doubt(server, doubt);
    }

    /// What is known of a server.
    pub fn standing(&self, server: ServerId) -> Standing {
        self.fleet().standing(server)
    }

    /// Whether a server has answered, in this run or an earlier one.
    pub fn has_worked(&self, server: ServerId) -> bool {
        self.fleet().has_worked(server)
    }

    /// Whether the cluster names a learned server no more.
    pub fn is_gone(&self, server: ServerId) -> bool {
        self.fleet().is_gone(server)
    }

    /// The servers that a request may be tried on, the best first.
    pub fn order(&self) -> Vec<ServerId> {
        self.fleet().order(Instant::now())
    }

    /// Whether a request that waits for `server` had better go elsewhere: it is away, or another one is there and better.
    pub fn is_superseded(&self, server: ServerId) -> bool {
        let fleet = self.fleet();
        let best = fleet.order(Instant::now()).first().copied();
        let other = best.filter(|best| *best != server);
        let up = Standing::Active(Phase::Up);
        other.is_some_and(|other| {
            fleet.standing(server) == Standing::Active(Phase::Down) || fleet.standing(other) == up
        })
    }

    /// Changes whenever the standing of a server may have changed.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn errand(&self, server: ServerId) -> Errand {
        self.fleet().errand(server)
    }

    fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, at most `patience`, until the state is no longer unknown.
    pub async fn decided(&self, patience: Duration) -> CloudState {
        let mut states = self.subscribe();
        let known = states.wait_for(|state| state.phase != Phase::Unknown);
        match tokio::time::timeout(patience, known).await {
            Ok(Ok(state)) => *state,
            _ => self.state(),
        }
    }

    fn tick(&self, now: Instant) -> Option<Instant> {
        let mut fleet = self.fleet();
        let due = fleet.deadline().is_some_and(|deadline| now >= deadline);
        let change = fleet.tick(now);
        let deadline = fleet.deadline();
        drop(fleet);
        if due || change.is_some() {
            self.announce(change, now);
        }
        deadline
    }

    fn announce(&self, change: Option<Phase>, now: Instant) {
        self.publish(change, now);
        self.news.send_modify(|count| *count += 1);
    }

    fn publish(&self, change: Option<Phase>, now: Instant) {
        let Some(phase) = change else { return };
        let before = self.state();
        let lasted = before.age(now);
        match phase {
            Phase::Down => warn!(after = ?lasted, "cloud is away; answering from the mirror"),
            Phase::Up => info!(was = before.phase.as_str(), lasted = ?lasted, "cloud is there"),
            Phase::Suspect | Phase::Unknown => info!("cloud in doubt; trying a fresh connection"),
        }
        // While in doubt the cloud still counts as there; the time of "away" begins with the doubt's end.
        let wall = self.wall();
        let last_there = if before.reachable() {
            Some(wall)
        } else {
            before.last_there
        };
        self.state.send_replace(CloudState {
            phase,
            since: now,
            since_wall: wall,
            last_there,
        });
    }
}

/// A cloud and a clock for tests, which both do as they are told.
#[cfg(test)]
pub(crate) mod staged {
    use std::sync::Arc;

    use super::{Duration, Evidence, Monitor, Mutex, Origin, Patience, PoisonError, ServerId, SystemTime};

    /// See the module.
    pub(crate) struct Stage {
        pub(crate) cloud: Arc<Monitor>,
        wall: Arc<Mutex<SystemTime>>,
    }

    impl Stage {
        /// yurthub starts at the time of day `now`.
        pub(crate) fn new(now: SystemTime, last_there: Option<SystemTime>) -> Self {
            let wall = Arc::new(Mutex::new(now));
            let patience = Patience {
                first_verdict: Duration::from_secs(1),
                doubt: Duration::from_secs(1),
            };
            let read = Arc::clone(&wall);
            let clock = move || *read.lock().unwrap_or_else(PoisonError::into_inner);
            let cloud = Arc::new(Monitor::with_wall_clock(patience, last_there, clock));
            cloud.add(Origin::Configured, false);
            Self { cloud, wall }
        }

        pub(crate) fn set_clock(&self, now: SystemTime) {
            *self.wall.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }

        pub(crate) fn cut(&self) {
            self.cloud.report(ServerId::FIRST, Evidence::ConnectionLost);
            self.cloud.report(ServerId::FIRST, Evidence::ConnectFailed);
        }

        pub(crate) fn join(&self) {
            self.cloud.report(ServerId::FIRST, Evidence::Answer);
        }
    }
}
