//! While the cloud is there, nobody notices yurthub: a node behind it does all that a node does.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::progress::say;
use e2e::{Background, containers, hub, pod, wait_for};
use serde_json::{Value, json};

use crate::setup::{POD_DEADLINE, deployment, shared, wait_agreed};

/// A pod that uses all that a kubelet fetches for one.
fn demanding_pod(node: &str) -> Value {
    let mut object = pod("full").on(node).to_json();
    object["spec"]["volumes"] = json!([
        {"name": "conf", "configMap": {"name": "conf"}},
        {"name": "keys", "secret": {"secretName": "keys"}},
        {"name": "token", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token", "audience": "somebody", "expirationSeconds": 600}},
            {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        ]}},
    ]);
    let container = &mut object["spec"]["containers"][0];
    container["volumeMounts"] = json!([
        {"name": "conf", "mountPath": "/conf"},
        {"name": "keys", "mountPath": "/keys"},
        {"name": "token", "mountPath": "/projected"},
    ]);
    container["env"] = json!([
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "password"}}},
        {"name": "GREETING", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "greeting"}}},
    ]);
    container["readinessProbe"] = json!({"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1});
    container["livenessProbe"] = json!({"exec": {"command": ["test", "!", "-e", "/tmp/sick"]}, "periodSeconds": 1, "failureThreshold": 1});
    object
}

fn config(greeting: &str) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"greeting": greeting}})
        .to_string()
}

#[test]
fn a_pod_gets_its_files_probes_logs_exec_and_port_forward() -> Result<()> {
    let (cluster, node, _guard) = shared()?;
    let namespace = cluster.namespace("full")?;
    let start = Instant::now();
    let keys = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"password": "pass"}});
    namespace.apply_yaml(&format!(
        "{}\n---\n{keys}\n---\n{}",
        config("hello"),
        demanding_pod(node.name())
    ))?;
    namespace.wait_ready("full", POD_DEADLINE)?;
    let ready = start.elapsed().as_secs_f64();
    let exec = |script: &str| namespace.kubectl(["exec", "full", "--", "sh", "-c", script]);
    assert_eq!(
        exec("echo $(cat /conf/greeting /keys/password /projected/name) $PASSWORD $GREETING")?,
        "hellopassfull pass hello"
    );
    assert_eq!(namespace.kubectl(["logs", "full"])?, "started");
    let cat = namespace.kubectl_cmd(["exec", "-i", "full", "--", "cat"]);
    assert_eq!(cat.stdin("to and fro").run_ok()?, "to and fro");
    // The apiserver takes the pod's token for what it is.
    let token = exec("cat /var/run/secrets/kubernetes.io/serviceaccount/token")?;
    let review =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let create = cluster.kubectl_cmd(["create", "-o", "jsonpath={.status.user.username}", "-f", "-"]);
    assert_eq!(
        create.stdin(review.to_string()).run_ok()?,
        format!("system:serviceaccount:{}:default", namespace.name())
    );
    assert_eq!(exec("cut -d. -f3 /projected/token | grep -c .")?, "1");

    let forward = Background::start(&namespace.kubectl_cmd(["port-forward", "pod/full", ":8080"]))?;
    let port = wait_for("the port that is forwarded", POD_DEADLINE, || {
        let lines = forward.lines();
        let line = lines.first().with_context(|| forward.errors())?;
        Ok(line.split([':', ' ']).nth(3).map(str::to_owned))
    })?;
    let url = format!("http://127.0.0.1:{port}/");
    let page = cluster.node("cloud1").exec_ok(["curl", "-sS", "-m", "5", &url])?;
    assert_eq!(page, "full");

    // What is changed in the cloud reaches the running pod; the annotation makes the kubelet look at once.
    let start = Instant::now();
    namespace.apply_yaml(&config("good day"))?;
    namespace.kubectl(["annotate", "pod", "full", "look=now"])?;
    wait_for("the change in the pod's volume", POD_DEADLINE, || {
        let seen = exec("cat /conf/greeting")?;
        ensure!(seen == "good day", "the pod sees {seen}");
        Ok(Some(()))
    })?;
    let changed = start.elapsed().as_secs_f64();
    exec("touch /tmp/sick")?;
    wait_for("the liveness probe to restart it", POD_DEADLINE, || {
        Ok((namespace.restarts("full")? > 0).then_some(()))
    })?;
    say(format_args!(
        "hub online: pod with everything Ready after {ready:.1} s, a changed ConfigMap in it after {changed:.1} s"
    ));
    Ok(())
}

#[test]
fn a_deployment_rolls_out_a_job_completes_a_pod_is_deleted() -> Result<()> {
    let (cluster, node, _guard) = shared()?;
    let namespace = cluster.namespace("rollout")?;
    let start = Instant::now();
    namespace.apply_yaml(&deployment("web", node.name(), 3).to_string())?;
    let rollout = ["rollout", "status", "deployment/web", "--timeout=120s"];
    let rolled_out = || {
        namespace
            .kubectl_cmd(rollout)
            .deadline(Duration::from_secs(130))
            .run_ok()
    };
    rolled_out()?;
    let before = wait_agreed(&cluster, &node, &namespace, POD_DEADLINE)?;
    namespace.kubectl(["set", "env", "deployment/web", "VERSION=2"])?;
    rolled_out()?;
    wait_for("the old pods to be gone", POD_DEADLINE, || {
        let here = containers::running(&node, namespace.name())?;
        let old = here
            .values()
            .filter(|id| before.values().any(|before| before == *id))
            .count();
        ensure!(
            old == 0 && here.len() == 3,
            "{old} old containers, {} in all",
            here.len()
        );
        Ok(Some(()))
    })?;
    namespace.kubectl(["delete", "deployment", "web"])?;
    let mut template = pod("job").running("echo done").to_json();
    template["spec"]["restartPolicy"] = json!("Never");
    template["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": node.name()});
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"},
        "spec": {"completions": 2, "template": {"spec": template["spec"]}},
    });
    namespace.apply_yaml(&job.to_string())?;
    let complete = namespace.kubectl_cmd(["wait", "--for=condition=Complete", "job/job", "--timeout=120s"]);
    complete.deadline(Duration::from_secs(130)).run_ok()?;
    assert_eq!(namespace.kubectl(["logs", "job/job"])?, "done");
    wait_for("nothing to run", POD_DEADLINE, || {
        Ok(containers::running(&node, namespace.name())?
            .is_empty()
            .then_some(()))
    })?;
    say(format_args!(
        "hub online: rollout of 3 pods, another one, deletion and a Job of two in {:.1} s",
        start.elapsed().as_secs_f64()
    ));
    Ok(())
}

#[test]
fn the_node_stays_ready_while_thirty_pods_come_and_go() -> Result<()> {
    let (cluster, node, _guard) = shared()?;
    let namespace = cluster.namespace("load")?;
    let ready_since = || {
        let path = r#"jsonpath={.status.conditions[?(@.type=="Ready")]}"#;
        let condition = cluster.kubectl(["get", "node", node.name(), "-o", path])?;
        let condition: Value = serde_json::from_str(&condition).context("parse the node's condition")?;
        ensure!(
            condition["status"] == "True",
            "the node is not Ready: {condition}"
        );
        Ok(condition["lastTransitionTime"].clone())
    };
    let since = ready_since()?;
    let start = Instant::now();
    namespace.apply_yaml(&deployment("web", node.name(), 30).to_string())?;
    let rollout = ["rollout", "status", "deployment/web", "--timeout=240s"];
    namespace
        .kubectl_cmd(rollout)
        .deadline(Duration::from_secs(250))
        .run_ok()?;
    let up = start.elapsed().as_secs_f64();
    ensure!(
        wait_agreed(&cluster, &node, &namespace, POD_DEADLINE)?.len() == 30,
        "not 30 containers"
    );
    let start = Instant::now();
    namespace.kubectl(["delete", "deployment", "web"])?;
    wait_for("the pods to be gone", 2 * POD_DEADLINE, || {
        let pods = namespace.kubectl(["get", "pods", "-o", "name"])?;
        ensure!(pods.is_empty(), "{} pods", pods.lines().count());
        Ok(Some(()))
    })?;
    let down = start.elapsed().as_secs_f64();
    // It would have another time if it had ever been otherwise.
    assert_eq!(ready_since()?, since);
    say(format_args!(
        "hub online: 30 pods Ready after {up:.1} s, gone after {down:.1} s, node Ready all the time"
    ));
    Ok(())
}

#[test]
fn who_proves_nothing_gets_nothing() -> Result<()> {
    let (_cluster, node, _guard) = shared()?;
    for path in [
        "/",
        "/api",
        "/healthz",
        "/version",
        "/api/v1/pods",
        "/api/v1/nodes?watch=1",
        "/metrics",
        "/no/such",
    ] {
        let url = format!("{}{path}", hub::client::SERVER);
        let code = [
            "curl",
            "-sk",
            "-m",
            "10",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            &url,
        ];
        assert_eq!(node.exec_ok(code)?, "401", "{path}");
    }
    // A certificate that anybody can make, in the kubelet's name.
    let make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 \
                -subj '/O=system:nodes/CN=system:node:edge1' -keyout /dev/stdout -out /dev/stdout";
    let forged = e2e::Cmd::new("sh").args(["-c", make]).run_ok()?;
    node.push_file("/tmp/forged.pem", forged.as_bytes(), 0o600)?;
    let url = format!("{}/api/v1/pods", hub::client::SERVER);
    let cert = ["-E", "/tmp/forged.pem", "--key", "/tmp/forged.pem"];
    let curl = node.cmd(["curl", "-sk", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}"])?;
    let output = curl.args(cert).arg(&url).run()?;
    // Refused in the handshake, or as a request.
    ensure!(
        ["000", "401"].contains(&output.text().as_str()),
        "a forged certificate gets {}",
        output.text()
    );
    let kubectl = [
        "/opt/k8s/kubectl",
        "--kubeconfig=/etc/yurthub/kubelet.kubeconfig",
        "get",
        "node",
    ];
    let name = node.cmd(kubectl)?.args([node.name(), "-o", "name"]).run_ok()?;
    assert_eq!(name, format!("node/{}", node.name()));
    let (code, _) = hub::ask(&node, &format!("/api/v1/nodes/{}", node.name()), &[])?;
    assert_eq!(code, 200);
    Ok(())
}
