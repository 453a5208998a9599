//! Which member to ask next, and what its answers mean. Pure: time is an argument, and so is chance.
//!
//! In quiet times each member is asked every ten seconds or so: then it is known whose silence says something. Once the cloud
//! no longer hears of one, it is asked at once, and often. It is *alive* after one answer given since then, and *dead* after
//! three attempts in a row that its machine did not take, each of 1.5 s, if it ever answered. A machine that refuses the
//! connection, or takes it and proves nothing, is neither: there its pods may well run.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;
use yurt_common::pool::votes::{Seen, Vote};

/// Attempts that may be under way at a time.
pub(super) const PARALLEL: usize = 16;
/// How often a member that the cloud hears of is asked.
const STEADY: Duration = Duration::from_secs(10);
/// The pause after an answer of one that the cloud does not hear of, and after none.
const ALIVE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(2);
/// Attempts in a row that a machine did not take, after which a member is dead.
const DEAD_AFTER: u32 = 3;
/// Attempts in a row without an answer of any kind, after which one that was alive is so no longer: its yurthub may restart.
const DOUBT_AFTER: u32 = 6;

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It proved who it is, and answered.
    Answered,
    /// The machine is there; nobody listens.
    Refused,
    /// Whoever took the connection is somebody else, or its certificate has run out.
    Unproved,
    /// The machine took the connection, and nothing followed.
    Hung,
    /// Nobody took the connection.
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
            Self::Unproved => "unproved",
            Self::Hung => "hung",
            Self::Silent => "silent",
            Self::NoRoute => "no-route",
            Self::Unclear => "unclear",
        }
    }
}

/// How a member stands with this yurthub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not asked yet.
    Unknown,
    /// It answers.
    Answering,
    /// It never answered: its silence says nothing.
    Mute,
    /// It has answered before, and does not now.
    Lost,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Answering, Self::Mute, Self::Lost];

    /// Name in metrics and on the admin socket.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Answering => "answering",
            Self::Mute => "mute",
            Self::Lost => "lost",
        }
    }
}

/// A member to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Name of its Node.
    pub name: String,
    /// Where it answers.
    pub address: SocketAddr,
    /// Whether it ever answered there.
    pub answered: bool,
    /// Since when the cloud does not hear of it.
    pub silent: Option<String>,
}

#[derive(Debug)]
struct Probe {
    target: Target,
    /// What the last attempt that says anything came to.
    last: Option<Outcome>,
    /// Attempts in a row that the machine did not take, and all in a row without an answer, since the silence began.
    silent: u32,
    unanswered: u32,
    /// What is seen since the silence began.
    verdict: Option<Seen>,
    due: Instant,
    under_way: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Schedule(BTreeMap<String, Probe>);

impl Schedule {
    /// Asks these members from now on; new ones, and those that have fallen silent, at once.
    pub fn follow(&mut self, targets: Vec<Target>, now: Instant) {
        let mut before = std::mem::take(&mut self.0);
        for target in targets {
            let same = before.remove(&target.name);
            let same = same.filter(|probe| probe.target.address == target.address);
            let mut probe = same.unwrap_or_else(|| Probe {
                target: target.clone(),
                last: None,
                silent: 0,
                unanswered: 0,
                verdict: None,
                due: now,
                under_way: false,
            });
            if probe.target.silent != target.silent {
                // What was seen before says nothing of this silence.
                (probe.silent, probe.unanswered, probe.verdict) = (0, 0, None);
                if target.silent.is_some() {
                    probe.due = now;
                }
            }
            probe.target = Target {
                answered: target.answered || probe.target.answered,
                ..target
            };
            self.0.insert(probe.target.name.clone(), probe);
        }
    }

    /// The next attempt to make, which counts as under way from here on; `None` while none is due, or enough are.
    pub fn start(&mut self, now: Instant) -> Option<Target> {
        let (waiting, under_way): (Vec<_>, Vec<_>) = self.0.values_mut().partition(|probe| !probe.under_way);
        if under_way.len() >= PARALLEL {
            return None;
        }
        let due = waiting.into_iter().filter(|probe| probe.due <= now);
        let next = due.min_by_key(|probe| (probe.target.silent.is_none(), probe.due))?;
        next.under_way = true;
        Some(next.target.clone())
    }

    /// Takes in what became of an attempt. `chance` is between 0 and 1.
    pub fn ended(&mut self, asked: &Target, outcome: Outcome, now: Instant, chance: f64) {
        let probe = self.0.get_mut(&asked.name);
        let Some(probe) = probe.filter(|probe| probe.target.address == asked.address) else {
            return; // it has another address by now, or nobody asks it any more
        };
        probe.under_way = false;
        probe.target.answered |= outcome == Outcome::Answered;
        if !matches!(outcome, Outcome::Unclear | Outcome::NoRoute) {
            probe.last = Some(outcome);
        }
        if probe.target.silent.is_none() {
            probe.due = now + STEADY.mul_f64(0.75 + 0.5 * chance);
        } else if probe.target.silent == asked.silent {
            probe.judge(outcome);
            let pause = match outcome {
                Outcome::Answered => ALIVE,
                Outcome::Silent if probe.silent < DEAD_AFTER => Duration::ZERO,
                _ => AGAIN,
            };
            probe.due = now + pause.mul_f64(0.75 + 0.5 * chance);
        } else {
            probe.due = now; // it was asked before the silence began
        }
    }

    /// When the next attempt is due.
    pub fn due(&self) -> Option<Instant> {
        let waiting = self.0.values().filter(|probe| !probe.under_way);
        waiting.map(|probe| probe.due).min()
    }

    /// What is seen of silent members.
    pub fn votes(&self) -> BTreeMap<String, Vote> {
        let vote = |(name, probe): (&String, &Probe)| {
            let since = probe.target.silent.clone()?;
            let sees = probe.verdict?;
            Some((name.clone(), Vote { since, sees }))
        };
        self.0.iter().filter_map(vote).collect()
    }

    /// How all stand.
    pub fn standings(&self) -> BTreeMap<String, Standing> {
        let standing = |(name, probe): (&String, &Probe)| (name.clone(), probe.standing());
        self.0.iter().map(standing).collect()
    }
}

impl Probe {
    fn judge(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Answered => (self.silent, self.unanswered) = (0, 0),
            Outcome::Silent => (self.silent, self.unanswered) = (self.silent + 1, self.unanswered + 1),
            Outcome::Refused | Outcome::Unproved | Outcome::Hung => {
                (self.silent, self.unanswered) = (0, self.unanswered + 1);
            }
            Outcome::NoRoute | Outcome::Unclear => return,
        }
        self.verdict = match outcome {
            Outcome::Answered => Some(Seen::Alive),
            Outcome::Silent if self.silent >= DEAD_AFTER => self.target.answered.then_some(Seen::Dead),
            // Its machine is there after all.
            Outcome::Refused | Outcome::Unproved | Outcome::Hung if self.verdict == Some(Seen::Dead) => None,
            _ if self.unanswered >= DOUBT_AFTER => self.verdict.filter(|verdict| *verdict == Seen::Dead),
            _ => self.verdict,
        };
    }

    fn standing(&self) -> Standing {
        match self.last {
            None => Standing::Unknown,
            Some(Outcome::Answered) => Standing::Answering,
            Some(_) if self.target.answered => Standing::Lost,
            Some(_) => Standing::Mute,
        }
    }
}

/// The members that have `own` among their voters, of all members.
pub fn probed_by(own: &str, members: &BTreeMap<String, SocketAddr>) -> BTreeSet<String> {
    if !members.contains_key(own) {
        return BTreeSet::new();
    }
    let names = || members.keys().map(String::as_str);
    let others = names().filter(|name| *name != own);
    let mine = others.filter(|name| yurt_common::pool::votes::voters(names(), name).contains(&own));
    mine.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(answered: bool, silent: Option<&str>) -> Target {
        Target {
            name: "a".into(),
            address: "10.0.0.1:10269".parse().unwrap(),
            answered,
            silent: silent.map(str::to_owned),
        }
    }

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// Makes one attempt; returns what is seen then, and how long until the next.
    fn attempt(schedule: &mut Schedule, outcome: Outcome, now: Instant) -> (Option<Seen>, Duration) {
        let asked = schedule.start(now).unwrap();
        schedule.ended(&asked, outcome, now, 0.5);
        let seen = schedule.votes().get("a").map(|vote| vote.sees);
        (seen, schedule.due().unwrap() - now)
    }

    /// What is seen after each attempt, and seconds until the next.
    type Story<'a> = &'a [(Outcome, Option<Seen>, u64)];

    fn follow(answered: bool, story: Story<'_>) {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        schedule.follow(vec![target(answered, Some("s1"))], now);
        for (step, (outcome, seen, pause)) in story.iter().enumerate() {
            let pause = Duration::from_secs(*pause);
            let found = attempt(&mut schedule, *outcome, now);
            assert_eq!(found, (*seen, pause), "{story:?} {step}");
            now += pause;
        }
    }

    const LOST: [(Outcome, Option<Seen>, u64); 3] = [
        (Outcome::Silent, None, 0),
        (Outcome::Silent, None, 0),
        (Outcome::Silent, Some(Seen::Dead), 2),
    ];

    #[test]
    fn a_silent_member_is_alive_after_one_answer_and_dead_after_three_attempts_that_nobody_took() {
        let answers = (Outcome::Answered, Some(Seen::Alive), 5);
        let silent = |seen, pause| (Outcome::Silent, seen, pause);
        follow(true, &[answers, answers]);
        follow(
            true,
            &[&LOST[..], &[silent(Some(Seen::Dead), 2), answers]].concat(),
        );
        // Alive, and dead later.
        let alive = Some(Seen::Alive);
        follow(
            true,
            &[
                answers,
                silent(alive, 0),
                silent(alive, 0),
                silent(Some(Seen::Dead), 2),
            ],
        );
        // It never answered: nothing can be said, until it has.
        let mute = [
            silent(None, 0),
            silent(None, 0),
            silent(None, 2),
            silent(None, 2),
            answers,
        ];
        follow(false, &mute);
    }

    #[test]
    fn a_machine_that_is_there_and_an_attempt_that_was_none_are_no_evidence() {
        use Outcome::{Answered, Hung, NoRoute, Refused, Silent, Unclear, Unproved};
        let nothing = |outcome| (outcome, None, 2);
        follow(true, &[Refused, Unproved, Hung, Refused].map(nothing));
        follow(true, &[NoRoute, Unclear, NoRoute, NoRoute].map(nothing));
        follow(true, &[&LOST[..], &[nothing(Refused)]].concat());
        follow(true, &[LOST[0], LOST[1], nothing(Hung), (Silent, None, 0)]);
        // A yurthub that restarts is still alive for a while, and one that is gone not for ever.
        let alive = |outcome, pause| (outcome, Some(Seen::Alive), pause);
        follow(true, &[alive(Answered, 5), alive(NoRoute, 2)]);
        let mut restart = vec![alive(Answered, 5)];
        restart.extend([alive(Refused, 2); 5]);
        restart.extend([nothing(Refused), alive(Answered, 5)]);
        follow(true, &restart);
    }

    #[test]
    fn in_quiet_times_members_are_asked_every_ten_seconds_or_so_and_nothing_is_said_of_them() {
        let now = Instant::now();
        for (chance, expected) in [(0.0, 7.5), (1.0, 12.5)] {
            for outcome in [Outcome::Answered, Outcome::Silent, Outcome::Hung] {
                let mut schedule = Schedule::default();
                schedule.follow(vec![target(true, None)], now);
                let asked = schedule.start(now).unwrap();
                schedule.ended(&asked, outcome, now, chance);
                assert_eq!(schedule.due(), Some(now + secs(expected)));
                assert!(schedule.votes().is_empty());
            }
        }
    }

    #[test]
    fn each_silence_is_judged_by_what_was_seen_since_it_began() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        schedule.follow(vec![target(true, None)], now);
        // Asked before, answered after: it says nothing of this silence.
        let asked = schedule.start(now).unwrap();
        schedule.follow(vec![target(true, Some("s1"))], now);
        schedule.ended(&asked, Outcome::Answered, now, 0.5);
        assert!(schedule.votes().is_empty());
        assert_eq!(schedule.due(), Some(now), "asked again at once");
        for _ in 0..3 {
            attempt(&mut schedule, Outcome::Silent, now);
        }
        assert_eq!(schedule.votes()["a"].since, "s1");
        schedule.follow(vec![target(true, Some("s2"))], now);
        assert!(schedule.votes().is_empty());
        assert_eq!(
            attempt(&mut schedule, Outcome::Answered, now).0,
            Some(Seen::Alive)
        );
        assert_eq!(schedule.votes()["a"].since, "s2");
        schedule.follow(vec![target(true, None)], now);
        assert!(schedule.votes().is_empty(), "it is heard of again");
    }

    #[test]
    fn what_is_known_goes_with_the_address() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        schedule.follow(vec![target(false, None)], now);
        assert_eq!(schedule.standings()["a"], Standing::Unknown);
        attempt(&mut schedule, Outcome::Silent, now);
        assert_eq!(schedule.standings()["a"], Standing::Mute);
        let later = now + secs(60.0);
        attempt(&mut schedule, Outcome::Answered, later);
        assert_eq!(schedule.standings()["a"], Standing::Answering);
        let later = later + secs(60.0);
        attempt(&mut schedule, Outcome::Unclear, later);
        assert_eq!(
            schedule.standings()["a"],
            Standing::Answering,
            "this node's own trouble"
        );
        let later = later + secs(60.0);
        let asked = schedule.start(later).unwrap();
        let moved = Target {
            address: "10.0.0.2:10269".parse().unwrap(),
            ..target(false, None)
        };
        schedule.follow(vec![moved], later);
        schedule.ended(&asked, Outcome::Answered, later, 0.5);
        assert_eq!(schedule.standings()["a"], Standing::Unknown);
        schedule.follow(vec![], later);
        assert_eq!(schedule.due(), None);
    }

    #[test]
    fn few_attempts_are_under_way_and_silent_members_come_first() {
        let now = Instant::now();
        let targets = (0..3 * PARALLEL).map(|number| Target {
            name: format!("{number:02}"),
            ..target(true, (number == 40).then_some("s1"))
        });
        let mut schedule = Schedule::default();
        schedule.follow(targets.collect(), now);
        let names: Vec<_> = std::iter::from_fn(|| schedule.start(now))
            .map(|target| target.name)
            .collect();
        assert_eq!(names.len(), PARALLEL);
        assert_eq!(names[0], "40");
    }

    #[test]
    fn only_members_probe_and_each_is_probed_by_its_voters() {
        let address: SocketAddr = "10.0.0.1:1".parse().unwrap();
        let members: BTreeMap<_, _> = (0..20)
            .map(|number| (format!("edge-{number}"), address))
            .collect();
        let all: usize = members.keys().map(|own| probed_by(own, &members).len()).sum();
        assert_eq!(all, members.len() * yurt_common::pool::votes::VOTERS);
        assert!(members.keys().all(|own| !probed_by(own, &members).contains(own)));
        assert!(probed_by("stranger", &members).is_empty());
    }
}
