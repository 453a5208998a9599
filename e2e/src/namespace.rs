//! A Kubernetes namespace of one test, and questions about what runs in it.
//!
//! Invariant: its name is new in the cluster, and it is deleted when it is dropped, also when the test panics (nobody
//! waits for that).

use std::ffi::OsStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::command::{Cmd, CommandError};
use crate::objects::Pod;
use crate::progress::say;
use crate::wait::wait_for;

/// The controller that makes service accounts has its own pace.
const ACCOUNT_DEADLINE: Duration = Duration::from_mins(1);

/// A namespace that lives as long as this value.
#[derive(Debug)]
pub struct Namespace {
    cluster: Cluster,
    name: String,
}

impl Namespace {
    pub(crate) fn create(cluster: &Cluster, name: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}-{}-{number}", std::process::id());
        cluster.kubectl(["create", "namespace", &name])?;
        let namespace = Self {
            cluster: cluster.clone(),
            name,
        };
        // Pods are refused before their service account exists.
        wait_for("the default service account", ACCOUNT_DEADLINE, || {
            namespace.kubectl(["get", "serviceaccount", "default"])?;
            Ok(Some(()))
        })?;
        Ok(namespace)
    }

    /// The cluster that it is in.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// kubectl in this namespace.
    pub fn kubectl_cmd(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Cmd {
        self.cluster.kubectl_cmd(["--namespace", &self.name]).args(args)
    }

    /// Runs kubectl in this namespace; returns what it prints.
    ///
    /// # Errors
    /// When it fails or hangs.
    pub fn kubectl(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<String, CommandError> {
        self.kubectl_cmd(args).run_ok()
    }

    /// Applies YAML (or JSON) in this namespace.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn apply_yaml(&self, yaml: &str) -> Result<String, CommandError> {
        self.kubectl_cmd(["apply", "-f", "-"]).stdin(yaml).run_ok()
    }

    /// Creates pods.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn apply(&self, pods: impl IntoIterator<Item = Pod>) -> Result<()> {
        let documents: Vec<_> = pods.into_iter().map(|pod| pod.to_json().to_string()).collect();
        self.apply_yaml(&documents.join("\n---\n"))?;
        Ok(())
    }

    /// Waits until `pod` is Ready.
    ///
    /// # Errors
    /// When it is not by then, with what the namespace's events say.
    pub fn wait_ready(&self, pod: &str, deadline: Duration) -> Result<()> {
        let timeout = format!("--timeout={}s", deadline.as_secs());
        let wait = self.kubectl_cmd(["wait", "--for=condition=Ready", &format!("pod/{pod}"), &timeout]);
        let waited = wait.deadline(deadline + Duration::from_secs(10)).run_ok();
        waited.with_context(|| {
            format!(
                "wait for pod {pod}; events:\n{}",
                self.events().unwrap_or_default()
            )
        })?;
        Ok(())
    }

    /// `pod` as the apiserver has it.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn pod(&self, pod: &str) -> Result<Value> {
        self.cluster.get_json(["--namespace", &self.name, "pod", pod])
    }

    /// How often the first container of `pod` was restarted.
    ///
    /// # Errors
    /// When kubectl fails, or the pod has no container status yet.
    pub fn restarts(&self, pod: &str) -> Result<u64> {
        let status = self.pod(pod)?;
        match status["status"]["containerStatuses"][0]["restartCount"].as_u64() {
            Some(count) => Ok(count),
            None => bail!("pod {pod} has no container status yet"),
        }
    }

    /// The first IP of `pod`.
    ///
    /// # Errors
    /// When kubectl fails, or the pod has none yet.
    pub fn pod_ip(&self, pod: &str) -> Result<String> {
        let object = self.pod(pod)?;
        let ip = object["status"]["podIP"]
            .as_str()
            .with_context(|| format!("pod {pod} has no IP yet"))?;
        Ok(ip.to_owned())
    }

    /// The namespace's events, oldest first, as kubectl prints them.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn events(&self) -> Result<String, CommandError> {
        self.kubectl(["get", "events", "--sort-by=.lastTimestamp"])
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = self
            .cluster
            .kubectl(["delete", "namespace", &self.name, "--wait=false"])
        {
            say(format_args!("cannot delete the namespace {}: {error}", self.name));
        }
    }
}
