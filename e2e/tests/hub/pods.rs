//! Pods as clients: kube-proxy and whoever has a token read the API from the node, online and cut off, also after a
//! reboot without the cloud.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::hub::clients::{SERVER, kube_proxy_watches, lead_pods_here};
use e2e::progress::say;
use e2e::{Background, BrokenNode, Namespace, Node, hub, wait_for};

use crate::setup::{POD_DEADLINE, alone};

/// The kubelet renews the CA files of pods within some 90 s.
const TRUST_DEADLINE: Duration = Duration::from_mins(5);

/// Two pods that run for ever, with accounts of their own: `reader` may list Services, `nobody` may not.
const PODS: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: reader}}
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: nobody}}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: Role
  metadata: {name: services}
  rules: [{apiGroups: [''], resources: [services], verbs: [get, list, watch]}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {name: services}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: services}
  subjects: [{kind: ServiceAccount, name: reader}]
- {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}
";

fn start_pods(namespace: &Namespace, node: &Node) -> Result<()> {
    namespace.apply_yaml(PODS)?;
    for account in ["reader", "nobody"] {
        let mut pod = e2e::pod(account).on(node.name()).to_json();
        pod["spec"]["serviceAccountName"] = account.into();
        namespace.apply_yaml(&pod.to_string())?;
        namespace.wait_ready(account, POD_DEADLINE)?;
    }
    Ok(())
}

/// Where the node has the CA file and the token of a pod.
fn volume_of(node: &Node, namespace: &Namespace, pod: &str) -> Result<String> {
    let uid = pod_uid(node, namespace, pod)?;
    Ok(format!(
        "/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~projected/kube-api-access-*"
    ))
}

/// A watch of Services, as the pod `reader` would begin it.
fn watch_services(node: &Node, namespace: &Namespace) -> Result<Background> {
    let volume = volume_of(node, namespace, "reader")?;
    let script = format!(
        "v=$(echo {volume}); exec curl -sSN -A e2e --cacert $v/ca.crt -H \"Authorization: Bearer $(cat $v/token)\" \
         '{SERVER}/api/v1/namespaces/{}/services?watch=true&resourceVersion=0'",
        namespace.name()
    );
    Background::start(&node.cmd(["sh", "-c", &script])?)
}

/// A watch of a pod is not ended by a cut, and tells what changed meanwhile: once.
fn assert_watch_outlives_a_cut(node: &BrokenNode, namespace: &Namespace) -> Result<()> {
    let mut watch = watch_services(node, namespace)?;
    wait_for("the watch to begin", POD_DEADLINE, || {
        Ok(watch
            .lines()
            .iter()
            .any(|line| line.contains("ADDED"))
            .then_some(()))
    })?;
    node.cut()?;
    hub::wait_offline(node)?;
    namespace.kubectl(["label", "service", "web", "told=once"])?;
    node.join()?;
    let told = || watch.lines().iter().filter(|line| line.contains("told")).count();
    wait_for("the watch to tell of the change", POD_DEADLINE, || {
        Ok((told() > 0).then_some(()))
    })?;
    namespace.kubectl(["label", "service", "web", "told-", "over=true"])?;
    wait_for("the watch to tell of the next change", POD_DEADLINE, || {
        Ok(watch
            .lines()
            .iter()
            .any(|line| line.contains("over"))
            .then_some(()))
    })?;
    let once = told();
    ensure!(
        once == 1 && watch.is_running()?,
        "told {once} times: {:?} {}",
        watch.lines(),
        watch.errors()
    );
    Ok(())
}

/// The code of a list of Services, asked as the pod would: with its environment, its CA file and its token.
fn code_for(node: &Node, namespace: &Namespace, pod: &str, with_token: bool) -> Result<String> {
    let volume = volume_of(node, namespace, pod)?;
    let header = if with_token {
        "-H \"Authorization: Bearer $(cat $v/token)\""
    } else {
        ""
    };
    let script = format!(
        "v=$(echo {volume}); curl -sS -m 5 -A e2e -o /dev/null -w '%{{http_code}}' --cacert $v/ca.crt {header} \
         '{SERVER}/api/v1/namespaces/{}/services?resourceVersion=0'",
        namespace.name()
    ); // not as curl: the apiserver would lay its answer out for a person
    Ok(node.exec_ok(["sh", "-c", &script])?.trim().to_owned())
}

/// The UID of a pod, as this node's mirror has it.
fn pod_uid(node: &Node, namespace: &Namespace, pod: &str) -> Result<String> {
    let path = format!(
        "/api/v1/namespaces/{}/pods/{pod}?resourceVersion=0",
        namespace.name()
    );
    let object = hub::client::get(node, &path)?;
    let uid = object["metadata"]["uid"].as_str();
    Ok(uid
        .with_context(|| format!("a pod without UID: {object}"))?
        .to_owned())
}

/// Pods behind the Service.
const SERVERS: usize = 3;
/// The goal is five seconds after the pods are ready.
const SERVICE_DEADLINE: Duration = Duration::from_secs(15);

/// Starts pods that answer with their names on port 80, and waits until the Service reaches them.
fn start_servers(namespace: &Namespace, node: &Node) -> Result<String> {
    for number in 0..SERVERS {
        let name = format!("web{number}");
        let serve = "hostname > /tmp/index.html && exec httpd -f -p 80 -h /tmp";
        let mut pod = e2e::pod(&name).on(node.name()).running(serve).to_json();
        pod["metadata"]["labels"]["app"] = "web".into();
        namespace.apply_yaml(&pod.to_string())?;
    }
    for number in 0..SERVERS {
        namespace.wait_ready(&format!("web{number}"), POD_DEADLINE)?;
    }
    let address = namespace.kubectl(["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"])?;
    wait_for("the Service to reach its pods", POD_DEADLINE, || {
        Ok(all_reached(node, &address)?.then_some(()))
    })?;
    Ok(address)
}

/// Whether many requests to the Service are all answered, and by every pod.
fn all_reached(node: &Node, address: &str) -> Result<bool> {
    let script = format!("for i in $(seq 30); do curl -sS -m 1 http://{address}/ || echo LOST; done");
    let answers = node.exec(["sh", "-c", &script])?.text();
    let names: std::collections::BTreeSet<&str> = answers.lines().collect();
    Ok(names.len() == SERVERS && !names.contains("LOST"))
}

/// Who has found the way to yurthub, but has neither certificate nor token, gets nothing at all.
fn assert_closed_to_nobody(node: &Node) -> Result<()> {
    let paths = [
        "/",
        "/api",
        "/apis",
        "/version",
        "/openapi/v2",
        "/healthz",
        "/readyz",
        "/livez",
        "/metrics",
        "/debug/pprof/",
        "/.well-known/openid-configuration",
        "/api/v1/nodes",
        "/api/v1/pods?watch=true",
        "/api/v1/namespaces/kube-system/secrets",
        "/api/v1/namespaces/kube-system/pods/any/exec?command=id",
    ];
    let (pods, kubelet) = (SERVER, hub::client::SERVER);
    let all = paths
        .iter()
        .flat_map(|path| [pods, kubelet].map(|server| format!("{server}{path}")));
    let urls: Vec<_> = all.map(|url| format!("-o /dev/null '{url}'")).collect();
    let ca = "/var/lib/yurthub/pki/ca.crt";
    for forged in ["", "-H 'Authorization: Bearer none'"] {
        let script = format!(
            "curl -sS -m 20 -A e2e --cacert {ca} {forged} -w '%{{http_code}} ' {}",
            urls.join(" ")
        );
        let codes = node.exec_ok(["sh", "-c", &script])?;
        let closed = codes.split_whitespace().filter(|code| *code == "401").count();
        ensure!(closed == urls.len(), "{forged}: {codes}");
    }
    Ok(())
}

#[test]
fn kube_proxy_and_pods_read_the_api_on_the_node_whatever_becomes_of_the_cloud() -> Result<()> {
    let (cluster, node) = alone()?;
    lead_pods_here(&cluster, &node)?;
    let namespace = cluster.namespace("pods")?;
    start_pods(&namespace, &node)?;
    let service = start_servers(&namespace, &node)?;
    let environment = namespace.kubectl(["exec", "reader", "--", "env"])?;
    for variable in [
        "KUBERNETES_SERVICE_HOST=169.254.2.1",
        "KUBERNETES_SERVICE_PORT=10268",
    ] {
        ensure!(
            environment.contains(variable),
            "{variable} is missing: {environment}"
        );
    }
    let check = |when: &str| {
        for (pod, with_token, expected) in [
            ("reader", true, "200"),
            ("nobody", true, "403"),
            ("reader", false, "401"),
        ] {
            let code = code_for(&node, &namespace, pod, with_token)?;
            ensure!(
                code == expected,
                "{when}: {pod}, token {with_token}: {code}, not {expected}"
            );
        }
        assert_closed_to_nobody(&node).with_context(|| when.to_owned())
    };
    check("online")?;
    assert_watch_outlives_a_cut(&node, &namespace)?;
    node.cut()?;
    hub::wait_offline(&node)?;
    check("cut")?;
    let main_pid = ["systemctl", "show", "-P", "MainPID", "yurthub"];
    let first = node.exec_ok(main_pid)?;
    node.exec_ok(["kill", "-9", &first])?;
    wait_for("another yurthub", POD_DEADLINE, || {
        let now = node.exec_ok(main_pid)?;
        Ok((now != first && now != "0").then_some(()))
    })?;
    hub::wait_ready(&node)?;
    wait_for("kube-proxy to come back to yurthub", POD_DEADLINE, || {
        kube_proxy_watches(&node)
    })?;
    check("cut, yurthub killed")?;
    node.reboot()?;
    node.wait_booted(POD_DEADLINE)?;
    hub::wait_ready(&node)?;
    wait_for("kube-proxy to watch after the reboot", POD_DEADLINE, || {
        kube_proxy_watches(&node)
    })?;
    wait_for("the pods to run again", POD_DEADLINE, || {
        let running = e2e::containers::running(&node, namespace.name())?;
        Ok((running.len() == 2 + SERVERS).then_some(()))
    })?;
    let running = Instant::now();
    wait_for(
        "the Service to reach the pods at their new addresses",
        SERVICE_DEADLINE,
        || Ok(all_reached(&node, &service)?.then_some(())),
    )?;
    let reached = running.elapsed().as_secs_f64();
    check("cut, rebooted")?;
    node.join()?;
    wait_for("the cloud to answer again", POD_DEADLINE, || {
        Ok(check("joined").ok())
    })?;
    say(format_args!(
        "pods read the API on {} online, cut, after SIGKILL and after a reboot; the Service reached its pods {reached:.1} s after they ran again without the cloud",
        node.name()
    ));
    Ok(())
}

/// What a container that is started now takes for the API's address.
fn address_of_the_api(namespace: &Namespace, node: &Node) -> Result<String> {
    namespace.apply([e2e::pod("asks").on(node.name())])?;
    namespace.wait_ready("asks", POD_DEADLINE)?;
    let environment = namespace.kubectl(["exec", "asks", "--", "env"])?;
    namespace.kubectl(["delete", "pod", "asks"])?;
    let address = environment
        .lines()
        .find_map(|line| line.strip_prefix("KUBERNETES_SERVICE_HOST="));
    Ok(address.context("the environment names no API")?.to_owned())
}

#[test]
fn pods_are_no_longer_led_here_once_the_filters_are_off() -> Result<()> {
    let (cluster, node) = alone()?;
    wait_for("all pods to trust the node's CA", TRUST_DEADLINE, || {
        Ok((hub::metric(&node, "yurthub_filters_armed")? > 0.0).then_some(()))
    })?;
    let namespace = cluster.namespace("unled")?;
    let wait_led_to = |expected: &str| {
        // The kubelet learns of it a moment later.
        wait_for("a pod to be led elsewhere", POD_DEADLINE, || {
            let address = address_of_the_api(&namespace, &node)?;
            ensure!(address == expected, "{address}, not {expected}");
            Ok(Some(()))
        })
    };
    wait_led_to("169.254.2.1")?;
    hub::reconfigure(&node, "filters: []")?;
    wait_led_to("10.96.0.1")
}
