//! One direction of a link: what becomes of each packet. Pure; time and the seed of chance are arguments.

use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::quality::{Quality, bytes_in, time_for};

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It leaves at that time, if the link is up then.
    Leaves(Duration),
    /// It is lost.
    Lost(Why),
}

/// Why a packet is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// By chance, alone.
    Chance,
    /// By chance, with its neighbours.
    Burst,
    /// Too much waited for bandwidth already.
    Full,
    /// The link was down.
    Down,
}

/// What was seen so far. Lengths are those of Ethernet frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Packets that came.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that have left.
    pub passed: u64,
    /// Their bytes.
    pub passed_bytes: u64,
    /// Lost by chance, alone.
    pub lost_chance: u64,
    /// Lost by chance, in bursts.
    pub lost_burst: u64,
    /// Lost because too much waited for bandwidth.
    pub lost_full: u64,
    /// Lost because the link was down.
    pub lost_down: u64,
}

impl Counters {
    /// Packets that were lost, for whatever reason.
    pub fn lost(&self) -> u64 {
        self.lost_chance + self.lost_burst + self.lost_full + self.lost_down
    }

    fn lose(&mut self, why: Why) {
        *match why {
            Why::Chance => &mut self.lost_chance,
            Why::Burst => &mut self.lost_burst,
            Why::Full => &mut self.lost_full,
            Why::Down => &mut self.lost_down,
        } += 1;
    }
}

/// One direction of a link.
#[derive(Debug)]
pub struct Line {
    quality: Quality,
    /// When the quality was set: schedules count from here.
    since: Duration,
    /// Until when what waits for bandwidth occupies it.
    busy_until: Duration,
    /// When the last packet leaves: none may overtake it.
    last: Duration,
    in_burst: bool,
    random: Rng,
    counters: Counters,
}

impl Line {
    /// A line that does nothing, whose chance is that of `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            quality: Quality::default(),
            since: Duration::ZERO,
            busy_until: Duration::ZERO,
            last: Duration::ZERO,
            in_burst: false,
            random: Rng::with_seed(seed),
            counters: Counters::default(),
        }
    }

    /// What it is like.
    pub fn quality(&self) -> &Quality {
        &self.quality
    }

    /// What was seen so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Makes it like that from `now` on. What is on its way keeps its time, and nothing overtakes it.
    pub fn set(&mut self, quality: Quality, now: Duration) {
        // What waits for bandwidth is as many bytes as before, and takes another time from now on.
        let waiting = self.busy_until.saturating_sub(now);
        let rest = match (self.quality.rate, quality.rate) {
            (Some(before), Some(after)) => time_for(bytes_in(waiting, before), after),
            _ => Duration::ZERO,
        };
        self.busy_until = now + rest;
        self.in_burst = false;
        self.since = now;
        self.quality = quality;
    }

    /// A packet of `length` bytes comes.
    pub fn arrives(&mut self, length: u64, now: Duration) -> Fate {
        self.counters.packets += 1;
        self.counters.bytes += length;
        let fate = self.decide(length, now);
        if let Fate::Lost(why) = fate {
            self.counters.lose(why);
        }
        fate
    }

    fn decide(&mut self, length: u64, now: Duration) -> Fate {
        if self.is_down(now) {
            return Fate::Lost(Why::Down);
        }
        if !self.takes_bandwidth(length, now) {
            return Fate::Lost(Why::Full);
        }
        // What is lost on the way has had its bandwidth.
        if self.bursts() {
            return Fate::Lost(Why::Burst);
        }
        if self.random.f64() < self.quality.loss {
            return Fate::Lost(Why::Chance);
        }
        let sent = self.busy_until.max(now);
        self.last = self.last.max(sent + self.delay());
        Fate::Leaves(self.last)
    }

    /// A packet of `length` bytes is due: whether it leaves, or is lost because the link went down meanwhile.
    pub fn leaves(&mut self, length: u64, now: Duration) -> bool {
        if self.is_down(now) {
            self.counters.lose(Why::Down);
            return false;
        }
        self.counters.passed += 1;
        self.counters.passed_bytes += length;
        true
    }

    fn is_down(&self, now: Duration) -> bool {
        let since = now.saturating_sub(self.since);
        self.quality.blackhole || self.quality.flap.is_some_and(|flap| flap.is_down(since))
    }

    /// Whether the packet may wait for bandwidth; then it has its share.
    fn takes_bandwidth(&mut self, length: u64, now: Duration) -> bool {
        let Some(rate) = self.quality.rate else {
            self.busy_until = now;
            return true;
        };
        let waiting = bytes_in(self.busy_until.saturating_sub(now), rate);
        if waiting + length > self.quality.queue_bytes(rate).max(length) {
            return false;
        }
        let sending = time_for(length, rate);
        self.busy_until = self.busy_until.max(now) + sending;
        true
    }

    fn bursts(&mut self) -> bool {
        let Some(burst) = self.quality.burst else {
            return false;
        };
        let random = self.random.f64();
        self.in_burst = if self.in_burst {
            random >= 1.0 / burst.length
        } else {
            random < burst.chance
        };
        self.in_burst
    }

    fn delay(&mut self) -> Duration {
        let Quality { delay, jitter, .. } = self.quality;
        if jitter.is_zero() {
            return delay;
        }
        (delay + jitter.mul_f64(2.0 * self.random.f64())).saturating_sub(jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::{Burst, QueueLimit};

    const START: Duration = Duration::from_secs(1000);

    fn line(quality: Quality) -> Line {
        let mut line = Line::new(7);
        line.set(quality, START);
        line
    }

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn a_perfect_line_does_nothing() {
        let mut line = line(Quality::default());
        assert_eq!(line.arrives(1500, START), Fate::Leaves(START));
        assert!(line.leaves(1500, START));
        let counters = line.counters();
        assert_eq!(
            (counters.passed, counters.passed_bytes, counters.lost()),
            (1, 1500, 0)
        );
    }

    #[test]
    fn bandwidth_is_shared_in_turn_and_the_queue_is_bounded() {
        let mut line = line(Quality {
            rate: Some(8_000),
            queue: Some(QueueLimit::Bytes(3000)),
            delay: ms(100),
            ..Quality::default()
        });
        // A thousand bytes take a second.
        assert_eq!(line.arrives(1000, START), Fate::Leaves(START + ms(1100)));
        assert_eq!(line.arrives(1000, START), Fate::Leaves(START + ms(2100)));
        assert_eq!(line.arrives(1000, START), Fate::Leaves(START + ms(3100)));
        assert_eq!(line.arrives(1000, START), Fate::Lost(Why::Full));
        assert_eq!(
            line.arrives(1000, START + ms(1000)),
            Fate::Leaves(START + ms(4100))
        );
        assert_eq!(line.counters().lost_full, 1);
        // Idle time is not saved up.
        let later = START + ms(60_000);
        assert_eq!(line.arrives(1000, later), Fate::Leaves(later + ms(1100)));
    }

    #[test]
    fn one_packet_always_fits_into_a_queue_that_is_empty() {
        let mut line = line(Quality {
            rate: Some(8_000),
            queue: Some(QueueLimit::Bytes(10)),
            ..Quality::default()
        });
        assert_eq!(line.arrives(1000, START), Fate::Leaves(START + ms(1000)));
        assert_eq!(line.arrives(1000, START), Fate::Lost(Why::Full));
    }

    #[test]
    fn what_waits_is_sent_at_the_new_rate() {
        let quality = |rate| Quality {
            rate: Some(rate),
            ..Quality::default()
        };
        let mut line = line(quality(8_000));
        assert_eq!(line.arrives(1000, START), Fate::Leaves(START + ms(1000)));
        line.set(quality(80_000), START);
        assert_eq!(line.arrives(10_000, START), Fate::Leaves(START + ms(1100)));
    }

    #[test]
    fn jitter_stays_within_its_bounds_and_keeps_the_order() {
        let mut line = line(Quality {
            delay: ms(100),
            jitter: ms(20),
            ..Quality::default()
        });
        let mut last = Duration::ZERO;
        let mut delays = Vec::new();
        for number in 0..1000 {
            let now = START + ms(50) * number;
            let Fate::Leaves(at) = line.arrives(100, now) else {
                panic!("lost")
            };
            assert!(at >= last, "packet {number} overtakes");
            delays.push(at.checked_sub(now).unwrap());
            last = at;
        }
        assert!(delays.iter().all(|delay| (ms(80)..=ms(120)).contains(delay)));
        assert!(delays.iter().max().unwrap() > &ms(115) && delays.iter().min().unwrap() < &ms(85));
    }

    #[test]
    fn packets_are_lost_as_often_as_was_said_and_the_same_ones_for_a_seed() {
        let lost = || -> Vec<usize> {
            let mut line = line(Quality {
                loss: 0.05,
                ..Quality::default()
            });
            (0..10_000)
                .filter(|_| line.arrives(100, START) == Fate::Lost(Why::Chance))
                .collect()
        };
        let once = lost();
        assert!((400..600).contains(&once.len()), "{}", once.len());
        assert_eq!(once, lost());
    }

    #[test]
    fn bursts_are_as_long_as_was_said() {
        let mut line = line(Quality {
            burst: Some(Burst {
                chance: 0.01,
                length: 8.0,
            }),
            ..Quality::default()
        });
        let fates: Vec<_> = (0..100_000).map(|_| line.arrives(100, START)).collect();
        let lost = |fate: &Fate| *fate == Fate::Lost(Why::Burst);
        let bursts = fates
            .windows(2)
            .filter(|pair| !lost(&pair[0]) && lost(&pair[1]))
            .count();
        let all = fates.iter().filter(|fate| lost(fate)).count();
        assert!(
            (7 * bursts..9 * bursts).contains(&all),
            "{all} in {bursts} bursts"
        );
        assert_eq!(line.counters().lost_burst, all as u64);
    }

    #[test]
    fn a_link_that_flaps_loses_what_comes_and_what_is_on_its_way() {
        let mut line = line(Quality {
            flap: "3s/2s".parse().ok(),
            delay: ms(500),
            ..Quality::default()
        });
        assert_eq!(
            line.arrives(100, START + ms(2000)),
            Fate::Leaves(START + ms(2500))
        );
        assert_eq!(
            line.arrives(100, START + ms(2900)),
            Fate::Leaves(START + ms(3400))
        );
        assert!(line.leaves(100, START + ms(2500)));
        assert_eq!(line.arrives(100, START + ms(3000)), Fate::Lost(Why::Down));
        assert!(!line.leaves(100, START + ms(3400)));
        assert_eq!(
            line.arrives(100, START + ms(5000)),
            Fate::Leaves(START + ms(5500))
        );
        assert_eq!(line.counters().lost_down, 2);
    }

    #[test]
    fn a_black_hole_swallows_everything() {
        let mut line = line(Quality {
            blackhole: true,
            ..Quality::default()
        });
        assert_eq!(line.arrives(100, START), Fate::Lost(Why::Down));
    }
}
