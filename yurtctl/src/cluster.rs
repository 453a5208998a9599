//! The cluster: a client, and what of ours is in it.

mod hub_config;
mod lock;
mod rights;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

pub use hub_config::HubConfig;
pub use lock::{Hold, Lock};
pub use rights::{Purpose, Right, needed};

use crate::args::ClusterArgs;

/// A page of a list; large clusters are read in pages.
const PAGE: u32 = 500;

/// A cluster that answers.
#[derive(Clone)]
pub struct Cluster {
    /// To the apiserver.
    pub client: Client,
    /// Where our objects are.
    pub namespace: String,
    hold: Option<Hold>,
}

impl Cluster {
    /// Through `client`, with our objects in `namespace`.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            hold: None,
        }
    }

    /// The same cluster, to be changed only while `lock` is held.
    #[must_use]
    pub fn under(&self, lock: &Lock) -> Self {
        Self {
            hold: Some(lock.hold()),
            ..self.clone()
        }
    }

    /// Asked before each change: an error where the lock was lost.
    pub async fn may_change(&self) -> Result<()> {
        match &self.hold {
            Some(hold) => hold.check().await,
            None => Ok(()),
        }
    }

    /// Connects as kubectl does.
    pub async fn connect(args: &ClusterArgs) -> Result<Self> {
        let options = KubeConfigOptions {
            context: args.context.clone(),
            ..KubeConfigOptions::default()
        };
        let config = match &args.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path)
                    .with_context(|| format!("read the kubeconfig `{}`", path.display()))?;
                Config::from_custom_kubeconfig(file, &options).await?
            }
            None if args.context.is_some() => Config::from_kubeconfig(&options).await?,
            None => Config::infer()
                .await
                .context("find the cluster: give --kubeconfig, or set KUBECONFIG, as for kubectl")?,
        };
        let client = Client::try_from(config).context("make a client of the kubeconfig")?;
        Ok(Self::new(client, &args.namespace))
    }

    /// All nodes.
    pub async fn nodes(&self) -> Result<Vec<Node>> {
        list(&Api::all(self.client.clone()), &ListParams::default(), "nodes").await
    }

    /// The pods of a node, or of all.
    pub async fn pods(&self, node: Option<&str>) -> Result<Vec<Pod>> {
        let params = match node {
            Some(node) => ListParams::default().fields(&format!("spec.nodeName={node}")),
            None => ListParams::default(),
        };
        list(&Api::all(self.client.clone()), &params, "pods").await
    }

    /// How a node is now.
    pub async fn node(&self, name: &str) -> Result<Option<Node>> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes
            .get_opt(name)
            .await
            .with_context(|| format!("read node `{name}`"))
    }

    /// Sets labels and annotations of a node; `None` takes one away.
    pub async fn mark_node(
        &self,
        name: &str,
        labels: &BTreeMap<&str, Option<String>>,
        annotations: &BTreeMap<&str, Option<String>>,
    ) -> Result<()> {
        self.may_change().await?;
        let patch = serde_json::json!({"metadata": {"labels": labels, "annotations": annotations}});
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes
            .patch_metadata(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .with_context(|| format!("label node `{name}`"))?;
        Ok(())
    }

    /// Takes conditions of these types from a node.
    pub async fn clear_conditions(&self, name: &str, types: &[&str]) -> Result<()> {
        self.may_change().await?;
        let gone = types
            .iter()
            .map(|kind| serde_json::json!({"type": kind, "$patch": "delete"}));
        let patch = serde_json::json!({"status": {"conditions": gone.collect::<Vec<_>>()}});
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes
            .patch_status(name, &PatchParams::default(), &Patch::Strategic(&patch))
            .await
            .with_context(|| format!("take conditions of ours from node `{name}`"))?;
        Ok(())
    }

    /// The cluster's version, such as `v1.34.4`.
    pub async fn version(&self) -> Result<String> {
        let info = self
            .client
            .apiserver_version()
            .await
            .context("ask the apiserver for its version")?;
        Ok(info.git_version)
    }
}

/// A whole list, page by page.
pub async fn list<T>(api: &Api<T>, params: &ListParams, what: &str) -> Result<Vec<T>>
where
    T: Clone + std::fmt::Debug + for<'a> serde::Deserialize<'a>,
{
    let mut found = Vec::new();
    let mut params = params.clone().limit(PAGE);
    loop {
        let page = api.list(&params).await.with_context(|| format!("list {what}"))?;
        let token = page.metadata.continue_.clone().filter(|token| !token.is_empty());
        found.extend(page.items);
        match token {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}

/// Whether an error says that the object is not the one that was meant, or not as it was seen.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// Whether an error says that there is no such object.
pub fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
