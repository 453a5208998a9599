//! Peers of a pool: a node that only the cloud does not hear keeps its pods and its endpoints in the pool; one that is off
//! is failed over at once; where all are silent nothing happens.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::caller::longest_gap;
use e2e::hub::clients::lead_pods_here;
use e2e::progress::say;
use e2e::{BrokenNode, Caller, Cluster, Namespace, containers, hub, wait_for};
use serde_json::{Value, json};

use crate::autonomy::{MARGIN, TOLERATED, wait_given_up, wait_managed};
use crate::leader::{FOLLOWED, Leader};
use crate::{DEADLINE, Stay, wanted};

/// How long a mate may do without a Service while the cloud changes its mind twice; one to one and a half seconds were seen.
const GAP: Duration = Duration::from_secs(6);
const POOL: &str = "shop";
const LABEL: &str = "apps.openyurt.io/nodepool";
const PEER: &str = "yurthub.openyurt.io/peer";

/// Three converted nodes of a pool whose yurthubs probe each other.
fn make_pool(cluster: &Cluster) -> Result<[BrokenNode; 3]> {
    // Nodes are taken in the order in which nobody waits for one that holds another.
    let nodes = ["edge3", "edge1", "edge2"].map(|name| cluster.node(name).lock());
    let [third, first, second] = nodes;
    let nodes = [first?, second?, third?];
    for node in &nodes {
        hub::ensure(node)?;
        hub::reconfigure(node, "peerHealth: true")?;
        cluster.kubectl([
            "label",
            "node",
            node.name(),
            &format!("{LABEL}={POOL}"),
            "--overwrite",
        ])?;
    }
    for node in &nodes {
        // One of its replicas may have begun there while the node was none of the edge.
        let there = format!("--field-selector=spec.nodeName={}", node.name());
        let label = "app.kubernetes.io/component=controller-manager";
        cluster.kubectl(["--namespace=yurt-system", "delete", "pod", "-l", label, &there])?;
    }
    wait_for("all three to answer peers, and to be members", DEADLINE, || {
        for node in &nodes {
            let found = cluster.get_json(["node", node.name()])?;
            let annotations = &found["metadata"]["annotations"];
            ensure!(!annotations[PEER].is_null(), "{annotations}");
        }
        let known = members(cluster)?;
        ensure!(known == 3, "{known} members");
        for node in &nodes {
            let answering = hub::metric(node, "yurthub_peers{state=\"answering\"}")?;
            ensure!(answering >= 2.0, "{} is answered by {answering}", node.name());
        }
        Ok(Some(()))
    })?;
    Ok(nodes)
}

fn members(cluster: &Cluster) -> Result<usize> {
    let maps = cluster.get_json(["--namespace=yurt-system", "configmaps"])?;
    let pools = maps["items"].as_array().into_iter().flatten();
    let ours = pools.filter_map(|map| map["data"]["pool.json"].as_str());
    let contents = ours.filter_map(|text| serde_json::from_str::<Value>(text).ok());
    let members = contents.filter_map(|content| Some(content["members"].as_object()?.len()));
    Ok(members.max().unwrap_or(0))
}

fn leave_pool(cluster: &Cluster, nodes: &[BrokenNode; 3]) -> Result<()> {
    for node in nodes {
        cluster.kubectl(["label", "node", node.name(), &format!("{LABEL}-")])?;
        hub::ensure(node)?;
    }
    Ok(())
}

/// A pod on `node` that is evicted as pods are by default, behind a Service. Returns the Service's address.
fn start_service(namespace: &Namespace, node: &str) -> Result<String> {
    let mut spec = e2e::pod("web").to_json()["spec"].clone();
    spec["tolerations"] = json!([]);
    spec["nodeSelector"] = json!({"kubernetes.io/hostname": node});
    let labels = json!({"app": "web"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    namespace.apply_yaml(&format!("{deployment}\n---\n{service}"))?;
    let rollout = ["rollout", "status", "deployment/web", "--timeout=120s"];
    namespace
        .kubectl_cmd(rollout)
        .deadline(Duration::from_secs(130))
        .run_ok()?;
    Ok(namespace.kubectl(["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"])?)
}

/// Whether the cloud calls the only endpoint ready.
fn ready_in_cloud(namespace: &Namespace) -> Result<bool> {
    let path = "jsonpath={.items[*].endpoints[*].conditions.ready}";
    Ok(namespace.kubectl([
        "get",
        "endpointslices",
        "-l",
        "kubernetes.io/service-name=web",
        "-o",
        path,
    ])? == "true")
}

fn wait_in_cloud(namespace: &Namespace, ready: bool) -> Result<()> {
    wait_for(&format!("the cloud to say ready={ready}"), DEADLINE, || {
        Ok((ready_in_cloud(namespace)? == ready).then_some(()))
    })
}

/// Waits until the cloud says this of the condition `Ready` of the node.
fn wait_heard(cluster: &Cluster, node: &BrokenNode, ready: &str) -> Result<()> {
    let path = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}{.spec.taints}"#;
    let what = format!("the cloud to say Ready={ready} of {}", node.name());
    wait_for(&what, DEADLINE, || {
        let said = cluster.kubectl(["get", "node", node.name(), "-o", path])?;
        ensure!(
            said.starts_with(ready) && (ready != "True" || said == ready),
            "{said}"
        );
        Ok(Some(()))
    })
}

/// Lets the time pass after which an ordinary pod of a silent node is evicted here.
fn outlast(given_up: Instant) -> Result<()> {
    wait_for("the time of ordinary pods to be over", DEADLINE, || {
        Ok((given_up.elapsed() > TOLERATED + MARGIN).then_some(()))
    })
}

/// Switches the node off. Returns how long after the cloud gave it up its pod was given up.
fn switch_off(
    cluster: &Cluster,
    silent: &BrokenNode,
    namespace: &Namespace,
    before: &(BTreeMap<String, String>, usize),
) -> Result<Duration> {
    // A machine without power answers nothing, while the kernel that all nodes here share would refuse in its name.
    silent.cut()?;
    silent.power_off()?;
    let given_up = wait_given_up(cluster, silent)?;
    let failed_over = wait_for("its pod to be given up", DEADLINE, || {
        let (now, leaving) = wanted(namespace)?;
        ensure!(leaving == 1 && now != before.0, "{leaving} leaving");
        Ok(Some(given_up.elapsed()))
    })?;
    ensure!(
        failed_over < TOLERATED,
        "failed over after {failed_over:?}, while ordinary pods are after {TOLERATED:?}"
    );
    assert_eq!(disruptions(namespace)?, ["DeletionByNodeFailover"]);
    Ok(failed_over)
}

/// The reasons for which pods that go were disrupted, as a Job's `podFailurePolicy` sees them.
fn disruptions(namespace: &Namespace) -> Result<Vec<Value>> {
    let pods: Value = serde_json::from_str(&namespace.kubectl(["get", "pods", "-o", "json"])?)?;
    let pods = pods["items"].as_array().cloned().unwrap_or_default();
    let going = pods
        .into_iter()
        .filter(|pod| pod["metadata"].get("deletionTimestamp").is_some());
    let conditions = going.flat_map(|pod| {
        pod["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    });
    let disrupted = conditions.filter(|one| one["type"] == "DisruptionTarget" && one["status"] == "True");
    Ok(disrupted.map(|one| one["reason"].clone()).collect())
}

/// Switches the node off once more, and kills the leader when it holds the pod until peers have said what they see. Returns
/// how long after that the pod was given up, by the other replica.
fn switch_off_and_kill_the_leader(
    cluster: &Cluster,
    silent: &BrokenNode,
    namespace: &Namespace,
) -> Result<Duration> {
    let leader = Leader::find(cluster)?;
    let before = wait_for("one pod to be there again", DEADLINE, || {
        let (now, leaving) = wanted(namespace)?;
        ensure!(now.len() == 1 && leaving == 0, "{now:?}, {leaving} leaving");
        Ok(Some((now, leaving)))
    })?;
    silent.cut()?;
    silent.power_off()?;
    let held = || -> Result<Vec<(bool, bool)>> {
        let pods: Value = serde_json::from_str(&namespace.kubectl(["get", "pods", "-o", "json"])?)?;
        let pods = pods["items"].as_array().into_iter().flatten();
        let metadata = pods.map(|pod| &pod["metadata"]);
        let states = metadata.map(|of| {
            let held = of["annotations"]["yurt.openyurt.io/tolerates-for"] == "for-ever";
            (held, of.get("deletionTimestamp").is_some())
        });
        Ok(states.collect())
    };
    wait_for("its pod to be held until there is a verdict", DEADLINE, || {
        let found = held()?;
        ensure!(found == [(true, false)], "{found:?}");
        Ok(Some(()))
    })?;
    let start = Instant::now();
    leader.kill()?;
    let found = held()?;
    ensure!(
        found == [(true, false)],
        "the leader was not killed before there was a verdict: {found:?}"
    );
    // Nobody else gives up a pod that tolerates it for ever.
    let failed_over = wait_for("its pod to be given up by the other replica", DEADLINE, || {
        let (now, leaving) = wanted(namespace)?;
        ensure!(leaving == 1 && now != before.0, "{leaving} leaving");
        Ok(Some(start.elapsed()))
    })?;
    leader.is_followed()?;
    ensure!(
        failed_over < FOLLOWED + TOLERATED,
        "failed over {failed_over:?} after the leader was killed, who is followed after {FOLLOWED:?}"
    );
    assert_eq!(disruptions(namespace)?, ["DeletionByNodeFailover"]);
    Ok(failed_over)
}

#[test]
fn a_pool_knows_which_of_its_silent_nodes_live() -> Result<()> {
    let stay = Stay::begin()?;
    let cluster = &stay.cluster;
    let nodes = make_pool(cluster)?;
    let [silent, mate, _] = &nodes;
    wait_managed(cluster)?;
    lead_pods_here(cluster, mate)?;
    let namespace = cluster.namespace("pool")?;
    let address = start_service(&namespace, silent.name())?;
    let (pods, running) = (
        wanted(&namespace)?,
        containers::running(silent, namespace.name())?,
    );
    let caller = Caller::start(mate, &address)?;
    wait_for("the mate to reach the Service", DEADLINE, || {
        Ok((caller
            .answers()
            .iter()
            .filter(|answer| answer.text.starts_with("web-"))
            .count()
            > 20)
            .then_some(()))
    })?;

    // Only the cloud does not hear it.
    let begun = caller.answers().len();
    silent.blackhole_to(&cluster.node("cloud1"))?;
    let given_up = wait_given_up(cluster, silent)?;
    wait_in_cloud(&namespace, false)?;
    outlast(given_up)?;
    assert_eq!(wanted(&namespace)?, pods, "a pod was evicted, or made anew");
    silent.heal()?;
    wait_heard(cluster, silent, "True")?;
    wait_in_cloud(&namespace, true)?;
    assert_eq!(wanted(&namespace)?, pods, "by the return");
    assert_eq!(
        containers::running(silent, namespace.name())?,
        running,
        "by the return"
    );
    let gap = longest_gap(&caller.answers()[begun..], |text| text.starts_with("web-"));
    ensure!(gap < GAP, "the mate did without the Service for {gap:?}");

    // All are cut.
    for node in &nodes {
        node.cut()?;
    }
    for node in &nodes {
        wait_heard(cluster, node, "Unknown")?;
    }
    outlast(Instant::now())?;
    assert_eq!(wanted(&namespace)?, pods, "evicted although nobody could vote");
    for node in &nodes {
        node.join()?;
    }
    for node in &nodes {
        wait_heard(cluster, node, "True")?;
    }
    wait_in_cloud(&namespace, true)?;
    assert_eq!(wanted(&namespace)?, pods, "by the return of all");

    let failed_over = switch_off(cluster, silent, &namespace, &pods)?;
    silent.heal()?;
    wait_heard(cluster, silent, "True")?;
    wait_in_cloud(&namespace, true)?;
    let by_another = switch_off_and_kill_the_leader(cluster, silent, &namespace)?;
    silent.heal()?;
    say(format_args!(
        "pool: a node that only the cloud did not hear kept its pod, and its mate its endpoint (longest gap {:.2} s); all \
         cut, nothing was evicted; one that was off was failed over {:.1} s after the cloud gave it up ({} s by default), and \
         {:.1} s after the leader was killed meanwhile",
        gap.as_secs_f64(),
        failed_over.as_secs_f64(),
        TOLERATED.as_secs(),
        by_another.as_secs_f64()
    ));
    drop((caller, namespace));
    leave_pool(cluster, &nodes)?;
    // Before the cluster may go.
    drop(nodes);
    stay.end()
}
