//! RFC 3339 timestamps of the API, to and from Unix time. No clock is read here.
//!
//! Calendar arithmetic after <https://howardhinnant.github.io/date_algorithms.html>. Invariant:
//! years 0000–9999, which is all that RFC 3339 has; leap seconds are refused, as by Go.

use std::fmt::Write as _;

use crate::Reason;

const DAY: i64 = 86_400;

/// A point in time: seconds since 1970 and nanoseconds into the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

/// Reads `2026-11-21T14:00:01.123456Z`, also with an offset such as `+01:00`.
pub(crate) fn parse(text: &str) -> Result<Instant, Reason> {
    read(text.as_bytes()).ok_or(Reason::BadTime)
}

/// Whole seconds since 1970 of such a text.
pub fn seconds(text: &str) -> Result<i64, Reason> {
    parse(text).map(|instant| instant.seconds)
}

fn read(text: &[u8]) -> Option<Instant> {
    let (date, rest) = text.split_at_checked(19)?;
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators
        .iter()
        .any(|(at, wanted)| date.get(*at) != Some(wanted))
    {
        return None;
    }
    let part = |from: usize, to: usize| number(date.get(from..to)?);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let valid = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    if !valid || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanos, zone) = fraction(rest)?;
    let seconds = days_from_civil(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    Some(Instant {
        seconds: seconds - offset(zone)?,
        nanos,
    })
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

/// Splits off the fraction; digits beyond nanoseconds are cut.
fn fraction(rest: &[u8]) -> Option<(u32, &[u8])> {
    let Some(digits) = rest.strip_prefix(b".") else {
        return Some((0, rest));
    };
    let count = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
    let (digits, zone) = digits.split_at_checked(count)?;
    if count == 0 {
        return None;
    }
    let nanos = (0..9).fold(0, |sum, at| {
        sum * 10 + digits.get(at).map_or(0, |digit| u32::from(digit - b'0'))
    });
    Some((nanos, zone))
}

/// Seconds east of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            let east = hours * 3600 + minutes * 60;
            (hours < 24 && minutes < 60).then_some(if *sign == b'-' { -east } else { east })
        }
        _ => None,
    }
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Prints whole seconds as Go prints `metav1.Time`: `2026-11-21T14:00:01Z`. Years that RFC 3339
/// lacks are clamped to its ends.
pub fn format(seconds: i64) -> String {
    const FIRST: i64 = -62_167_219_200;
    const LAST: i64 = 253_402_300_799;
    let seconds = seconds.clamp(FIRST, LAST);
    let (year, month, day) = civil_from_days(seconds.div_euclid(DAY));
    let rest = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let mut text = String::with_capacity(20);
    // Writing to a string does not fail.
    let _written = write!(
        text,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
    );
    text
}

const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timestamps_are_read() {
        for (text, seconds, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2026-11-21T14:00:01.123456Z", 1_795_269_601, 123_456_000),
            ("2026-11-21T15:00:01+01:00", 1_795_269_601, 0),
            ("2000-02-29T12:00:00.1234567891Z", 951_825_600, 123_456_789),
            ("1969-12-31T23:59:59Z", -1, 0),
        ] {
            assert_eq!(parse(text), Ok(Instant { seconds, nanos }), "{text}");
        }
        for text in [
            "",
            "2026-11-21",
            "2026-02-29T00:00:00Z",
            "2026-11-21T14:00:01",
            "2026-13-01T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T14:00:01.Z",
            "2026-11-21 14:00:01Z",
            "2026-11-21T14:00:01+0100",
        ] {
            assert_eq!(parse(text), Err(Reason::BadTime), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(seconds in -62_167_219_200_i64..253_402_300_800) {
            prop_assert_eq!(parse(&format(seconds)), Ok(Instant { seconds, nanos: 0 }));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "[0-9TZ:.+-]{0,30}", seconds: i64) {
            let _ = parse(&text);
            prop_assert_eq!(format(seconds).len(), 20);
        }
    }
}
