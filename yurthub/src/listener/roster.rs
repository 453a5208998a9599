//! Who is connected, and who has to go: connections that nobody uses, those that proved nothing, and where there are too
//! many of one address or in all, the ones that are missed least.
//!
//! A connection proves something with its certificate, or with a request that is not answered 401. Decisions are pure;
//! time is an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// So many newcomers are heard where all places are taken: one of them may be the kubelet.
const GREETED: usize = 16;

/// How many connections there may be, and how long without use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// In all.
    pub(super) in_all: usize,
    /// Of one address, where that has a bound of its own.
    pub(super) of_one: Option<usize>,
    /// How long one that has proved nothing may take.
    pub(super) unproved: Duration,
    /// How long one may be open without a request on it.
    pub(super) idle: Duration,
}

/// What a connection has proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Proof {
    /// Nothing yet.
    Nothing,
    /// That somebody stands behind its requests.
    Somebody,
    /// That it is this node's kubelet. Such a connection never goes for anybody else's.
    Node,
}

/// One connection.
#[derive(Debug, Clone)]
struct Guest {
    source: IpAddr,
    proof: Proof,
    /// Whether a request has come.
    asked: bool,
    /// Requests whose answers have not ended.
    open: usize,
    /// Since when it is as idle or busy as it is.
    since: Instant,
    /// Ends it at once.
    leave: CancellationToken,
}

impl Guest {
    /// Who goes first where one has to: the least proved, then those without a request, then the oldest. `None`: not for
    /// somebody who has proved no more than `proof`.
    fn dispensable(&self, proof: Proof) -> Option<(Proof, bool, Instant)> {
        let is_idle = self.open == 0;
        let may_go = match self.proof {
            Proof::Nothing => true,
            Proof::Somebody => is_idle || proof == Proof::Node,
            Proof::Node => is_idle && proof == Proof::Node,
        };
        may_go.then_some((self.proof, !is_idle, self.since))
    }

    /// When it has been here for too long; `None` while a request is on it.
    fn deadline(&self, bounds: &Bounds) -> Option<Instant> {
        let patience = if self.asked && self.proof > Proof::Nothing {
            bounds.idle
        } else {
            bounds.unproved
        };
        (self.open == 0).then_some(self.since + patience)
    }
}

/// Whether there is room for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Free,
    InPlaceOf(u64),
    None,
}

/// Room for a new connection of `source`.
fn room(guests: &HashMap<u64, Guest>, source: IpAddr, bounds: &Bounds) -> Room {
    let of_one = guests.values().filter(|guest| guest.source == source).count();
    if bounds.of_one.is_some_and(|bound| of_one >= bound) {
        return in_place_of(guests, Proof::Nothing, |guest| guest.source == source);
    }
    let unproved = guests
        .values()
        .filter(|guest| guest.proof == Proof::Nothing)
        .count();
    if guests.len() < bounds.in_all || unproved < GREETED {
        return Room::Free;
    }
    in_place_of(guests, Proof::Nothing, |_| true)
}

/// Who of those that `may` goes for a connection that has proved `proof`.
fn in_place_of(guests: &HashMap<u64, Guest>, proof: Proof, may: impl Fn(&Guest) -> bool) -> Room {
    let asked = guests.iter().filter(|(_, guest)| may(guest));
    let ranked = asked.filter_map(|(id, guest)| Some((guest.dispensable(proof)?, *id)));
    ranked.min().map_or(Room::None, |(_, id)| Room::InPlaceOf(id))
}

/// All connections of a listener.
#[derive(Debug)]
pub(super) struct Roster {
    bounds: Bounds,
    guests: Mutex<HashMap<u64, Guest>>,
    next: AtomicU64,
}

/// The place of one connection, until dropped.
#[derive(Debug)]
pub(super) struct Seat {
    id: u64,
    roster: Arc<Roster>,
    leave: CancellationToken,
}

/// A request that is not answered to its end yet.
#[derive(Debug)]
pub(super) struct Busy(Arc<Seat>);

impl Roster {
    /// Nobody is here.
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            guests: Mutex::default(),
            next: AtomicU64::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Guest>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection of `source`; somebody may have to go for it. `None`: all are in use.
    pub(super) fn enter(self: &Arc<Self>, source: IpAddr, now: Instant) -> Option<Arc<Seat>> {
        let mut guests = self.lock();
        match room(&guests, source, &self.bounds) {
            Room::Free => {}
            Room::InPlaceOf(id) => send_away(&mut guests, id),
            Room::None => return None,
        }
        let (id, leave) = (
            self.next.fetch_add(1, Ordering::Relaxed),
            CancellationToken::new(),
        );
        let guest = Guest {
            source,
            proof: Proof::Nothing,
            asked: false,
            open: 0,
            since: now,
            leave: leave.clone(),
        };
        guests.insert(id, guest);
        let roster = Arc::clone(self);
        Some(Arc::new(Seat { id, roster, leave }))
    }
}

fn send_away(guests: &mut HashMap<u64, Guest>, id: u64) {
    if let Some(guest) = guests.remove(&id) {
        guest.leave.cancel();
    }
}

impl Seat {
    /// The connection has proved this much. Where all places are taken another one goes, or this one.
    pub(super) fn proved(&self, proof: Proof) {
        let mut guests = self.roster.lock();
        let Some(guest) = guests.get_mut(&self.id) else {
            return;
        };
        if guest.proof >= proof {
            return;
        }
        let before = std::mem::replace(&mut guest.proof, proof);
        if before > Proof::Nothing || guests.len() <= self.roster.bounds.in_all {
            return;
        }
        // Newcomers beyond the bound do not count: they are on trial.
        let settled = guests
            .values()
            .filter(|guest| guest.proof > Proof::Nothing)
            .count();
        if settled <= self.roster.bounds.in_all {
            return;
        }
        match in_place_of(&guests, proof, |guest| guest.proof > Proof::Nothing) {
            Room::InPlaceOf(id) => send_away(&mut guests, id),
            Room::Free | Room::None => send_away(&mut guests, self.id),
        }
    }

    /// A request has come; it goes on until what is returned is dropped.
    pub(super) fn begins(self: &Arc<Self>, now: Instant) -> Busy {
        if let Some(guest) = self.roster.lock().get_mut(&self.id) {
            guest.asked = true;
            guest.open += 1;
            guest.since = now;
        }
        Busy(Arc::clone(self))
    }

    /// Resolves when the connection has to go at once.
    pub(super) async fn sent_away(&self) {
        self.leave.cancelled().await;
    }

    /// Resolves when the connection has been idle for too long.
    pub(super) async fn idle(&self) {
        loop {
            let now = Instant::now();
            let deadline = self
                .roster
                .lock()
                .get(&self.id)
                .map(|guest| guest.deadline(&self.roster.bounds));
            match deadline {
                None => return,
                Some(Some(deadline)) if deadline <= now => return,
                Some(Some(deadline)) => tokio::time::sleep_until(deadline).await,
                // Busy: it cannot be idle for too long before this.
                Some(None) => tokio::time::sleep(self.roster.bounds.idle).await,
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.roster.lock().remove(&self.id);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(guest) = self.0.roster.lock().get_mut(&self.0.id) {
            guest.open -= 1;
            guest.since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        in_all: 4,
        of_one: Some(3),
        unproved: Duration::from_secs(10),
        idle: Duration::from_mins(2),
    };

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    /// A connection of somebody with a request on it, or without.
    fn settled(roster: &Arc<Roster>, source: u8, busy: bool) -> (Arc<Seat>, Option<Busy>) {
        let seat = roster.enter(address(source), Instant::now()).unwrap();
        let request = seat.begins(Instant::now());
        seat.proved(Proof::Somebody);
        (seat, busy.then_some(request))
    }

    fn has_gone(seat: &Seat) -> bool {
        seat.leave.is_cancelled()
    }

    #[tokio::test(start_paused = true)]
    async fn of_one_address_the_unproved_go_first_then_the_idle_and_never_the_busy() {
        let roster = Roster::new(BOUNDS);
        let (idle, busy) = (settled(&roster, 1, false), settled(&roster, 1, true));
        let unproved = roster.enter(address(1), Instant::now()).unwrap();
        let next = roster.enter(address(1), Instant::now()).unwrap();
        assert!(has_gone(&unproved) && !has_gone(&idle.0));
        let _request = next.begins(Instant::now());
        next.proved(Proof::Somebody);
        let last = settled(&roster, 1, true);
        assert!(has_gone(&idle.0) && !has_gone(&busy.0) && !has_gone(&next));
        assert!(
            roster.enter(address(1), Instant::now()).is_none(),
            "all of this address are in use"
        );
        let other = settled(&roster, 2, true);
        assert!(!has_gone(&other.0) && !has_gone(&last.0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_kubelet_gets_in_whatever_others_do() {
        let bounds = Bounds {
            of_one: None,
            ..BOUNDS
        };
        let roster = Roster::new(bounds);
        let busy: Vec<_> = (0..bounds.in_all).map(|_| settled(&roster, 1, true)).collect();
        let crowd: Vec<_> = (0..GREETED * 2)
            .map(|_| roster.enter(address(1), Instant::now()).unwrap())
            .collect();
        assert_eq!(crowd.iter().filter(|seat| has_gone(seat)).count(), GREETED);
        let kubelet = roster.enter(address(1), Instant::now()).unwrap();
        kubelet.proved(Proof::Node);
        assert!(!has_gone(&kubelet));
        assert_eq!(busy.iter().filter(|(seat, _)| has_gone(seat)).count(), 1);
        let late = roster.enter(address(1), Instant::now()).unwrap();
        let _request = late.begins(Instant::now());
        late.proved(Proof::Somebody);
        assert!(has_gone(&late), "all places are in use");
        assert!(!has_gone(&kubelet));
    }

    #[tokio::test(start_paused = true)]
    async fn connections_without_requests_end_and_the_others_do_not() {
        let roster = Roster::new(BOUNDS);
        let start = Instant::now();
        let ended_after = async |seat: &Seat| {
            let limit = Duration::from_mins(10);
            let ended = tokio::time::timeout(limit, seat.idle()).await;
            ended.ok().map(|()| Instant::now().duration_since(start))
        };
        let silent = roster.enter(address(1), start).unwrap();
        silent.proved(Proof::Node);
        let idle = settled(&roster, 1, false);
        let busy = settled(&roster, 2, true);
        assert_eq!(
            ended_after(&silent).await,
            Some(BOUNDS.unproved),
            "it never asked"
        );
        assert_eq!(ended_after(&idle.0).await, Some(BOUNDS.idle));
        assert_eq!(ended_after(&busy.0).await, None);
    }
}
