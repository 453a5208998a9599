//! Objects for tests, written as one would say them: `pod("web").on("edge1")`.
//!
//! A test states only what matters to it. Invariant: every image named here is on every node; nothing is ever pulled.

use serde_json::{Value, json};

/// The image that all test pods use: busybox.
pub const BUSYBOX: &str = "testbed.local/busybox:1";

/// A pod called `name` that serves its own name over HTTP at port 8080 and says so in its log.
pub fn pod(name: &str) -> Pod {
    let serve =
        "echo started; mkdir -p /tmp/www; hostname >/tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www";
    Pod {
        name: name.to_owned(),
        node: None,
        command: vec!["sh".into(), "-c".into(), serve.into()],
        grace: 1,
    }
}

/// A pod to be.
#[derive(Clone, Debug)]
pub struct Pod {
    name: String,
    node: Option<String>,
    command: Vec<String>,
    grace: u32,
}

impl Pod {
    /// Puts it on `node`, past the scheduler.
    #[must_use]
    pub fn on(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// What its container runs.
    #[must_use]
    pub fn running(mut self, script: &str) -> Self {
        self.command = vec!["sh".into(), "-c".into(), script.into()];
        self
    }

    /// How many seconds it gets to end; 1 by default.
    #[must_use]
    pub fn grace_seconds(mut self, seconds: u32) -> Self {
        self.grace = seconds;
        self
    }

    /// The object for the apiserver. It tolerates every taint and has the label `app` with its name.
    pub fn to_json(&self) -> Value {
        let Self {
            name,
            node,
            command,
            grace,
        } = self;
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "terminationGracePeriodSeconds": grace,
                "tolerations": [{"operator": "Exists"}],
                "containers": [{"name": "main", "image": BUSYBOX, "imagePullPolicy": "Never", "command": command}],
            },
        });
        if let Some(node) = node {
            pod["spec"]["nodeName"] = json!(node);
        }
        pod
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_what_was_said() {
        let object = pod("web").on("edge1").running("sleep 5").to_json();
        assert_eq!(object["metadata"]["labels"]["app"], "web");
        assert_eq!(object["spec"]["nodeName"], "edge1");
        assert_eq!(
            object["spec"]["containers"][0]["command"],
            json!(["sh", "-c", "sleep 5"])
        );
        assert_eq!(pod("free").to_json()["spec"].get("nodeName"), None);
    }
}
