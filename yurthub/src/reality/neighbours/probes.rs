//! Which nodes answer while the cloud is away, and which of them to try next. Pure: time is an argument, and so is chance.
//!
//! A node counts as unreachable after two attempts without an answer, one right after the other, and as reachable after
//! one with. One packet that is lost is no news; two in a row, a second apart, are rare on a link that works. So what is
//! shown is right two seconds after the cloud was found away: after a boot before anybody reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

/// Attempts that may be under way at a time.
pub(super) const PARALLEL: usize = 8;
/// Attempts without an answer after which a node counts as unreachable.
const ATTEMPTS: u32 = 2;
/// How often a node that answers is tried.
const STEADY: Duration = Duration::from_secs(10);
/// The first pause after a node was found unreachable; it doubles up to the longest.
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(30);

/// What became of an attempt to reach a kubelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It took the connection.
    Answered,
    /// The machine is there, its kubelet is not: its pods may well run.
    Refused,
    /// Nobody answered in time, or a router said that there is no way.
    Silent,
    /// There is no way to its network: mostly this node itself has none, and nothing was sent.
    NoRoute,
    /// Nothing can be said, for want of something on this node.
    Unclear,
}

impl Outcome {
    /// Name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::NoRoute => "no-route",
            Self::Unclear => "unclear",
        }
    }

    /// Whether the machine has answered.
    pub(super) fn is_answer(self) -> bool {
        matches!(self, Self::Answered | Self::Refused)
    }
}

/// A node to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    /// Whether its silence says anything.
    pub(super) answers: bool,
}

#[derive(Debug)]
struct Probe {
    target: Target,
    /// Place among the targets.
    rank: usize,
    /// Attempts without an answer since the last one with.
    failures: u32,
    due: Instant,
    under_way: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Probes(BTreeMap<String, Probe>);

impl Probes {
    /// Tries these nodes from now on, the most important first; new ones at once.
    pub(super) fn follow(&mut self, targets: Vec<Target>, now: Instant) {
        let mut before = std::mem::take(&mut self.0);
        for (rank, target) in targets.into_iter().enumerate() {
            let same = before.remove(&target.name);
            let same = same.filter(|probe| probe.target.address == target.address);
            let (failures, due, under_way) = same.map_or((0, now, false), |probe| {
                (probe.failures, probe.due, probe.under_way)
            });
            let name = target.name.clone();
            let probe = Probe {
                target,
                rank,
                failures,
                due,
                under_way,
            };
            self.0.insert(name, probe);
        }
    }

    /// The next attempt to make, which counts as under way from here on; `None` while none is due, or enough are.
    pub(super) fn start(&mut self, now: Instant) -> Option<Target> {
        let (waiting, under_way): (Vec<_>, Vec<_>) = self.0.values_mut().partition(|probe| !probe.under_way);
        if under_way.len() >= PARALLEL {
            return None;
        }
        let due = waiting.into_iter().filter(|probe| probe.due <= now);
        // What was begun is ended first: the first verdicts come after two attempts, however many nodes there are.
        let next = due.min_by_key(|probe| (!probe.is_doubtful(), probe.due, probe.rank))?;
        next.under_way = true;
        Some(next.target.clone())
    }

    /// Takes in what became of an attempt. `chance` is between 0 and 1.
    pub(super) fn ended(&mut self, target: &Target, outcome: Outcome, now: Instant, chance: f64) {
        let probe = self.0.get_mut(&target.name);
        // What was tried may have another address by now, or nobody may ask for it.
        let Some(probe) = probe.filter(|probe| probe.target.address == target.address) else {
            return;
        };
        probe.under_way = false;
        probe.target.answers |= outcome.is_answer();
        probe.failures = failures(probe.failures, outcome);
        probe.due = now + pause(probe.failures, outcome).mul_f64(0.75 + 0.5 * chance);
    }

    /// When the next attempt is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let waiting = self.0.values().filter(|probe| !probe.under_way);
        waiting.map(|probe| probe.due).min()
    }

    /// The nodes that cannot be reached.
    pub(super) fn unreachable(&self) -> BTreeSet<String> {
        let silent = self.0.iter().filter(|(_, probe)| probe.is_unreachable());
        silent.map(|(name, _)| name.clone()).collect()
    }
}

impl Probe {
    fn is_doubtful(&self) -> bool {
        (1..ATTEMPTS).contains(&self.failures)
    }

    fn is_unreachable(&self) -> bool {
        self.target.answers && self.failures >= ATTEMPTS
    }
}

/// Attempts without an answer, after one more.
fn failures(before: u32, outcome: Outcome) -> u32 {
    match outcome {
        Outcome::Answered | Outcome::Refused => 0,
        Outcome::Silent | Outcome::NoRoute => before.saturating_add(1),
        Outcome::Unclear => before,
    }
}

/// How long to wait after `outcome`, the last of `failures` without an answer.
fn pause(failures: u32, outcome: Outcome) -> Duration {
    match (outcome, failures) {
        (Outcome::Answered | Outcome::Refused, _) => STEADY,
        (Outcome::Unclear, _) => SHORTEST,
        (_, failures) if failures < ATTEMPTS => Duration::ZERO,
        // A network that comes up late, after a boot, must not be waited for.
        (Outcome::NoRoute, _) => SHORTEST,
        (Outcome::Silent, failures) => SHORTEST
            .saturating_mul(1 << (failures - ATTEMPTS).min(8))
            .min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str) -> Target {
        Target {
            name: name.into(),
            address: "10.0.0.1:10250".parse().unwrap(),
            answers: true,
        }
    }

    fn following(names: &[&str], now: Instant) -> Probes {
        let mut probes = Probes::default();
        probes.follow(names.iter().map(|name| target(name)).collect(), now);
        probes
    }

    /// Makes one attempt at `a`; returns whether it counts as unreachable now, and how long until the next.
    fn attempt(probes: &mut Probes, outcome: Outcome, now: Instant) -> (bool, Duration) {
        assert_eq!(probes.start(now), Some(target("a")));
        probes.ended(&target("a"), outcome, now, 0.5);
        (!probes.unreachable().is_empty(), probes.due().unwrap() - now)
    }

    #[test]
    fn two_attempts_without_an_answer_make_a_node_unreachable_and_one_with_brings_it_back() {
        use Outcome::{Answered, NoRoute, Refused, Silent, Unclear};
        let mut now = Instant::now();
        let mut probes = following(&["a"], now);
        for (outcome, unreachable, pause) in [
            (Silent, false, 0),
            (Answered, false, 10),
            (Silent, false, 0),
            (Silent, true, 2),
            (Silent, true, 4),
            (Unclear, true, 2),
            (Silent, true, 8),
            (Silent, true, 16),
            (Silent, true, 30),
            (Silent, true, 30),
            (Refused, false, 10),
            (NoRoute, false, 0),
            (NoRoute, true, 2),
            (NoRoute, true, 2),
            (Answered, false, 10),
            (Unclear, false, 2),
        ] {
            let pause = Duration::from_secs(pause);
            assert_eq!(
                attempt(&mut probes, outcome, now),
                (unreachable, pause),
                "{outcome:?}"
            );
            now += pause;
        }
    }

    #[test]
    fn pauses_differ_by_chance() {
        let now = Instant::now();
        for (chance, expected) in [(0.0, 7500), (1.0, 12_500)] {
            let mut probes = following(&["a"], now);
            assert!(probes.start(now).is_some());
            probes.ended(&target("a"), Outcome::Answered, now, chance);
            assert_eq!(probes.due(), Some(now + Duration::from_millis(expected)));
        }
    }

    #[test]
    fn the_silence_of_a_kubelet_that_never_answered_says_nothing_until_it_has() {
        let now = Instant::now();
        let never = Target {
            answers: false,
            ..target("a")
        };
        let mut probes = Probes::default();
        probes.follow(vec![never.clone()], now);
        let mut after = |outcomes: &[Outcome]| {
            for outcome in outcomes {
                probes.ended(&never, *outcome, now, 0.5);
            }
            !probes.unreachable().is_empty()
        };
        assert!(!after(&[Outcome::Silent; 5]));
        assert!(!after(&[Outcome::Answered]));
        assert!(after(&[Outcome::Silent; 2]));
    }

    #[test]
    fn few_attempts_are_under_way_and_the_first_verdicts_come_first() {
        let now = Instant::now();
        let names: Vec<String> = (0..3 * PARALLEL)
            .map(|number| format!("{:02}", 99 - number))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut probes = following(&names, now);
        for round in 0..2 {
            for name in &names[..PARALLEL] {
                assert_eq!(probes.start(now).unwrap().name, *name, "round {round}");
            }
            assert_eq!(probes.start(now), None, "round {round}");
            for name in &names[..PARALLEL] {
                probes.ended(&target(name), Outcome::Silent, now, 0.5);
            }
        }
        let expected = names[..PARALLEL].iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(probes.unreachable(), expected);
        assert_eq!(
            probes.start(now).unwrap().name,
            names[PARALLEL],
            "then the others"
        );
    }

    #[test]
    fn what_is_no_longer_followed_or_has_another_address_is_forgotten() {
        let now = Instant::now();
        let mut probes = following(&["a", "b"], now);
        for name in ["a", "b"] {
            for _ in 0..2 {
                probes.ended(&target(name), Outcome::Silent, now, 0.5);
            }
        }
        assert_eq!(probes.unreachable().len(), 2);
        let moved = Target {
            address: "10.0.0.2:10250".parse().unwrap(),
            ..target("b")
        };
        probes.follow(vec![target("a"), moved.clone()], now);
        assert_eq!(probes.unreachable(), BTreeSet::from(["a".to_owned()]));
        assert_eq!(probes.start(now), Some(moved.clone()), "tried at once");
        probes.ended(&target("b"), Outcome::Silent, now, 0.5);
        assert_eq!(probes.start(now), None, "that was its old address");
        probes.follow(vec![], now);
        probes.ended(&moved, Outcome::Silent, now, 0.5);
        assert_eq!((probes.unreachable().len(), probes.due()), (0, None));
    }
}
