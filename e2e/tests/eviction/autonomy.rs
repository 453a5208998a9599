//! Autonomy, as yurtctl asks for it and yurt-controller-manager grants it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::conversion::yurtctl;
use e2e::progress::say;
use e2e::{BrokenNode, Cluster, Namespace, Node, containers, hub, wait_for};
use serde_json::Value;

use crate::leader::Leader;
use crate::{DEADLINE, Stay, start_pods, wait_rolled_out, wanted};

/// For so long an ordinary pod tolerates a silent node in this cluster.
pub(crate) const TOLERATED: Duration = Duration::from_secs(10);
/// What the cloud may take longer than it should.
pub(crate) const MARGIN: Duration = Duration::from_secs(10);
/// What a node asks for.
const DURATION: &str = "node.openyurt.io/autonomy-duration";
/// The duration that is asked for.
const ASKED: Duration = Duration::from_secs(30);

/// The manager runs.
pub(crate) fn wait_managed(cluster: &Cluster) -> Result<()> {
    let status = [
        "--namespace=yurt-system",
        "rollout",
        "status",
        "deployment/yurt-controller-manager",
        "--timeout=120s",
    ];
    cluster
        .kubectl_cmd(status)
        .deadline(Duration::from_secs(130))
        .run_ok()?;
    Ok(())
}

fn ask(cluster: &Cluster, node: &Node, wish: &[&str]) -> Result<String> {
    let done = yurtctl(cluster, ["autonomy", node.name()].iter().chain(wish))?.run()?;
    ensure!(done.status.success(), "{}{}", done.text(), done.errors());
    Ok(done.errors())
}

fn taints(cluster: &Cluster, node: &Node) -> Result<String> {
    Ok(cluster.kubectl(["get", "node", node.name(), "-o", "jsonpath={.spec.taints}"])?)
}

/// The cloud has given the node up. Returns about when it did.
pub(crate) fn wait_given_up(cluster: &Cluster, node: &Node) -> Result<Instant> {
    wait_for("the cloud to give the node up", DEADLINE, || {
        let taints = taints(cluster, node)?;
        let given_up = taints.contains("node.kubernetes.io/unreachable") && taints.contains("NoExecute");
        ensure!(given_up, "{taints}");
        Ok(Some(Instant::now()))
    })
}

fn reason(cluster: &Cluster, node: &Node) -> Result<String> {
    let path = r#"jsonpath={.status.conditions[?(@.type=="NodeAutonomy")].reason}"#;
    Ok(cluster.kubectl(["get", "node", node.name(), "-o", path])?)
}

/// The cloud hears of the node again; all pods run, and none is leaving.
fn wait_settled(cluster: &Cluster, namespace: &Namespace, node: &BrokenNode) -> Result<()> {
    wait_for("the cloud to hear of the node", DEADLINE, || {
        let taints = taints(cluster, node)?;
        ensure!(taints.is_empty(), "{taints}");
        Ok(Some(()))
    })?;
    wait_for("the pods to be there again", DEADLINE, || {
        let (wanted, leaving) = wanted(namespace)?;
        let running = containers::running(node, namespace.name())?.len();
        ensure!(
            wanted.len() == 3 && leaving == 0 && running == 3,
            "{} pods, {leaving} leaving, {running} run",
            wanted.len()
        );
        Ok(Some(()))
    })?;
    wait_rolled_out(namespace)
}

/// How long after the cloud has given the node up its pods are evicted.
fn evicted_after(namespace: &Namespace, given_up: Instant) -> Result<Duration> {
    wait_for("the cloud to evict two pods", DEADLINE, || {
        let (_, leaving) = wanted(namespace)?;
        ensure!(leaving == 2, "{leaving}");
        Ok(Some(given_up.elapsed()))
    })
}

/// For how many seconds each of the pods that are evicted tolerates a silent node; `null`: for ever.
fn tolerated(namespace: &Namespace) -> Result<Vec<Value>> {
    let pods = namespace.kubectl(["get", "pods", "-l", "app=evicted", "-o", "json"])?;
    let pods: Value = serde_json::from_str(&pods)?;
    let pods = pods["items"].as_array().cloned().unwrap_or_default();
    let of_silence = |one: &&Value| one["key"] == "node.kubernetes.io/unreachable";
    let seconds = pods.iter().map(|pod| {
        let tolerations = pod["spec"]["tolerations"].as_array();
        let found = tolerations.and_then(|all| all.iter().find(of_silence));
        found.map_or(Value::Bool(false), |one| one["tolerationSeconds"].clone())
    });
    Ok(seconds.collect())
}

/// Autonomy is granted while evictions are under way: the leader calls them off first, and two seconds later sets what was
/// asked for. It is killed in between, and the other replica does the rest. Returns how long after that.
fn leader_dies_between_two_writes(
    cluster: &Cluster,
    namespace: &Namespace,
    node: &BrokenNode,
) -> Result<Duration> {
    let pods = wanted(namespace)?;
    node.cut()?;
    let leader = Leader::find(cluster)?;
    wait_given_up(cluster, node)?;
    cluster.kubectl(["annotate", "node", node.name(), &format!("{DURATION}=10m")])?;
    wait_for("the evictions to be called off", DEADLINE, || {
        let found = tolerated(namespace)?;
        ensure!(found == [Value::Null, Value::Null], "{found:?}");
        Ok(Some(()))
    })?;
    let start = Instant::now();
    leader.kill()?;
    let found = tolerated(namespace)?;
    ensure!(
        found == [Value::Null, Value::Null],
        "it was not killed in the middle of its work, which was over: {found:?}"
    );
    wait_for("the other replica to end it", DEADLINE, || {
        let (found, said) = (tolerated(namespace)?, reason(cluster, node)?);
        let set = found
            .iter()
            .filter(|seconds| seconds.as_u64().is_some_and(|some| some > 300));
        ensure!(set.count() == 2 && said == "ForDuration", "{found:?}, {said}");
        Ok(Some(()))
    })?;
    let followed = start.elapsed();
    leader.is_followed()?;
    assert_eq!(wanted(namespace)?, pods, "a pod was evicted, or made anew");
    Ok(followed)
}

#[test]
fn pods_of_an_autonomous_node_stay_for_as_long_as_was_asked_for() -> Result<()> {
    let stay = Stay::begin()?;
    let cluster = &stay.cluster;
    let node = hub::lock_any(cluster)?;
    wait_managed(cluster)?;
    let namespace = cluster.namespace("autonomous")?;
    start_pods(&namespace, node.name())?;
    let said = ask(cluster, &node, &["--on"])?;
    ensure!(said.contains("ForEver"), "{said}");
    let (pods, running) = (wanted(&namespace)?, containers::running(&node, namespace.name())?);

    node.cut()?;
    let given_up = wait_given_up(cluster, &node)?;
    wait_for("the time of ordinary pods to be over", DEADLINE, || {
        Ok((given_up.elapsed() > TOLERATED + MARGIN).then_some(()))
    })?;
    assert_eq!(wanted(&namespace)?, pods, "a pod was evicted, or made anew");
    assert_eq!(reason(cluster, &node)?, "ForEver");
    node.join()?;
    wait_settled(cluster, &namespace, &node)?;
    assert_eq!(wanted(&namespace)?, pods, "by the return");
    assert_eq!(
        containers::running(&node, namespace.name())?,
        running,
        "by the return"
    );

    ask(cluster, &node, &["--for", "30s"])?;
    node.cut()?;
    let after_duration = evicted_after(&namespace, wait_given_up(cluster, &node)?)?;
    ensure!(
        after_duration > ASKED.saturating_sub(MARGIN) && after_duration < ASKED * 3,
        "evicted after {after_duration:?} instead of {ASKED:?}"
    );
    node.join()?;
    wait_settled(cluster, &namespace, &node)?;

    ask(cluster, &node, &["--off"])?;
    let followed = leader_dies_between_two_writes(cluster, &namespace, &node)?;
    ask(cluster, &node, &["--off"])?;
    let after_end = evicted_after(&namespace, Instant::now())?;
    node.join()?;
    wait_settled(cluster, &namespace, &node).context("after autonomy was taken away")?;
    assert_eq!(reason(cluster, &node)?, "");
    say(format_args!(
        "autonomy: pods stayed for ever; {:.1} s after the cloud gave their node up, where 30 s were asked for; {:.1} s after \
         autonomy was taken away, where 10 s are tolerated; a leader that was killed between two writes was followed, and \
         its work done, {:.1} s later",
        after_duration.as_secs_f64(),
        after_end.as_secs_f64(),
        followed.as_secs_f64()
    ));
    drop((namespace, node));
    stay.end()
}
