//! Durations as Go writes them (`time.ParseDuration`): `2h30m`, `1.5h`, `90s`, `0`. Pure.
//!
//! Not kube's: that one panics on `99999999999999999999h`, and these texts come from whoever may label a Node.

use std::time::Duration;

use thiserror::Error;

/// The longest that is understood; longer is for ever in all but name, and Go's own limit is 292 years.
const LONGEST: Duration = Duration::from_hours(24 * 365 * 100);
/// No sensible duration is longer; labels may have 63 characters, annotations 256 KiB.
const MAX_LENGTH: usize = 64;

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoDuration {
    /// Nothing is there.
    #[error("it is empty")]
    Empty,
    /// It is too long to be one.
    #[error("it has more than {MAX_LENGTH} characters")]
    TooLong,
    /// A number was expected.
    #[error("a number is missing or malformed")]
    Number,
    /// Go knows no such unit.
    #[error("a unit is missing or none of h, m, s, ms, us, ns")]
    Unit,
    /// More than a hundred years.
    #[error("it is longer than a hundred years")]
    Range,
}

/// Reads a duration; negative ones are `None`.
pub fn parse(text: &str) -> Result<Option<Duration>, NoDuration> {
    if text.len() > MAX_LENGTH {
        return Err(NoDuration::TooLong);
    }
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest.is_empty() {
        return Err(NoDuration::Empty);
    }
    let mut total = Duration::ZERO;
    while rest != "0" && !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split(after, |c| !c.is_ascii_digit() && c != '.');
        rest = after;
        let number: f64 = number.parse().map_err(|_| NoDuration::Number)?;
        let seconds = number * seconds_of(unit).ok_or(NoDuration::Unit)?;
        let part = Duration::try_from_secs_f64(seconds).map_err(|_| NoDuration::Range)?;
        total = total.checked_add(part).ok_or(NoDuration::Range)?;
        if total > LONGEST {
            return Err(NoDuration::Range);
        }
    }
    Ok((!negative || total.is_zero()).then_some(total))
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

fn seconds_of(unit: &str) -> Option<f64> {
    Some(match unit {
        "h" => 3600.0,
        "m" => 60.0,
        "s" => 1.0,
        "ms" => 1e-3,
        // U+00B5, micro sign; U+03BC, Greek letter mu.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    })
}

/// Writes whole seconds as Go does: `2h0m0s`, `1m30s`, `0s`.
pub fn write(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_go_reads_is_read() {
        let seconds = |text| parse(text).unwrap().unwrap().as_secs_f64();
        for (text, expected) in [
            ("0", 0.0),
            ("-0", 0.0),
            ("0s", 0.0),
            ("2h", 7200.0),
            ("+1h30m", 5400.0),
            ("1.5h", 5400.0),
            (".5s", 0.5),
            ("1h0m0.5s", 3600.5),
            ("250ms", 0.25),
            ("10\u{b5}s", 1e-5),
        ] {
            assert!((seconds(text) - expected).abs() < 1e-12, "{text}");
        }
        assert_eq!(parse("-5m"), Ok(None));
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for (text, why) in [
            ("", NoDuration::Empty),
            ("-", NoDuration::Empty),
            ("5", NoDuration::Unit),
            ("1d", NoDuration::Unit),
            ("h", NoDuration::Number),
            ("1.2.3s", NoDuration::Number),
            ("for ever", NoDuration::Number),
            ("99999999999999999999h", NoDuration::Range),
            (&"9".repeat(65), NoDuration::TooLong),
            ("1h 30m", NoDuration::Unit),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_written_is_read_again(seconds in 0_u64..LONGEST.as_secs()) {
            prop_assert_eq!(parse(&write(seconds)), Ok(Some(Duration::from_secs(seconds))));
        }
    }
}
