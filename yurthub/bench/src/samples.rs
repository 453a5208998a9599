//! Times that were taken, and what is told of them. Pure.

use std::time::Duration;

/// Times of one kind of thing.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// The median, in microseconds; not a number when there are no samples.
    pub(crate) fn p50_us(&self) -> f64 {
        self.quantile_us(0.5)
    }

    /// The 99th percentile, in microseconds.
    pub(crate) fn p99_us(&self) -> f64 {
        self.quantile_us(0.99)
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "counts of samples are small, and quantiles lie between 0 and 1"
    )]
    fn quantile_us(&self, quantile: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1) as f64;
        let sample = sorted.get((last * quantile).round() as usize);
        sample.map_or(f64::NAN, |sample| micros(*sample))
    }
}

/// A time in microseconds.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Bytes as a float, for ratios.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of bytes and events stay far below 2^52"
)]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// Bytes in units of a million.
pub(crate) fn megabytes(bytes: u64) -> f64 {
    float(bytes) / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_come_from_the_samples_in_any_order() {
        let mut samples = Samples::default();
        for micros in [5, 1, 4, 2, 3] {
            samples.push(Duration::from_micros(micros));
        }
        assert!((samples.p50_us() - 3.0).abs() < 1e-9);
        assert!((samples.p99_us() - 5.0).abs() < 1e-9);
    }

    #[test]
    fn without_samples_there_is_no_number() {
        assert!(Samples::default().p50_us().is_nan());
    }
}
