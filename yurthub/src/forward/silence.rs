//! Whether the other end of a connection is still there, by what the kernel knows of it. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::tcp::Sample;

/// How long silence may last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// After so long without a sign of life the kernel asks for one.
    pub(super) idle: Duration,
    /// How long what was asked may stay unanswered.
    pub(super) acknowledgement: Duration,
}

/// What is concluded from a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The other end answers, or has not been asked.
    Alive,
    /// It has not answered for longer than it may; the time is since its last sign of life.
    Silent(Duration),
    /// The kernel has given up.
    Broken,
}

/// Since when something waits for an answer; `None` where nothing does.
pub(super) type Asked = Option<Instant>;

/// Judges `sample`, taken at `now`; `asked` is what the last judgement returned.
pub(super) fn judge(sample: &Sample, asked: Asked, now: Instant, bounds: Bounds) -> (Verdict, Asked) {
    if sample.closed {
        return (Verdict::Broken, None);
    }
    if sample.unacknowledged == 0 && sample.probes == 0 {
        return (Verdict::Alive, None);
    }
    let silent = sample.silent;
    // What waited before the last sign of life was answered by it.
    let waited = asked.map_or(Duration::ZERO, |since| {
        now.saturating_duration_since(since).min(silent)
    });
    // It waits at least since the kernel would have asked by itself.
    let waited = waited.max(silent.saturating_sub(bounds.idle));
    let verdict = if waited > bounds.acknowledgement {
        Verdict::Silent(silent)
    } else {
        Verdict::Alive
    };
    (verdict, now.checked_sub(waited))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        idle: Duration::from_secs(2),
        acknowledgement: Duration::from_millis(1300),
    };

    fn quiet(silent: u64) -> Sample {
        Sample {
            closed: false,
            unacknowledged: 0,
            probes: 0,
            silent: Duration::from_millis(silent),
            round_trip: Duration::from_millis(20),
        }
    }

    /// Verdicts of samples taken at these times in milliseconds.
    fn verdicts(samples: &[(u64, Sample)]) -> Vec<Verdict> {
        let start = Instant::now();
        let mut asked = None;
        let mut verdicts = Vec::new();
        for (at, sample) in samples {
            let (verdict, next) = judge(sample, asked, start + Duration::from_millis(*at), BOUNDS);
            asked = next;
            verdicts.push(verdict);
        }
        verdicts
    }

    #[test]
    fn an_idle_connection_is_alive_however_long_it_was_not_asked() {
        assert_eq!(
            verdicts(&[(0, quiet(0)), (90_000, quiet(90_000))]),
            [Verdict::Alive; 2]
        );
    }

    #[test]
    fn unanswered_probes_are_silence_once_patience_has_run_out() {
        let probed = |silent, probes| Sample {
            probes,
            ..quiet(silent)
        };
        let silent = Verdict::Silent(Duration::from_millis(3400));
        assert_eq!(
            verdicts(&[
                (0, probed(2100, 1)),
                (1000, probed(3100, 2)),
                (1300, probed(3400, 2))
            ]),
            [Verdict::Alive, Verdict::Alive, silent]
        );
        // Seen late, as after a time without processor: it counts from when the kernel asked.
        assert_eq!(verdicts(&[(0, probed(3400, 2))]), [silent]);
        assert_eq!(
            verdicts(&[(0, probed(3400, 2)), (100, quiet(50)), (2200, probed(2100, 1))]),
            [silent, Verdict::Alive, Verdict::Alive]
        );
    }

    #[test]
    fn data_without_acknowledgement_is_silence_before_the_kernel_would_have_asked() {
        let sent = |silent| Sample {
            unacknowledged: 1,
            ..quiet(silent)
        };
        assert_eq!(
            verdicts(&[(0, sent(100)), (1300, sent(1400)), (1350, sent(1450))]),
            [
                Verdict::Alive,
                Verdict::Alive,
                Verdict::Silent(Duration::from_millis(1450))
            ]
        );
    }

    #[test]
    fn a_busy_connection_always_waits_for_something_and_is_alive() {
        let busy: Vec<_> = (0..100)
            .map(|step| {
                let sample = Sample {
                    unacknowledged: 40,
                    ..quiet(90)
                };
                (step * 250, sample)
            })
            .collect();
        assert!(verdicts(&busy).iter().all(|verdict| *verdict == Verdict::Alive));
    }

    #[test]
    fn what_the_kernel_has_given_up_is_broken() {
        let closed = Sample {
            closed: true,
            ..quiet(0)
        };
        assert_eq!(verdicts(&[(0, closed)]), [Verdict::Broken]);
    }
}
