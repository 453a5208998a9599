//! Looks at one connection until it should be closed: silence puts the server in doubt, and a connection that stays
//! silent while the server is there is half-open (a NAT entry that was dropped) and goes alone.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{debug, info};

use super::patience::Patience;
use super::server::Reporter;
use super::silence::{Bounds, Verdict, judge};
use super::tcp::Gauge;
use crate::health::{Evidence, Phase, Standing};

/// How often a connection is looked at: four times while it may be idle, within these bounds, and more often while an answer
/// is due.
const LOOK: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(5)];
const LOOK_CLOSER: Duration = Duration::from_millis(250);

/// What is known of a connection that is looked after.
pub(super) struct Vigil {
    pub(super) gauge: Gauge,
    /// After so long without a sign of life the kernel asks for one.
    pub(super) idle: Duration,
    pub(super) patience: Patience,
    pub(super) report: Reporter,
}

impl Vigil {
    /// Returns when the connection is of no use any more.
    pub(super) async fn keep(&self) {
        let look = (self.idle / 4).clamp(LOOK[0], LOOK[1]);
        let (mut asked, mut was_silent) = (None, false);
        loop {
            sleep(if asked.is_some() { LOOK_CLOSER } else { look }).await;
            // A socket of which the kernel tells nothing is judged by whoever reads from it.
            let Ok(sample) = self.gauge.sample() else { continue };
            // The way may have grown longer since: somebody fills the link.
            let round_trip = self.patience.round_trip().max(sample.round_trip);
            let bounds = Bounds {
                idle: self.idle,
                acknowledgement: Patience::of(Some(round_trip)).acknowledgement(),
            };
            let (verdict, waiting) = judge(&sample, asked, Instant::now(), bounds);
            asked = waiting;
            match verdict {
                Verdict::Alive if was_silent => self.report.seen(Evidence::Heard),
                Verdict::Silent(silence) if is_half_open(silence, bounds, self.report.standing()) => {
                    info!(
                        ?silence,
                        "closing a half-open connection; others to the cloud work"
                    );
                    return;
                }
                Verdict::Silent(silence) if !was_silent => {
                    debug!(
                        ?silence,
                        ?sample,
                        "a connection to the apiserver has fallen silent"
                    );
                    self.report.seen(Evidence::Silence);
                }
                Verdict::Alive | Verdict::Silent(_) => {}
                Verdict::Broken => return self.report.seen(Evidence::ConnectionLost),
            }
            was_silent = matches!(verdict, Verdict::Silent(_));
        }
    }
}

/// Whether a connection that is silent belongs closed: another one was answered since it fell silent, and it had as much
/// time again to be heard.
fn is_half_open(silence: Duration, bounds: Bounds, server: Standing) -> bool {
    let in_doubt = matches!(
        server,
        Standing::Active(Phase::Suspect | Phase::Down | Phase::Unknown)
    );
    !in_doubt && silence > bounds.idle + 2 * bounds.acknowledgement
}
