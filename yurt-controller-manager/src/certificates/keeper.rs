//! Keeps the authority: makes it where there is none, tells servers whom to trust, and replaces it in time.

use std::time::{Duration, SystemTime};

use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::runtime::events::{Event, EventType, Recorder};
use tracing::{debug, info};
use yurt_common::node_certificates::{TRUST, TRUST_KEY};

use super::authority::{Authority, Fault};
use super::rotation::{State, Step, Times, plan};
use super::safe::{Authorities, Opened, Other, SECRET, Safe};
use super::seen;
use crate::controller::Reconcile;
use crate::failure::Failure;
use crate::metrics::ControllerMetrics;
use crate::pace::Pace;
use crate::queue::Key;

/// It looks at least so often: somebody may have changed what servers trust, or asked for another authority.
const LOOKS: Duration = Duration::from_mins(1);

/// The keeper.
pub struct Keeper {
    /// To the apiserver.
    pub client: Client,
    /// Where our objects are.
    pub namespace: String,
    /// The authority.
    pub safe: Safe,
    /// When what happens.
    pub times: Times,
    /// Tells of what is wrong.
    pub recorder: Recorder,
    /// How fast it may write.
    pub pace: Pace,
    /// Counts what is written.
    pub metrics: ControllerMetrics,
}

impl Reconcile for Keeper {
    async fn reconcile(&self, _: &Key) -> Result<Option<Duration>, Failure> {
        let step = self.step().await;
        if let Err(Failure::Damaged(why)) = &step {
            self.tell(why).await;
        }
        step.map(|again| Some(again.min(LOOKS).min(self.times.delay)))
    }
}

impl Keeper {
    /// Takes one step. Returns after how long the next one may be due.
    async fn step(&self) -> Result<Duration, Failure> {
        let now = SystemTime::now();
        let Some(mut opened) = self.safe.open().await? else {
            let authorities = Authorities {
                current: made(now)?,
                other: Other::None,
            };
            self.pace.wait().await?;
            self.safe.create(&authorities).await?;
            self.metrics.count_write("authority");
            info!(secret = SECRET, "made an authority");
            return Ok(Duration::ZERO);
        };
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let published = maps.get_opt(TRUST).await.map_err(seen)?;
        let trusted = published
            .as_ref()
            .and_then(|map| map.data.as_ref()?.get(TRUST_KEY));
        let state = State {
            made: opened.authorities.current.made(),
            published: trusted == Some(&opened.authorities.trusted()),
            replace_before: opened.replace_before(),
            phase: opened.authorities.phase(),
        };
        let step = plan(&state, &self.times, now);
        match step {
            Step::Nothing(again) => return Ok(again),
            Step::Publish => {
                self.pace.wait().await?;
                publish(&maps, published, opened.authorities.trusted()).await?;
                self.metrics.count_write("trust");
                info!(config_map = TRUST, "told servers whom to trust");
                return Ok(Duration::ZERO);
            }
            Step::Prepare | Step::Announce | Step::Switch(_) | Step::Drop => {
                opened.authorities = stepped(opened.authorities, step, now)?;
            }
        }
        self.save(opened, step).await?;
        Ok(Duration::ZERO)
    }

    async fn save(&self, opened: Opened, step: Step) -> Result<(), Failure> {
        self.pace.wait().await?;
        self.safe.replace(opened).await?;
        self.metrics.count_write("authority");
        info!(?step, secret = SECRET, "replacing the authority");
        Ok(())
    }

    async fn tell(&self, why: &str) {
        let event = Event {
            type_: EventType::Warning,
            reason: "DamagedAuthority".to_owned(),
            note: Some(why.to_owned()),
            action: "ReadAuthority".to_owned(),
            secondary: None,
        };
        let reference = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Secret".to_owned()),
            namespace: Some(self.namespace.clone()),
            name: Some(SECRET.to_owned()),
            ..ObjectReference::default()
        };
        if let Err(error) = self.recorder.publish(&event, &reference).await {
            debug!(%error, "no event");
        }
    }
}

fn made(now: SystemTime) -> Result<Authority, Failure> {
    Authority::new(now).map_err(|fault: Fault| Failure::Refused(format!("make an authority: {fault}")))
}

/// The authorities after a step.
fn stepped(before: Authorities, step: Step, now: SystemTime) -> Result<Authorities, Failure> {
    let Authorities { current, other } = before;
    Ok(match (step, other) {
        (Step::Prepare, _) => Authorities {
            current,
            other: Other::Next(Box::new(made(now)?), None),
        },
        (Step::Announce, Other::Next(next, _)) => Authorities {
            current,
            other: Other::Next(next, Some(now)),
        },
        (Step::Switch(until), Other::Next(next, _)) => Authorities {
            current: *next,
            other: Other::Retired(current.certificate, until),
        },
        (Step::Drop, _) => Authorities {
            current,
            other: Other::None,
        },
        (_, other) => Authorities { current, other },
    })
}

/// Writes whom servers trust, where nobody else has since.
async fn publish(maps: &Api<ConfigMap>, before: Option<ConfigMap>, trusted: String) -> Result<(), Failure> {
    let params = PostParams::default();
    let data = [(TRUST_KEY.to_owned(), trusted)].into();
    let written = if let Some(before) = before {
        let map = ConfigMap {
            data: Some(data),
            ..before
        };
        maps.replace(TRUST, &params, &map).await
    } else {
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(TRUST.to_owned()),
                ..super::labelled()
            },
            data: Some(data),
            ..ConfigMap::default()
        };
        maps.create(&params, &map).await
    };
    written.map(|_| ()).map_err(seen)
}
