//! How long something has lasted, as kubectl writes it.

/// `38s`, `4m12s`, `3h7m`, `12d`: `HumanDuration` in `k8s.io/apimachinery/pkg/util/duration/duration.go`.
pub fn human(seconds: i64) -> String {
    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let both = |large: (i64, char), small: (i64, char)| {
        let rest = seconds % large.0 / small.0;
        if rest == 0 {
            format!("{}{}", seconds / large.0, large.1)
        } else {
            format!("{}{}{rest}{}", seconds / large.0, large.1, small.1)
        }
    };
    match seconds {
        ..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => both((60, 'm'), (1, 's')),
        600..10_800 => format!("{}m", seconds / 60),
        10_800..28_800 => both((HOUR, 'h'), (60, 'm')),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => both((DAY, 'd'), (HOUR, 'h')),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => both((YEAR, 'y'), (DAY, 'd')),
        _ => format!("{}y", seconds / YEAR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_written_as_kubectl_does() {
        for (seconds, expected) in [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (252, "4m12s"),
            (10_799, "179m"),
            (11_220, "3h7m"),
            (28_800, "8h"),
            (172_800, "2d"),
            (176_400, "2d1h"),
            (1_036_800, "12d"),
            (63_072_000 + 86_400, "2y1d"),
            (315_360_000, "10y"),
        ] {
            assert_eq!(human(seconds), expected, "{seconds}");
        }
    }
}
