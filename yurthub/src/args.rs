//! What the user typed: the command line, and nothing derived from it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;
use serde::de::{SeqAccess, Visitor};
use yurthub_store::EngineKind;

use crate::telemetry::LogFormat;

/// A live local mirror of the Kubernetes API that this node uses: the kubelet keeps working when the cloud is gone.
#[derive(Debug, Parser)]
#[command(name = "yurthub", version, about, long_about = None)]
pub struct Cli {
    /// What to do; without a command yurthub runs.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// YAML file with the same settings as the flags, in camelCase (`dataDir: /var/lib/yurthub`); flags win
    #[arg(long, global = true, env = "YURTHUB_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The settings given as flags.
    #[command(flatten)]
    pub settings: Settings,
}

/// What yurthub can be asked to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Serve the node (the default)
    Run,
    /// Read flags and configuration file, print the resulting settings, and exit with 1 where they are wrong
    CheckConfig,
    /// Say how the running yurthub is; exits with 0 where the cloud is there, 3 where it is away, 4 where yurthub does not
    /// answer
    Status(Shown),
    /// List what the running yurthub mirrors, what is wrong first
    Scopes(Shown),
    /// List the statuses and events that wait for the cloud
    Journal(Shown),
    /// Show what the mirror holds of a resource; needs no cloud
    Get(Get),
    /// Let the running yurthub mirror what this node's kubelet will ask for at its start, before the kubelet is its client;
    /// exits with 0 when all of it is live, 1 with what is missing
    Warm(Warm),
}

/// How long a kubelet's start is prepared, and how what became of it is shown.
#[derive(Debug, Clone, Copy, Args)]
pub struct Warm {
    /// How long it may take, from 1s to 10m
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = warm_timeout)]
    pub timeout: Duration,
    /// How the answer is shown.
    #[command(flatten)]
    pub shown: Shown,
}

/// How an answer is shown.
#[derive(Debug, Clone, Copy, Args)]
pub struct Shown {
    /// `json`: what the admin socket says, for scripts [default: text for people]
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<JsonOnly>,
}

/// The one other format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum JsonOnly {
    /// JSON
    Json,
}

/// Which objects are shown, and how.
#[derive(Debug, Clone, Args)]
pub struct Get {
    /// The resource, also by a short name, with its group where it needs one: pods, po, leases.coordination.k8s.io
    pub resource: String,
    /// Only the object of this name
    pub name: Option<String>,
    /// Only objects of this namespace [default: all namespaces]
    #[arg(short, long, value_name = "NAMESPACE", conflicts_with = "all_namespaces")]
    pub namespace: Option<String>,
    /// Objects of all namespaces, as without --namespace
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// How objects are shown
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: ObjectFormat,
    /// Show the values of Secrets, which are hidden otherwise
    #[arg(long)]
    pub show_secrets: bool,
}

/// How objects are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ObjectFormat {
    /// A row for each
    Table,
    /// More columns
    Wide,
    /// JSON; of several objects a List
    Json,
    /// YAML; of several objects a List
    Yaml,
    /// resource/name
    Name,
}

/// Every setting, as a flag, an environment variable, or a key of the YAML file.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The kubelet's kubeconfig: address and CA of the apiserver, and the client certificate that yurthub shares
    #[arg(long, global = true, env = "YURTHUB_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Addresses of apiservers of one cluster, the preferred first, instead of the kubeconfig's
    /// [example: <https://10.0.0.1:6443>,<https://10.0.0.2:6443>]
    #[arg(
        long = "server",
        global = true,
        env = "YURTHUB_SERVER",
        value_name = "URLS",
        value_delimiter = ','
    )]
    #[serde(default, alias = "server", deserialize_with = "from_list")]
    pub servers: Option<Vec<String>>,
    /// Whether further apiservers are learned from the cluster, for when the configured ones are away [default: true]
    #[arg(long, global = true, value_name = "BOOL")]
    pub discover_servers: Option<bool>,
    /// CA that signs the client certificates of kubelets, where it differs from the kubeconfig's CA
    #[arg(long, global = true, value_name = "FILE")]
    pub client_ca: Option<PathBuf>,
    /// Name of this node [default: taken from the kubelet's client certificate]
    #[arg(long, global = true, env = "NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// Where the kubelet connects [default: 127.0.0.1:10261]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Where pods of this node connect with their service accounts' tokens; the address is added to the node where it is
    /// missing [default: none; the packaged configuration says 169.254.2.1:10268]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub listen_pods: Option<SocketAddr>,
    /// What the kubelet is shown otherwise than the cloud sent it, where pods are served: `trust_bundle`,
    /// `kubernetes_service`, `service_env`, `kube_proxy_config`; empty: nothing [default: all]
    #[arg(long, global = true, value_name = "FILTERS", value_delimiter = ',', num_args = 0..)]
    pub filters: Option<Vec<String>>,
    /// The kubelet's folder, where the CA files of pods are looked at [default: /var/lib/kubelet]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub kubelet_dir: Option<PathBuf>,
    /// Where /healthz, /readyz and /metrics are served, without objects and without authentication [default: 127.0.0.1:10267]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub health_listen: Option<SocketAddr>,
    /// Unix socket, root only, for scopes, journal and log level [default: /run/yurthub/admin.sock]
    #[arg(long, global = true, value_name = "PATH")]
    pub admin_socket: Option<PathBuf>,
    /// Folder of the store, the node-local CA and the sealing key [default: /var/lib/yurthub]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Engine of the store: sqlite or sled [default: sqlite]
    #[arg(long, global = true, value_name = "ENGINE")]
    #[serde(default, deserialize_with = "from_text")]
    pub store_engine: Option<EngineKind>,
    /// How long a change may wait to be written together with others [default: 200ms]
    #[arg(long, global = true, value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, deserialize_with = "from_duration")]
    pub store_commit_interval: Option<Duration>,
    /// Size of the store from which on what was used longest ago is dropped, in MiB [default: 512]
    #[arg(long, global = true, value_name = "MIB")]
    pub store_quota_mib: Option<u64>,
    /// Idle time after which the kernel asks for a sign of life on the connection by which the cloud is watched; on others
    /// ten times later; whole seconds [default: 2s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, deserialize_with = "from_duration")]
    pub keepalive_interval: Option<Duration>,
    /// How often a lost apiserver is tried again [default: 1s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, deserialize_with = "from_duration")]
    pub probe_interval: Option<Duration>,
    /// Time over which watches are resumed after an outage; own pods go first and at once [default: 3s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, deserialize_with = "from_duration")]
    pub resume_spread: Option<Duration>,
    /// How long a scope without local watchers keeps its watch at the apiserver [default: 5m]
    #[arg(long, global = true, value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, deserialize_with = "from_duration")]
    pub park_after: Option<Duration>,
    /// Resources of which all clients of this node share one copy, each after the cloud allowed it; empty: none
    /// [default: services,endpointslices.discovery.k8s.io]
    #[arg(long, global = true, value_name = "RESOURCES", value_delimiter = ',', num_args = 0..)]
    pub shared_resources: Option<Vec<String>>,
    /// Audiences of the apiserver beside its issuer's name, where it was started with `--api-audiences` [default: none]
    #[arg(long, global = true, value_name = "AUDIENCES", value_delimiter = ',')]
    pub api_audiences: Option<Vec<String>>,
    /// How long into an outage a service account may read what the cloud allowed it before [default: 24h]
    #[arg(long, global = true, value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, deserialize_with = "from_duration")]
    pub authorization_memory: Option<Duration>,
    /// Whether EndpointSlices and Endpoints show this node's pods as its kubelet reported them last, also when the cloud
    /// does not know yet [default: true]
    #[arg(long, global = true, value_name = "BOOL")]
    pub endpoint_reality: Option<bool>,
    /// Whether endpoints on other nodes whose kubelets do not answer while the cloud is away are shown unready; nothing is
    /// done where EndpointSlices are shown as the cloud has them [default: true]
    #[arg(long, global = true, value_name = "BOOL")]
    pub endpoint_probes: Option<bool>,
    /// Whether this yurthub and the others of its pool probe each other, and tell the cloud whom of those that it does not
    /// hear of they see alive or dead [default: false]
    #[arg(long, global = true, value_name = "BOOL")]
    pub peer_health: Option<bool>,
    /// Where the other yurthubs of the pool connect for it [default: the node's `InternalIP`, port 10269]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub listen_peers: Option<SocketAddr>,
    /// Namespace of yurt-controller-manager, where it tells the members of pools of each other [default: yurt-system]
    #[arg(long, global = true, value_name = "NAMESPACE")]
    pub pool_namespace: Option<String>,
    /// File with the name of the present boot [default: the kernel's]
    #[arg(long, global = true, value_name = "FILE", hide = true)]
    pub boot_id_file: Option<PathBuf>,
    /// Events (objects of that name) that are kept for the cloud while it is away; the oldest go first [default: 2000]
    #[arg(long, global = true, value_name = "COUNT")]
    pub event_journal_entries: Option<usize>,
    /// What they may take together, in KiB; one event takes at most an eighth [default: 4096]
    #[arg(long, global = true, value_name = "KIB")]
    pub event_journal_kib: Option<usize>,
    /// How many of them are sent in a second when the cloud is back [default: 5]
    #[arg(long, global = true, value_name = "COUNT")]
    pub event_replay_rate: Option<u32>,
    /// Events that a scope keeps for local watchers that fall behind [default: 1024]
    #[arg(long, global = true, value_name = "COUNT")]
    pub ring_events: Option<usize>,
    /// Connections at a time where the kubelet connects, and as many where pods do; those that proved nothing give way
    /// [default: 512]
    #[arg(long, global = true, value_name = "COUNT")]
    pub max_connections: Option<usize>,
    /// Connections of one address where pods connect; all pods with the node's network have one [default: 128]
    #[arg(long, global = true, value_name = "COUNT")]
    pub max_connections_per_source: Option<usize>,
    /// How long a connection may be open without a request on it [default: 2m]
    #[arg(long, global = true, value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, deserialize_with = "from_duration")]
    pub idle_timeout: Option<Duration>,
    /// Requests of the kubelet in flight at a time, and as many of all pods, of each service account a quarter; watches do
    /// not count [default: 400]
    #[arg(long, global = true, value_name = "COUNT")]
    pub max_in_flight: Option<usize>,
    /// Watches and streams that each service account may have open on this node [default: 500]
    #[arg(long, global = true, value_name = "COUNT")]
    pub max_watches_per_client: Option<usize>,
    /// Different lists (resource, namespace, selectors) that each service account may have mirrored; the one that it has not
    /// used for longest makes room [default: 200]
    #[arg(long, global = true, value_name = "COUNT")]
    pub max_scopes_per_client: Option<usize>,
    /// Whether the cloud is told how this yurthub is, in an annotation of this node's Node, where that changes
    /// [default: true]
    #[arg(long, global = true, value_name = "BOOL")]
    pub publish_summary: Option<bool>,
    /// The shortest time between two such writes [default: 1m]
    #[arg(long, global = true, value_name = "DURATION", value_parser = humantime::parse_duration)]
    #[serde(default, deserialize_with = "from_duration")]
    pub summary_interval: Option<Duration>,
    /// How log lines look [default: human]
    #[arg(long, global = true, value_enum)]
    pub log_format: Option<LogFormat>,
    /// What is logged, in the syntax of `RUST_LOG` [default: info]
    #[arg(long, global = true, env = "YURTHUB_LOG", value_name = "FILTER")]
    pub log: Option<String>,
}

impl Settings {
    /// What `self` leaves open is taken from `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        macro_rules! first {
            ($($field:ident),* $(,)?) => {{
                let Self { $($field),* } = self;
                Self { $($field: $field.or(other.$field)),* }
            }};
        }
        first!(
            kubeconfig,
            servers,
            discover_servers,
            client_ca,
            node_name,
            listen,
            listen_pods,
            filters,
            kubelet_dir,
            health_listen,
            admin_socket,
            data_dir,
            store_engine,
            store_commit_interval,
            store_quota_mib,
            keepalive_interval,
            probe_interval,
            resume_spread,
            park_after,
            shared_resources,
            api_audiences,
            authorization_memory,
            endpoint_reality,
            endpoint_probes,
            peer_health,
            listen_peers,
            pool_namespace,
            boot_id_file,
            event_journal_entries,
            event_journal_kib,
            event_replay_rate,
            ring_events,
            max_connections,
            max_connections_per_source,
            idle_timeout,
            max_in_flight,
            max_watches_per_client,
            max_scopes_per_client,
            publish_summary,
            summary_interval,
            log_format,
            log,
        )
    }
}

fn warm_timeout(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_secs(1)..=crate::warm::LONGEST).contains(&time) {
        Ok(time)
    } else {
        Err("must be from 1s to 10m".to_owned())
    }
}

fn from_duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map(Some)
        .map_err(serde::de::Error::custom)
}

/// A list, or one text with commas.
fn from_list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    struct List;
    impl<'de> Visitor<'de> for List {
        type Value = Vec<String>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list, or one text with commas")
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(text.split(',').map(|entry| entry.trim().to_owned()).collect())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(entry) = entries.next_element()? {
                list.push(entry);
            }
            Ok(list)
        }
    }
    deserializer.deserialize_any(List).map(Some)
}

fn from_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err: fmt::Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}
