//! A cluster that runs, as its administrator sees it.
//!
//! Holds no process and no connection: two [`Cluster`]s of one instance are the same. Dropping one changes nothing.

use std::ffi::OsStr;

use anyhow::{Context, Result};

use crate::command::{Cmd, CommandError};
use crate::instance::{Instance, Profile};
use crate::namespace::Namespace;
use crate::node::Node;
use crate::up;

/// A cluster that runs.
#[derive(Clone, Debug)]
pub struct Cluster {
    instance: Instance,
}

impl Cluster {
    pub(crate) fn new(instance: Instance) -> Self {
        Self { instance }
    }

    /// The cluster that all tests of `profile` share: brought up by the first one who asks, and left running.
    ///
    /// # Errors
    /// See [`up::attach_or_up`].
    pub fn attach_or_up(profile: Profile) -> Result<Self> {
        up::attach_or_up(profile)
    }

    /// Its name, folders and version.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// The node `name`, whether it runs or not.
    pub fn node(&self, name: &str) -> Node {
        Node::new(&self.instance, name)
    }

    /// All its nodes.
    pub fn nodes(&self) -> Vec<Node> {
        self.instance.nodes().iter().map(|name| self.node(name)).collect()
    }

    /// kubectl as admin, in cloud1's network: to be given stdin or a deadline.
    pub fn kubectl_cmd(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Cmd {
        self.as_admin("kubectl").args(args)
    }

    /// Runs kubectl as admin; returns what it prints.
    ///
    /// # Errors
    /// When it fails or hangs.
    pub fn kubectl(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<String, CommandError> {
        self.kubectl_cmd(args).run_ok()
    }

    /// Helm as admin, in cloud1's network: to be given stdin or a deadline. What it keeps goes with the cluster.
    pub fn helm_cmd(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Cmd {
        let home = self.instance.state().join("helm");
        ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"]
            .iter()
            .fold(self.as_admin("helm").args(args), |cmd, name| cmd.env(name, &home))
    }

    /// Runs Helm as admin; returns what it prints.
    ///
    /// # Errors
    /// When it fails or hangs.
    pub fn helm(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<String, CommandError> {
        self.helm_cmd(args).run_ok()
    }

    /// `program` of the cluster's binaries, with the admin's kubeconfig, where the apiserver can be reached.
    fn as_admin(&self, program: &str) -> Cmd {
        self.in_cloud(&self.instance.binaries().join(program))
    }

    /// `program` with the admin's kubeconfig, where the apiserver can be reached.
    pub fn in_cloud(&self, program: &std::path::Path) -> Cmd {
        Cmd::new("ip")
            .args(["netns", "exec", &self.instance.namespace("cloud1")])
            .arg(program)
            .env("KUBECONFIG", self.instance.kubeconfig())
    }

    /// `kubectl get ARGS -o json`, parsed.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn get_json(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<serde_json::Value> {
        let text = self.kubectl_cmd(["get", "-o", "json"]).args(args).run_ok()?;
        serde_json::from_str(&text).context("parse what kubectl printed")
    }

    /// `kubectl apply` of YAML (or JSON), one or more documents.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn apply_yaml(&self, yaml: &str) -> Result<String, CommandError> {
        self.kubectl_cmd(["apply", "-f", "-"]).stdin(yaml).run_ok()
    }

    /// A new namespace for one test; it is deleted when it is dropped.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn namespace(&self, name: &str) -> Result<Namespace> {
        Namespace::create(self, name)
    }
}
