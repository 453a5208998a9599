//! When the cloud counts as there, in doubt, or away. Pure: time is an argument.
//!
//! ```text
//!   Unknown ──answer──▶ Up ◀──answer── Suspect ──a fresh attempt refused, or doubt too long──▶ Down
//!      └──failure, or first verdict too late─────────────────────────────────────────────────▶ Down ──answer──▶ Up
//!                       Up ──failure, or silence──▶ Suspect
//! ```
//!
//! One failure never decides: a connection may break for its own reasons (an apiserver that restarts, a NAT
//! entry that is dropped). It starts a bounded doubt in which the prober tries a fresh connection at once. Doubt that
//! came from silence alone ends, too, when the silent connection is heard again.

use std::time::Duration;

use tokio::time::Instant;

/// What is believed of the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// yurthub has just started and has not heard yet.
    Unknown,
    /// The apiserver answers.
    Up,
    /// Something failed; a fresh connection is being tried.
    Suspect,
    /// The apiserver cannot be reached.
    Down,
}

impl Phase {
    /// Name in logs, metrics and on the admin socket.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down => "down",
        }
    }
}

/// What was seen on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The apiserver answered a request, whatever the answer.
    Answer,
    /// A connection could not be established.
    ConnectFailed,
    /// An established connection broke.
    ConnectionLost,
    /// The last connection by which the server was watched has ended in order.
    Unwatched,
    /// Nothing came back in time: no acknowledgement, or no connection.
    Silence,
    /// A connection that was silent is acknowledged again.
    Heard,
}

/// Bounds of doubt.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long the first verdict may take after the start.
    pub first_verdict: Duration,
    /// How long doubt may last.
    pub doubt: Duration,
}

/// The machine: what is believed, and since when.
#[derive(Debug)]
pub(super) struct Machine {
    phase: Phase,
    since: Instant,
    /// Whether the present doubt comes from silence alone.
    only_silent: bool,
    patience: Patience,
}

impl Machine {
    /// A machine that has not heard yet.
    pub(super) fn new(patience: Patience, now: Instant) -> Self {
        Self {
            phase: Phase::Unknown,
            since: now,
            only_silent: false,
            patience,
        }
    }

    /// What is believed.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// How long doubt may last.
    pub(super) fn doubt(&self) -> Duration {
        self.patience.doubt
    }

    /// How long doubt may last from now on.
    pub(super) fn set_doubt(&mut self, doubt: Duration) {
        self.patience.doubt = doubt;
    }

    /// Takes in evidence; returns the new phase where it changed.
    pub(super) fn on(&mut self, evidence: Evidence, now: Instant) -> Option<Phase> {
        self.only_silent = match self.phase {
            Phase::Suspect => self.only_silent && matches!(evidence, Evidence::Silence | Evidence::Heard),
            _ => evidence == Evidence::Silence,
        };
        let next = match (self.phase, evidence) {
            (_, Evidence::Answer) => Phase::Up,
            (Phase::Suspect, Evidence::Heard) if self.only_silent => Phase::Up,
            (phase, Evidence::Heard) => phase,
            // The old connections all break when a link dies; only a fresh attempt that fails adds anything, and one that
            // waits for a lost packet has not failed.
            (Phase::Up, _)
            | (Phase::Suspect, Evidence::ConnectionLost | Evidence::Unwatched | Evidence::Silence) => {
                Phase::Suspect
            }
            (Phase::Unknown, Evidence::Silence | Evidence::Unwatched) => Phase::Unknown,
            (Phase::Unknown | Phase::Suspect | Phase::Down, _) => Phase::Down,
        };
        self.enter(next, now)
    }

    /// Lets time pass; returns the new phase where patience has run out.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Phase> {
        if self.deadline().is_some_and(|deadline| now >= deadline) {
            self.enter(Phase::Down, now)
        } else {
            None
        }
    }

    /// When [`Machine::tick`] must be called next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Unknown => Some(self.since + self.patience.first_verdict),
            Phase::Suspect => Some(self.since + self.patience.doubt),
            Phase::Up | Phase::Down => None,
        }
    }

    fn enter(&mut self, next: Phase, now: Instant) -> Option<Phase> {
        if next == self.phase {
            return None;
        }
        self.phase = next;
        self.since = now;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        first_verdict: Duration::from_secs(1),
        doubt: Duration::from_secs(1),
    };

    fn machine(phase: Phase, now: Instant) -> Machine {
        Machine {
            phase,
            since: now,
            only_silent: false,
            patience: PATIENCE,
        }
    }

    #[test]
    fn evidence_moves_the_machine_as_the_table_says() {
        use Evidence::{Answer, ConnectFailed, ConnectionLost, Heard, Silence};
        use Phase::{Down, Suspect, Unknown, Up};
        let now = Instant::now();
        for (from, evidence, to) in [
            (Unknown, Answer, Some(Up)),
            (Unknown, ConnectFailed, Some(Down)),
            (Up, Answer, None),
            (Up, ConnectFailed, Some(Suspect)),
            (Up, ConnectionLost, Some(Suspect)),
            (Suspect, Answer, Some(Up)),
            (Suspect, ConnectionLost, None),
            (Suspect, ConnectFailed, Some(Down)),
            (Down, Answer, Some(Up)),
            (Down, ConnectFailed, None),
            (Down, ConnectionLost, None),
            (Unknown, Silence, None),
            (Unknown, Heard, None),
            (Up, Silence, Some(Suspect)),
            (Up, Heard, None),
            (Suspect, Silence, None),
            (Down, Silence, None),
            (Down, Heard, None),
        ] {
            assert_eq!(
                machine(from, now).on(evidence, now),
                to,
                "{from:?} + {evidence:?}"
            );
        }
    }

    #[test]
    fn being_heard_again_ends_a_doubt_that_came_from_silence_and_no_other() {
        use Evidence::{ConnectionLost, Heard, Silence};
        let now = Instant::now();
        for (evidence, last) in [
            (vec![Silence, Heard], Phase::Up),
            (vec![Silence, Silence, Heard], Phase::Up),
            (vec![ConnectionLost, Heard], Phase::Suspect),
            (vec![Silence, ConnectionLost, Heard], Phase::Suspect),
            (vec![ConnectionLost, Silence, Heard], Phase::Suspect),
        ] {
            let mut machine = machine(Phase::Up, now);
            for seen in &evidence {
                machine.on(*seen, now);
            }
            assert_eq!(machine.phase, last, "{evidence:?}");
        }
    }

    #[test]
    fn doubt_and_waiting_for_the_first_verdict_are_bounded() {
        let now = Instant::now();
        for phase in [Phase::Unknown, Phase::Suspect] {
            let mut machine = machine(phase, now);
            assert_eq!(machine.tick(now + Duration::from_millis(999)), None);
            assert_eq!(machine.tick(machine.deadline().unwrap()), Some(Phase::Down));
            assert_eq!(machine.deadline(), None);
        }
    }
}
