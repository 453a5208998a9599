//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand};
use yurt_common::telemetry::LogFormat;

use crate::files::Files;
use crate::network::Network;
use crate::transport::quic::Congestion;
use crate::transport::race::Ways;

/// Reaches nodes that nobody can dial.
#[derive(Debug, Clone, Parser)]
#[command(name = "yurt-tunnel", version, max_term_width = 110)]
pub struct Args {
    /// Which end.
    #[command(subcommand)]
    pub end: End,
}

/// Both ends.
#[derive(Debug, Clone, Subcommand)]
pub enum End {
    /// Runs on a node: keeps connections to servers, and dials the kubelet for them
    Agent(Box<Agent>),
    /// Runs in the cloud: takes the connections of agents, and dials over them
    Server(Box<Server>),
    /// Removes the nftables table that a killed server has left, on kernels before 5.12
    Cleanup,
}

/// What both ends want to know.
#[derive(Debug, Clone, Group)]
pub struct Common {
    /// The name of this node; that of a server is the server's id, too
    #[arg(long, env = "NODE_NAME", value_name = "NAME", value_parser = node_name)]
    pub node_name: String,
    /// The namespace of our objects
    #[arg(
        long,
        env = "POD_NAMESPACE",
        value_name = "NAME",
        default_value = "yurt-system"
    )]
    pub namespace: String,
    /// The way to the API, instead of the account of this pod
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Where key and certificate are kept over a restart; without it a restart asks for new ones
    #[arg(long, value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,
    /// A certificate in PEM, instead of one from yurt-controller-manager; read again when it changes
    #[arg(long, value_name = "FILE", requires = "key_file")]
    pub cert_file: Option<PathBuf>,
    /// Its key, in PEM
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub key_file: Option<PathBuf>,
    /// The authorities that vouch for the other end, in PEM; read again when they change
    #[arg(long, value_name = "FILE")]
    pub trust_file: Option<PathBuf>,
    /// What decides how fast is sent over QUIC
    #[arg(long, value_enum, value_name = "NAME", default_value = "bbr")]
    pub congestion: Congestion,
    /// How log lines look
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "human")]
    pub log_format: LogFormat,
    /// What is logged, in the syntax of `RUST_LOG`
    #[arg(long, env = "YURT_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
}

impl Common {
    /// Where identity and trust are, if they are in files.
    pub fn files(&self) -> Option<Files> {
        Some(Files {
            certificate: self.cert_file.clone()?,
            key: self.key_file.clone()?,
            trust: self.trust_file.clone()?,
        })
    }
}

/// The agent's.
#[derive(Debug, Clone, Group)]
pub struct Agent {
    /// A server, or what leads to servers; may be repeated
    #[arg(
        long = "server",
        value_name = "HOST:PORT",
        required_unless_present = "servers_dir"
    )]
    pub servers: Vec<String>,
    /// A folder with one file for each server: its name is the server's id, its lines HOST:PORT
    #[arg(long, value_name = "FOLDER")]
    pub servers_dir: Option<PathBuf>,
    /// To how many servers a connection is kept
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub sessions: u8,
    /// The kubelet's port on 127.0.0.1
    #[arg(long, value_name = "PORT", default_value_t = 10250, value_parser = clap::value_parser!(u16).range(1..))]
    pub kubelet_port: u16,
    /// Another port of 127.0.0.1 that servers may dial; may be repeated
    #[arg(long = "allow-port", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub allow_ports: Vec<u16>,
    /// A folder with one file for each node, as `yurt-tunnel-policy` is mounted: the one named after this node lists further
    /// ports; read again when it changes
    #[arg(long, value_name = "FOLDER")]
    pub policy_dir: Option<PathBuf>,
    /// How servers are reached
    #[arg(long, value_enum, value_name = "WAY", default_value = "auto")]
    pub transport: Ways,
    /// How often to ask an idle server whether it is there, in seconds: at 3 a deaf path is noticed within five seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=10))]
    pub ping_interval: u8,
    /// The HTTP proxy for TCP
    #[arg(long, env = "HTTPS_PROXY", value_name = "http://HOST:PORT", value_parser = crate::transport::proxy::address)]
    pub proxy: Option<String>,
    /// Health and metrics, without authentication: /healthz, /readyz, /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:10266")]
    pub health_listen: SocketAddr,
    /// Both ends'.
    #[command(flatten)]
    pub common: Common,
}

/// The server's.
#[derive(Debug, Clone, Group)]
pub struct Server {
    /// Where agents and other servers connect, over UDP and TCP
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:10262")]
    pub listen: SocketAddr,
    /// Where agents and other servers dial this one; may be repeated
    #[arg(
        long = "address",
        value_name = "HOST:PORT",
        value_parser = address,
        required_unless_present = "cert_file"
    )]
    pub addresses: Vec<String>,
    /// The port to which connections to kubelets are redirected; 0: any. Without it nothing is redirected
    #[arg(long, value_name = "PORT")]
    pub redirect_port: Option<u16>,
    /// Redirect only connections of this machine itself, not those of its pods and of other machines
    #[arg(long)]
    pub redirect_own_only: bool,
    /// Ports at which kubelets may be, with commas between
    #[arg(long, value_name = "PORTS", value_delimiter = ',', default_value = "10250", value_parser = clap::value_parser!(u16).range(1..))]
    pub kubelet_ports: Vec<u16>,
    /// Addresses and networks that no Node may claim, such as those of apiservers; may be repeated
    #[arg(long, value_name = "NETWORK")]
    pub reserved: Vec<Network>,
    /// An address where the name in the greeting of TLS says which node is meant
    #[arg(long, value_name = "ADDRESS")]
    pub sni_listen: Option<SocketAddr>,
    /// With --cert-file: a folder with one file for each server, this one included: its name is the id, its lines HOST:PORT
    #[arg(long, value_name = "FOLDER", requires = "cert_file")]
    pub servers_dir: Option<PathBuf>,
    /// With --cert-file: a folder with one file for each node that is forgotten, as `yurt-forgotten-nodes` is mounted
    #[arg(long, value_name = "FOLDER", requires = "cert_file")]
    pub forgotten_dir: Option<PathBuf>,
    /// A Unix socket for HTTP CONNECT, for this user only
    #[arg(long, value_name = "FILE")]
    pub connect_socket: Option<PathBuf>,
    /// An address for HTTP CONNECT over TLS
    #[arg(long, value_name = "ADDRESS", requires_all = ["connect_cert_file", "connect_key_file", "connect_client_ca_file"])]
    pub connect_listen: Option<SocketAddr>,
    /// Its certificate, in PEM
    #[arg(long, value_name = "FILE")]
    pub connect_cert_file: Option<PathBuf>,
    /// The key of that, in PEM
    #[arg(long, value_name = "FILE")]
    pub connect_key_file: Option<PathBuf>,
    /// Authorities that vouch for who may use it, in PEM
    #[arg(long, value_name = "FILE")]
    pub connect_client_ca_file: Option<PathBuf>,
    /// With --cert-file: a node of the tunnel: `ADDRESS=NODE[:PORT]`, the port being its kubelet's; may be repeated
    #[arg(long = "node", value_name = "ADDRESS=NODE[:PORT]", value_parser = node, requires = "cert_file")]
    pub nodes: Vec<NodeAddress>,
    /// Memory that streams may take together, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(16..))]
    pub memory_budget: u32,
    /// Health and metrics, without authentication: /healthz, /readyz, /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:10265")]
    pub health_listen: SocketAddr,
    /// Both ends'.
    #[command(flatten)]
    pub common: Common,
}

/// A node that was named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// An address of it, or a name.
    pub address: String,
    /// The node.
    pub node: String,
    /// The port of its kubelet.
    pub port: u16,
}

fn node_name(text: &str) -> Result<String, String> {
    if yurt_common::node_certificates::is_node_name(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no name of a node"))
    }
}

/// An IPv6 address may come without brackets, as `$(HOST_IP):10262` does.
fn address(text: &str) -> Result<String, String> {
    let bare = text
        .rsplit_once(':')
        .filter(|(host, _)| host.parse::<std::net::Ipv6Addr>().is_ok());
    let address = bare.map_or_else(|| text.to_owned(), |(host, port)| format!("[{host}]:{port}"));
    if crate::members::entry::is_address(&address) {
        Ok(address)
    } else {
        Err(format!("`{text}` is not HOST:PORT"))
    }
}

fn node(text: &str) -> Result<NodeAddress, String> {
    let (address, node) = text.split_once('=').ok_or("expected ADDRESS=NODE[:PORT]")?;
    let (node, port) = node.split_once(':').unwrap_or((node, "10250"));
    let port = port.parse().map_err(|_| format!("`{port}` is no port"))?;
    if address.is_empty() || !yurt_common::node_certificates::is_node_name(node) {
        return Err(format!("`{node}` is no name of a node, or there is no address"));
    }
    Ok(NodeAddress {
        address: address.into(),
        node: node.into(),
        port,
    })
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
    fn addresses_of_servers_get_the_brackets_that_they_lack() {
        for (text, read) in [
            ("10.0.0.1:10262", "10.0.0.1:10262"),
            ("tunnel.example:443", "tunnel.example:443"),
            ("[fd00::1]:10262", "[fd00::1]:10262"),
            ("fd00::1:10262", "[fd00::1]:10262"),
        ] {
            assert_eq!(address(text).as_deref(), Ok(read));
        }
        for bad in ["10.0.0.1", "fd00::1:", "a:0", "$(HOST_IP):1"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nodes_are_read() {
        let read = |address: &str, port| NodeAddress {
            address: address.into(),
            node: "edge1".into(),
            port,
        };
        assert_eq!(node("10.0.0.7=edge1").unwrap(), read("10.0.0.7", 10250));
        assert_eq!(node("fd00::7=edge1:10251").unwrap(), read("fd00::7", 10251));
        for bad in ["edge1", "=edge1", "10.0.0.7=", "10.0.0.7=edge1:x"] {
            assert!(node(bad).is_err(), "{bad}");
        }
    }
}
