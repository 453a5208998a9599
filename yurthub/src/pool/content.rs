//! What is in the objects that tell of a pool. Pure; bytes of any kind give a value or an error.

use std::net::IpAddr;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use yurt_common::pool::{KEY, LABEL, Members, PEER, Silence, VOTES};
use yurthub_object::{Encoding, Malformed, meta};

use crate::reality::neighbours::address;

/// Largest ConfigMap that is read: as much as the apiserver takes (`MaxSecretSize` in `k8s.io/api/core/v1/types.go`, for
/// both kinds).
const LARGEST: usize = (1 << 20) + (64 << 10);

/// Why an object says nothing.
#[derive(Debug, Error)]
pub(super) enum Unreadable {
    /// It is no such object.
    #[error(transparent)]
    Object(#[from] Malformed),
    /// It is no JSON, or has other fields.
    #[error("failed to parse it")]
    Json(#[from] serde_json::Error),
    /// Nothing is under the key.
    #[error("it has no `{KEY}`")]
    Empty,
    /// Too much to be read.
    #[error("it has {0} bytes; at most {LARGEST} are read")]
    TooLarge(usize),
    /// Somebody else's.
    #[error("it is of the pool `{0}`")]
    OtherPool(String),
}

/// What this node's own Node says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnNode {
    /// The pool that its label names.
    pub pool: Option<String>,
    /// Its first `InternalIP`.
    pub address: Option<IpAddr>,
    /// Its annotation [`PEER`].
    pub peer: Option<String>,
    /// Its annotation [`VOTES`].
    pub votes: Option<String>,
}

pub(super) fn own_node(encoding: Encoding, item: &Bytes) -> Result<OwnNode, Unreadable> {
    let pool = meta::labels(encoding, item)?.remove(LABEL);
    Ok(OwnNode {
        pool: pool.filter(|pool| !pool.is_empty()),
        address: match encoding {
            Encoding::Protobuf => address::of_kubelet(item)?.map(|address| address.ip()),
            Encoding::Json => serde_json::from_slice::<Node>(item)?.internal_ip(),
        },
        peer: meta::annotation(encoding, item, PEER)?,
        votes: meta::annotation(encoding, item, VOTES)?,
    })
}

/// Of a Node in JSON what is needed.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Node {
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    addresses: Vec<Address>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Address {
    r#type: String,
    address: String,
}

impl Node {
    fn internal_ip(&self) -> Option<IpAddr> {
        let addresses = self.status.addresses.iter();
        let mut internal = addresses.filter(|address| address.r#type == "InternalIP");
        internal.find_map(|address| address.address.parse().ok())
    }
}

/// What is said of one pool.
pub(super) trait OfPool {
    /// Which one.
    fn pool(&self) -> &str;
}

impl OfPool for Members {
    fn pool(&self) -> &str {
        &self.pool
    }
}

impl OfPool for Silence {
    fn pool(&self) -> &str {
        &self.pool
    }
}

/// Of a ConfigMap what is needed.
#[derive(Deserialize)]
struct ConfigMap {
    #[serde(default)]
    data: std::collections::BTreeMap<String, String>,
}

/// What a ConfigMap in JSON says of `pool`.
pub(super) fn config_map<T: OfPool + DeserializeOwned>(item: &Bytes, pool: &str) -> Result<T, Unreadable> {
    if item.len() > LARGEST {
        return Err(Unreadable::TooLarge(item.len()));
    }
    let map: ConfigMap = serde_json::from_slice(item)?;
    let content: T = serde_json::from_str(map.data.get(KEY).ok_or(Unreadable::Empty)?)?;
    if content.pool() == pool {
        Ok(content)
    } else {
        Err(Unreadable::OtherPool(content.pool().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(content: &str) -> Bytes {
        let map = json!({"metadata": {"name": "m"}, "data": {KEY: content}});
        map.to_string().into()
    }

    #[test]
    fn a_config_map_says_who_is_in_the_pool_or_why_not() {
        let good = r#"{"pool":"p","members":{"edge1":"10.0.0.1:10269"}}"#;
        let members: Members = config_map(&map(good), "p").unwrap();
        assert_eq!(members.members["edge1"].port(), 10269);
        for (item, expected) in [
            (map(&good.replace(r#""p""#, r#""q""#)), "it is of the pool `q`"),
            (map("{}"), "failed to parse it"),
            (
                map(r#"{"pool":"p","members":{"edge1":"nowhere"}}"#),
                "failed to parse it",
            ),
            (Bytes::from_static(br#"{"data":{}}"#), "it has no `pool.json`"),
            (Bytes::from_static(br#"{"data":7}"#), "failed to parse it"),
            (Bytes::from_static(b"\xff"), "failed to parse it"),
            (
                vec![b' '; LARGEST + 1].into(),
                "it has 1114113 bytes; at most 1114112 are read",
            ),
        ] {
            let error = config_map::<Members>(&item, "p").unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        // What a later manager says beside it is no hindrance.
        let more = r#"{"pool":"p","silent":{"edge1":{"since":"s","endpoints":"kept","new":1}},"more":2}"#;
        assert_eq!(config_map::<Silence>(&map(more), "p").unwrap().silent.len(), 1);
    }

    #[test]
    fn the_own_node_names_pool_address_and_what_was_said_before() {
        let node = json!({
            "metadata": {"name": "edge1", "labels": {LABEL: "p"}, "annotations": {PEER: "10.0.0.1:10269", "other": "x"}},
            "status": {"addresses": [{"type": "Hostname", "address": "edge1"}, {"type": "InternalIP", "address": "10.0.0.1"}]},
        });
        let expected = OwnNode {
            pool: Some("p".into()),
            address: Some("10.0.0.1".parse().unwrap()),
            peer: Some("10.0.0.1:10269".into()),
            votes: None,
        };
        let read = |node: &serde_json::Value| own_node(Encoding::Json, &node.to_string().into()).unwrap();
        assert_eq!(read(&node), expected);
        assert_eq!(
            read(&json!({"metadata": {"labels": {LABEL: ""}}})),
            OwnNode::default()
        );
        assert!(own_node(Encoding::Protobuf, &Bytes::from_static(b"\x0a\x7f")).is_err());
    }
}
