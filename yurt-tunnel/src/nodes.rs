//! Follows the cluster's Nodes, and keeps what front doors ask about: whose an address is, where a node's kubelet listens.
//!
//! Every Node counts, for an address of any other one is nobody's. Of each, some hundred bytes are kept.
//!
//! Invariant: nothing is published before the first list is whole, and a list that breaks off changes nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Node;
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};
use yurt_common::node_certificates::EDGE_LABEL;

use crate::kubelets::{KUBELET_PORT, Kubelets, NodeView, Rules};

/// Objects in a page of a list.
const PAGE: u32 = 500;
/// Changes of so long are one: judging 10,000 Nodes takes some milliseconds.
const TOGETHER: Duration = Duration::from_millis(200);
/// The same complaint is told once in so long.
const QUIET: Duration = Duration::from_secs(30);
/// Refusals that one change tells of.
const TOLD: usize = 20;

/// Publishes the kubelets of the cluster to `known`, for ever.
pub async fn follow(client: Client, rules: Rules, known: watch::Sender<Option<Arc<Kubelets>>>) {
    let api: Api<Node> = Api::all(client);
    let events = watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut book = Book::default();
    let mut due: Option<Instant> = None;
    let mut complained: Option<Instant> = None;
    loop {
        let publish = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            event = events.next() => event,
            () = publish => {
                due = None;
                book.publish(&rules, &known);
                continue;
            }
        };
        match event {
            Some(Ok(event)) => {
                if book.take(event) {
                    due.get_or_insert_with(|| Instant::now() + TOGETHER);
                }
            }
            Some(Err(error)) => {
                if complained.is_none_or(|told| told.elapsed() >= QUIET) {
                    complained = Some(Instant::now());
                    warn!(%error, "cannot follow the cluster's Nodes; trying again with what is known");
                }
            }
            None => return,
        }
    }
}

/// The views of all Nodes.
#[derive(Default)]
struct Book {
    views: HashMap<Arc<str>, NodeView>,
    /// Those of a list that is not whole yet.
    listing: Option<HashMap<Arc<str>, NodeView>>,
    whole: bool,
}

impl Book {
    /// Takes an event. Returns whether what is published may change.
    fn take(&mut self, event: Event<Node>) -> bool {
        match event {
            Event::Init => {
                self.listing = Some(HashMap::new());
                false
            }
            Event::InitApply(node) => {
                let view = view(&node);
                let listing = self.listing.get_or_insert_default();
                listing.insert(Arc::clone(&view.name), view);
                false
            }
            Event::InitDone => {
                let listed = self.listing.take().unwrap_or_default();
                info!(nodes = listed.len(), "listed Nodes");
                let changed = !self.whole || listed != self.views;
                self.views = listed;
                self.whole = true;
                changed
            }
            Event::Apply(node) => {
                let view = view(&node);
                let old = self.views.insert(Arc::clone(&view.name), view.clone());
                self.whole && old.as_ref() != Some(&view)
            }
            Event::Delete(node) => self.views.remove(&*node.name_any()).is_some() && self.whole,
        }
    }

    fn publish(&self, rules: &Rules, known: &watch::Sender<Option<Arc<Kubelets>>>) {
        let new = Arc::new(Kubelets::of(self.views.values(), rules));
        known.send_if_modified(|known| {
            if known.as_ref() == Some(&new) {
                return false;
            }
            tell(known.as_deref(), &new);
            *known = Some(new);
            true
        });
    }
}

/// Tells of addresses that are refused now and were not before.
fn tell(old: Option<&Kubelets>, new: &Kubelets) {
    let fresh = new
        .refusals()
        .iter()
        .filter(|refusal| old.is_none_or(|old| !old.refusals().contains(refusal)));
    for refusal in fresh.take(TOLD) {
        warn!(
            node = &*refusal.node,
            address = %refusal.address,
            reason = refusal.reason.as_str(),
            advice = refusal.reason.advice(),
            "connections to an address of an edge node are not redirected"
        );
    }
}

/// What is kept of a Node. What cannot be read counts as absent.
pub fn view(node: &Node) -> NodeView {
    let (mut addresses, mut other_addresses) = (Vec::new(), Vec::new());
    let status = node.status.as_ref();
    for address in status
        .and_then(|status| status.addresses.as_deref())
        .unwrap_or_default()
    {
        let Ok(ip) = address.address.parse::<IpAddr>() else {
            continue;
        };
        if matches!(address.type_.as_str(), "InternalIP" | "ExternalIP") {
            addresses.push(ip);
        } else {
            other_addresses.push(ip);
        }
    }
    let port = status
        .and_then(|status| status.daemon_endpoints.as_ref()?.kubelet_endpoint.as_ref())
        .and_then(|endpoint| u16::try_from(endpoint.port).ok())
        .filter(|port| *port != 0);
    let pod_networks = node
        .spec
        .as_ref()
        .map(|spec| spec.pod_cidrs.iter().flatten().chain(&spec.pod_cidr))
        .into_iter()
        .flatten();
    NodeView {
        name: node.name_any().into(),
        edge: node.labels().get(EDGE_LABEL).is_some_and(|value| value == "true"),
        addresses,
        other_addresses,
        kubelet_port: port.unwrap_or(KUBELET_PORT),
        pod_networks: pod_networks.filter_map(|network| network.parse().ok()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(value: Value) -> Node {
        serde_json::from_value(value).unwrap()
    }

    fn edge(name: &str, address: &str) -> Node {
        node(json!({
            "metadata": {"name": name, "labels": {EDGE_LABEL: "true"}},
            "status": {"addresses": [{"type": "InternalIP", "address": address}]},
        }))
    }

    #[test]
    fn a_node_is_read_as_far_as_it_can_be() {
        let read = view(&node(json!({
            "metadata": {"name": "edge", "labels": {EDGE_LABEL: "true"}},
            "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "broken"]},
            "status": {
                "addresses": [
                    {"type": "InternalIP", "address": "192.0.2.7"},
                    {"type": "ExternalIP", "address": "2001:db8::7"},
                    {"type": "InternalIP", "address": "broken"},
                    {"type": "Hostname", "address": "192.0.2.8"},
                    {"type": "Hostname", "address": "edge"},
                ],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10350}},
            },
        })));
        assert_eq!((&*read.name, read.edge, read.kubelet_port), ("edge", true, 10350));
        assert_eq!(read.addresses.len(), 2);
        assert_eq!(read.other_addresses, ["192.0.2.8".parse::<IpAddr>().unwrap()]);
        assert_eq!(read.pod_networks.len(), 2);
        for (port, expected) in [(0, 10250), (-1, 10250), (70_000, 10250), (1, 1)] {
            let read = view(&node(json!({
                "metadata": {"name": "n", "labels": {EDGE_LABEL: "false"}},
                "status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": port}}},
            })));
            assert_eq!((read.edge, read.kubelet_port), (false, expected));
        }
    }

    #[test]
    fn a_list_counts_when_it_is_whole() {
        let (known, seen) = watch::channel(None);
        let mut book = Book::default();
        let rules = Rules::default();
        let addresses = |book: &Book| {
            book.publish(&rules, &known);
            seen.borrow()
                .as_ref()
                .map_or(0, |kubelets| kubelets.addresses().len())
        };
        assert!(!book.take(Event::Init));
        assert!(!book.take(Event::InitApply(edge("a", "192.0.2.1"))));
        assert!(!book.take(Event::InitApply(edge("b", "192.0.2.2"))));
        assert!(book.take(Event::InitDone));
        assert_eq!(addresses(&book), 2);
        assert!(
            !book.take(Event::Apply(edge("a", "192.0.2.1"))),
            "a heartbeat changes nothing"
        );
        assert!(book.take(Event::Apply(edge("a", "192.0.2.2"))));
        assert_eq!(addresses(&book), 0, "both claim it");
        // A list begins anew, breaks off, and begins again.
        assert!(!book.take(Event::Init));
        assert!(!book.take(Event::InitApply(edge("c", "192.0.2.3"))));
        assert!(!book.take(Event::Init));
        assert!(!book.take(Event::InitApply(edge("b", "192.0.2.2"))));
        assert!(book.take(Event::InitDone));
        assert_eq!(addresses(&book), 1);
        assert!(book.take(Event::Delete(edge("b", "192.0.2.2"))));
        assert_eq!(addresses(&book), 0);
    }
}
