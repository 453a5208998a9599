//! Services, node ports, headless Services and DNS on a node that rebooted without the cloud lead to where its pods are
//! now, and go on doing so as the cloud returns.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::containers::{self, Containers};
use e2e::hub::clients::lead_pods_here;
use e2e::progress::say;
use e2e::{BrokenNode, Caller, Cluster, Namespace, Node, hub, wait_for};
use serde_json::{Value, json};

use crate::setup::{POD_DEADLINE, alone, deployment, in_the_cloud, ready_here};

const REPLICAS: usize = 3;
const MEMBERS: usize = 2;
/// Three times what is promised, as everywhere.
const RIGHT_DEADLINE: Duration = Duration::from_secs(15);
/// How often everything is asked once it is right.
const ROUNDS: usize = 20;
/// How long a client goes on after the cloud has returned.
const AFTERWARDS: Duration = Duration::from_secs(10);

/// A Deployment with a Service, a node port and a headless Service; a `StatefulSet`; and a DNS server here and one in
/// the cloud behind one Service.
struct Stage {
    namespace: String,
    node_address: String,
    web: String,
    node_port: String,
    dns: String,
}

fn service(name: &str, selected: &str, spec: &Value) -> Value {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": selected}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        service["spec"][key] = value.clone();
    }
    service
}

fn stateful_set(node: &str) -> Value {
    let deployment = deployment("db", node, MEMBERS);
    let mut spec = deployment["spec"].clone();
    spec["serviceName"] = "db".into();
    spec["podManagementPolicy"] = "Parallel".into();
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": spec})
}

/// The cluster's own DNS server once more, with the label `app: dns`: same image, same configuration, same rights.
pub(crate) fn dns_server(cluster: &Cluster, namespace: &str, name: &str, node: &str) -> Result<Value> {
    let original = cluster.get_json(["--namespace", "kube-system", "deployment", "coredns"])?;
    let mut spec = original["spec"]["template"]["spec"].clone();
    spec["serviceAccountName"] = "dns".into();
    spec["nodeName"] = node.into();
    spec["tolerations"] = json!([{"operator": "Exists"}]);
    spec["containers"][0]["imagePullPolicy"] = "Never".into();
    spec["terminationGracePeriodSeconds"] = 1.into();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "dns"}}, "spec": spec,
    });
    Ok(pod)
}

fn start(cluster: &Cluster, node: &Node, namespace: &Namespace) -> Result<Stage> {
    let name = namespace.name();
    let corefile = cluster.get_json(["--namespace", "kube-system", "configmap", "coredns"])?;
    let ports =
        json!({"ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "tcp", "port": 53}]});
    let objects = [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "dns"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "coredns"}, "data": corefile["data"]}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"},
            "subjects": [{"kind": "ServiceAccount", "name": "dns", "namespace": name}],
        }),
        service("dns", "dns", &ports),
        service("web", "web", &json!({})),
        service("web-node", "web", &json!({"type": "NodePort"})),
        service("web-headless", "web", &json!({"clusterIP": "None"})),
        service("db", "db", &json!({"clusterIP": "None"})),
        deployment("web", node.name(), REPLICAS),
        stateful_set(node.name()),
        e2e::pod("client").on(node.name()).to_json(),
        dns_server(cluster, name, "dns-here", node.name())?,
        dns_server(cluster, name, "dns-cloud", "cloud1")?,
    ];
    let documents = objects.map(|object| object.to_string());
    namespace.apply_yaml(&documents.join("\n---\n"))?;
    for pod in ["client", "dns-here", "dns-cloud", "db-0", "db-1"] {
        namespace.wait_ready(pod, POD_DEADLINE)?;
    }
    let field = |service: &str, path: &str| namespace.kubectl(["get", "service", service, "-o", path]);
    Ok(Stage {
        namespace: name.to_owned(),
        node_address: node.ip()?,
        web: field("web", "jsonpath={.spec.clusterIP}")?,
        node_port: field("web-node", "jsonpath={.spec.ports[0].nodePort}")?,
        dns: field("dns", "jsonpath={.spec.clusterIP}")?,
    })
}

/// Who answers a number of requests to `url`, each on a connection of its own.
fn answers(node: &Node, url: &str) -> Result<BTreeSet<String>> {
    let script = format!("for i in $(seq 20); do curl -sS -m 1 http://{url}/ || echo LOST; done");
    let text = node.exec(["sh", "-c", &script])?.text();
    Ok(text.lines().map(str::to_owned).collect())
}

impl Stage {
    /// What is wrong at present, where `running` are the containers that should be found.
    fn check(&self, node: &Node, running: &Containers) -> Result<()> {
        let addresses = containers::addresses(node, &self.namespace)?;
        let of = |prefix: &str| -> BTreeSet<String> {
            let prefix = format!("{}/{prefix}", self.namespace);
            let chosen = addresses.iter().filter(|(name, _)| name.starts_with(&prefix));
            chosen.map(|(_, address)| address.clone()).collect()
        };
        let names: BTreeSet<String> = running
            .keys()
            .filter_map(|name| name.split('/').nth(1))
            .filter(|pod| pod.starts_with("web-"))
            .map(str::to_owned)
            .collect();
        for url in [
            self.web.clone(),
            format!("{}:{}", self.node_address, self.node_port),
        ] {
            let found = answers(node, &url)?;
            ensure!(found == names, "{url} is answered by {found:?}, not by {names:?}");
        }
        let client = running
            .get(&format!("{}/client/main", self.namespace))
            .context("the client does not run")?;
        for (name, expected) in [
            ("web", BTreeSet::from([self.web.clone()])),
            ("web-headless", of("web-")),
            ("db", of("db-")),
            ("db-0.db", of("db-0/")),
            ("db-1.db", of("db-1/")),
        ] {
            let full = format!("{name}.{}.svc.cluster.local", self.namespace);
            let text = look_up(node, client, &full, &self.dns)?;
            let found = resolved(&text);
            ensure!(found == expected, "{full} is {found:?}, not {expected:?}: {text}");
        }
        Ok(())
    }
}

/// What nslookup prints in a container. It names the server first; where it does not, containerd has lost what it said.
pub(crate) fn look_up(node: &Node, container: &str, name: &str, server: &str) -> Result<String> {
    const ATTEMPTS: usize = 5;
    for _ in 0..ATTEMPTS {
        // A question that was asked too early costs a second, not ten.
        let ask = ["nslookup", "-timeout=1", "-retry=2", "-type=a", name, server];
        let text = containers::exec(node, container, &ask)?;
        if !text.is_empty() {
            return Ok(text);
        }
    }
    anyhow::bail!("nslookup has said nothing {ATTEMPTS} times")
}

/// The addresses in what busybox' nslookup prints; the first one is the server's.
pub(crate) fn resolved(text: &str) -> BTreeSet<String> {
    let addresses = text.lines().filter_map(|line| line.strip_prefix("Address: "));
    let plain = addresses.filter(|address| !address.ends_with(":53"));
    plain.map(|address| address.trim().to_owned()).collect()
}

/// New containers of all pods, after a reboot, which their kubelet has found ready: a DNS server may need two of its probes,
/// ten seconds apart.
fn wait_ready(node: &BrokenNode, namespace: &Namespace, before: &Containers) -> Result<Containers> {
    wait_for("all pods to run after the reboot", POD_DEADLINE, || {
        let now = containers::running(node, namespace.name())?;
        let new = now.iter().filter(|(name, id)| before.get(*name) != Some(*id));
        ensure!(new.count() == before.len(), "{now:?}");
        let ready = ready_here(node, namespace)?;
        ensure!(
            now.iter().all(|(name, id)| ready.get(name) == Some(id)),
            "of {now:?} are ready: {ready:?}"
        );
        Ok(Some(now))
    })
}

/// Waits until everything is right; when it was, counted from now: when the first question was asked of the first round that
/// had only right answers.
fn wait_right(stage: &Stage, node: &Node, running: &Containers) -> Result<Duration> {
    let start = Instant::now();
    wait_for("everything to be right", RIGHT_DEADLINE, || {
        let asked = start.elapsed();
        stage.check(node, running)?;
        Ok(Some(asked))
    })
}

#[test]
fn services_and_names_are_right_after_a_reboot_without_the_cloud_and_as_it_returns() -> Result<()> {
    let (cluster, node) = alone()?;
    lead_pods_here(&cluster, &node)?;
    let namespace = cluster.namespace("services")?;
    let stage = start(&cluster, &node, &namespace)?;
    let before = wait_for("everything to be right with the cloud", POD_DEADLINE, || {
        let running = containers::running(&node, namespace.name())?;
        stage.check(&node, &running)?;
        Ok(Some(running))
    })?;
    wait_for(
        "the node to know the other node with a DNS server",
        POD_DEADLINE,
        || {
            let reachable = hub::metric(&node, "yurthub_neighbours{state=\"reachable\"}")?;
            Ok((reachable > 0.0).then_some(()))
        },
    )?;
    node.cut()?;
    hub::wait_offline(&node)?;
    wait_right(&stage, &node, &before).context("while cut")?;
    node.reboot()?;
    node.wait_booted(POD_DEADLINE)?;
    let running = wait_ready(&node, &namespace, &before)?;
    let right = wait_right(&stage, &node, &running).context("after the reboot")?;
    for round in 0..ROUNDS {
        stage
            .check(&node, &running)
            .with_context(|| format!("round {round}, after it was right once"))?;
    }
    let asking = Caller::start(&node, &stage.web)?;
    node.join()?;
    let agreed = wait_for("the cloud's view to be right", POD_DEADLINE, || {
        let (here, mut there) = (
            containers::running(&node, namespace.name())?,
            in_the_cloud(&cluster, &namespace)?,
        );
        there.retain(|name, _| !name.contains("/dns-cloud/"));
        ensure!(
            here == there,
            "the node runs {here:#?}, the cloud says {there:#?}"
        );
        Ok(Some(here))
    })?;
    let joined = Instant::now();
    while joined.elapsed() < AFTERWARDS {
        stage.check(&node, &agreed).context("as the cloud returned")?;
    }
    let answers = asking.answers();
    let wrong: Vec<_> = answers
        .iter()
        .filter(|answer| !answer.text.starts_with("web-"))
        .collect();
    ensure!(
        wrong.is_empty() && answers.len() > 100,
        "{} requests: {wrong:?}",
        answers.len()
    );
    cluster.kubectl(["delete", "clusterrolebinding", namespace.name()])?;
    say(format_args!(
        "Services, node port, headless Services and DNS were right {:.1} s after the pods were ready again without the cloud, and in {ROUNDS} rounds from then on; {} requests as the cloud returned, none lost",
        right.as_secs_f64(),
        answers.len()
    ));
    Ok(())
}
