//! The cloud gives up a node that is cut off and evicts its pods: the node goes on, and obeys when it hears of it. A node that
//! asks for autonomy keeps them.
//!
//! On a cluster of its own, which gives nodes up after 16 s instead of 40 s, and evicts 10 s later instead of 300 s.

#[path = "eviction/autonomy.rs"]
mod autonomy;
#[path = "eviction/certificates.rs"]
mod certificates;
#[path = "eviction/leader.rs"]
mod leader;
#[path = "eviction/pool.rs"]
mod pool;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::containers::{self, Containers};
use e2e::progress::say;
use e2e::{Cluster, Instance, Namespace, Profile, hub, image, pod, wait_for};
use serde_json::{Value, json};

/// Three times what it takes on a busy machine.
const DEADLINE: Duration = Duration::from_mins(2);

/// A test's stay in the cluster. The last one to leave takes the cluster down, if it was not there before the first one
/// came: the tests that follow need the processor.
struct Stay {
    cluster: Cluster,
    found: bool,
}

static GUESTS: AtomicUsize = AtomicUsize::new(0);

impl Stay {
    fn begin() -> Result<Self> {
        static FOUND: OnceLock<bool> = OnceLock::new();
        GUESTS.fetch_add(1, Ordering::SeqCst);
        let instance = Instance::for_tests(Profile::ShortEviction)?;
        let found = *FOUND.get_or_init(|| instance.is_up());
        let cluster = Cluster::attach_or_up(Profile::ShortEviction)?;
        load_image(&cluster)?;
        Ok(Self { cluster, found })
    }

    fn end(self) -> Result<()> {
        let last = GUESTS.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && !self.found {
            self.cluster.instance().down()?;
        }
        Ok(())
    }
}

/// The manager's replicas run on nodes that are not converted, which no conversion gives an image.
fn load_image(cluster: &Cluster) -> Result<()> {
    static LOADED: Mutex<bool> = Mutex::new(false);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*loaded {
        let image = image::built()?;
        for node in cluster.nodes() {
            image::load(&node, &image)?;
        }
        *loaded = true;
    }
    Ok(())
}

/// Two pods that are evicted, as pods are by default, and one that tolerates every taint.
fn start_pods(namespace: &Namespace, node: &str) -> Result<()> {
    let mut spec = pod("evicted").to_json()["spec"].clone();
    spec["tolerations"] = json!([]);
    spec["nodeSelector"] = json!({"kubernetes.io/hostname": node});
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "evicted"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "evicted"}},
            "template": {"metadata": {"labels": {"app": "evicted"}}, "spec": spec},
        },
    });
    let stays = pod("stays").on(node).to_json();
    namespace.apply_yaml(&format!("{deployment}\n---\n{stays}"))?;
    namespace.wait_ready("stays", DEADLINE)?;
    wait_rolled_out(namespace)
}

/// The two pods that are evicted run, or others in their place.
fn wait_rolled_out(namespace: &Namespace) -> Result<()> {
    let rollout = ["rollout", "status", "deployment/evicted", "--timeout=120s"];
    namespace
        .kubectl_cmd(rollout)
        .deadline(Duration::from_secs(130))
        .run_ok()?;
    Ok(())
}

/// The uid of each pod that the cloud has not marked for deletion; those that it has are counted.
fn wanted(namespace: &Namespace) -> Result<(BTreeMap<String, String>, usize)> {
    let list: Value = serde_json::from_str(&namespace.kubectl(["get", "pods", "-o", "json"])?)?;
    let pods = list["items"].as_array().cloned().unwrap_or_default();
    let (leaving, wanted): (Vec<_>, Vec<_>) = pods
        .into_iter()
        .partition(|pod| pod["metadata"].get("deletionTimestamp").is_some());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let named = |pod: Value| (text(&pod["metadata"]["name"]), text(&pod["metadata"]["uid"]));
    Ok((wanted.into_iter().map(named).collect(), leaving.len()))
}

fn of_stays(containers: &Containers) -> Vec<&String> {
    let stays = containers.iter().filter(|(name, _)| name.contains("/stays/"));
    stays.map(|(_, id)| id).collect()
}

#[test]
fn evicted_pods_run_until_the_cable_is_in_again_and_then_make_way() -> Result<()> {
    let stay = Stay::begin()?;
    let cluster = &stay.cluster;
    let node = hub::lock_any(cluster)?;
    let namespace = cluster.namespace("evicted")?;
    start_pods(&namespace, node.name())?;
    let before = containers::running(&node, namespace.name())?;
    ensure!(before.len() == 3, "{before:#?}");

    node.cut()?;
    let start = Instant::now();
    wait_for("the cloud to evict two pods", DEADLINE, || {
        let (_, leaving) = wanted(&namespace)?;
        ensure!(leaving == 2, "{leaving}");
        Ok(Some(()))
    })?;
    let evicted = start.elapsed().as_secs_f64();
    hub::wait_offline(&node)?;
    assert_eq!(containers::running(&node, namespace.name())?, before);
    node.exec_ok(["systemctl", "restart", "kubelet"])?;
    wait_for("the kubelet to be healthy", DEADLINE, || {
        let answer = node.exec_ok(["curl", "-sS", "-m", "2", "http://127.0.0.1:10248/healthz"])?;
        ensure!(answer == "ok", "{answer}");
        Ok(Some(()))
    })?;
    assert_eq!(containers::running(&node, namespace.name())?, before);

    node.join()?;
    let start = Instant::now();
    let after = wait_for("other pods in the place of the evicted ones", DEADLINE, || {
        let after = containers::running(&node, namespace.name())?;
        let old = after
            .values()
            .filter(|id| before.values().any(|was| was == *id))
            .count();
        let (wanted, leaving) = wanted(&namespace)?;
        let seen = format!(
            "{} containers, {old} of them old; {} pods, {leaving} leaving",
            after.len(),
            wanted.len()
        );
        ensure!(
            after.len() == 3 && old == 1 && wanted.len() == 3 && leaving == 0,
            "{seen}"
        );
        Ok(Some(after))
    })?;
    assert_eq!(
        of_stays(&after),
        of_stays(&before),
        "the pod that tolerates it was touched"
    );
    say(format_args!(
        "hub eviction: two pods were evicted {evicted:.1} s after the cut and ran on, others were in their place {:.1} s \
         after the join, and one that tolerates it was not touched",
        start.elapsed().as_secs_f64()
    ));
    drop((namespace, node));
    stay.end()
}
