//! `cargo xtask cluster`: a cluster made and broken by hand.
//!
//! Decides which instance is meant; everything else is the crate `e2e`.

use std::process::{Command as StdCommand, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args as ClapArgs, Subcommand};
use e2e::progress::say;
use e2e::{Cluster, Instance, Node, Profile, builds, up};

use crate::link;

const BOOT_DEADLINE: Duration = Duration::from_mins(2);

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Which cluster: by default the only one that there is, and `e2e` for `up`
    #[arg(long, global = true, env = "YURT_INSTANCE")]
    instance: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a cluster from nothing (one of the same name is removed first)
    Up {
        /// cloud1 is the control plane; further cloud nodes make it a highly available one
        #[arg(long, value_delimiter = ',', default_values = up::DEFAULT_NODES)]
        nodes: Vec<String>,
        /// Give nodes up after 16 s and evict their pods 10 s later, not after 40 s and 300 s
        #[arg(long)]
        short_eviction: bool,
    },
    /// Stop and remove the cluster, or what is left of it
    Down,
    /// Show which clusters run, their nodes and cables
    Status,
    /// Pull a node's cable
    Cut { node: String },
    /// Plug a node's cable in
    Join { node: String },
    /// Let all packets of a node vanish while its link stays up
    Blackhole { node: String },
    /// End a black hole
    Unblackhole { node: String },
    /// Put a node behind a router that lets only the node open connections
    Nat { node: String },
    /// Take that router away
    Unnat { node: String },
    /// Make a node's link bad: loss, delay, bandwidth, outages on a schedule. Without options: what it is like, and
    /// what it has seen
    Link(link::Args),
    /// `systemctl reboot` on a node; waits until it is back
    Reboot { node: String },
    /// Kill all of a node at once; waits until it is back
    PowerCut { node: String },
    /// Run a program on a node
    Exec {
        node: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Run kubectl as the cluster's admin
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run Helm as the cluster's admin
    Helm {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

/// Makes sure that everything is there that a cluster needs.
pub(crate) fn setup() -> Result<ExitCode> {
    let instance = Instance::for_tests(Profile::Default)?;
    builds::ensure(&instance)?;
    say(format_args!(
        "ready: everything is in {}",
        instance.cache().display()
    ));
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let Args { instance, verb } = args;
    let instance = instance.as_deref();
    match verb {
        Verb::Up {
            nodes,
            short_eviction,
        } => {
            let profile = if short_eviction {
                Profile::ShortEviction
            } else {
                Profile::Default
            };
            let instance = match instance {
                Some(name) => Instance::new(name, profile)?,
                None => Instance::for_tests(profile)?,
            };
            let names: Vec<_> = nodes.iter().map(String::as_str).collect();
            let cluster = up::up(instance, &names)?;
            print(&cluster.kubectl(["get", "nodes", "-o", "wide"])?);
        }
        Verb::Status => status()?,
        Verb::Down => take_down(instance)?,
        Verb::Exec { node, command } => {
            return pass_on(running(instance)?.node(&node).cmd(command)?.to_std());
        }
        Verb::Kubectl { args } => return pass_on(running(instance)?.kubectl_cmd(args).to_std()),
        Verb::Helm { args } => return pass_on(running(instance)?.helm_cmd(args).to_std()),
        Verb::Cut { node } => known(instance, &node)?.cut()?,
        Verb::Join { node } => known(instance, &node)?.join()?,
        Verb::Blackhole { node } => known(instance, &node)?.blackhole()?,
        Verb::Unblackhole { node } => known(instance, &node)?.unblackhole()?,
        Verb::Nat { node } => known(instance, &node)?.nat()?,
        Verb::Unnat { node } => known(instance, &node)?.unnat()?,
        Verb::Link(args) => print(&link::run(&args, &known(instance, &args.node)?)?),
        Verb::Reboot { node } => {
            let node = known(instance, &node)?;
            node.reboot()?;
            node.wait_booted(BOOT_DEADLINE)?;
        }
        Verb::PowerCut { node } => {
            let node = known(instance, &node)?;
            node.power_cut()?;
            node.wait_booted(BOOT_DEADLINE)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The cluster that is meant: the one named, or the one that there is.
fn running(name: Option<&str>) -> Result<Cluster> {
    match chosen(name)? {
        Some(instance) => up::attach(instance),
        None => bail!("no cluster runs: `cargo xtask demo` or `cargo xtask cluster up` makes one"),
    }
}

/// The instance named, or the only one of which there is anything.
fn chosen(name: Option<&str>) -> Result<Option<Instance>> {
    if let Some(name) = name {
        return Instance::find(name).map(Some);
    }
    let mut all = Instance::all();
    if all.len() > 1 {
        let names: Vec<_> = all.iter().map(Instance::name).collect();
        bail!(
            "there are several clusters: choose with --instance {}",
            names.join(" or --instance ")
        );
    }
    Ok(all.pop())
}

/// A node of the running cluster that exists.
fn known(instance: Option<&str>, node: &str) -> Result<Node> {
    let cluster = running(instance)?;
    let nodes = cluster.instance().nodes();
    if nodes.iter().any(|name| name == node) {
        return Ok(cluster.node(node));
    }
    bail!(
        "the cluster `{}` has no node {node}; it has {}",
        cluster.instance().name(),
        nodes.join(", ")
    )
}

fn take_down(name: Option<&str>) -> Result<()> {
    let Some(instance) = chosen(name)? else {
        say("there is no cluster");
        return Ok(());
    };
    instance.down()?;
    say(format_args!("the cluster `{}` is down", instance.name()));
    Ok(())
}

fn status() -> Result<()> {
    let instances = Instance::all();
    if instances.is_empty() {
        print("there is no cluster");
    }
    for instance in instances {
        let name = instance.name().to_owned();
        if !instance.is_up() {
            print(&format!(
                "{name}: incomplete (`cargo xtask cluster down --instance {name}` removes it)"
            ));
            continue;
        }
        print(&format!(
            "{name}: up, Kubernetes {}, profile {}",
            instance.kubernetes(),
            instance.profile().name()
        ));
        let cluster = up::attach(instance)?;
        for node in cluster.nodes() {
            let power = if node.is_up() { "on" } else { "off" };
            let cable = if node.is_connected()? { "in" } else { "out" };
            print(&format!(
                "  {:<8} {:<12} power {power:<4} cable {cable}",
                node.name(),
                node.ip()?
            ));
        }
        print(&cluster.kubectl(["get", "nodes"])?);
    }
    Ok(())
}

/// Runs a program that a person talks to, and takes over its exit code.
fn pass_on(mut command: StdCommand) -> Result<ExitCode> {
    let status = command
        .status()
        .with_context(|| format!("start {}", command.get_program().display()))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

#[expect(clippy::print_stdout, reason = "the answer that was asked for")]
fn print(text: &str) {
    println!("{text}");
}
