//! From what the user typed to one checked configuration per subsystem; all defaults live here.
//!
//! Nothing below this module sees an `Option` that means "default".

#[cfg(test)]
mod chart;
mod group_resource;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use yurthub_filter::FilterName;
use yurthub_store::EngineKind;

pub use group_resource::GroupResource;

use crate::args::Settings;
use crate::kubeconfig::{Kubeconfig, KubeconfigError};
use crate::offline::events::Bounds;
use crate::telemetry::LogFormat;

/// Everything that yurthub needs to know to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// The apiserver, its CA, and the client certificate shared with the kubelet.
    pub kubeconfig: Kubeconfig,
    /// File with the CA of client certificates; `None`: the kubeconfig's CA.
    pub client_ca: Option<PathBuf>,
    /// Name of this node; `None`: taken from the client certificate.
    pub node_name: Option<String>,
    /// Local listeners.
    pub listen: ListenConfig,
    /// What the kubelet is shown otherwise than the cloud sent it, where pods are served.
    pub filters: Vec<FilterName>,
    /// The kubelet's folder.
    pub kubelet_dir: PathBuf,
    /// Folder of the store, the node-local CA and the sealing key.
    pub data_dir: PathBuf,
    /// The durable store.
    pub store: StoreConfig,
    /// How the apiserver's reachability is judged.
    pub cloud: CloudConfig,
    /// Whether further apiservers are learned from the cluster.
    pub discover_servers: bool,
    /// Audiences of the apiserver beside its issuer's name.
    pub api_audiences: Vec<String>,
    /// The mirror's bounds.
    pub mirror: MirrorConfig,
    /// Whether endpoints of this node's pods are shown as its kubelet reported them last.
    pub endpoint_reality: bool,
    /// Whether endpoints on other nodes that cannot be reached are shown unready while the cloud is away.
    pub endpoint_probes: bool,
    /// Where members of this node's pool find this yurthub, and whether it probes them; `None`: it does not.
    pub peers: Option<PeerConfig>,
    /// The namespace of the objects that tell of pools.
    pub pool_namespace: String,
    /// File with the name of the present boot.
    pub boot_id_file: PathBuf,
    /// Events of the time without cloud.
    pub events: EventConfig,
    /// How often the cloud may be told how this yurthub is; `None`: never.
    pub summary: Option<Duration>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged.
    pub log: String,
}

/// Where local clients connect, and how many of them.
#[derive(Debug, Clone)]
pub struct ListenConfig {
    /// The kubelet's address.
    pub api: SocketAddr,
    /// Where pods of this node connect; `None`: nowhere.
    pub pods: Option<SocketAddr>,
    /// Health and metrics.
    pub health: SocketAddr,
    /// The root-only Unix socket.
    pub admin_socket: PathBuf,
    /// Connections of each listener at a time.
    pub max_connections: usize,
    /// Connections of one address to the listener for pods.
    pub max_connections_per_source: usize,
    /// Requests of the kubelet in flight at a time, and as many of pods, watches apart; more are answered 429.
    pub max_in_flight: usize,
    /// Watches and streams that a service account may have open; more are answered 429.
    pub max_watches_per_client: usize,
    /// Time within which a connection must have sent its TLS hello and each request's head.
    pub header_timeout: Duration,
    /// How long a connection may be open without a request on it.
    pub idle_timeout: Duration,
    /// Time that requests in flight get at shutdown.
    pub drain: Duration,
}

/// The durable store.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Which engine keeps the data.
    pub engine: EngineKind,
    /// How long a change may wait for others.
    pub commit_interval: Duration,
    /// Size from which on old data is dropped, in bytes.
    pub quota: u64,
    /// Size of remembered reads from which on the oldest are dropped, in bytes.
    pub remembered_quota: u64,
}

/// How the apiserver's reachability is judged.
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// Idle time after which the kernel asks for a sign of life; in whole seconds.
    pub keepalive_interval: Duration,
    /// Time between attempts while the apiserver is lost.
    pub probe_interval: Duration,
    /// How long a first verdict may take after the start, before the cloud counts as away.
    pub first_verdict: Duration,
    /// How long doubt may last before the cloud counts as away, until the link has been measured.
    pub doubt: Duration,
    /// How long a journaled write may take upstream before it is answered from the journal.
    pub journaled_write_budget: Duration,
}

/// The mirror's bounds.
#[derive(Debug, Clone)]
pub struct MirrorConfig {
    /// Events that a scope keeps for local watchers.
    pub ring_events: usize,
    /// Bytes of events that a scope keeps for local watchers.
    pub ring_bytes: usize,
    /// Objects in one page of a list.
    pub page_size: u64,
    /// Time over which watches are resumed after an outage.
    pub resume_spread: Duration,
    /// How long a scope without local watchers keeps its upstream watch.
    pub park_after: Duration,
    /// How often versions learned from bookmarks are written to disk.
    pub bookmark_interval: Duration,
    /// How long into an outage an account may read what the cloud allowed it before.
    pub authorization_memory: Duration,
    /// How long data of a scope that the cloud denies is kept.
    pub denied_grace: Duration,
    /// Resources of which all clients of the node share one scope.
    pub shared: Vec<GroupResource>,
    /// Scopes that may exist at a time: of the node and what all share, and as many of all accounts together.
    pub max_scopes: usize,
    /// Scopes that each account may have; its own that was unused for longest makes room.
    pub max_scopes_per_client: usize,
}

/// How members of a pool probe each other.
#[derive(Debug, Clone, Copy)]
pub struct PeerConfig {
    /// Where they find this yurthub; `None`: at its node's address and the usual port.
    pub listen: Option<SocketAddr>,
}

/// Events of the time without cloud.
#[derive(Debug, Clone)]
pub struct EventConfig {
    /// How many are kept, and how much of them.
    pub bounds: Bounds,
    /// How many are sent in a second when the cloud is back.
    pub replay_rate: u32,
}

/// What is wrong with flags or configuration file.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The configuration file could not be read.
    #[error("failed to read configuration file `{path}`; check that it exists and that yurthub may read it")]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration file is not what it should be.
    #[error(
        "failed to parse configuration file `{path}`; `yurthub --help` lists the settings, in camelCase here"
    )]
    ParseFile {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_yaml::Error,
    },
    /// The kubeconfig is missing or not usable.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// A value makes no sense.
    #[error("setting `{setting}` is {value}: {reason}")]
    Value {
        /// Name of the setting.
        setting: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Where the admin socket is, unless another place is set.
pub const ADMIN_SOCKET: &str = "/run/yurthub/admin.sock";

/// Reads the configuration file named by `--config`.
pub fn read_file(path: &Path) -> Result<Settings, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::ReadFile {
        path: path.to_owned(),
        source,
    })?;
    if text.trim().is_empty() {
        return Ok(Settings::default());
    }
    serde_yaml::from_str(&text).map_err(|source| ConfigError::ParseFile {
        path: path.to_owned(),
        source,
    })
}

impl Config {
    /// Checks `settings` and fills in the defaults. Reads the kubeconfig.
    pub fn resolve(settings: Settings) -> Result<Self, ConfigError> {
        check(&settings)?;
        let kubeconfig_path = settings
            .kubeconfig
            .unwrap_or_else(|| "/etc/kubernetes/kubelet.conf".into());
        let kubeconfig = Kubeconfig::read(&kubeconfig_path, settings.servers.as_deref())?;
        Ok(Self {
            kubeconfig,
            client_ca: settings.client_ca,
            node_name: settings.node_name,
            listen: ListenConfig {
                api: settings
                    .listen
                    .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 10261))),
                pods: settings.listen_pods,
                health: settings
                    .health_listen
                    .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 10267))),
                admin_socket: settings.admin_socket.unwrap_or_else(|| ADMIN_SOCKET.into()),
                max_connections: settings.max_connections.unwrap_or(512),
                max_connections_per_source: settings.max_connections_per_source.unwrap_or(128),
                max_in_flight: settings.max_in_flight.unwrap_or(400),
                max_watches_per_client: settings.max_watches_per_client.unwrap_or(500),
                header_timeout: Duration::from_secs(10),
                idle_timeout: settings.idle_timeout.unwrap_or(Duration::from_mins(2)),
                drain: Duration::from_secs(5),
            },
            data_dir: settings.data_dir.unwrap_or_else(|| "/var/lib/yurthub".into()),
            store: StoreConfig {
                engine: settings.store_engine.unwrap_or(EngineKind::Sqlite),
                commit_interval: settings
                    .store_commit_interval
                    .unwrap_or(Duration::from_millis(200)),
                quota: settings.store_quota_mib.unwrap_or(512) << 20,
                remembered_quota: 64 << 20,
            },
            cloud: CloudConfig {
                keepalive_interval: settings.keepalive_interval.unwrap_or(Duration::from_secs(2)),
                probe_interval: settings.probe_interval.unwrap_or(Duration::from_secs(1)),
                first_verdict: Duration::from_secs(1),
                doubt: Duration::from_millis(1200),
                journaled_write_budget: Duration::from_secs(2),
            },
            discover_servers: settings.discover_servers.unwrap_or(true),
            filters: filters(settings.filters)?,
            kubelet_dir: settings.kubelet_dir.unwrap_or_else(|| "/var/lib/kubelet".into()),
            api_audiences: settings.api_audiences.unwrap_or_default(),
            mirror: MirrorConfig {
                ring_events: settings.ring_events.unwrap_or(1024),
                ring_bytes: 4 << 20,
                page_size: 500,
                resume_spread: settings.resume_spread.unwrap_or(Duration::from_secs(3)),
                park_after: settings.park_after.unwrap_or(Duration::from_mins(5)),
                bookmark_interval: Duration::from_mins(1),
                authorization_memory: settings.authorization_memory.unwrap_or(Duration::from_hours(24)),
                denied_grace: Duration::from_mins(10),
                shared: shared(settings.shared_resources)?,
                max_scopes: 10_000,
                max_scopes_per_client: settings.max_scopes_per_client.unwrap_or(200),
            },
            endpoint_reality: settings.endpoint_reality.unwrap_or(true),
            endpoint_probes: settings.endpoint_probes.unwrap_or(true),
            peers: peers(settings.peer_health, settings.listen_peers),
            pool_namespace: settings.pool_namespace.unwrap_or_else(|| "yurt-system".into()),
            boot_id_file: settings
                .boot_id_file
                .unwrap_or_else(|| "/proc/sys/kernel/random/boot_id".into()),
            events: EventConfig {
                bounds: Bounds {
                    entries: settings.event_journal_entries.unwrap_or(2000),
                    bytes: settings.event_journal_kib.unwrap_or(4096).saturating_mul(1 << 10),
                },
                replay_rate: settings.event_replay_rate.unwrap_or(5),
            },
            summary: settings
                .publish_summary
                .unwrap_or(true)
                .then(|| settings.summary_interval.unwrap_or(Duration::from_mins(1))),
            log_format: settings.log_format.unwrap_or(LogFormat::Human),
            log: settings.log.unwrap_or_else(|| "info".into()),
        })
    }
}

fn peers(wanted: Option<bool>, listen: Option<SocketAddr>) -> Option<PeerConfig> {
    wanted.unwrap_or(false).then_some(PeerConfig { listen })
}

fn filters(names: Option<Vec<String>>) -> Result<Vec<FilterName>, ConfigError> {
    let all = [
        FilterName::TrustBundle,
        FilterName::KubernetesService,
        FilterName::ServiceEnv,
        FilterName::KubeProxyConfig,
    ];
    let Some(names) = names else {
        return Ok(all.to_vec());
    };
    let find = |name: &String| {
        let known = all.into_iter().find(|filter| filter.as_str() == name);
        known.ok_or_else(|| ConfigError::Value {
            setting: "filters",
            value: name.clone(),
            reason: "must be trust_bundle, kubernetes_service, service_env or kube_proxy_config",
        })
    };
    names.iter().filter(|name| !name.is_empty()).map(find).collect()
}

/// Resources of which a node needs one copy for all its clients: kube-proxy, the DNS server and the kubelet read them.
const SHARED: [&str; 2] = ["services", "endpointslices.discovery.k8s.io"];

fn shared(names: Option<Vec<String>>) -> Result<Vec<GroupResource>, ConfigError> {
    let names = names.unwrap_or_else(|| SHARED.map(str::to_owned).to_vec());
    let parse = |name: &String| {
        name.parse().map_err(|reason| ConfigError::Value {
            setting: "shared-resources",
            value: name.clone(),
            reason,
        })
    };
    names.iter().filter(|name| !name.is_empty()).map(parse).collect()
}

fn check(settings: &Settings) -> Result<(), ConfigError> {
    let positive = [
        ("probe-interval", settings.probe_interval),
        ("park-after", settings.park_after),
        ("summary-interval", settings.summary_interval),
        ("idle-timeout", settings.idle_timeout),
    ];
    for (setting, value) in positive {
        if value.is_some_and(|value| value < Duration::from_millis(10)) {
            let value = format!("{value:?}");
            return Err(ConfigError::Value {
                setting,
                value,
                reason: "must be at least 10ms",
            });
        }
    }
    if let Some(interval) = settings.keepalive_interval
        && (interval.subsec_nanos() != 0 || !(1..=3600).contains(&interval.as_secs()))
    {
        return Err(ConfigError::Value {
            setting: "keepalive-interval",
            value: format!("{interval:?}"),
            reason: "must be whole seconds, from 1s to 1h",
        });
    }
    let counts = [
        ("event-journal-entries", settings.event_journal_entries),
        ("event-journal-kib", settings.event_journal_kib),
        (
            "event-replay-rate",
            settings.event_replay_rate.map(|rate| rate as usize),
        ),
        ("ring-events", settings.ring_events),
        ("max-connections", settings.max_connections),
        ("max-in-flight", settings.max_in_flight),
        ("max-watches-per-client", settings.max_watches_per_client),
        ("max-scopes-per-client", settings.max_scopes_per_client),
        ("max-connections-per-source", settings.max_connections_per_source),
    ];
    for (setting, value) in counts {
        if value == Some(0) {
            return Err(ConfigError::Value {
                setting,
                value: "0".into(),
                reason: "must be at least 1",
            });
        }
    }
    if let (Some(api), Some(health)) = (settings.listen, settings.health_listen)
        && api == health
        && api.port() != 0
    {
        let value = health.to_string();
        return Err(ConfigError::Value {
            setting: "health-listen",
            value,
            reason: "must differ from `listen`",
        });
    }
    if let Some(filter) = &settings.log
        && tracing_subscriber::EnvFilter::try_new(filter).is_err()
    {
        return Err(ConfigError::Value {
            setting: "log",
            value: filter.clone(),
            reason: "not a log filter; examples: `info`, `info,yurthub::mirror=debug`",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(yaml: &str) -> Result<Settings, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, yaml).unwrap();
        read_file(&path)
    }

    #[test]
    fn the_file_uses_the_names_of_the_flags_in_camel_case() {
        let settings =
            parse("dataDir: /data\nstoreEngine: sled\nresumeSpread: 10s\nringEvents: 7\n").unwrap();
        assert_eq!(settings.data_dir, Some("/data".into()));
        assert_eq!(settings.store_engine, Some(EngineKind::Sled));
        assert_eq!(settings.resume_spread, Some(Duration::from_secs(10)));
        assert_eq!(settings.ring_events, Some(7));
    }

    #[test]
    fn servers_are_a_list_or_one_text_with_commas() {
        let expected = Some(vec!["https://a".to_owned(), "https://b:6443".to_owned()]);
        for yaml in [
            "servers: ['https://a', 'https://b:6443']",
            "server: https://a, https://b:6443",
            "servers: https://a,https://b:6443",
        ] {
            assert_eq!(parse(yaml).unwrap().servers, expected, "{yaml}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_and_named() {
        let error = parse("dataDri: /data\n").unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("dataDri"), "{cause}");
    }

    #[test]
    fn flags_win_over_the_file() {
        let flags = Settings {
            ring_events: Some(1),
            ..Settings::default()
        };
        let merged = flags.or(parse("ringEvents: 2\nmaxInFlight: 3\n").unwrap());
        assert_eq!((merged.ring_events, merged.max_in_flight), (Some(1), Some(3)));
    }

    #[test]
    fn values_that_make_no_sense_are_refused_by_name() {
        for (yaml, setting) in [
            ("ringEvents: 0", "ring-events"),
            ("summaryInterval: 1ms", "summary-interval"),
            ("keepaliveInterval: 1500ms", "keepalive-interval"),
            ("keepaliveInterval: 2h", "keepalive-interval"),
            ("probeInterval: 1ms", "probe-interval"),
            ("listen: 127.0.0.1:1\nhealthListen: 127.0.0.1:1", "health-listen"),
            ("log: 'yurthub=notalevel'", "log"),
        ] {
            let error = Config::resolve(parse(yaml).unwrap()).unwrap_err();
            assert!(error.to_string().contains(setting), "{yaml}: {error}");
        }
    }
}
