//! ConfigMap `yurt-hub-cfg`: what all nodes get, and from which image.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Api;
use serde_json::{Map, Value};

use super::{Cluster, is_missing};

const NAME: &str = "yurt-hub-cfg";
const DEFAULT_PODS_ADDRESS: &str = "169.254.2.1:10268";

/// The site's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubConfig {
    /// Settings of yurthub, as YAML.
    pub settings: String,
    /// Image of the pods on nodes, which yurthub is copied from.
    pub image: String,
    /// Its pull policy.
    pub pull_policy: String,
    /// Secrets for pulling it.
    pub pull_secrets: Vec<String>,
}

impl HubConfig {
    /// As the cluster has it; `None` where nothing of ours is installed.
    pub async fn read(cluster: &Cluster) -> Result<Option<Self>> {
        let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        match maps.get(NAME).await {
            Ok(map) => Ok(Some(Self::of(&map.data.unwrap_or_default()))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read ConfigMap {}/{NAME}", cluster.namespace)),
        }
    }

    /// From the ConfigMap's data.
    pub fn of(data: &BTreeMap<String, String>) -> Self {
        let get = |key: &str| {
            data.get(key)
                .map(|value| value.trim().to_owned())
                .unwrap_or_default()
        };
        let policy = get("imagePullPolicy");
        Self {
            settings: get("config.yaml"),
            image: get("image"),
            pull_policy: if policy.is_empty() {
                "IfNotPresent".to_owned()
            } else {
                policy
            },
            pull_secrets: get("imagePullSecrets")
                .split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
        }
    }

    /// Where pods are served; an address that nobody has where they are not.
    pub fn pods_address(&self) -> Result<String> {
        let settings = self.parsed()?;
        Ok(settings
            .get("listenPods")
            .and_then(Value::as_str)
            .unwrap_or(DEFAULT_PODS_ADDRESS)
            .to_owned())
    }

    /// Which version the programs in the image have, as far as its name tells: its tag, or the beginning of its digest.
    pub fn image_version(&self) -> String {
        if let Some((_, digest)) = self.image.split_once('@') {
            return digest.chars().take("sha256:".len() + 12).collect();
        }
        let last = self.image.rsplit('/').next().unwrap_or_default();
        last.split_once(':').map_or("latest", |(_, tag)| tag).to_owned()
    }

    /// The same settings, with no pod led to yurthub any more. Those that were still trust it: its CA goes last.
    pub fn leading_nobody(&self) -> Result<String> {
        let mut settings = self.parsed()?;
        settings.insert("filters".to_owned(), Value::from(vec!["trust_bundle"]));
        serde_yaml::to_string(&settings).context("write yurthub's settings without filters")
    }

    fn parsed(&self) -> Result<Map<String, Value>> {
        if self.settings.is_empty() {
            return Ok(Map::new());
        }
        serde_yaml::from_str(&self.settings)
            .with_context(|| format!("parse key config.yaml of ConfigMap {NAME}: it is no map of settings"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(settings: &str) -> HubConfig {
        let data = [
            ("config.yaml", settings),
            ("image", "yurt:1"),
            ("imagePullSecrets", "a, b"),
        ];
        HubConfig::of(&data.map(|(key, value)| (key.to_owned(), value.to_owned())).into())
    }

    #[test]
    fn only_the_trust_of_pods_stays_among_the_filters() {
        let config = of("listenPods: 169.254.9.9:1\nfilters: [trust_bundle]\nlog: debug\n");
        let without: Value = serde_yaml::from_str(&config.leading_nobody().unwrap()).unwrap();
        let wanted =
            serde_json::json!({"listenPods": "169.254.9.9:1", "filters": ["trust_bundle"], "log": "debug"});
        assert_eq!(without, wanted);
        assert_eq!(config.pods_address().unwrap(), "169.254.9.9:1");
        assert_eq!(config.pull_secrets, ["a", "b"]);
        assert_eq!(config.pull_policy, "IfNotPresent");
    }

    #[test]
    fn programs_have_the_version_of_their_image() {
        for (image, version) in [
            ("yurt:0.2.0", "0.2.0"),
            ("registry.example:5000/edge/yurt:0.1.0", "0.1.0"),
            ("registry.example:5000/edge/yurt", "latest"),
            ("yurt:0.1.0@sha256:0123456789abcdef", "sha256:0123456789ab"),
        ] {
            let config = HubConfig {
                image: image.to_owned(),
                ..of("")
            };
            assert_eq!(config.image_version(), version);
        }
    }

    #[test]
    fn settings_that_are_no_map_are_told() {
        assert!(
            of("- one")
                .pods_address()
                .unwrap_err()
                .to_string()
                .contains("config.yaml")
        );
        assert_eq!(of("").pods_address().unwrap(), DEFAULT_PODS_ADDRESS);
    }
}
