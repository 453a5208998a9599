//! yurtctl: a node becomes an edge node under its pods and clients, and an ordinary one again without a trace; whatever
//! interrupts it, the node ends as one or the other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::conversion::{self, yurtctl};
use e2e::hub::guard::lock_plain;
use e2e::image::Image;
use e2e::progress::say;
use e2e::{Background, BrokenNode, Cluster, Namespace, Node, containers, hub, image, rounds, wait_for};
use serde_json::{Value, json};

use crate::setup::{POD_DEADLINE, deployment, wait_agreed};

/// Steps of a transaction, as its journal names them.
const STEPS: [&str; 6] = ["programs", "configuration", "start", "mirror", "switch", "verify"];
/// Three times what a node may take to be converted or as it was.
const END_DEADLINE: Duration = Duration::from_mins(6);
/// What a conversion may not change but by what it brings.
const SNAPSHOT: &str = r#"
cd / && find etc usr/local usr/lib/systemd var/lib -xdev \
  -path var/lib/kubelet -prune -o -path var/lib/containerd -prune -o -path var/lib/yurt-conversion -prune -o \
  -path var/lib/cni -prune -o -path var/lib/systemd -prune -o \( -type f -o -type l -o -type d \) -print |
while read -r path; do
  if [ -L "$path" ]; then echo "$path -> $(readlink "$path")"
  elif [ -d "$path" ]; then echo "$path/ $(stat -c '%a %u' "$path")"
  else echo "$path $(stat -c '%a %u' "$path") $(sha256sum <"$path")"; fi
done | sort
systemctl list-unit-files --no-legend | grep -v '\.mount\|\.scope' | sort
ip -br link | grep -v '^veth\|^cni0' | awk '{print "link", $1}' | sort
ip -br address show dev lo
nft list tables 2>/dev/null | sort
iptables-save 2>/dev/null | grep -v 'KUBE-\|^#' | sed 's/ \[.*//' | sort
findmnt -rno TARGET | grep -v '/var/lib/kubelet\|/run/containerd\|/run/netns\|/run/credentials' | sort
"#;

/// Where the kubelet finds the static pod.
const STATIC_POD: &str = "/etc/kubernetes/manifests/conversion-test.json";
/// The pod that lists the pods of its namespace; busybox speaks no TLS that verifies, so the node asks in its place.
const LISTER: &str = "lister";

/// Everything that runs beside the conversion.
struct Workload<'a> {
    namespace: &'a Namespace,
    service: String,
}

fn workload(namespace: &Namespace, node: &Node) -> Result<String> {
    let name = namespace.name();
    let template = deployment("web", node.name(), 2)["spec"]["template"].clone();
    let mut daemon = deployment("daemon", node.name(), 1);
    daemon["kind"] = "DaemonSet".into();
    if let Some(spec) = daemon["spec"].as_object_mut() {
        spec.remove("replicas");
        spec.remove("strategy");
    }
    let mut set = deployment("db", node.name(), 1);
    set["kind"] = "StatefulSet".into();
    set["spec"]["serviceName"] = "db".into();
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": {"template": template}});
    let spec = &mut job["spec"]["template"]["spec"];
    spec["restartPolicy"] = "Never".into();
    spec["containers"][0]["command"] = json!(["sleep", "3600"]);
    job["spec"]["template"]["metadata"]["labels"] = json!({"app": "job"});
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "view"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": name}],
    });
    let objects = [
        deployment("web", node.name(), 2),
        daemon,
        set,
        job,
        service,
        binding,
    ];
    let documents = objects.map(|object| object.to_string());
    namespace.apply_yaml(&documents.join("\n---\n"))?;
    let pods = [e2e::pod("client"), e2e::pod(LISTER)];
    namespace.apply(pods.map(|pod| pod.on(node.name())))?;
    // A static pod has no account, and its manifest no taints to tolerate.
    let mut fixed = e2e::pod("static").to_json();
    fixed["metadata"]["namespace"] = name.into();
    if let Some(spec) = fixed["spec"].as_object_mut() {
        spec.remove("tolerations");
    }
    node.push_file(STATIC_POD, fixed.to_string().as_bytes(), 0o644)?;
    wait_for("the static pod to be known", POD_DEADLINE, || {
        namespace.pod(&format!("static-{}", node.name()))?;
        Ok(Some(()))
    })?;
    Ok(namespace.kubectl(["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"])?)
}

impl Workload<'_> {
    /// A Deployment that is made while the node is converted.
    fn be_born_late(&self, node: &Node) -> Result<()> {
        self.namespace
            .apply_yaml(&deployment("late", node.name(), 1).to_string())?;
        let wait = ["rollout", "status", "deployment/late", "--timeout=120s"];
        self.namespace
            .kubectl(wait)
            .context("wait for the late Deployment")?;
        Ok(())
    }

    /// Until the node's kube-proxy has heard of a Service that is new.
    fn wait_followed(&self, node: &Node) -> Result<()> {
        let expose = [
            "expose",
            "deployment",
            "web",
            "--name=new",
            "--port=80",
            "--target-port=8080",
        ];
        self.namespace.kubectl(expose)?;
        let address = ["get", "service", "new", "-o", "jsonpath={.spec.clusterIP}"];
        let url = format!("http://{}/", self.namespace.kubectl(address)?);
        wait_for("a new Service to lead to its pods", POD_DEADLINE, || {
            let answer = node.exec(["curl", "-s", "-m", "2", &url])?;
            Ok(answer.status.success().then_some(()))
        })
    }

    /// Lists the pods of the namespace every second as the pod [`LISTER`] would: with its token, the CA that it trusts, and
    /// the address that it was born with.
    fn lister(&self, node: &Node) -> Result<Background> {
        let pod = self.namespace.pod(LISTER)?;
        let uid = pod["metadata"]["uid"].as_str().context("a pod without UID")?;
        let address =
            "[ \"$KUBERNETES_SERVICE_HOST\" ] && echo $KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT";
        let address = self
            .namespace
            .kubectl(["exec", LISTER, "--", "sh", "-c", address])?;
        let script = format!(
            "v=$(echo /var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~projected/kube-api-access-*); while sleep 1; do \
             curl -sf -m 5 -o /dev/null --cacert $v/ca.crt -H \"Authorization: Bearer $(cat $v/token)\" \
             https://{}/api/v1/namespaces/{}/pods && echo ok || echo LOST; done",
            address.trim(),
            self.namespace.name()
        );
        Background::start(&node.cmd(["sh", "-c", &script])?)
    }

    /// A client in the node's network that asks the Service every 50 ms and says what it lost.
    fn client(&self, node: &Node) -> Result<Background> {
        let script = format!(
            "while sleep 0.05; do curl -s -o /dev/null -m 2 http://{}/ && echo ok || echo LOST; done",
            self.service
        );
        Background::start(&node.cmd(["sh", "-c", &script])?)
    }
}

/// How many requests were answered, and how many lost.
fn heard(client: &Background) -> (usize, usize) {
    let lines = client.lines();
    let count = |word| lines.iter().filter(|line| *line == word).count();
    (count("ok"), count("LOST"))
}

/// Started containers and when: id and start by `pod/container`.
fn born(namespace: &Namespace) -> Result<BTreeMap<String, String>> {
    let pods: Value = serde_json::from_str(&namespace.kubectl(["get", "pods", "-o", "json"])?)?;
    let mut found = BTreeMap::new();
    for pod in pods["items"].as_array().into_iter().flatten() {
        if pod["metadata"]["labels"]["app"] == "late" {
            continue;
        }
        for status in pod["status"]["containerStatuses"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let name = format!("{}/{}", pod["metadata"]["name"], status["name"]);
            let born = format!(
                "{} {}",
                status["containerID"], status["state"]["running"]["startedAt"]
            );
            found.insert(name, born);
        }
    }
    Ok(found)
}

/// Where the pod of a Deployment finds the API, by the environment that it was born with.
fn api_of(app: &str, namespace: &Namespace) -> Result<String> {
    let exec = [
        "exec",
        &format!("deployment/{app}"),
        "--",
        "sh",
        "-c",
        "echo $KUBERNETES_SERVICE_HOST",
    ];
    Ok(namespace.kubectl(exec)?.trim().to_owned())
}

fn snapshot(node: &Node) -> Result<String> {
    node.exec_ok(["sh", "-c", SNAPSHOT])
        .context("list what is on the node")
}

/// Lines that differ.
fn difference(before: &str, after: &str) -> String {
    let only = |these: &str, those: &str, mark: &str| -> Vec<String> {
        let those: std::collections::BTreeSet<_> = those.lines().collect();
        let lines = these.lines().filter(|line| !those.contains(line));
        lines.map(|line| format!("{mark}{line}")).collect()
    };
    [only(before, after, "-"), only(after, before, "+")]
        .concat()
        .join("\n")
}

/// The cluster knows of no conversion of `node`.
fn assert_unknown(cluster: &Cluster, node: &Node) -> Result<()> {
    let labels = cluster.get_json(["node", node.name()])?["metadata"]["labels"].clone();
    assert_eq!(labels.get("openyurt.io/is-edge-worker"), None, "{labels}");
    let kinds =
        "namespaces,clusterroles,clusterrolebindings,rolebindings,configmaps,serviceaccounts,jobs,leases";
    let ours = [
        "get",
        kinds,
        "-A",
        "-l",
        "app.kubernetes.io/part-of=yurt",
        "-o",
        "name",
    ];
    let left = cluster.kubectl(ours)?;
    assert!(!left.contains(node.name()), "{left}");
    Ok(())
}

/// The plan for the one node, which nobody carries out.
fn assert_planned(cluster: &Cluster, args: &[&str], action: &str) -> Result<()> {
    let shown = ["--dry-run", "-o", "json", "--system-clients="];
    let plan = yurtctl(cluster, args.iter().chain(&shown))?.run_ok()?;
    let plan: Value = serde_json::from_str(&plan).context("read the plan")?;
    assert_eq!(plan["nodes"][0]["action"], action, "{plan:#}");
    assert_eq!(plan["nodes"][0]["layout"], "kubeadm");
    Ok(())
}

/// Until `yurtctl status` knows of it from its yurthub.
fn wait_told(cluster: &Cluster, node: &Node) -> Result<()> {
    wait_for("yurthub to tell of itself", POD_DEADLINE, || {
        let rows: Value = serde_json::from_str(&yurtctl(cluster, ["status", "-o", "json"])?.run()?.text())?;
        let mut of_node = rows.as_array().into_iter().flatten();
        let row = of_node.find(|row| row["node"] == node.name());
        let row = row.with_context(|| format!("{rows}"))?;
        ensure!(row["state"] == "fine", "{row}");
        Ok(Some(()))
    })
}

#[test]
fn a_node_is_converted_under_its_pods_and_reverted_without_a_trace() -> Result<()> {
    let cluster = crate::setup::cluster()?;
    let node = lock_plain(&cluster)?;
    let namespace = cluster.namespace("conversion")?;
    let service = workload(&namespace, &node)?;
    let here = Workload {
        namespace: &namespace,
        service,
    };
    cluster.kubectl([
        "-n",
        namespace.name(),
        "wait",
        "--for=condition=Ready",
        "pod",
        "--all",
        "--timeout=120s",
    ])?;
    let image = image::built()?;
    image::load(&node, &image)?;
    let _turn = conversion::turn(&cluster)?;
    let before = snapshot(&node)?;
    let pods = born(here.namespace)?;
    ensure!(pods.len() >= 8, "{pods:?}");

    let args = |verb| conversion::args(verb, &node, &image);
    assert_planned(&cluster, &args("convert"), "convert")?;
    assert_eq!(difference(&before, &snapshot(&node)?), "", "by a dry run");

    let (client, lister) = (here.client(&node)?, here.lister(&node)?);
    let start = Instant::now();
    yurtctl(&cluster, args("convert"))?.run_ok()?;
    let converted = start.elapsed();
    assert_eq!(
        born(here.namespace)?,
        pods,
        "a conversion has restarted a container"
    );
    assert!(hub::metric(&node, "yurthub_mirror_watchers")? > 0.0);
    assert_planned(&cluster, &args("convert"), "nothing")?;
    wait_told(&cluster, &node)?;
    assert!(
        hub::clients::kube_proxy_watches(&node)?.is_some(),
        "kube-proxy is no client"
    );
    here.be_born_late(&node)?;
    assert_eq!(api_of("late", &namespace)?, "169.254.2.1");

    let start = Instant::now();
    yurtctl(&cluster, args("revert"))?.run_ok()?;
    let reverted = start.elapsed();
    assert_eq!(
        born(here.namespace)?,
        pods,
        "a revert has restarted a container from before"
    );
    assert_eq!(difference(&before, &snapshot(&node)?), "");
    wait_agreed(&cluster, &node, &namespace, POD_DEADLINE)?;
    assert_eq!(api_of("late", &namespace)?, "10.96.0.1", "it was not restarted");
    here.wait_followed(&node)?;
    let (answered, listed) = (heard(&client), heard(&lister));
    drop((client, lister));
    assert!(
        answered.1 == 0 && answered.0 > 100,
        "answers and losses: {answered:?}"
    );
    assert!(listed.1 == 0 && listed.0 > 5, "lists and losses: {listed:?}");
    assert_unknown(&cluster, &node)?;
    node.exec_ok(["rm", STATIC_POD])?;
    say(format_args!(
        "hub conversion: converted in {:.1} s and reverted in {:.1} s, {} containers as before, none of {} requests and {} lists lost",
        converted.as_secs_f64(),
        reverted.as_secs_f64(),
        pods.len(),
        answered.0,
        listed.0,
    ));
    Ok(())
}

#[test]
fn what_would_not_work_is_told_before_anything_is_changed() -> Result<()> {
    let cluster = crate::setup::cluster()?;
    let node = lock_plain(&cluster)?;
    let image = image::built()?;
    image::load(&node, &image)?;
    let _turn = conversion::turn(&cluster)?;
    let refused = |args: &[&str]| -> Result<String> {
        let output = yurtctl(&cluster, ["convert", "--yes"].iter().chain(args))?.run()?;
        ensure!(!output.status.success(), "it was not refused: {}", output.text());
        Ok(format!("{}{}", output.text(), output.errors()))
    };
    let before = snapshot(&node)?;
    let name = node.name();
    let unknown = refused(&["--edge-nodes", "egde1"])?;
    assert!(
        unknown.contains("there is no node egde1; the cluster has cloud1"),
        "{unknown}"
    );
    let control = refused(&["--edge-nodes", "cloud1", "--image", &image.reference])?;
    assert!(control.contains("control-plane"), "{control}");
    let missing = refused(&["--edge-nodes", name, "--image", "testbed.local/nothing:1"])?;
    assert!(
        missing.contains("cannot be pulled") && missing.contains("--image"),
        "{missing}"
    );

    node.push_file(
        "/etc/systemd/system/kubelet.service.d/99-site.conf",
        b"[Service]\nEnvironment=\"KUBELET_KUBECONFIG_ARGS=\"\n",
        0o644,
    )?;
    node.exec_ok(["mkdir", "-p", "/var/lib/openyurt"])?;
    let listener =
        Background::start(&node.cmd(["systemd-socket-activate", "-l", "127.0.0.1:10267", "sleep", "9"])?)?;
    wait_for("the port to be taken", POD_DEADLINE, || {
        let taken = node.exec(["sh", "-c", "ss -ltn | grep -q :10267"])?;
        Ok(taken.status.success().then_some(()))
    })?;
    node.exec_ok(["systemctl", "daemon-reload"])?;
    let said = refused(&["--edge-nodes", name, "--image", &image.reference])?;
    drop(listener);
    node.exec(["pkill", "-f", "systemd-socket-activate"])?;
    node.exec_ok([
        "rm",
        "-r",
        "/etc/systemd/system/kubelet.service.d/99-site.conf",
        "/var/lib/openyurt",
    ])?;
    node.exec_ok(["systemctl", "daemon-reload"])?;
    for finding in [
        "later-drop-in",
        "leftovers",
        "port-taken",
        "99-site.conf",
        "/var/lib/openyurt",
        "10267",
    ] {
        assert!(said.contains(finding), "no {finding} in {said}");
    }
    assert!(said.contains("Nothing was changed"), "{said}");
    assert_eq!(difference(&before, &snapshot(&node)?), "");
    Ok(())
}

/// Where a transaction is written down while it is under way, and what has happened in it.
const TRANSACTION: &str = "/var/lib/yurt-conversion/transaction.json";
const JOURNAL: &str = "/var/lib/yurt-conversion/journal";
/// What is there as long as one is proposed, under way or turned back.
const UNDER_WAY: &str = "cd /var/lib/yurt-conversion 2>/dev/null && ls -d proposed.json transaction.json returning.json \
    /etc/systemd/system/yurt-conversion.service 2>/dev/null";
/// Waits until a transaction after the one that began with the line `$1` has come to `$2`, and stops who carries it out right
/// then. Prints whether it is under way still.
const FREEZE: &str = r#"
while [ "$(grep '"event":"begun"' "$3" 2>/dev/null | tail -n 1)" = "$1" ] ||
  ! awk -v want="$2" '/"event":"begun"/ { found = 0 } index($0, want) { found = 1 } END { exit !found }' "$3"
do sleep 0.01; done
kill -STOP "$(systemctl show -P MainPID yurt-conversion)" && test -e "$4" && echo frozen
"#;
const THAW: &str = r#"kill -CONT "$(systemctl show -P MainPID yurt-conversion)""#;

/// What interrupts a conversion.
#[derive(Debug, Clone, Copy)]
enum Interruption {
    /// The pod that brought it is killed.
    Kill,
    /// Who carries it out is killed.
    Crash,
    /// The link is cut, and comes back when the node has ended by itself.
    Cut,
    /// The node reboots.
    Reboot,
}

impl Interruption {
    const ALL: [Self; 4] = [Self::Kill, Self::Crash, Self::Cut, Self::Reboot];
}

#[test]
fn whatever_interrupts_a_conversion_the_node_ends_as_one_or_the_other() -> Result<()> {
    let cluster = crate::setup::cluster()?;
    let node = lock_plain(&cluster)?;
    let image = image::built()?;
    image::load(&node, &image)?;
    let walks: Vec<_> = STEPS
        .iter()
        .flat_map(|step| Interruption::ALL.map(|kind| (*step, kind)))
        .collect();
    // A sample that has each kind, at steps that differ; all of them in the long run.
    let steps = ["programs", "start", "mirror", "switch"];
    let sample: Vec<_> = steps.into_iter().zip(Interruption::ALL).collect();
    let chosen = if rounds(0, 1) == 1 { &walks[..] } else { &sample };
    let (mut converted, mut plain) = (0, 0);
    for (step, kind) in chosen {
        let before = snapshot(&node)?;
        let is_converted = interrupted(&cluster, &node, &image, step, *kind)
            .with_context(|| format!("{kind:?} at step {step}"))?;
        if is_converted {
            converted += 1;
            conversion::revert(&node)?;
        } else {
            plain += 1;
        }
        let difference = difference(&before, &snapshot(&node)?);
        ensure!(
            difference.is_empty(),
            "{kind:?} at step {step} has left:\n{difference}"
        );
    }
    say(format_args!(
        "hub conversion: interrupted {} times, {converted} ended converted, {plain} as before, none in between",
        chosen.len()
    ));
    Ok(())
}

/// Whether the node ended converted.
fn interrupted(
    cluster: &Cluster,
    node: &BrokenNode,
    image: &Image,
    step: &str,
    kind: Interruption,
) -> Result<bool> {
    let _turn = conversion::turn(cluster)?;
    let last = format!(r#"grep '"event":"begun"' {JOURNAL} 2>/dev/null | tail -n 1"#);
    let last = node.exec_ok(["sh", "-c", &last])?;
    let convert = yurtctl(cluster, conversion::args("convert", node, image))?.arg("--system-clients=");
    let mut run = Background::start(&convert)?;
    let begun = format!(r#""event":"started","step":"{step}""#);
    let freeze = [
        "sh",
        "-c",
        FREEZE,
        "freeze",
        last.trim(),
        &begun,
        JOURNAL,
        TRANSACTION,
    ];
    let frozen = node.cmd(freeze)?.deadline(END_DEADLINE).run_ok()?;
    ensure!(
        frozen.trim() == "frozen",
        "it ended before it could be interrupted"
    );
    match kind {
        Interruption::Kill => {
            node.exec_ok(["pkill", "-KILL", "-f", "servant carry-out"])?;
            node.exec_ok(["sh", "-c", THAW])?;
        }
        Interruption::Crash => {
            node.exec_ok(["systemctl", "kill", "--signal=KILL", "yurt-conversion"])?;
        }
        Interruption::Cut => {
            node.cut()?;
            node.exec_ok(["sh", "-c", THAW])?;
        }
        // At shutdown systemd lets it go on, to end.
        Interruption::Reboot => {
            node.reboot()?;
            node.wait_booted(END_DEADLINE)?;
        }
    }
    wait_for("the transaction to end", END_DEADLINE, || {
        let left = node.exec(["sh", "-c", UNDER_WAY])?.text();
        ensure!(left.is_empty(), "it is under way: {left}");
        Ok(Some(()))
    })?;
    if matches!(kind, Interruption::Cut) {
        node.join()?;
    }
    wait_for("yurtctl to end", END_DEADLINE, || {
        Ok((!run.is_running()?).then_some(()))
    })?;
    let output = run.errors();
    let name = format!("node/{}", node.name());
    cluster
        .kubectl_cmd(["wait", "--for=condition=Ready", "--timeout=120s", &name])
        .run_ok()?;
    let journal = node.exec_ok(["cat", JOURNAL])?;
    let last = journal.lines().last().unwrap_or_default().to_owned();
    let turned = "grep -q /etc/yurthub/ /proc/$(systemctl show -P MainPID kubelet)/cmdline";
    let is_turned = node.exec(["sh", "-c", turned])?.status.success();
    if last.contains(r#""outcome":"converted""#) {
        ensure!(is_turned, "the kubelet is not turned; yurtctl said {output}");
        hub::wait_ready(node)?;
        return Ok(true);
    }
    if last.contains(r#""outcome":"rolledBack""#) {
        ensure!(!is_turned, "the kubelet is turned; yurtctl said {output}");
        return Ok(false);
    }
    bail!("the journal ends with {last}; yurtctl said {output}")
}

#[test]
fn a_node_that_is_cut_off_is_reverted_on_its_own_console() -> Result<()> {
    let cluster = crate::setup::cluster()?;
    let node = lock_plain(&cluster)?;
    let before = snapshot(&node)?;
    let namespace = cluster.namespace("console")?;
    namespace.apply([e2e::pod("web").on(node.name())])?;
    namespace.wait_ready("web", POD_DEADLINE)?;
    conversion::convert(&node, hub::built()?)?;
    let running = containers::running(&node, namespace.name())?;

    node.cut()?;
    hub::wait_offline(&node)?;
    let said = node.exec_ok(["yurtctl", "node", "revert", "--local"])?;
    assert!(said.contains("yurtctl revert --edge-nodes"), "{said}");
    assert_eq!(difference(&before, &snapshot(&node)?), "");
    assert_eq!(containers::running(&node, namespace.name())?, running);
    node.join()?;
    wait_agreed(&cluster, &node, &namespace, POD_DEADLINE)?;
    // The cloud still believes it is an edge node.
    conversion::revert(&node)?;
    assert_unknown(&cluster, &node)
}
