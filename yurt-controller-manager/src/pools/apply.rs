//! Reads and writes the ConfigMaps of pools.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tracing::{debug, warn};
use yurt_common::pool::{KEY, KIND_LABEL, LABEL};

use crate::MANAGER;
use crate::failure::{self, Failure};
use crate::metrics::ControllerMetrics;
use crate::pace::Pace;

/// What one of them is, as its label has it, in the order of [`yurt_common::pool::config_maps`].
pub const WHAT: [&str; 2] = ["members", "silence"];
/// Objects in a page of a list: each may have most of a megabyte.
const PAGE: u32 = 10;

/// What reads and writes.
pub struct Writer {
    /// To the apiserver.
    pub client: Client,
    /// Where ConfigMaps are.
    pub namespace: String,
    /// Tells of it.
    pub recorder: Recorder,
    /// How fast it may.
    pub pace: Pace,
    /// Counts it.
    pub metrics: ControllerMetrics,
}

/// The content of ConfigMaps that are there, by the name of the object.
pub type Found = HashMap<String, Option<String>>;

impl Writer {
    fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Lists those that are there, and the pools that they are of.
    pub async fn list(&self) -> Result<(Found, Vec<Arc<str>>), Failure> {
        let (mut found, mut pools) = (Found::new(), Vec::new());
        let mut page = ListParams::default().labels(KIND_LABEL).limit(PAGE);
        loop {
            let list = self.config_maps().list(&page).await;
            let list = list.map_err(|error| failure::of(error).unwrap_or(Failure::Conflict))?;
            for object in list.items {
                pools.extend(object.labels().get(LABEL).map(|pool| pool.as_str().into()));
                let content = object.data.as_ref().and_then(|data| data.get(KEY)).cloned();
                found.insert(object.name_any(), content);
            }
            match list.metadata.continue_.filter(|more| !more.is_empty()) {
                Some(more) => page.continue_token = Some(more),
                None => break,
            }
        }
        pools.sort_unstable();
        pools.dedup();
        Ok((found, pools))
    }

    /// Writes one of a pool's.
    pub async fn write(&self, pool: &str, name: &str, what: &'static str, text: &str) -> Result<(), Failure> {
        self.pace.wait().await?;
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {KIND_LABEL: what, LABEL: pool}},
            "data": {KEY: text},
        });
        let params = PatchParams::apply(MANAGER).force();
        let written = self
            .config_maps()
            .patch_metadata(name, &params, &Patch::Apply(&object))
            .await;
        match written {
            Ok(_) => {
                self.metrics.count_write(what);
                debug!(pool, what, bytes = text.len(), "pool written");
                Ok(())
            }
            // What is created cannot be missing, but its namespace.
            Err(error) => {
                let missing = || Failure::Refused(format!("the namespace {} is not there", self.namespace));
                Err(failure::of(error).unwrap_or_else(missing))
            }
        }
    }

    /// Takes one away.
    pub async fn remove(&self, name: &str) -> Result<(), Failure> {
        self.pace.wait().await?;
        match self.config_maps().delete(name, &DeleteParams::default()).await {
            Ok(_) => {
                self.metrics.count_write("removed");
                Ok(())
            }
            Err(error) => failure::of(error).map_or(Ok(()), Err),
        }
    }

    /// Says that a pool does not fit.
    pub async fn complain(&self, pool: &str, name: &str, nodes: usize) {
        let note = format!(
            "the pool {pool} does not fit into an object: {nodes} of its nodes are as if they took no part; make smaller pools"
        );
        warn!(pool, nodes, note, "a pool is too large");
        let event = Event {
            type_: EventType::Warning,
            reason: "PoolTooLarge".to_owned(),
            note: Some(note),
            action: "Write".to_owned(),
            secondary: None,
        };
        let reference = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("ConfigMap".to_owned()),
            namespace: Some(self.namespace.clone()),
            name: Some(name.to_owned()),
            ..ObjectReference::default()
        };
        if let Err(error) = self.recorder.publish(&event, &reference).await {
            debug!(%error, "no event");
        }
    }
}
