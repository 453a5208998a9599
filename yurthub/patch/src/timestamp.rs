//! RFC 3339 times as seconds and nanoseconds since 1970, as protobuf's `Timestamp` counts them.
//!
//! Reads only; has no clock. Invariant: what is read is a day of the proleptic Gregorian calendar in the years
//! 0000 to 9999, before the offset is taken off.

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

impl Timestamp {
    /// Go's zero time, 0001-01-01T00:00:00Z, which Kubernetes writes as nothing.
    pub(crate) const ZERO: Self = Self {
        seconds: -62_135_596_800,
        nanos: 0,
    };

    /// Reads RFC 3339 as Go's `time.Parse(time.RFC3339, …)` does: `T` and `Z` in upper case, any number of digits
    /// behind the seconds (those behind the ninth do not count), no leap second.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (date_time, rest) = text.split_at_checked(19)?;
        let b = date_time.as_bytes();
        let separators = [b[4], b[7], b[10], b[13], b[16]];
        if &separators != b"--T::" {
            return None;
        }
        let number = |from: usize, to: usize| digits(date_time.get(from..to)?);
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let (nanos, zone) = fraction(rest)?;
        let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        Some(Self {
            seconds: seconds - offset(zone)?,
            nanos,
        })
    }
}

fn digits(text: &str) -> Option<i64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// Nanoseconds, and what stands behind them.
fn fraction(rest: &str) -> Option<(u32, &str)> {
    let Some(rest) = rest.strip_prefix(['.', ',']) else {
        return Some((0, rest));
    };
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 {
        return None;
    }
    let (digits, zone) = rest.split_at(count);
    let nine: String = digits.chars().chain(std::iter::repeat('0')).take(9).collect();
    Some((nine.parse().ok()?, zone))
}

/// Seconds east of UTC.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = match zone.as_bytes() {
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    let (hours, minutes) = (digits(zone.get(1..3)?)?, digits(zone.get(4..6)?)?);
    (hours <= 24 && minutes <= 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts from 1 March of the year 0, so that a leap day is the last day of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_as_go_reads_them() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some((0, 0))),
            ("0001-01-01T00:00:00Z", Some((Timestamp::ZERO.seconds, 0))),
            ("2024-02-29T12:30:45Z", Some((1_709_209_845, 0))),
            ("2024-02-29T12:30:45.5+01:30", Some((1_709_204_445, 500_000_000))),
            (
                "2024-02-29T12:30:45.123456789012-00:01",
                Some((1_709_209_905, 123_456_789)),
            ),
            ("1969-12-31T23:59:59Z", Some((-1, 0))),
            ("9999-12-31T23:59:59Z", Some((253_402_300_799, 0))),
            ("2023-02-29T12:30:45Z", None),
            ("2023-13-01T12:30:45Z", None),
            ("2023-12-01T24:30:45Z", None),
            ("2023-12-01 12:30:45Z", None),
            ("2023-12-01T12:30:45", None),
            ("2023-12-01T12:30:45.Z", None),
            ("2023-12-01T12:30:45+1:00", None),
            ("+023-12-01T12:30:45Z", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(seconds, nanos)| Timestamp { seconds, nanos });
            assert_eq!(Timestamp::parse(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = Timestamp::parse(&text);
        }
    }
}
