//! Nodes say whether the tunnel reaches them: the controller `tunnel`.
//!
//! A connection to a kubelet whose agent is not there can only be refused, and a refusal has no words. So the Node of an
//! edge node says by its condition `TunnelConnected`, and by an event, that its agent is not there, once that has lasted
//! ([`condition`], pure; `apply` writes). It goes by the pods of agents, which are ready while they hold a session. A
//! node that is silent says nothing new: its pods were not heard of either.

mod apply;
pub mod condition;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use crate::cache::{NodeView, PodView, Shelf};
use crate::controller::Reconcile;
use crate::failure::Failure;
use crate::node_writer::NodeWriter;
use crate::queue::Key;
use condition::{Agent, Seen};

/// Its name.
pub const NAME: &str = "tunnel";
/// For how long it is believed that there is a tunnel, or none: to look costs a walk over all pods.
const BELIEVED: Duration = Duration::from_secs(10);
/// When an edge node without an agent is looked at again, where nobody had one.
const AGAIN: Duration = Duration::from_mins(1);

/// The controller.
pub struct Tunnel {
    /// Nodes.
    pub nodes: Arc<Shelf<NodeView>>,
    /// Pods.
    pub pods: Arc<Shelf<PodView>>,
    /// Where agents run.
    pub namespace: String,
    /// How long an agent may be away before its node says so.
    pub grace: Duration,
    /// What writes.
    pub writer: NodeWriter,
    /// What it remembers.
    pub memory: Memory,
}

/// What only time tells.
#[derive(Default)]
pub struct Memory {
    /// Nodes without an agent that is connected, and since when that was seen.
    lacking: Mutex<HashMap<Key, Instant>>,
    /// Whether there was an agent anywhere, and when that was looked at.
    deployed: Mutex<Option<(bool, Instant)>>,
}

impl Reconcile for Tunnel {
    async fn reconcile(&self, name: &Key) -> Result<Option<Duration>, Failure> {
        let Some(node) = self.nodes.of_node(name).pop() else {
            self.memory.lacks(name, false, Instant::now());
            return Ok(None);
        };
        let agent = Agent::of(&self.pods.select(name, |pod| {
            let ours = pod.is_agent && *pod.namespace == *self.namespace;
            ours.then_some(pod.standing)
        }));
        let now = Instant::now();
        let deployed = node.is_edge && self.is_deployed(agent, now);
        let seen = Seen {
            edge: node.is_edge,
            silent: node.is_unheard(),
            deployed,
            agent,
            grace: self.grace,
            lacking_for: self.memory.lacks(name, agent != Agent::Connected, now),
        };
        let (say, again) = condition::decide(&seen, node.tunnel.as_ref(), Timestamp::now());
        apply::say(&self.writer, &node, &say).await?;
        // Agents that come to other nodes touch this one in nothing.
        Ok(again.or_else(|| (node.is_edge && !deployed).then_some(AGAIN)))
    }
}

impl Tunnel {
    /// Whether there is an agent on any node, this one with its `agent` among them.
    fn is_deployed(&self, agent: Agent, now: Instant) -> bool {
        let mut deployed = self
            .memory
            .deployed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if agent != Agent::Missing {
            *deployed = Some((true, now));
            return true;
        }
        match *deployed {
            Some((known, at)) if now.duration_since(at) < BELIEVED => known,
            _ => {
                let found = self
                    .pods
                    .any(|pod| pod.is_agent && *pod.namespace == *self.namespace);
                *deployed = Some((found, now));
                found
            }
        }
    }
}

impl Memory {
    /// Notes whether a node lacks an agent; for how long it has.
    fn lacks(&self, node: &Key, lacks: bool, now: Instant) -> Duration {
        let mut lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        if !lacks {
            lacking.remove(node);
            return Duration::ZERO;
        }
        now.duration_since(*lacking.entry(Arc::clone(node)).or_insert(now))
    }
}
