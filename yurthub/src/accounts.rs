//! Which service account of this node a bearer token stands for, judged here, so that it can be judged without the
//! cloud.
//!
//! A token is good when the cluster's keys have signed it and its pod is one of this node's kubelet. Whatever cannot be
//! judged here stays a bearer that only the cloud knows; while the cloud is away it is refused.

mod issuer_keys;
mod recent;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{debug, info, warn};
use yurthub_request::ResourcePath;
use yurthub_store::{Store, StoreError};
use yurthub_token::{Claims, Expectations, Refusal, Verified, verify};

use crate::forward::Upstream;
use crate::health::{CloudState, Monitor};
use crate::identity::{Account, AccountTokens, Client, Identity, Unproved};
use crate::metrics::AccountMetrics;
use crate::mirror::Mirror;
use crate::mirror::key::object_key;
use crate::telemetry::ErrorChain;
use issuer_keys::IssuerKeys;
use recent::Recent;

/// The shortest time between two attempts to read the cluster's keys: anybody can name a key that does not exist.
const REFRESH_PAUSE: Duration = Duration::from_secs(5);
/// How often the keys are read where nothing asks for it. The apiserver lets them be cached for an hour.
const REFRESH_INTERVAL: Duration = Duration::from_hours(1);

/// See the module.
pub struct Accounts {
    /// Name of this node.
    pub node: Arc<str>,
    /// Audiences of the apiserver beside its issuer's name.
    pub audiences: Vec<String>,
    /// The mirror, for the pods of this node.
    pub mirror: Arc<Mirror>,
    /// The way to the apiserver.
    pub upstream: Arc<Upstream>,
    /// Whether it is there.
    pub cloud: Arc<Monitor>,
    /// The newest token of each account.
    pub tokens: Arc<AccountTokens>,
    /// Counters.
    pub metrics: AccountMetrics,
    /// What the cluster publishes about its tokens.
    pub keys: Keys,
}

/// The cluster's keys as they are known, and how to ask for them again.
pub struct Keys {
    store: Store,
    known: std::sync::RwLock<Option<Arc<IssuerKeys>>>,
    wanted: Notify,
    /// A token that was shown; by it the keys can be read where the node itself may not.
    shown: std::sync::Mutex<Option<HeaderValue>>,
    recent: Recent,
}

impl Keys {
    /// Finds what the store holds.
    pub fn open(store: Store) -> Result<Self, StoreError> {
        let known = IssuerKeys::load(&store)?.map(Arc::new);
        Ok(Self {
            store,
            known: std::sync::RwLock::new(known),
            wanted: Notify::new(),
            shown: std::sync::Mutex::default(),
            recent: Recent::default(),
        })
    }

    fn known(&self) -> Option<Arc<IssuerKeys>> {
        let known = self.known.read();
        known.unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Accounts {
    /// Who stands behind a request of a bearer.
    pub fn identify(&self, headers: &HeaderMap, cloud: CloudState) -> Result<Identity, Unproved> {
        let Some((authorization, token)) = bearer(headers) else {
            return Ok(Identity::Bearer);
        };
        if let Some(account) = self.keys.recent.find(token, Instant::now()) {
            return Ok(Identity::Account(account));
        }
        let Some(keys) = self.keys.known() else {
            self.ask_for_keys(authorization);
            return Ok(Identity::Bearer);
        };
        match self.judge(token, &keys, cloud) {
            Ok(Some(verified)) => {
                let account = Arc::new(account_of(&verified.claims));
                let issued = verified.claims.issued.unwrap_or_default();
                self.tokens.saw(&account.client, issued, authorization);
                self.keys.recent.keep(token, &account, Instant::now());
                self.metrics.verified.inc();
                Ok(Identity::Account(account))
            }
            Ok(None) => {
                debug!("a token is good, but of no pod that the kubelet follows");
                Ok(Identity::Bearer)
            }
            Err(refusal) => {
                self.metrics.refused.inc();
                debug!(%refusal, "a token is not accepted here");
                if matches!(refusal, Refusal::UnknownKey { .. }) {
                    self.ask_for_keys(authorization);
                }
                if cloud.reachable() {
                    Ok(Identity::Bearer) // the cloud has the last word while it is there
                } else {
                    Err(Unproved::Token(refusal))
                }
            }
        }
    }

    /// `None`: only the cloud can tell.
    fn judge(&self, token: &str, keys: &IssuerKeys, cloud: CloudState) -> Result<Option<Verified>, Refusal> {
        let away = cloud.away(Instant::now(), SystemTime::now());
        let expect = Expectations {
            issuers: &keys.issuers,
            audiences: &keys.audiences(&self.audiences),
            node: &self.node,
            now: unix_seconds(SystemTime::now()),
            offline_since: away.map(|_| cloud.last_there.map_or(0, unix_seconds)),
        };
        let verified = verify(token, &keys.keys, &expect)?;
        Ok(self.runs_here(&verified.claims).then_some(verified))
    }

    /// Whether the token's pod, and no other of the same name, is one of this node's.
    fn runs_here(&self, claims: &Claims) -> bool {
        let Some(pod) = &claims.pod else { return false };
        let path = ResourcePath {
            version: "v1".into(),
            resource: "pods".into(),
            ..ResourcePath::default()
        };
        let key = object_key(&claims.namespace, &pod.name);
        self.mirror.holding(&path, &key).iter().any(|scope| {
            let Ok(Ok((wire, item))) = scope.object(&key) else {
                return false;
            };
            yurthub_object::meta::read(wire.encoding, &item).is_ok_and(|meta| meta.uid == pod.uid)
        })
    }

    fn ask_for_keys(&self, authorization: &HeaderValue) {
        let mut shown = self
            .keys
            .shown
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *shown = Some(authorization.clone());
        self.keys.wanted.notify_one();
    }

    /// Reads the cluster's keys at the start, now and then, and when a token names one that is not known; until
    /// cancelled.
    pub async fn follow_keys(self: Arc<Self>) {
        loop {
            let mut states = self.cloud.subscribe();
            if states.wait_for(CloudState::reachable).await.is_err() {
                return;
            }
            if let Err(error) = self.read_keys().await {
                warn!(error = %ErrorChain(&error), "failed to read the keys of the cluster's tokens; pods are the cloud's to judge");
            }
            tokio::time::sleep(REFRESH_PAUSE).await;
            drop(tokio::time::timeout(REFRESH_INTERVAL, self.keys.wanted.notified()).await);
        }
    }

    async fn read_keys(&self) -> Result<(), issuer_keys::KeysError> {
        let shown = {
            let shown = self.keys.shown.lock();
            shown.unwrap_or_else(std::sync::PoisonError::into_inner).clone()
        };
        let fetched = match IssuerKeys::fetch(&self.upstream, None).await {
            // The node may not read them unless it was allowed to; every service account may.
            Err(error) if shown.is_some() && error.is_refusal() => {
                IssuerKeys::fetch(&self.upstream, shown.as_ref()).await?
            }
            outcome => outcome?,
        };
        if self.keys.known().as_deref() != Some(&fetched) {
            fetched.save(&self.keys.store)?;
            info!(issuers = ?fetched.issuers, "keys of the cluster's tokens read");
            self.keys.recent.clear();
            let mut known = self
                .keys
                .known
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            *known = Some(Arc::new(fetched));
        }
        Ok(())
    }
}

fn bearer(headers: &HeaderMap) -> Option<(&HeaderValue, &str)> {
    let authorization = headers.get(AUTHORIZATION)?;
    let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some((authorization, token.trim()))
}

fn account_of(claims: &Claims) -> Account {
    Account {
        client: Client::Account {
            namespace: claims.namespace.clone(),
            name: claims.service_account.clone(),
            uid: claims.service_account_uid.clone(),
        },
        user: yurthub_token::user(claims),
    }
}

fn unix_seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX))
}
