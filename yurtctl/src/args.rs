//! The command line.

use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::check::Acceptable;

/// Converts nodes of a running cluster to edge nodes, and back.
///
/// Exit codes: 0 all is done or fine; 1 something failed, or would; 2 the command line makes no sense; 3 some nodes are
/// pending, as they cannot be reached.
#[derive(Debug, Parser)]
#[command(name = "yurtctl", version, max_term_width = 110)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Where the cluster is.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Which cluster, and where in it.
#[derive(Debug, Clone, ClapArgs)]
pub struct ClusterArgs {
    /// The kubeconfig [default: $KUBECONFIG, then ~/.kube/config, then the pod's own account]
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<std::path::PathBuf>,
    /// The context in it [default: the current one]
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Where our objects are in the cluster
    #[arg(long, global = true, value_name = "NAMESPACE", default_value = "yurt-system")]
    pub namespace: String,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make nodes edge nodes: yurthub between their kubelets and the apiserver
    Convert(Convert),
    /// Make edge nodes ordinary nodes again
    Revert(Revert),
    /// Show each edge node: version, link, mirror, journal
    Status(Shown),
    /// One node
    #[command(subcommand)]
    Node(NodeCommand),
    /// Look for what is wrong, or would be, and say how to repair it
    Doctor(Doctor),
    /// The tunnel: its servers and agents, and whether nodes are reached through it
    #[command(subcommand)]
    Tunnel(TunnelCommand),
    /// Let nodes keep their pods while the cloud does not hear of them
    Autonomy(Autonomy),
    /// Print the versions of yurtctl and of the cluster
    Version(Shown),
    /// Print a script that completes commands in a shell
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// The body of a pod that yurtctl puts on a node
    #[command(subcommand, hide = true)]
    Servant(Servant),
}

/// Which nodes.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Selection {
    /// These nodes, with commas between [default: those labelled openyurt.io/is-edge-worker=true]
    #[arg(long, value_name = "NODE,…", value_delimiter = ',')]
    pub edge_nodes: Vec<String>,
    /// Nodes with these labels, as in kubectl
    #[arg(short = 'l', long, value_name = "SELECTOR", conflicts_with = "edge_nodes")]
    pub selector: Option<String>,
}

/// How nodes are changed.
#[derive(Debug, Clone, ClapArgs)]
pub struct Pace {
    /// Print the whole plan and change nothing (a pod on each node looks at it)
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask before the plan is carried out
    #[arg(short, long)]
    pub yes: bool,
    /// How many nodes are changed at a time, after the canary
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub max_unavailable: usize,
    /// How many nodes are changed first, one at a time; the others only if all is well with these
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub canary: usize,
    /// Time for each node; after it the node takes back by itself what was done
    #[arg(long, value_name = "TIME", default_value = "3m", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// The image of yurthub and yurtctl [default: what yurt-hub-cfg says]
    #[arg(long, value_name = "REFERENCE")]
    pub image: Option<String>,
    /// How the plan is shown
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
}

/// Make nodes edge nodes.
#[derive(Debug, Clone, ClapArgs)]
pub struct Convert {
    /// Which nodes.
    #[command(flatten)]
    pub selection: Selection,
    /// How.
    #[command(flatten)]
    pub pace: Pace,
    /// DaemonSets whose pods on a node are restarted, one at a time, when it is converted: they reach the API through
    /// yurthub from then on
    #[arg(
        long,
        value_name = "NAMESPACE/NAME,…",
        value_delimiter = ',',
        default_value = "kube-system/kube-proxy"
    )]
    pub system_clients: Vec<String>,
    /// Findings that do not stop it
    #[arg(long, value_enum, value_name = "FINDING,…", value_delimiter = ',')]
    pub accept: Vec<Acceptable>,
    /// Do not apply yurt-tunnel, where something else reaches nodes that nobody can dial; one that is there stays as it is
    #[arg(long)]
    pub without_tunnel: bool,
}

/// Make edge nodes ordinary nodes again.
#[derive(Debug, Clone, ClapArgs)]
pub struct Revert {
    /// Which nodes; all that are converted by default.
    #[command(flatten)]
    pub selection: Selection,
    /// How.
    #[command(flatten)]
    pub pace: Pace,
}

/// How something is shown.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub struct Shown {
    /// How it is shown
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
}

/// One node.
#[derive(Debug, Clone, Subcommand)]
pub enum NodeCommand {
    /// Show one node with all that is known of it
    Show {
        /// The node
        name: String,
        /// How.
        #[command(flatten)]
        shown: Shown,
    },
    /// Let a stolen or retired node in nowhere any more, and remove what the cluster has of it
    Forget(Forget),
    /// Let a node come back that was forgotten; what it had before is refused still
    Remember {
        /// The node
        name: String,
    },
    /// Revert the node on whose console this is typed; needs no cloud
    Revert {
        /// Confirms that it is this node
        #[arg(long, required = true)]
        local: bool,
    },
    /// Carry out the transaction that is under way on this node
    #[command(hide = true)]
    Conduct,
}

/// The tunnel.
#[derive(Debug, Clone, Subcommand)]
pub enum TunnelCommand {
    /// Show its servers and agents, and ask the kubelet of each edge node through the apiserver
    Status(Shown),
    /// Ask the kubelet of one node through the apiserver, and say why it does not answer
    Ping(Ping),
}

/// Ask one kubelet.
#[derive(Debug, Clone, ClapArgs)]
pub struct Ping {
    /// The node
    pub node: String,
    /// How many times, a second between
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub count: u16,
    /// How it is shown
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
}

/// Let a node in nowhere any more.
#[derive(Debug, Clone, ClapArgs)]
pub struct Forget {
    /// The node
    pub name: String,
    /// Do not ask before the plan is carried out
    #[arg(short, long)]
    pub yes: bool,
    /// Also a node that is Ready: it works, and its pods may run on
    #[arg(long)]
    pub even_if_ready: bool,
    /// Also a name of which the cluster has nothing: a node whose Node was deleted long ago
    #[arg(long)]
    pub unknown: bool,
}

/// Look for what is wrong.
#[derive(Debug, Clone, ClapArgs)]
pub struct Doctor {
    /// Which nodes.
    #[command(flatten)]
    pub selection: Selection,
    /// How it is shown
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    /// Findings that are no errors
    #[arg(long, value_enum, value_name = "FINDING,…", value_delimiter = ',')]
    pub accept: Vec<Acceptable>,
    /// The image whose pod looks at each node [default: what yurt-hub-cfg says]
    #[arg(long, value_name = "REFERENCE")]
    pub image: Option<String>,
}

/// Let nodes keep their pods.
#[derive(Debug, Clone, ClapArgs)]
pub struct Autonomy {
    /// The nodes
    #[arg(required = true, value_name = "NODE")]
    pub nodes: Vec<String>,
    /// What they ask for.
    #[command(flatten)]
    pub wish: AutonomyWish,
}

/// What nodes ask for.
#[derive(Debug, Clone, ClapArgs)]
#[group(required = true, multiple = false)]
pub struct AutonomyWish {
    /// Their pods stay, however long a node is silent
    #[arg(long)]
    pub on: bool,
    /// Their pods are evicted as those of any other node
    #[arg(long)]
    pub off: bool,
    /// Their pods stay for so long after a node has fallen silent, such as 2h or 30m
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
}

/// The body of a pod on a node.
#[derive(Debug, Clone, Subcommand)]
pub enum Servant {
    /// Look at the node
    Facts {
        /// Where yurthub serves pods
        #[arg(long, default_value = "169.254.2.1:10268")]
        pods_address: String,
    },
    /// Carry out the transaction in the variable `YURT_TRANSACTION`
    CarryOut,
}

/// A format of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// For people, with more columns
    Wide,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn nodes_are_given_with_commas() {
        let args = Args::parse_from(["yurtctl", "convert", "--edge-nodes", "a,b", "--timeout", "90s"]);
        let Command::Convert(convert) = args.command else {
            panic!("another command");
        };
        assert_eq!(convert.selection.edge_nodes, ["a", "b"]);
        assert_eq!(convert.pace.timeout, Duration::from_secs(90));
        assert_eq!(convert.system_clients, ["kube-system/kube-proxy"]);
        assert!(convert.accept.is_empty());
        assert!(!convert.without_tunnel);
        assert!(Args::try_parse_from(["yurtctl", "convert", "--accept", "no-space"]).is_err());
    }
}
