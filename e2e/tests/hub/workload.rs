//! What runs on a node while it is converted: pods of every kind, and clients that count what they lose.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e::{Background, Cluster, Namespace, Node, wait_for};
use serde_json::{Value, json};

use crate::setup::{POD_DEADLINE, deployment};

/// Where the kubelet finds the static pod.
const STATIC_POD: &str = "/etc/kubernetes/manifests/conversion-test.json";
/// The pod that lists the pods of its namespace; busybox speaks no TLS that verifies, so the node asks in its place.
const LISTER: &str = "lister";

/// Everything that runs on one node beside its conversion. Goes with this value.
pub(crate) struct Workload<'a> {
    node: &'a Node,
    namespace: Namespace,
    service: String,
}

/// A client in the node's network that asks a Service, and a pod that lists pods.
pub(crate) struct Clients {
    client: Background,
    lister: Background,
}

impl<'a> Workload<'a> {
    /// Puts it on `node`; it need not run yet.
    pub(crate) fn place(cluster: &Cluster, node: &'a Node) -> Result<Self> {
        let namespace = cluster.namespace("conversion")?;
        namespace.apply_yaml(&objects(&namespace, node))?;
        let pods = [e2e::pod("client"), e2e::pod(LISTER)];
        namespace.apply(pods.map(|pod| pod.on(node.name())))?;
        let service = namespace.kubectl(["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"])?;
        let placed = Self {
            node,
            namespace,
            service,
        };
        placed.place_static_pod()?;
        Ok(placed)
    }

    fn place_static_pod(&self) -> Result<()> {
        // A static pod has no account, and its manifest no taints to tolerate.
        let mut fixed = e2e::pod("static").to_json();
        fixed["metadata"]["namespace"] = self.namespace.name().into();
        if let Some(spec) = fixed["spec"].as_object_mut() {
            spec.remove("tolerations");
        }
        self.node
            .push_file(STATIC_POD, fixed.to_string().as_bytes(), 0o644)
    }

    /// Until all of it runs.
    pub(crate) fn wait_running(&self) -> Result<()> {
        wait_for("the static pod to be known", POD_DEADLINE, || {
            self.namespace.pod(&format!("static-{}", self.node.name()))?;
            Ok(Some(()))
        })?;
        let wait = ["wait", "--for=condition=Ready", "pod", "--all", "--timeout=120s"];
        self.namespace.kubectl(wait)?;
        Ok(())
    }

    /// Where it is.
    pub(crate) const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Begins to ask for it.
    pub(crate) fn clients(&self) -> Result<Clients> {
        Ok(Clients {
            client: self.client()?,
            lister: self.lister()?,
        })
    }

    /// A Deployment that is made while the node is converted.
    pub(crate) fn be_born_late(&self) -> Result<()> {
        self.namespace
            .apply_yaml(&deployment("late", self.node.name(), 1).to_string())?;
        let wait = ["rollout", "status", "deployment/late", "--timeout=120s"];
        self.namespace
            .kubectl(wait)
            .context("wait for the late Deployment")?;
        Ok(())
    }

    /// Until the node's kube-proxy has heard of a Service that is new.
    pub(crate) fn wait_followed(&self) -> Result<()> {
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
            let answer = self.node.exec(["curl", "-s", "-m", "2", &url])?;
            Ok(answer.status.success().then_some(()))
        })
    }

    /// Lists the pods of the namespace every second as the pod [`LISTER`] would: with its token, the CA that it trusts, and
    /// the address that it was born with.
    fn lister(&self) -> Result<Background> {
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
        Background::start(&self.node.cmd(["sh", "-c", &script])?)
    }

    /// A client in the node's network that asks the Service every 50 ms and says what it lost.
    fn client(&self) -> Result<Background> {
        let script = format!(
            "while sleep 0.05; do curl -s -o /dev/null -m 2 http://{}/ && echo ok || echo LOST; done",
            self.service
        );
        Background::start(&self.node.cmd(["sh", "-c", &script])?)
    }

    /// Started containers from before the conversion and when: id and start by `pod/container`.
    pub(crate) fn born(&self) -> Result<BTreeMap<String, String>> {
        let pods: Value = serde_json::from_str(&self.namespace.kubectl(["get", "pods", "-o", "json"])?)?;
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

    /// Where the late Deployment finds the API, by the environment that it was born with.
    pub(crate) fn api_of_late(&self) -> Result<String> {
        let exec = [
            "exec",
            "deployment/late",
            "--",
            "sh",
            "-c",
            "echo $KUBERNETES_SERVICE_HOST",
        ];
        Ok(self.namespace.kubectl(exec)?.trim().to_owned())
    }
}

impl Drop for Workload<'_> {
    fn drop(&mut self) {
        // Who takes the node next wants it without; the rest goes with its namespace.
        let _ = self.node.exec(["rm", "-f", STATIC_POD]);
    }
}

impl Clients {
    /// Ends them. How many requests and how many lists were answered: none was lost.
    pub(crate) fn end(self) -> Result<(usize, usize)> {
        let (answered, listed) = (heard(&self.client), heard(&self.lister));
        ensure!(
            answered.1 == 0 && answered.0 > 100,
            "answers and losses: {answered:?}"
        );
        ensure!(listed.1 == 0 && listed.0 > 5, "lists and losses: {listed:?}");
        Ok((answered.0, listed.0))
    }
}

/// How many requests were answered, and how many lost.
fn heard(client: &Background) -> (usize, usize) {
    let lines = client.lines();
    let count = |word| lines.iter().filter(|line| *line == word).count();
    (count("ok"), count("LOST"))
}

/// What the apiserver is told of it, but for bare pods.
fn objects(namespace: &Namespace, node: &Node) -> String {
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
    objects.map(|object| object.to_string()).join("\n---\n")
}
