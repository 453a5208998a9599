//! Outages at random moments, of random length, under churn: in the end the mirror is the cloud, object by object.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::informer::{self, Event};
use e2e::progress::say;
use e2e::{Background, BrokenNode, Cluster, Informer, Namespace, containers, hub, pod, rounds, wait_for};
use serde_json::json;

use crate::setup::{
    Chance, POD_DEADLINE, alone, deployment, items, shared_objects, use_objects, versions, wait_agreed,
};

const STEADY: usize = 3;
const CONFIGS: usize = 4;
const SETTLED_DEADLINE: Duration = Duration::from_mins(1);

/// One change in the cloud.
fn churn(namespace: &Namespace, chance: &mut Chance) -> Result<()> {
    let number = chance.number(0, 1_000_000);
    match chance.number(0, 3) {
        0 => {
            let replicas = format!("--replicas={}", chance.number(0, 7));
            namespace.kubectl(["scale", "deployment", "churn", &replicas])?;
        }
        1 => {
            let pod = format!("steady{}", chance.number(0, STEADY));
            namespace.kubectl([
                "annotate",
                "--overwrite",
                "pod",
                &pod,
                &format!("number={number}"),
            ])?;
        }
        _ => {
            let name = format!("conf{}", chance.number(0, CONFIGS));
            let (kind, data) = [
                ("configmap", json!({"data": {"number": number.to_string()}})),
                ("secret", json!({"stringData": {"number": number.to_string()}})),
            ][chance.number(0, 2)]
            .clone();
            namespace.kubectl(["patch", kind, &name, "--patch", &data.to_string()])?;
        }
    }
    Ok(())
}

pub(crate) fn churn_for(time: Duration, namespace: &Namespace, chance: &mut Chance) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < time {
        churn(namespace, chance)?;
        std::thread::sleep(chance.between(Duration::ZERO, Duration::from_secs(1)).min(time)); // a random moment
    }
    Ok(())
}

/// What the mirror holds in the kubelet's encoding, beside what the apiserver holds: an informer's first list.
fn lists(cluster: &Cluster, node: &BrokenNode, flags: &[&str]) -> Result<(Vec<Event>, Vec<Event>)> {
    let instance = cluster.instance();
    let flags = [flags, &["--protobuf"]].concat();
    let mut here = Informer::start(instance, node, hub::client::AS_KUBELET, &flags)?;
    let mut there = Informer::start(instance, &cluster.node("cloud1"), informer::DIRECT, &flags)?;
    Ok((here.dump()?, there.dump()?))
}

/// Pods that stay and pods that come and go, all with all ConfigMaps and Secrets.
pub(crate) fn start_pods(node: &BrokenNode, namespace: &Namespace) -> Result<()> {
    namespace.apply_yaml(&shared_objects(CONFIGS))?;
    let steady = (0..STEADY).map(|number| {
        let mut pod = pod(&format!("steady{number}")).on(node.name()).to_json();
        use_objects(&mut pod["spec"], CONFIGS);
        pod.to_string()
    });
    namespace.apply_yaml(&steady.collect::<Vec<_>>().join("\n---\n"))?;
    let mut deployment = deployment("churn", node.name(), 2);
    use_objects(&mut deployment["spec"]["template"]["spec"], CONFIGS);
    namespace.apply_yaml(&deployment.to_string())?;
    for number in 0..STEADY {
        namespace.wait_ready(&format!("steady{number}"), POD_DEADLINE)?;
    }
    Ok(())
}

/// Compares all that the kubelet follows; returns the number of objects.
pub(crate) fn assert_mirrored(cluster: &Cluster, node: &BrokenNode, namespace: &Namespace) -> Result<usize> {
    let of_node = format!("--field-selector=spec.nodeName={}", node.name());
    let own = format!("--field-selector=metadata.name={}", node.name());
    let of_namespace = format!("--namespace={}", namespace.name());
    let mut selections = vec![
        vec!["--resource=pods".to_owned(), of_node],
        vec!["--resource=nodes".to_owned(), own],
        vec!["--resource=services".to_owned()],
        vec!["--resource=endpointslices.v1.discovery.k8s.io".to_owned()],
    ];
    for number in 0..CONFIGS {
        for kind in ["configmaps", "secrets"] {
            let name = format!("--field-selector=metadata.name=conf{number}");
            selections.push(vec![format!("--resource={kind}"), of_namespace.clone(), name]);
        }
    }
    let mut count = 0;
    for selection in selections {
        let flags: Vec<_> = selection.iter().map(String::as_str).collect();
        count += wait_for(
            &format!("the mirror to hold the cloud's {}", selection.join(" ")),
            SETTLED_DEADLINE,
            || {
                let (here, there) = lists(cluster, node, &flags)?;
                ensure!(
                    here == there && !here.is_empty(),
                    "it holds {here:#?} instead of {there:#?}"
                );
                Ok(Some(here.len()))
            },
        )?;
    }
    Ok(count)
}

#[test]
fn after_random_outages_the_mirror_is_the_cloud() -> Result<()> {
    let (cluster, node) = alone()?;
    let mut chance = Chance::new("hub chaos");
    let namespace = cluster.namespace("chaos")?;
    start_pods(&node, &namespace)?;
    let is_steady = |name: &str| name.contains("/steady");
    let before: BTreeMap<_, _> = containers::running(&node, namespace.name())?
        .into_iter()
        .filter(|(name, _)| is_steady(name))
        .collect();
    // A scope in JSON, beside the kubelet's in protobuf, lives as long as somebody watches it.
    let in_json = format!(
        "/api/v1/pods?fieldSelector=spec.nodeName={}&resourceVersion=0",
        node.name()
    );
    let list = hub::client::get(&node, &in_json)?;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let path = in_json.replace(
        "resourceVersion=0",
        &format!("resourceVersion={version}&watch=1&timeoutSeconds=7200"),
    );
    let mut watch = Background::start(&hub::client::curl(&node, &path, &[])?)?;

    let (rounds, mut offline) = (rounds(8, 200), Duration::ZERO);
    for _ in 0..rounds {
        churn_for(
            chance.between(Duration::ZERO, Duration::from_secs(5)),
            &namespace,
            &mut chance,
        )?;
        let outage = chance.between(Duration::from_secs(2), Duration::from_secs(20));
        let start = Instant::now();
        chance.choice(&[e2e::Node::cut, e2e::Node::blackhole])(&node)?;
        churn_for(outage, &namespace, &mut chance)?;
        node.join()?;
        node.unblackhole()?;
        offline += start.elapsed();
    }
    let start = Instant::now();
    let rollout = namespace.kubectl_cmd(["rollout", "status", "deployment/churn", "--timeout=120s"]);
    rollout.deadline(Duration::from_secs(130)).run_ok()?;
    wait_agreed(&cluster, &node, &namespace, POD_DEADLINE)?;
    let settled = start.elapsed().as_secs_f64();

    let objects = assert_mirrored(&cluster, &node, &namespace)?;
    wait_for(
        "the mirror in JSON to hold the cloud's pods",
        SETTLED_DEADLINE,
        || {
            let here = versions(&hub::client::get(&node, &in_json)?);
            let selector = format!("--field-selector=spec.nodeName={}", node.name());
            let there = versions(&cluster.get_json(["pods", "-A", &selector])?);
            ensure!(here == there, "it holds {here:#?} instead of {there:#?}");
            Ok(Some(()))
        },
    )?;
    ensure!(
        watch.is_running()?,
        "a watch was ended: {} {:?}",
        watch.errors(),
        watch.lines().last()
    );
    let pods = cluster.get_json(["--namespace", namespace.name(), "pods"])?;
    for pod in items(&pods) {
        let restarts = &pod["status"]["containerStatuses"][0]["restartCount"];
        ensure!(restarts == 0, "restarted: {pod:#}");
    }
    let mut after = containers::running(&node, namespace.name())?;
    after.retain(|name, _| is_steady(name));
    assert_eq!(after, before, "containers were restarted");
    say(format_args!(
        "hub chaos: {rounds} outages of {:.0} s in all, {} events in a watch that never ended, {objects} objects in the \
         mirror equal the cloud's, no restart; the last changes run after {settled:.1} s",
        offline.as_secs_f64(),
        watch.lines().len()
    ));
    Ok(())
}
