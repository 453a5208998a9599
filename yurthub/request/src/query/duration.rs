//! Go's `time.ParseDuration`.
//!
//! It does not say what is wrong with a text that is no duration; nobody shows that.
//! Invariant: fractions are cut off as Go cuts them, and what does not fit into an `i64` is no duration.

/// Nanoseconds of a duration such as `1h30m`, `1.5s` or `-2us`.
pub(super) fn nanoseconds(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (term, after) = term(rest)?;
        total = total.checked_add(term).filter(|total| *total <= 1 << 63)?;
        rest = after;
    }
    if negative {
        0_i64.checked_sub_unsigned(total)
    } else {
        i64::try_from(total).ok()
    }
}

/// One number with its unit, and what follows.
fn term(text: &str) -> Option<(u64, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(after) => digits(after),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let length = rest
        .find(|character: char| character == '.' || character.is_ascii_digit())
        .unwrap_or(rest.len());
    let (name, rest) = rest.split_at(length);
    let unit = unit(name)?;
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let whole = whole.checked_mul(unit).filter(|value| *value <= 1 << 63)?;
    whole
        .checked_add(part_of(fraction, unit))
        .map(|value| (value, rest))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.bytes()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

fn unit(name: &str) -> Option<u64> {
    Some(match name {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// The fraction of a unit, by Go's own arithmetic in floating point.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the same rounding as Go; a positive fraction of at most an hour of nanoseconds"
)]
fn part_of(fraction: &str, unit: u64) -> u64 {
    let mut value: u64 = 0;
    let mut scale = 1.0_f64;
    for digit in fraction.bytes().map(|byte| u64::from(byte - b'0')) {
        match value
            .checked_mul(10)
            .and_then(|value| value.checked_add(digit))
            .filter(|value| *value <= 1 << 63)
        {
            Some(next) => value = next,
            None => break, // further digits are below a nanosecond
        }
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

#[cfg(test)]
mod tests {
    use super::nanoseconds;

    #[test]
    fn durations_are_those_of_go() {
        for line in include_str!("../../tests/expected/duration.tsv").lines() {
            let (text, expected) = line.split_once('\t').unwrap();
            assert_eq!(nanoseconds(text), expected.parse().ok(), "{text:?}");
        }
    }
}
