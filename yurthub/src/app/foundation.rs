//! What every part of yurthub stands on: the node's credentials, the store, the way to the cloud, and the mirror.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use tracing::info;
use yurthub_filter::Server;
use yurthub_store::{Options, SealingKey, Store};

use super::listen::client_ca;
use crate::accounts::{self, Accounts};
use crate::config::Config;
use crate::filters::NodeFilters;
use crate::forward::Upstream;
use crate::health::{Monitor, Patience, memory};
use crate::identity::node_cert::NodeCredentials;
use crate::identity::{AccountTokens, KubeletVerifier};
use crate::listener::local_ca;
use crate::metrics::Metrics;
use crate::mirror::Mirror;
use crate::mirror::context::{Context, ReplayTrigger};
use crate::mirror::history::History;
use crate::pool::Pool;
use crate::reality::Local;
use crate::reality::neighbours::Neighbours;
use crate::tasks::Tasks;

/// What the replay of statuses takes, mostly, after the watches were resumed.
const REPLAY_TIME: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Foundation {
    pub(super) config: Config,
    pub(super) credentials: Arc<NodeCredentials>,
    /// Judges the certificates of those who connect.
    pub(super) verifier: Arc<KubeletVerifier>,
    /// Name of this node.
    pub(super) node: Arc<str>,
    pub(super) store: Store,
    pub(super) cloud: Arc<Monitor>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) trigger: ReplayTrigger,
    pub(super) metrics: Metrics,
    pub(super) mirror: Arc<Mirror>,
    /// What this node knows of its own pods.
    pub(super) local: Arc<Local>,
    /// What is said of its pool.
    pub(super) pool: Arc<Pool>,
    account_tokens: Arc<AccountTokens>,
}

impl Foundation {
    /// Reads credentials and store; nothing runs yet. `followers` will follow the cloud.
    pub(super) fn lay(config: Config, followers: &Tasks) -> anyhow::Result<Self> {
        let credentials = Arc::new(NodeCredentials::load(config.kubeconfig.clone())?);
        let node = node_name(&config, &credentials)?;
        let store = open_store(&config)?;
        let patience = Patience {
            first_verdict: config.cloud.first_verdict,
            doubt: config.cloud.doubt,
        };
        let cloud = Arc::new(Monitor::new(patience, memory::recall(&store)?));
        let upstream = Arc::new(Upstream::new(
            &config.kubeconfig.servers,
            &config.cloud,
            Arc::clone(&credentials),
            Arc::clone(&cloud),
        ));
        let client_ca = client_ca(&config, &credentials)?;
        let verifier = Arc::new(KubeletVerifier::new(client_ca, Arc::clone(&cloud))?);
        let trigger = ReplayTrigger::default();
        let metrics = Metrics::new();
        let account_tokens = Arc::new(AccountTokens::default());
        let local = Arc::new(if config.endpoint_reality {
            Local::new(Arc::clone(&node))
        } else {
            Local::off()
        });
        let context = Arc::new(Context {
            local: Arc::clone(&local),
            upstream: Arc::clone(&upstream),
            cloud: Arc::clone(&cloud),
            tokens: Arc::clone(&account_tokens),
            config: config.mirror.clone(),
            turns: Arc::default(),
            metrics: metrics.mirror.clone(),
            replay: trigger.clone(),
            history: History::new(&node),
        });
        let mirror = Arc::new(Mirror::open(context, store.clone(), followers.clone())?);
        let namespace = config.pool_namespace.clone();
        let pool = Arc::new(Pool::new(Arc::clone(&mirror), Arc::clone(&node), namespace));
        Ok(Self {
            config,
            credentials,
            verifier,
            node,
            store,
            cloud,
            upstream,
            trigger,
            metrics,
            mirror,
            local,
            pool,
            account_tokens,
        })
    }

    /// Who stands behind the tokens of this node's pods.
    pub(super) fn accounts(&self) -> anyhow::Result<Accounts> {
        Ok(Accounts {
            node: Arc::clone(&self.node),
            audiences: self.config.api_audiences.clone(),
            mirror: Arc::clone(&self.mirror),
            upstream: Arc::clone(&self.upstream),
            cloud: Arc::clone(&self.cloud),
            tokens: Arc::clone(&self.account_tokens),
            metrics: self.metrics.accounts.clone(),
            keys: accounts::Keys::open(self.store.clone())?,
        })
    }

    /// The other nodes that endpoints name.
    pub(super) fn neighbours(&self) -> anyhow::Result<Neighbours> {
        Ok(Neighbours::open(
            (Arc::clone(&self.mirror), Arc::clone(&self.local)),
            (Arc::clone(&self.upstream), Arc::clone(&self.cloud)),
            self.store.clone(),
            self.metrics.neighbours.clone(),
            self.config.mirror.resume_spread + REPLAY_TIME,
        )?)
    }

    /// What the kubelet sees otherwise, where pods are served.
    pub(super) fn filters(&self) -> anyhow::Result<Option<Arc<NodeFilters>>> {
        let Self {
            config,
            store,
            metrics,
            ..
        } = self;
        let Some(address) = config.listen.pods else {
            return Ok(None);
        };
        let pki = config.data_dir.join("pki");
        local_ca::load_or_create(&pki, None)?;
        let path = pki.join("ca.crt");
        let bundle = std::fs::read_to_string(&path)
            .with_context(|| format!("failed to read the node-local CA `{}`", path.display()))?;
        let server = Server {
            host: address.ip(),
            port: address.port(),
        };
        let filters = NodeFilters::open(
            config.filters.clone(),
            (server, bundle),
            store.clone(),
            metrics.filters.clone(),
        )?;
        Ok(Some(Arc::new(filters)))
    }
}

fn node_name(config: &Config, credentials: &NodeCredentials) -> anyhow::Result<Arc<str>> {
    let user = credentials.current().subject.common_name.clone();
    let Some(name) = user.strip_prefix("system:node:") else {
        bail!("the client certificate is of `{user}`, not of a node; --kubeconfig must name the kubelet's");
    };
    match &config.node_name {
        Some(given) if given != name => {
            bail!("--node-name is `{given}`, but the client certificate is of node `{name}`")
        }
        _ => Ok(name.into()),
    }
}

fn open_store(config: &Config) -> anyhow::Result<Store> {
    let folder = config.data_dir.join("store");
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
    let sealing_key = SealingKey::load_or_create(&config.data_dir.join("sealing.key"))
        .context("failed to load the key that encrypts Secrets at rest")?;
    let options = Options {
        engine: config.store.engine,
        commit_interval: config.store.commit_interval,
        sealing_key: Some(sealing_key),
        unix_time: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |age| age.as_secs()),
        // A list is replaced in one piece.
        pending_limit: 64 << 20,
    };
    let (store, report) = Store::open(&folder, options)
        .with_context(|| format!("failed to open the store in `{}`", folder.display()))?;
    info!(?report, "store opened");
    Ok(store)
}
