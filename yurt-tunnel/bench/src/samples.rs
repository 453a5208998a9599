//! Values that were taken, and what is told of them. Pure.

use std::time::Duration;

/// Values of one kind.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    /// The median; not a number when there are no samples.
    pub(crate) fn p50(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The 99th percentile.
    pub(crate) fn p99(&self) -> f64 {
        self.quantile(0.99)
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "counts of samples are small, and quantiles lie between 0 and 1"
    )]
    fn quantile(&self, quantile: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1) as f64;
        sorted
            .get((last * quantile).round() as usize)
            .copied()
            .unwrap_or(f64::NAN)
    }
}

/// A time in microseconds.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// A count as a float, for figures.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// Bytes in units of a million.
pub(crate) fn megabytes(bytes: u64) -> f64 {
    float(bytes) / 1e6
}

/// Bytes in units of 2^20.
pub(crate) fn mib(bytes: u64) -> f64 {
    float(bytes) / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_come_from_the_samples_in_any_order() {
        let mut samples = Samples::default();
        for sample in [5.0, 1.0, 4.0, 2.0, 3.0] {
            samples.push(sample);
        }
        assert!((samples.p50() - 3.0).abs() < 1e-9);
        assert!((samples.p99() - 5.0).abs() < 1e-9);
    }

    #[test]
    fn without_samples_there_is_no_number() {
        assert!(Samples::default().p50().is_nan());
    }
}
