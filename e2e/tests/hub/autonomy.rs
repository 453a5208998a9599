//! The five checks of edge autonomy in `OpenYurt`'s own e2e suite (`test/e2e/autonomy/autonomy.go`): behind yurthub and
//! cut off, beside the same node online without yurthub. A daemon that reads its Node at start stands in for flannel.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::hub::clients::lead_pods_here;
use e2e::progress::say;
use e2e::{BrokenNode, Cluster, Namespace, Node, containers, hub, wait_for};
use serde_json::json;

use crate::services::{dns_server, look_up, resolved};
use crate::setup::{POD_DEADLINE, alone};

/// The goal is one second; other tests run beside this one.
const ADDED_DEADLINE: Duration = Duration::from_secs(6);

const CHECKS: [&str; 5] = [
    "kubelet restart",
    "network daemon",
    "yurthub killed",
    "kube-proxy",
    "DNS",
];

/// DNS servers, each behind a Service of its own. The check is repeated with each, and the median counts: a question that
/// came too early costs a second, and so may a kube-proxy that has just written its rules.
const SERVERS: [&str; 3] = ["dns-a", "dns-b", "dns-c"];

/// Reads its Node and all Nodes before it is ready, as flannel does.
const NETWORK_DAEMON: &str = r#"
mkdir -p /tmp /host/run/stand-in; cp /var/run/secrets/kubernetes.io/serviceaccount/ca.crt /host/run/stand-in/
read_api() {
    chroot /host curl -sf -m 5 -A stand-in -o /dev/null --cacert /run/stand-in/ca.crt \
        -H "Authorization: Bearer $(cat /var/run/secrets/kubernetes.io/serviceaccount/token)" \
        "https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/nodes$1"
}
until read_api "/$NODE" && read_api "?limit=500&resourceVersion=0"; do sleep 0.1; done
touch /tmp/ready; exec sleep 1000000
"#;

/// Addresses of the Services.
struct Services {
    web: String,
    dns: [String; SERVERS.len()],
}

fn network_daemon(node: &Node) -> serde_json::Value {
    let mut pod = e2e::pod("network")
        .on(node.name())
        .running(NETWORK_DAEMON)
        .to_json();
    let spec = &mut pod["spec"];
    spec["hostNetwork"] = true.into();
    spec["serviceAccountName"] = "network".into();
    spec["volumes"] = json!([{"name": "host", "hostPath": {"path": "/"}}]);
    spec["containers"][0]["volumeMounts"] = json!([{"name": "host", "mountPath": "/host"}]);
    spec["containers"][0]["env"] = json!([{"name": "NODE", "value": node.name()}]);
    spec["containers"][0]["securityContext"] = json!({"privileged": true});
    pod
}

fn start(cluster: &Cluster, node: &Node, namespace: &Namespace) -> Result<Services> {
    let name = namespace.name();
    let corefile = cluster.get_json(["--namespace", "kube-system", "configmap", "coredns"])?;
    let account =
        |name: &str| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    let grant = |role: &str, account: &str| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": format!("{name}-{account}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": name}],
        })
    };
    let mut objects = vec![
        account("dns"),
        account("network"),
        // Each may read Nodes.
        grant("system:coredns", "dns"),
        grant("system:node-proxier", "network"),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "coredns"}, "data": corefile["data"]}),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"selector": {"app": "one"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }),
        e2e::pod("one").on(node.name()).to_json(),
        e2e::pod("other").on(node.name()).to_json(),
        network_daemon(node),
    ];
    for server in SERVERS {
        let mut pod = dns_server(cluster, name, server, node.name())?;
        pod["metadata"]["labels"] = json!({"app": server});
        objects.push(pod);
        objects.push(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": server},
            "spec": {"selector": {"app": server}, "ports": [{"port": 53, "protocol": "UDP"}]},
        }));
    }
    let documents: Vec<_> = objects.iter().map(ToString::to_string).collect();
    namespace.apply_yaml(&documents.join("\n---\n"))?;
    for pod in ["one", "other", "network"].into_iter().chain(SERVERS) {
        namespace.wait_ready(pod, POD_DEADLINE)?;
    }
    wait_for("the network daemon to have read the API", POD_DEADLINE, || {
        Ok(has_read(node, &container(node, name, "network")?)?.then_some(()))
    })?;
    let address =
        |service| namespace.kubectl(["get", "service", service, "-o", "jsonpath={.spec.clusterIP}"]);
    let [a, b, c] = SERVERS.map(address);
    Ok(Services {
        web: address("web")?,
        dns: [a?, b?, c?],
    })
}

/// The id of the only container of the pod whose name begins with `pod`.
fn container(node: &Node, namespace: &str, pod: &str) -> Result<String> {
    let prefix = format!("{namespace}/{pod}");
    let running = containers::running(node, namespace)?;
    let mut found = running.into_iter().filter(|(name, _)| name.starts_with(&prefix));
    found
        .next()
        .map(|(_, id)| id)
        .with_context(|| format!("no container of {prefix} runs"))
}

fn has_read(node: &Node, id: &str) -> Result<bool> {
    Ok(containers::exec(node, id, &["sh", "-c", "test -e /tmp/ready && echo yes"])?.trim() == "yes")
}

/// Kills a container and waits for one after it of which `works` holds.
fn crash(node: &Node, (namespace, pod): (&str, &str), works: impl Fn(&str) -> Result<bool>) -> Result<()> {
    let old = container(node, namespace, pod)?;
    containers::crash(node, &old)?;
    wait_for(&format!("{pod} to work again"), POD_DEADLINE, || {
        let Some(new) = container(node, namespace, pod).ok().filter(|id| *id != old) else {
            return Ok(None);
        };
        Ok(works(&new)?.then_some(()))
    })
}

/// How long each of [`CHECKS`] takes.
fn run(
    node: &BrokenNode,
    namespace: &Namespace,
    services: &Services,
    with_hub: bool,
) -> Result<[Duration; 5]> {
    let name = namespace.name();
    let reaches = || {
        let answer = node.exec(["curl", "-sS", "-m", "1", &format!("http://{}/", services.web)])?;
        Ok::<_, anyhow::Error>(answer.text().trim() == "one")
    };
    let lookup = format!("web.{name}.svc.cluster.local");
    let time = |check: &dyn Fn() -> Result<()>| {
        let start = Instant::now();
        check()?;
        anyhow::Ok(start.elapsed())
    };
    let resolves = |server: &str| {
        // The server's image holds nothing but the server.
        let other = container(node, name, "other")?;
        let text = look_up(node, &other, &lookup, server)?;
        Ok(resolved(&text).contains(&services.web))
    };
    let dns = || {
        let mut taken = [Duration::ZERO; SERVERS.len()];
        for (taken, (server, address)) in taken.iter_mut().zip(SERVERS.iter().zip(&services.dns)) {
            *taken = time(&|| crash(node, (name, server), |_| resolves(address)))?;
        }
        taken.sort();
        anyhow::Ok(taken[SERVERS.len() / 2])
    };
    Ok([
        time(&|| {
            node.exec_ok(["systemctl", "restart", "kubelet"])?;
            crash(node, (name, "one"), |_| reaches())
        })?,
        time(&|| crash(node, (name, "network"), |id| has_read(node, id)))?,
        time(&|| {
            if with_hub {
                node.exec_ok(["sh", "-c", "kill -9 $(systemctl show -P MainPID yurthub)"])?;
            }
            crash(node, (name, "other"), |_| Ok(true))
        })?,
        time(&|| {
            crash(node, ("kube-system", "kube-proxy"), |_| {
                let healthz = [
                    "curl",
                    "-sf",
                    "-m",
                    "1",
                    "-o",
                    "/dev/null",
                    "http://127.0.0.1:10256/healthz",
                ];
                Ok(node.exec(healthz)?.status.success() && reaches()?)
            })
        })?,
        dns()?,
    ])
}

/// kube-proxy once more, with the configuration of now.
fn renew_kube_proxy(cluster: &Cluster, node: &Node) -> Result<()> {
    let own = format!("--field-selector=spec.nodeName={}", node.name());
    let pods = ["-n", "kube-system", "-l", "k8s-app=kube-proxy", own.as_str()];
    cluster.kubectl([&["delete", "pod"][..], &pods].concat())?;
    cluster.kubectl(
        [
            &["wait", "--for=condition=Ready", "--timeout=60s", "pod"][..],
            &pods,
        ]
        .concat(),
    )?;
    Ok(())
}

fn forget(cluster: &Cluster, namespace: &Namespace) -> Result<()> {
    for account in ["dns", "network"] {
        let name = format!("{}-{account}", namespace.name());
        cluster.kubectl(["delete", "clusterrolebinding", &name])?;
    }
    Ok(())
}

#[test]
fn each_part_of_a_node_comes_back_without_the_cloud_as_fast_as_with_it() -> Result<()> {
    let (cluster, node) = alone()?;
    hub::take_away(&node)?;
    renew_kube_proxy(&cluster, &node)?;
    let plain = cluster.namespace("plain")?;
    let services = start(&cluster, &node, &plain)?;
    let without = run(&node, &plain, &services, false)?;
    forget(&cluster, &plain)?;
    drop(plain);

    hub::ensure(&node)?;
    lead_pods_here(&cluster, &node)?;
    let namespace = cluster.namespace("autonomy")?;
    let services = start(&cluster, &node, &namespace)?;
    node.cut()?;
    hub::wait_offline(&node)?;
    let cut = run(&node, &namespace, &services, true)?;
    node.join()?;
    forget(&cluster, &namespace)?;

    let mut slow = Vec::new();
    for ((check, cut), without) in CHECKS.iter().zip(cut).zip(without) {
        let figures = format!(
            "{check} {:.1} s ({:.1} s online without yurthub)",
            cut.as_secs_f64(),
            without.as_secs_f64()
        );
        say(format_args!("autonomy, cut: {figures}"));
        if cut > without + ADDED_DEADLINE {
            slow.push(figures);
        }
    }
    ensure!(slow.is_empty(), "too slow: {slow:?}");
    Ok(())
}
