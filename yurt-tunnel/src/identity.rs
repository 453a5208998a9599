//! Who this program is: a key that never leaves it, and a certificate that yurt-controller-manager has signed for it.
//!
//! [`renewal`] says when the next one is due (pure), [`request`] gets it, [`files`] keeps it over a restart, and [`held`] is
//! what is held. Whoever makes connections reads the watch of [`Identity`].
//!
//! Not here: who trusts it ([`crate::trust`], and the verifier of servers).
//!
//! Invariant: what is published is replaced by what is newer and never taken back. Whether it has ended is for the other end
//! to judge, by its own clock.

pub mod files;
pub mod held;
pub mod renewal;
pub mod request;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::Client;
use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use tracing::{info, warn};
use yurt_common::error_chain::ErrorChain;
use yurt_common::node_certificates::Role;

use held::Held;
use renewal::{Next, Why};
use request::Asker;

/// A clock may be set, and a machine sleep: what is due is looked at at least so often.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// After a first failure it is tried again after about so long, and after each further one after twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Who wants to be what.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What this program is.
    pub role: Role,
    /// The node that it runs on.
    pub node: String,
    /// Where key and certificate are kept; none: a restart asks for new ones.
    pub folder: Option<PathBuf>,
}

/// What others see of an identity.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Key and certificate; none before the first one was got.
    pub certificate: watch::Receiver<Option<Arc<CertifiedKey>>>,
    /// When that certificate ends, for metrics.
    pub not_after: watch::Receiver<Option<SystemTime>>,
}

/// Gets an identity, and renews it.
#[derive(Debug)]
pub struct Keeper {
    settings: Settings,
    trust: watch::Receiver<Arc<RootCertStore>>,
    asker: Asker,
    held: Option<Held>,
    certificate: watch::Sender<Option<Arc<CertifiedKey>>>,
    not_after: watch::Sender<Option<SystemTime>>,
}

impl Keeper {
    /// Takes what the folder has; nothing is asked for before [`Keeper::run`]. `trust`: who is trusted to sign; one that
    /// nobody trusts any more is not waited out.
    pub fn new(
        client: Client,
        settings: Settings,
        trust: watch::Receiver<Arc<RootCertStore>>,
    ) -> (Self, Identity) {
        let mut keeper = Self {
            asker: Asker::new(client, settings.role, settings.node.clone()),
            settings,
            trust,
            held: None,
            certificate: watch::Sender::new(None),
            not_after: watch::Sender::new(None),
        };
        keeper.load();
        let identity = Identity {
            certificate: keeper.certificate.subscribe(),
            not_after: keeper.not_after.subscribe(),
        };
        (keeper, identity)
    }

    fn load(&mut self) {
        let Some(folder) = &self.settings.folder else {
            return;
        };
        match files::load(folder, self.settings.role, &self.settings.node) {
            Ok(Some(held)) => {
                info!(node = self.settings.node, role = %self.settings.role, "goes on with the certificate from before");
                self.publish(held);
            }
            Ok(None) => {}
            Err(error) => {
                let why = ErrorChain(&error).to_string();
                warn!(folder = %folder.display(), why, "the identity from before is not used; asking for a new one");
            }
        }
    }

    fn publish(&mut self, held: Held) {
        self.certificate.send_replace(Some(Arc::clone(&held.certified)));
        self.not_after.send_replace(Some(held.term.not_after));
        self.held = Some(held);
    }

    /// Gets what is due, again and again, for ever.
    pub async fn run(mut self) {
        let mut in_vain: u32 = 0;
        loop {
            let why = self.wait_due().await;
            let failed = self.renew(why).await.err();
            // Also where a new one is due again at once: the clock is far ahead, or who signed it is not known here yet.
            if failed.is_none() && matches!(self.next(), Next::At(_)) {
                in_vain = 0;
                continue;
            }
            in_vain = in_vain.saturating_add(1);
            let pause = pause(in_vain, fastrand::f64());
            if let Some(error) = failed {
                let why_not = ErrorChain(&error).to_string();
                let (role, node) = (self.settings.role, &self.settings.node);
                warn!(%role, node, needed = %why, why = why_not, again = ?pause, "no certificate");
            }
            self.sleep(pause).await;
        }
    }

    /// What is to be done now.
    fn next(&mut self) -> Next {
        let trust = self.trust.borrow_and_update();
        let signed = self.held.as_ref().map(|held| {
            // Before anybody is trusted at all nothing is known.
            (held.term, trust.is_empty() || held.is_signed_by(&trust))
        });
        renewal::next(signed, SystemTime::now())
    }

    /// Sleeps, unless others are trusted.
    async fn sleep(&mut self, time: Duration) {
        let changed = async {
            if self.trust.changed().await.is_err() {
                // Whoever follows the trust has ended.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = changed => {}
        }
    }

    /// Waits until another certificate is due, and says why.
    async fn wait_due(&mut self) -> Why {
        loop {
            let until = match self.next() {
                Next::Now(why) => return why,
                Next::At(time) => time,
            };
            let sleep = until.duration_since(SystemTime::now()).unwrap_or_default();
            self.sleep(sleep.min(LONGEST_SLEEP)).await;
        }
    }

    async fn renew(&mut self, why: Why) -> Result<(), request::Failure> {
        let held = self.asker.obtain(fastrand::f64()).await?;
        let (role, node) = (self.settings.role, &self.settings.node);
        let left = held
            .term
            .not_after
            .duration_since(SystemTime::now())
            .unwrap_or_default();
        info!(%role, node, because = %why, hours = left.as_secs() / 3600, "has a new certificate");
        if let Some(folder) = &self.settings.folder {
            // It is good for this process all the same.
            if let Err(error) = files::save(folder, &held) {
                let why = ErrorChain(&error).to_string();
                warn!(folder = %folder.display(), why, "not kept; a restart asks for a new certificate");
            }
        }
        self.publish(held);
        Ok(())
    }
}

/// How long to wait after so many failures in a row; `chance`: 0 to 1 (pure).
fn pause(failures: u32, chance: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST_PAUSE).mul_f64(0.5 + 0.5 * chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_minutes_and_no_further() {
        assert_eq!(pause(1, 0.0), FIRST_PAUSE / 2);
        assert_eq!(pause(1, 1.0), FIRST_PAUSE);
        assert_eq!(pause(3, 1.0), 4 * FIRST_PAUSE);
        for failures in [9, 10, 33, u32::MAX] {
            assert!(pause(failures, 0.0) >= LONGEST_PAUSE / 3, "{failures}");
            assert!(pause(failures, 1.0) <= LONGEST_PAUSE, "{failures}");
        }
    }
}
