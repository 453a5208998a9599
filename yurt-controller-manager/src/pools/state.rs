//! What a pool's ConfigMaps say, within what an object may hold (pure).
//!
//! An object has a megabyte and a half at most; where a pool does not fit, the rest of it is as if nobody looked after it.

use std::sync::Arc;

use yurt_common::pool::{Members, Shown, Silence, Silent};

use crate::cache::NodeView;

/// Bytes of one of them: below `MaxSecretSize`, to which Kubernetes holds ConfigMaps too, as JSON within JSON.
pub const MAX_BYTES: usize = 768 << 10;
/// Of an entry: braces, quotes (escaped, as it is JSON within JSON), the names of fields, a time, an address.
const ENTRY: usize = 160;
/// Of a UID: itself, two quotes, two backslashes, a comma.
const UID: usize = 36 + 5;

/// The members of a pool, and how many do not fit.
pub fn members(pool: &str, nodes: &[NodeView], max_bytes: usize) -> (Members, usize) {
    let (mut bytes, mut left_out) = (0, 0);
    let mut members = Members {
        pool: pool.to_owned(),
        ..Members::default()
    };
    for node in nodes {
        let Some(peer) = node.peer else { continue };
        bytes += ENTRY + node.name.len();
        if bytes > max_bytes {
            left_out += 1;
        } else {
            members.members.insert(node.name.to_string(), peer);
        }
    }
    (members, left_out)
}

/// A node of the silence.
pub struct Said {
    /// Its name.
    pub node: Arc<str>,
    /// Since when, as the cloud has written it.
    pub since: String,
    /// How its endpoints stand.
    pub endpoints: Shown,
    /// Pods that were not ready by themselves.
    pub unready: Vec<Box<str>>,
}

/// The silence of a pool, and of how many nodes not all can be told.
pub fn silence(pool: &str, nodes: Vec<Said>, max_bytes: usize) -> (Silence, usize) {
    // All of them without UIDs first: who may vote is told by their names alone.
    let mut bytes: usize = nodes.iter().map(|said| ENTRY + said.node.len()).sum();
    let mut cut_short = 0;
    let mut silence = Silence {
        pool: pool.to_owned(),
        ..Silence::default()
    };
    for mut said in nodes {
        let uids = said.unready.len() * UID;
        if bytes > max_bytes {
            bytes -= ENTRY + said.node.len();
            cut_short += 1;
            continue;
        }
        if said.endpoints == Shown::AsInCloud {
            said.unready.clear();
        } else if bytes + uids > max_bytes {
            // Kept endpoints of which nobody knows which ones were well are worse than none.
            said.endpoints = Shown::AsInCloud;
            said.unready.clear();
            cut_short += 1;
        } else {
            bytes += uids;
        }
        said.unready.sort_unstable();
        let entry = Silent {
            since: said.since,
            endpoints: said.endpoints,
            unready: said.unready.into_iter().map(String::from).collect(),
        };
        silence.silent.insert(said.node.to_string(), entry);
    }
    (silence, cut_short)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cache::View as _;

    fn said(number: usize, endpoints: Shown, unready: usize) -> Said {
        Said {
            node: format!("edge-{number:04}").into(),
            since: "2026-01-01T00:00:00Z".to_owned(),
            endpoints,
            unready: (0..unready)
                .map(|pod| format!("{number:08}-0000-0000-0000-{pod:012}").into())
                .collect(),
        }
    }

    /// As it is in the request that writes it.
    fn written(content: &impl serde::Serialize) -> usize {
        let text = serde_json::to_string(content).unwrap();
        json!({"data": {"pool.json": text}}).to_string().len()
    }

    #[test]
    fn only_who_takes_part_is_a_member() {
        let node = |name: &str, annotations: serde_json::Value| {
            let node = json!({"metadata": {"name": name, "annotations": annotations}});
            NodeView::of(serde_json::from_value(node).unwrap())
        };
        let peer = json!({"yurthub.openyurt.io/peer": "10.0.0.1:10269"});
        let nodes = [node("a", peer.clone()), node("b", json!({})), node("c", peer)];
        let (found, left_out) = members("shop", &nodes, MAX_BYTES);
        assert_eq!(found.members.keys().collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(left_out, 0);
        let (found, left_out) = members("shop", &nodes, ENTRY + 1);
        assert_eq!((found.members.len(), left_out), (1, 1));
    }

    #[test]
    fn a_thousand_nodes_fit_with_what_is_usual() {
        let nodes = (0..1000).map(|number| said(number, Shown::Kept, 3)).collect();
        let (silence, cut_short) = silence("shop", nodes, MAX_BYTES);
        assert_eq!((silence.silent.len(), cut_short), (1000, 0));
        assert!(written(&silence) < MAX_BYTES, "{}", written(&silence));
    }

    #[test]
    fn what_does_not_fit_is_as_in_the_cloud() {
        let nodes = (0..1000).map(|number| said(number, Shown::Kept, 100)).collect();
        let (found, cut_short) = silence("shop", nodes, MAX_BYTES);
        assert_eq!(found.silent.len(), 1000);
        let kept: Vec<_> = found
            .silent
            .values()
            .filter(|one| one.endpoints == Shown::Kept)
            .collect();
        assert_eq!(kept.len() + cut_short, 1000);
        assert!(kept.iter().all(|one| one.unready.len() == 100), "all or nothing");
        assert!(kept.len() > 100 && written(&found) < MAX_BYTES, "{}", kept.len());

        let nodes = (0..10_000)
            .map(|number| said(number, Shown::AsInCloud, 1))
            .collect();
        let (found, cut_short) = silence("shop", nodes, MAX_BYTES);
        assert_eq!(found.silent.len() + cut_short, 10_000);
        assert!(written(&found) < MAX_BYTES);
        assert!(found.silent.values().all(|one| one.unready.is_empty()));
    }
}
