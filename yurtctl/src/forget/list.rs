//! Writes the list of forgotten nodes: the ConfigMap of [`yurt_common::node_certificates::forgotten`].

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta, PostParams};
use yurt_common::node_certificates::FORGOTTEN;
use yurt_common::node_certificates::forgotten::{self, Forgotten};

use crate::MANAGER;
use crate::cluster::Cluster;
use crate::objects::MANAGED_BY;

/// Two administrators may write at a time.
const TRIES: usize = 10;

/// The nodes on the list, also those that are remembered: certificates from before are refused still.
pub async fn nodes(cluster: &Cluster) -> Result<Vec<String>> {
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let found = maps.get_opt(FORGOTTEN).await;
    let found = found.with_context(|| format!("read ConfigMap {}/{FORGOTTEN}", cluster.namespace))?;
    let data = found.and_then(|map| map.data).unwrap_or_default();
    Ok(data.into_keys().collect())
}

/// Puts a node on the list, where it is not there.
pub(super) async fn forget(cluster: &Cluster, node: &str) -> Result<()> {
    change(cluster, |data, now| added(data, node, now))
        .await
        .map(|_| ())
}

/// Takes it off. Returns whether it was there.
pub(super) async fn remember(cluster: &Cluster, node: &str) -> Result<bool> {
    change(cluster, |data, now| Ok(removed(data, node, now))).await
}

/// The list with a node; `None`: as it is (pure).
fn added(
    data: &BTreeMap<String, String>,
    node: &str,
    now: SystemTime,
) -> Result<Option<BTreeMap<String, String>>> {
    if Forgotten::of(data).is_out(node) {
        return Ok(None);
    }
    let mut data = without_outdated(data, now);
    if data.len() >= forgotten::MOST && !data.contains_key(node) {
        bail!(
            "ConfigMap {FORGOTTEN} has {} nodes, which is the most: take those off with `yurtctl node remember` whose \
             kubelets' certificates have ended",
            data.len()
        );
    }
    data.insert(node.to_owned(), forgotten::forgotten(now));
    Ok(Some(data))
}

/// The list after a node was remembered; `None`: as it is (pure).
fn removed(data: &BTreeMap<String, String>, node: &str, now: SystemTime) -> Option<BTreeMap<String, String>> {
    let value = forgotten::remembered(data.get(node)?, now)?;
    let mut data = without_outdated(data, now);
    data.insert(node.to_owned(), value);
    Some(data)
}

fn without_outdated(data: &BTreeMap<String, String>, now: SystemTime) -> BTreeMap<String, String> {
    let mut data = data.clone();
    for node in forgotten::outdated(&data, now) {
        data.remove(&node);
    }
    data
}

/// Reads, changes and writes by the version that was read. Returns whether anything was written.
async fn change(
    cluster: &Cluster,
    of: impl Fn(&BTreeMap<String, String>, SystemTime) -> Result<Option<BTreeMap<String, String>>>,
) -> Result<bool> {
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let at = || format!("write ConfigMap {}/{FORGOTTEN}", cluster.namespace);
    for _ in 0..TRIES {
        let found = maps.get_opt(FORGOTTEN).await.with_context(at)?;
        let before = found
            .as_ref()
            .and_then(|map| map.data.clone())
            .unwrap_or_default();
        let Some(data) = of(&before, SystemTime::now())? else {
            return Ok(false);
        };
        let map = ConfigMap {
            data: Some(data),
            ..found.clone().unwrap_or_else(empty)
        };
        let written = match found {
            Some(_) => maps.replace(FORGOTTEN, &PostParams::default(), &map).await,
            None => maps.create(&PostParams::default(), &map).await,
        };
        match written {
            Ok(_) => return Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error).with_context(at),
        }
    }
    bail!("{}: somebody else writes it all the time; run this again", at())
}

fn empty() -> ConfigMap {
    let labels = [
        ("app.kubernetes.io/name", "yurt"),
        ("app.kubernetes.io/part-of", "yurt"),
        (MANAGED_BY, MANAGER),
    ];
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(FORGOTTEN.to_owned()),
            labels: Some(
                labels
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
            ),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(days: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(24 * days)
    }

    #[test]
    fn a_node_comes_and_goes_and_the_first_time_counts() {
        let first = added(&BTreeMap::new(), "edge1", at(1)).unwrap().unwrap();
        assert_eq!(added(&first, "edge1", at(2)).unwrap(), None);
        assert_eq!(removed(&first, "edge2", at(2)), None);
        let back = removed(&first, "edge1", at(3)).unwrap();
        assert_eq!(
            back["edge1"],
            "1970-01-02T00:00:00Z remembered 1970-01-04T00:00:00Z"
        );
        assert_eq!(removed(&back, "edge1", at(4)), None);
        let again = added(&back, "edge1", at(5)).unwrap().unwrap();
        assert_eq!(again["edge1"], "1970-01-06T00:00:00Z");
        // Who was remembered long ago leaves with the next change.
        let later = added(&back, "edge2", at(30)).unwrap().unwrap();
        assert_eq!(later.into_keys().collect::<Vec<_>>(), ["edge2"]);
    }

    #[test]
    fn the_list_has_an_end() {
        let full = (0..forgotten::MOST).map(|number| (format!("edge{number}"), forgotten::forgotten(at(1))));
        let full: BTreeMap<_, _> = full.collect();
        assert!(added(&full, "one-more", at(2)).is_err());
        assert_eq!(added(&full, "edge7", at(2)).unwrap(), None);
        let room = removed(&full, "edge7", at(2)).unwrap();
        assert!(added(&room, "edge7", at(3)).unwrap().is_some());
    }
}
