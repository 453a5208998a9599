//! What a link is like, and how people write it: `5%`, `300ms`, `50kbit`, `3s/2s`. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Both directions of a link, as the node sees them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// From the node.
    pub up: Quality,
    /// To the node.
    pub down: Quality,
}

impl Shape {
    /// The same in both directions.
    pub fn both(quality: Quality) -> Self {
        Self {
            up: quality.clone(),
            down: quality,
        }
    }
}

/// What a link does to the packets of one direction. The default does nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// The chance of each packet to be lost, from 0 to 1.
    pub loss: f64,
    /// Losses of several packets in a row.
    pub burst: Option<Burst>,
    /// Time that each packet takes.
    pub delay: Duration,
    /// How much more or less it takes, at random; the order of packets stays.
    pub jitter: Duration,
    /// Bandwidth, in bits per second; `None`: as fast as it goes.
    pub rate: Option<u64>,
    /// What may wait for bandwidth; `None`: a second's worth, and at least [`LEAST_QUEUE`].
    pub queue: Option<QueueLimit>,
    /// Everything is lost now and then.
    pub flap: Option<Flap>,
    /// Everything is lost.
    pub blackhole: bool,
}

/// Bytes that wait for bandwidth where nothing else was said: ten full packets, what TCP begins with.
pub const LEAST_QUEUE: u64 = 16 << 10;

/// Losses of several packets in a row (Gilbert's model).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Burst {
    /// The chance of each packet to be the first one of a burst, from 0 to 1.
    pub chance: f64,
    /// Packets that are lost in one burst, on average; at least 1.
    pub length: f64,
}

/// What may wait for bandwidth; what comes when that is there already is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueLimit {
    /// That many bytes.
    Bytes(u64),
    /// What is sent in that time.
    Time(Duration),
}

/// An outage on a schedule, which begins with the link up when it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flap {
    /// How long the link is up.
    pub up: Duration,
    /// How long everything is lost then.
    pub down: Duration,
}

impl Flap {
    /// Whether the link is down at `time` after the schedule began.
    pub fn is_down(self, time: Duration) -> bool {
        let period = (self.up + self.down).as_nanos();
        period > 0 && time.as_nanos() % period >= self.up.as_nanos()
    }
}

impl Quality {
    /// Bytes that may wait for a bandwidth of `rate`.
    pub fn queue_bytes(&self, rate: u64) -> u64 {
        let in_time = |time| bytes_in(time, rate);
        match self.queue {
            Some(QueueLimit::Bytes(bytes)) => bytes,
            Some(QueueLimit::Time(time)) => in_time(time),
            None => in_time(Duration::from_secs(1)).max(LEAST_QUEUE),
        }
    }
}

/// Bytes that a bandwidth of `rate` carries in `time`.
pub(crate) fn bytes_in(time: Duration, rate: u64) -> u64 {
    u64::try_from(time.as_nanos() * u128::from(rate) / NANOS_BYTE).unwrap_or(u64::MAX)
}

/// The time that `bytes` take at a bandwidth of `rate`.
pub(crate) fn time_for(bytes: u64, rate: u64) -> Duration {
    let nanos = u128::from(bytes) * NANOS_BYTE / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Nanoseconds that a byte takes at one bit per second.
const NANOS_BYTE: u128 = 8_000_000_000;

/// A value that is not written as it should be.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{value:?} is not {wanted}")]
pub struct NotRead {
    value: String,
    wanted: &'static str,
}

fn not_read(value: &str, wanted: &'static str) -> NotRead {
    NotRead {
        value: value.to_owned(),
        wanted,
    }
}

/// A share such as `5%`, from 0 to 1.
pub fn share(text: &str) -> Result<f64, NotRead> {
    let wrong = || not_read(text, "a share from 0% to 100%");
    let number = text.strip_suffix('%').ok_or_else(wrong)?;
    let percent: f64 = number.parse().map_err(|_| wrong())?;
    if (0.0..=100.0).contains(&percent) {
        Ok(percent / 100.0)
    } else {
        Err(wrong())
    }
}

/// A time such as `300ms`, `2s` or `1m`.
pub fn time(text: &str) -> Result<Duration, NotRead> {
    let wrong = || not_read(text, "a time like 300ms, 2s or 1m");
    let (number, unit) = split(text);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())
}

/// A bandwidth such as `50kbit` or `2mbit`, in bits per second.
pub fn rate(text: &str) -> Result<u64, NotRead> {
    let wrong = || not_read(text, "a bandwidth like 50kbit or 2mbit");
    let (number, unit) = split(text);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let bits = match unit {
        "bit" => number,
        "kbit" => number.saturating_mul(1_000),
        "mbit" => number.saturating_mul(1_000_000),
        _ => return Err(wrong()),
    };
    if bits == 0 { Err(wrong()) } else { Ok(bits) }
}

/// Digits and what follows them.
fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    text.split_at(end)
}

impl FromStr for Burst {
    type Err = NotRead;

    /// `1%/8`: one packet of a hundred begins a burst of eight on average.
    fn from_str(text: &str) -> Result<Self, NotRead> {
        let wrong = || {
            not_read(
                text,
                "a burst like 1%/8 (chance, packets that are lost on average)",
            )
        };
        let (chance, length) = text.split_once('/').ok_or_else(wrong)?;
        let length: f64 = length.parse().map_err(|_| wrong())?;
        if !(1.0..=1e6).contains(&length) {
            return Err(wrong());
        }
        Ok(Self {
            chance: share(chance).map_err(|_| wrong())?,
            length,
        })
    }
}

impl FromStr for QueueLimit {
    type Err = NotRead;

    /// `64kB`, `9000B` or `500ms`.
    fn from_str(text: &str) -> Result<Self, NotRead> {
        let wrong = || not_read(text, "a queue like 64kB, 9000B or 500ms");
        let (number, unit) = split(text);
        let bytes = || number.parse::<u64>().map_err(|_| wrong());
        match unit {
            "B" => Ok(Self::Bytes(bytes()?)),
            "kB" => Ok(Self::Bytes(bytes()?.saturating_mul(1 << 10))),
            _ => Ok(Self::Time(time(text).map_err(|_| wrong())?)),
        }
    }
}

impl FromStr for Flap {
    type Err = NotRead;

    /// `3s/2s`: up for three seconds, down for two.
    fn from_str(text: &str) -> Result<Self, NotRead> {
        let wrong = || not_read(text, "a schedule like 3s/2s (up, down)");
        let (up, down) = text.split_once('/').ok_or_else(wrong)?;
        let (up, down) = (time(up).map_err(|_| wrong())?, time(down).map_err(|_| wrong())?);
        if up + down < Duration::from_millis(1) {
            return Err(wrong());
        }
        Ok(Self { up, down })
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if self.blackhole {
            words.push("black hole".to_owned());
        }
        if self.loss > 0.0 {
            words.push(format!("loss {:.4}%", self.loss * 100.0));
        }
        if let Some(burst) = self.burst {
            words.push(format!("bursts {:.4}%/{}", burst.chance * 100.0, burst.length));
        }
        if !self.delay.is_zero() || !self.jitter.is_zero() {
            words.push(format!("delay {:?}", self.delay));
        }
        if !self.jitter.is_zero() {
            words.push(format!("jitter {:?}", self.jitter));
        }
        if let Some(rate) = self.rate {
            words.push(format!("rate {rate} bit/s"));
            words.push(format!("queue {} bytes", self.queue_bytes(rate)));
        }
        if let Some(flap) = self.flap {
            words.push(format!("up {:?}, down {:?}", flap.up, flap.down));
        }
        if words.is_empty() {
            words.push("perfect".to_owned());
        }
        write!(f, "{}", words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_people_write_them() {
        assert_eq!(share("5%"), Ok(0.05));
        assert_eq!(time("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(time("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(rate("50kbit"), Ok(50_000));
        assert_eq!(
            "1%/8".parse(),
            Ok(Burst {
                chance: 0.01,
                length: 8.0
            })
        );
        assert_eq!("64kB".parse(), Ok(QueueLimit::Bytes(65_536)));
        assert_eq!("500ms".parse(), Ok(QueueLimit::Time(Duration::from_millis(500))));
        let flap = Flap {
            up: Duration::from_secs(3),
            down: Duration::from_secs(2),
        };
        assert_eq!("3s/2s".parse(), Ok(flap));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "5", "101%", "-1%", "x%"] {
            assert!(share(text).is_err(), "{text}");
        }
        for text in ["", "5", "ms", "-1s", "5h"] {
            assert!(time(text).is_err(), "{text}");
        }
        for text in ["", "0kbit", "50kb", "kbit", "1.5mbit"] {
            assert!(rate(text).is_err(), "{text}");
        }
        for text in ["", "3s", "0s/0s", "3s/x"] {
            assert!(text.parse::<Flap>().is_err(), "{text}");
        }
        assert!("1%/0.5".parse::<Burst>().is_err());
        assert!("64".parse::<QueueLimit>().is_err());
    }

    #[test]
    fn a_schedule_begins_up_and_repeats() {
        let flap: Flap = "3s/2s".parse().unwrap();
        for (second, down) in [
            (0.0, false),
            (2.9, false),
            (3.0, true),
            (4.9, true),
            (5.0, false),
            (8.5, true),
        ] {
            assert_eq!(flap.is_down(Duration::from_secs_f64(second)), down, "{second}");
        }
    }

    #[test]
    fn a_thin_link_has_room_for_what_tcp_begins_with() {
        let quality = Quality::default();
        assert_eq!(quality.queue_bytes(50_000), LEAST_QUEUE);
        assert_eq!(quality.queue_bytes(8_000_000), 1_000_000);
        let quality = Quality {
            queue: Some(QueueLimit::Time(Duration::from_millis(100))),
            ..Quality::default()
        };
        assert_eq!(quality.queue_bytes(80_000), 1_000);
    }
}
