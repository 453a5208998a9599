//! Which of the apiservers are there, and so whether the cloud is. Pure: time is an argument.
//!
//! Each server that is asked has a [`Machine`] of its own. While one is up the others rest: no connection, no question, but a
//! check now and then. When none is up all are asked at once, and the cloud stays in doubt until each has had its time.
//! Servers are preferred in their order: configured ones as they were given, then learned ones. A preferred server that
//! comes back while another is used has to stay a while before it is used again.

use std::time::Duration;

use tokio::time::Instant;

use super::machine::{Evidence, Machine, Patience, Phase};
use super::standing::{Errand, Origin, ServerId, Standing};

/// Until a server that rests is checked for the first time.
const FIRST_CHECK: Duration = Duration::from_secs(10);
/// Until a server that rests, and works, is checked again.
const STANDBY: Duration = Duration::from_mins(30);
/// The last waiting time for one that is away while a preferred one is there.
const UNNEEDED: Duration = Duration::from_mins(5);
/// Until a server whose certificate does not fit is tried again.
const UNFIT: Duration = Duration::from_hours(24);

#[derive(Debug)]
struct Member {
    origin: Origin,
    machine: Machine,
    resting: bool,
    /// Has answered, in this run or an earlier one.
    worked: bool,
    /// Answered its last attempt.
    works: bool,
    gone: bool,
    unfit_until: Option<Instant>,
    /// How long it must be back before it is preferred to one that is in use.
    settling: Duration,
    settled: Instant,
    next_check: Instant,
    backoff: Duration,
}

impl Member {
    fn is_up(&self) -> bool {
        !self.resting && self.machine.phase() == Phase::Up
    }

    fn is_dismissed(&self) -> bool {
        self.gone || self.unfit_until.is_some()
    }

    /// Whether the cloud counts as away only when this one does not answer either.
    fn counts(&self) -> bool {
        !self.is_dismissed() && (self.origin == Origin::Configured || self.worked)
    }

    fn rest(&mut self, patience: Patience, now: Instant) {
        self.resting = true;
        self.machine = Machine::new(patience, now);
    }
}

/// All servers.
#[derive(Debug)]
pub(super) struct Fleet {
    members: Vec<Member>,
    patience: Patience,
    phase: Phase,
}

impl Fleet {
    pub(super) fn new(patience: Patience) -> Self {
        Self {
            members: Vec::new(),
            patience,
            phase: Phase::Unknown,
        }
    }

    /// One more server, after all others. `worked`: it answered in an earlier run; `settling`: how long it must be back
    /// before it is preferred to one that is in use.
    pub(super) fn add(
        &mut self,
        (origin, worked): (Origin, bool),
        settling: Duration,
        now: Instant,
    ) -> ServerId {
        let (first, _) = origin.backoff();
        self.members.push(Member {
            origin,
            machine: Machine::new(self.patience, now),
            resting: origin == Origin::Learned && !worked,
            worked,
            works: worked,
            gone: false,
            unfit_until: None,
            settling,
            settled: now,
            // Not in the moment of the start.
            next_check: now + FIRST_CHECK,
            backoff: first,
        });
        let _ = self.settle(now);
        ServerId(self.members.len() - 1)
    }

    /// Takes in evidence on one server; returns the cloud's new phase where it changed.
    pub(super) fn on(&mut self, id: ServerId, evidence: Evidence, now: Instant) -> Option<Phase> {
        let other_is_up = self.is_up_beside(id);
        let patience = self.patience;
        let member = self.members.get_mut(id.0)?;
        if member.resting && evidence != Evidence::Answer {
            return None;
        }
        if evidence == Evidence::Unwatched && other_is_up {
            member.rest(patience, now);
            return self.settle(now);
        }
        let before = member.machine.phase();
        member.resting = false;
        match member.machine.on(evidence, now) {
            Some(Phase::Up) => {
                (member.worked, member.works) = (true, true);
                let at_once = !other_is_up || before == Phase::Suspect;
                member.settled = if at_once { now } else { now + member.settling };
            }
            Some(Phase::Down) => member.went_down(now),
            _ => {}
        }
        self.settle(now)
    }

    /// An attempt to reach a server has ended; returns whether its connection is to be kept, and the cloud's new phase where
    /// it changed. `jitter` stretches waiting times.
    pub(super) fn attempted(
        &mut self,
        id: ServerId,
        evidence: Evidence,
        (now, jitter): (Instant, f64),
    ) -> (bool, Option<Phase>) {
        let preferred_is_up = self.members.iter().take(id.0).any(Member::is_up);
        let patience = self.patience;
        let Some(member) = self.members.get_mut(id.0) else {
            return (false, None);
        };
        let answered = evidence == Evidence::Answer;
        let (first, last) = member.origin.backoff();
        let last = if preferred_is_up { last.max(UNNEEDED) } else { last };
        if answered {
            member.unfit_until = None;
        }
        member.works = answered;
        member.worked |= answered;
        member.backoff = if answered {
            first
        } else {
            (member.backoff * 2).min(last)
        };
        let wait = if answered { STANDBY } else { member.backoff };
        member.next_check = now + wait.mul_f64(jitter);
        if answered && preferred_is_up {
            member.rest(patience, now);
            return (false, self.settle(now));
        }
        (answered, self.on(id, evidence, now))
    }

    /// The server's certificate is not for the address by which it was reached.
    pub(super) fn dismiss(&mut self, id: ServerId, now: Instant) -> Option<Phase> {
        let patience = self.patience;
        let member = self.members.get_mut(id.0)?;
        member.rest(patience, now);
        member.works = false;
        member.unfit_until = Some(now + UNFIT);
        member.next_check = now + UNFIT;
        self.settle(now)
    }

    /// The cluster names a learned server no more, or again.
    pub(super) fn set_gone(&mut self, id: ServerId, gone: bool, now: Instant) -> Option<Phase> {
        let patience = self.patience;
        let member = self.members.get_mut(id.0)?;
        if member.gone == gone {
            return None;
        }
        member.gone = gone;
        member.rest(patience, now);
        self.settle(now)
    }

    /// Nothing is left on the connections of a server while a preferred one is used.
    pub(super) fn rest(&mut self, id: ServerId, now: Instant) -> Option<Phase> {
        if self.is_up_beside(id) {
            let patience = self.patience;
            self.members.get_mut(id.0)?.rest(patience, now);
        }
        self.settle(now)
    }

    /// How long doubt about a server may last from now on.
    pub(super) fn set_doubt(&mut self, id: ServerId, doubt: Duration) {
        if let Some(member) = self.members.get_mut(id.0) {
            member.machine.set_doubt(doubt);
        }
    }

    /// Lets time pass; returns the cloud's new phase where it changed.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Phase> {
        for member in self.members.iter_mut().filter(|member| !member.resting) {
            if member.machine.tick(now) == Some(Phase::Down) {
                member.went_down(now);
            }
        }
        self.settle(now)
    }

    /// When [`Fleet::tick`] must be called next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let active = self.members.iter().filter(|member| !member.resting);
        active.filter_map(|member| member.machine.deadline()).min()
    }

    /// The servers that a request may be tried on, the best first. Learned ones that have never worked are not among them.
    pub(super) fn order(&self, now: Instant) -> Vec<ServerId> {
        let rank = |member: &Member| match (member.resting, member.machine.phase()) {
            (false, Phase::Up) if now >= member.settled => 0,
            (false, Phase::Up) => 1,
            (false, Phase::Suspect) => 2,
            (true, _) | (_, Phase::Unknown) => 3,
            (false, Phase::Down) => 4,
        };
        let mut ranked: Vec<_> = (0..)
            .zip(&self.members)
            .filter(|(_, member)| member.counts())
            .map(|(place, member)| (rank(member), ServerId(place)))
            .collect();
        ranked.sort_unstable();
        let alive = ranked.iter().any(|(rank, _)| *rank < 4);
        let usable = ranked.into_iter().filter(|(rank, _)| !alive || *rank < 4);
        usable.map(|(_, id)| id).collect()
    }

    pub(super) fn standing(&self, id: ServerId) -> Standing {
        match self.members.get(id.0) {
            Some(member) if !member.is_dismissed() => {
                if member.resting {
                    Standing::Resting { works: member.works }
                } else {
                    Standing::Active(member.machine.phase())
                }
            }
            _ => Standing::Dismissed,
        }
    }

    pub(super) fn has_worked(&self, id: ServerId) -> bool {
        self.members.get(id.0).is_some_and(|member| member.worked)
    }

    pub(super) fn is_gone(&self, id: ServerId) -> bool {
        self.members.get(id.0).is_none_or(|member| member.gone)
    }

    pub(super) fn errand(&self, id: ServerId) -> Errand {
        let Some(member) = self.members.get(id.0).filter(|member| !member.gone) else {
            return Errand::Idle;
        };
        match (self.phase, member.resting, member.machine.phase()) {
            (_, false, Phase::Up) => Errand::Idle,
            (Phase::Up, false, Phase::Suspect) => Errand::Seek,
            (Phase::Up, ..) | (_, true, _) => Errand::Check(member.next_check),
            (_, false, _) => Errand::Seek,
        }
    }

    fn is_up_beside(&self, id: ServerId) -> bool {
        let others = (0..).zip(&self.members).filter(|(place, _)| *place != id.0);
        others.map(|(_, member)| member).any(Member::is_up)
    }

    /// Lets servers rest that need not be asked, asks those that must be, and concludes.
    fn settle(&mut self, now: Instant) -> Option<Phase> {
        let (patience, phase) = (self.asking(), self.phase);
        let is_up = self.members.iter().any(Member::is_up);
        for member in &mut self.members {
            let unknown = !member.resting && member.machine.phase() == Phase::Unknown;
            if is_up && unknown {
                member.rest(patience, now);
            } else if !is_up && member.resting && member.counts() {
                member.resting = false;
                member.machine = Machine::new(patience, now);
            }
        }
        let counted = || self.members.iter().filter(|member| !member.resting);
        let any = |phase| counted().any(|member| member.machine.phase() == phase);
        let next = match phase {
            _ if is_up => Phase::Up,
            _ if any(Phase::Suspect) => Phase::Suspect,
            Phase::Up | Phase::Suspect if any(Phase::Unknown) => Phase::Suspect,
            Phase::Unknown if any(Phase::Unknown) => Phase::Unknown,
            _ => Phase::Down,
        };
        self.phase = next;
        (next != phase).then_some(next)
    }

    /// How long a server may take that is asked now. In an outage of another one it gets the time that this one gets.
    fn asking(&self) -> Patience {
        let doubts = self.members.iter().map(|member| member.machine.doubt());
        let doubt = doubts.max().unwrap_or(self.patience.doubt);
        let first_verdict = match self.phase {
            Phase::Unknown => self.patience.first_verdict,
            _ => self.patience.first_verdict.max(doubt),
        };
        Patience {
            first_verdict,
            doubt: self.patience.doubt,
        }
    }
}

impl Member {
    fn went_down(&mut self, now: Instant) {
        self.works = false;
        (self.backoff, _) = self.origin.backoff();
        self.next_check = now + self.backoff;
    }
}

#[cfg(test)]
mod tests;
