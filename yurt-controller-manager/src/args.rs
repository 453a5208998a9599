//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use yurt_common::node_certificates::LONGEST_LIFETIME;
use yurt_common::telemetry::LogFormat;

/// Keeps the pods of autonomous nodes where they are while the cloud does not hear of these nodes, and gives nodes
/// certificates for our own servers.
///
/// Runs beside the stock kube-controller-manager, which needs no flag. Any number of replicas; one of them acts.
#[derive(Debug, Clone, Parser)]
#[command(name = "yurt-controller-manager", version, max_term_width = 110)]
pub struct Args {
    /// The kubeconfig [default: the pod's own account, then $KUBECONFIG, then ~/.kube/config]
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Where the Lease of the leader and the ConfigMaps of pools are
    #[arg(
        long,
        env = "POD_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = "yurt-system"
    )]
    pub namespace: String,
    /// What this replica is called [default: the machine's name and a random number]
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// Which controllers run: * all, NAME this one, -NAME not this one
    #[arg(
        long,
        value_name = "NAME,…",
        value_delimiter = ',',
        default_value = "*",
        allow_hyphen_values = true
    )]
    pub controllers: Vec<String>,
    /// Nodes or pools that a controller looks at at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,
    /// Writes to the cluster in a second, for each controller
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub writes_per_second: u32,
    /// How long certificates of nodes are valid, at most; 10 s to 7 days
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = lifetime)]
    pub certificate_lifetime: Duration,
    /// How long a new authority is trusted before it signs; 1 s to 24 h
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = within_a_day)]
    pub trust_delay: Duration,
    /// How long the agent of the tunnel may be away before its node says so; 1 s to 24 h
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = within_a_day)]
    pub tunnel_grace: Duration,
    /// Health and metrics, without authentication: /healthz, /readyz, /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:10271")]
    pub listen: SocketAddr,
    /// How log lines look
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "human")]
    pub log_format: LogFormat,
    /// What is logged, in the syntax of `RUST_LOG`
    #[arg(long, env = "YURT_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
}

fn within(text: &str, shortest: Duration, longest: Duration) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (shortest..=longest).contains(&time) {
        return Ok(time);
    }
    let limits = [shortest, longest].map(humantime::format_duration);
    Err(format!("it must be from {} to {}", limits[0], limits[1]))
}

fn lifetime(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_secs(10), LONGEST_LIFETIME)
}

fn within_a_day(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_secs(1), Duration::from_hours(24))
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
    fn a_controller_can_be_left_out() {
        let args = Args::parse_from(["yurt-controller-manager", "--controllers", "*,-autonomy"]);
        assert_eq!(args.controllers, ["*", "-autonomy"]);
        let args = Args::parse_from(["yurt-controller-manager", "--controllers=-autonomy"]);
        assert_eq!(args.controllers, ["-autonomy"]);
    }
}
