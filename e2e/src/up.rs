//! Bringing a cluster up: nodes boot, kubeadm makes a cluster of them, everything is Ready.
//!
//! Invariant: the file `ready` appears in the state folder when all has succeeded, and not before. Whoever finds a
//! state folder without it, or without a living process, finds leftovers.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::builds;
use crate::cluster::Cluster;
use crate::instance::{Instance, Profile};
use crate::machine;
use crate::node::{self, Node};
use crate::progress::{Stopwatch, say};
use crate::wait::wait_for;

const BOOT_DEADLINE: Duration = Duration::from_mins(2);
const KUBEADM_DEADLINE: Duration = Duration::from_mins(5);
const READY_DEADLINE: Duration = Duration::from_mins(3);

/// The nodes of a cluster if nobody says otherwise.
pub const DEFAULT_NODES: [&str; 3] = ["cloud1", "edge1", "edge2"];
/// The nodes of the clusters of the tests: three tests break a node each at a time, and a pool has three.
const TEST_NODES: [&str; 4] = ["cloud1", "edge1", "edge2", "edge3"];
/// The nodes of the fleet.
const FLEET_NODES: [&str; 5] = ["cloud1", "edge1", "edge2", "edge3", "edge4"];
/// The nodes of the cluster that lives on with one control plane less.
const CLOUDS_NODES: [&str; 4] = ["cloud1", "cloud2", "edge1", "edge2"];

/// The instance of the tests as it runs, or from nothing.
///
/// # Errors
/// As [`up`]; and when an instance runs that is of another version or profile.
pub fn attach_or_up(profile: Profile) -> Result<Cluster> {
    running(Instance::for_tests(profile)?, &TEST_NODES)
}

/// The instance with many nodes at the edge as it runs, or from nothing.
///
/// # Errors
/// As [`attach_or_up`].
pub fn attach_or_up_fleet() -> Result<Cluster> {
    running(Instance::fleet()?, &FLEET_NODES)
}

/// The instance with two control planes as it runs, or from nothing.
///
/// # Errors
/// As [`attach_or_up`].
pub fn attach_or_up_clouds() -> Result<Cluster> {
    running(Instance::clouds()?, &CLOUDS_NODES)
}

fn running(instance: Instance, nodes: &[&str]) -> Result<Cluster> {
    /// Why it failed in this process: what failed for one test is not tried again for each of the others.
    static FAILURE: Mutex<Option<String>> = Mutex::new(None);
    let lock = instance.lock()?;
    if !instance.is_up() {
        let mut failure = FAILURE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = &*failure {
            bail!("the cluster did not come up for an earlier test: {failure}");
        }
        up_locked(&instance, nodes).inspect_err(|error| *failure = Some(format!("{error:#}")))?;
    }
    drop(lock);
    attach(instance)
}

/// The instance that runs.
///
/// # Errors
/// When it does not run, or is of another version or profile.
pub fn attach(instance: Instance) -> Result<Cluster> {
    let name = instance.name();
    ensure!(
        instance.is_up(),
        "the cluster `{name}` is not up: `cargo xtask cluster up --instance {name}`"
    );
    let found = instance.ready_line().unwrap_or_default();
    let wanted = identity(&instance);
    ensure!(
        found.starts_with(&wanted),
        "the cluster `{name}` is of another kind ({}; wanted: {wanted}): `cargo xtask cluster down --instance {name}`",
        found.trim()
    );
    Ok(Cluster::new(instance))
}

/// A cluster of `nodes` from nothing; one of the same name that runs is taken down first.
///
/// # Errors
/// What the machine lacks, and the step that failed. What was started so far stays for a look at it, until the next
/// `up` or `down`.
pub fn up(instance: Instance, nodes: &[&str]) -> Result<Cluster> {
    let lock = instance.lock()?;
    up_locked(&instance, nodes)?;
    drop(lock);
    attach(instance)
}

fn up_locked(instance: &Instance, nodes: &[&str]) -> Result<()> {
    ensure!(
        nodes.first() == Some(&"cloud1"),
        "the first node is cloud1, the control plane, not {nodes:?}"
    );
    for name in nodes {
        node::number(name)?;
    }
    builds::ensure(instance)?;
    machine::raise_limits()?;
    if instance.state().exists() || instance.is_alive() {
        say(format_args!(
            "removing what is left of the cluster `{}`",
            instance.name()
        ));
        instance.down_locked()?;
    }
    say(format_args!(
        "cluster `{}`: Kubernetes {}, nodes {}",
        instance.name(),
        instance.kubernetes(),
        nodes.join(" ")
    ));
    let watch = Stopwatch::start();
    let nodes: Vec<_> = nodes.iter().map(|name| Node::new(instance, name)).collect();
    boot(instance, &nodes)?;
    watch.say("nodes booted");
    init(instance, &nodes)?;
    watch.say("control plane ready");
    join(instance, &nodes)?;
    let cluster = Cluster::new(instance.clone());
    wait_until_ready(&cluster, nodes.len())?;
    watch.say("nodes Ready");
    let rollout = [
        "-n",
        "kube-system",
        "rollout",
        "status",
        "deployment/coredns",
        "--timeout=120s",
    ];
    cluster
        .kubectl_cmd(rollout)
        .deadline(READY_DEADLINE)
        .run_ok()
        .context("wait for the cluster's DNS")?;
    watch.say("DNS ready");
    let names: Vec<_> = nodes.iter().map(Node::name).collect();
    let ready = instance.state().join("ready");
    fs::write(
        &ready,
        format!("{} nodes {}\n", identity(instance), names.join(" ")),
    )
    .with_context(|| format!("write {}", ready.display()))
}

/// What a cluster is: the beginning of its `ready` file.
fn identity(instance: &Instance) -> String {
    format!(
        "kubernetes {} profile {}",
        instance.kubernetes(),
        instance.profile().name()
    )
}

fn boot(instance: &Instance, nodes: &[Node]) -> Result<()> {
    let logs = instance.state().join("log");
    fs::create_dir_all(&logs).with_context(|| format!("make {}", logs.display()))?;
    instance.script("network.sh").arg("switch").run_ok()?;
    for node in nodes {
        instance
            .script("network.sh")
            .args(["plug", node.name()])
            .run_ok()?;
        node.power_on()?;
    }
    nodes.iter().try_for_each(|node| node.wait_booted(BOOT_DEADLINE))
}

fn init(instance: &Instance, nodes: &[Node]) -> Result<()> {
    let Some(cloud1) = nodes.first() else {
        bail!("a cluster needs a node");
    };
    kubeadm(instance, cloud1, &["init", "--upload-certs"])?;
    let config = cloud1.exec_ok(["cat", "/etc/kubernetes/admin.conf"])?;
    fs::write(instance.kubeconfig(), config).context("keep the admin's kubeconfig")
}

/// Further control planes join one by one (each makes etcd's quorum larger), then all edge nodes at once.
fn join(instance: &Instance, nodes: &[Node]) -> Result<()> {
    let (cloud, edge): (Vec<_>, Vec<_>) = nodes
        .iter()
        .skip(1)
        .partition(|node| node.name().starts_with("cloud"));
    for node in cloud {
        kubeadm(instance, node, &["join"])?;
    }
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let joins: Vec<_> = edge
            .iter()
            .map(|node| scope.spawn(|| kubeadm(instance, node, &["join"])))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread
                .join()
                .unwrap_or_else(|_| bail!("the thread that joins a node panicked"))
        };
        joins.into_iter().map(join).collect()
    });
    results.into_iter().collect()
}

fn kubeadm(instance: &Instance, node: &Node, verb: &[&str]) -> Result<()> {
    let log = instance
        .state()
        .join("log")
        .join(format!("kubeadm-{}.log", node.name()));
    let kubeadm = node
        .cmd(["kubeadm"])?
        .args(verb)
        .args(["--config", "/etc/kubernetes/kubeadm.yaml"]);
    kubeadm
        .log_to(log)
        .deadline(KUBEADM_DEADLINE)
        .run_ok()
        .with_context(|| format!("let kubeadm {} {}", verb.join(" "), node.name()))?;
    Ok(())
}

fn wait_until_ready(cluster: &Cluster, count: usize) -> Result<()> {
    let path =
        r#"jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}"#;
    wait_for("all nodes to be Ready", READY_DEADLINE, || {
        let states = cluster.kubectl(["get", "nodes", "-o", path])?;
        if states
            .split_whitespace()
            .filter(|state| state.ends_with("=True"))
            .count()
            == count
        {
            return Ok(Some(()));
        }
        bail!("{states}")
    })
}
