//! Which nodes belong to the tunnel by now: their kubelets' addresses are redirected.
//!
//! A node that becomes an edge node has no agent yet, and is reached as before until it has one. So has every node when a
//! server starts, for the moments until its agent is back. A node whose agent does not come is not waited for: it is most
//! likely one that nobody can dial, and a connection that is reset at once is better than one that hangs.
//!
//! Invariant: a node that belongs to the tunnel does so until it is no edge node any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::super::Known;
use crate::kubelets::Kubelets;

/// How long a node without agent is reached as before.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at nodes that are waited for.
const LOOK: Duration = Duration::from_millis(100);

/// Publishes to `joined` what is `known`, without the addresses of nodes that do not belong to the tunnel yet, for ever.
pub async fn follow(
    mut known: Known,
    is_connected: impl Fn(&str) -> bool,
    joined: watch::Sender<Option<Arc<Kubelets>>>,
) {
    let mut book = Book::default();
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = known.borrow_and_update().clone();
        if let Some(kubelets) = now {
            book.look(&kubelets, &is_connected, Instant::now());
            let new = kubelets.of_nodes(|node| book.is_joined(node));
            joined.send_if_modified(|old| {
                let changed = old.as_deref() != Some(&new);
                if changed {
                    *old = Some(Arc::new(new));
                }
                changed
            });
        }
        tokio::select! {
            changed = known.changed() => if changed.is_err() { return },
            _ = ticks.tick(), if book.is_waiting() => {}
        }
    }
}

/// Since when each edge node is known; nothing: it belongs to the tunnel.
#[derive(Debug, Default)]
struct Book(BTreeMap<Arc<str>, Option<Instant>>);

impl Book {
    fn look(&mut self, kubelets: &Kubelets, is_connected: impl Fn(&str) -> bool, now: Instant) {
        self.0.retain(|node, _| kubelets.port_of(node).is_some());
        for node in kubelets.names() {
            let since = self.0.entry(Arc::clone(node)).or_insert(Some(now));
            let waited = since.map(|since| now.duration_since(since));
            if waited.is_some_and(|waited| waited >= PATIENCE || is_connected(node)) {
                *since = None;
            }
        }
    }

    fn is_joined(&self, node: &str) -> bool {
        self.0.get(node).is_some_and(Option::is_none)
    }

    fn is_waiting(&self) -> bool {
        self.0.values().any(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubelets::{KUBELET_PORT, NodeView, Rules};

    fn kubelets(names: &[&str]) -> Kubelets {
        let views: Vec<_> = (1..)
            .zip(names)
            .map(|(number, name)| NodeView {
                name: (*name).into(),
                edge: true,
                addresses: vec![[192, 0, 2, number].into()],
                other_addresses: Vec::new(),
                kubelet_port: KUBELET_PORT,
                pod_networks: Vec::new(),
            })
            .collect();
        Kubelets::of(&views, &Rules::default())
    }

    #[test]
    fn a_node_belongs_to_the_tunnel_once_it_was_connected_or_waited_for() {
        let both = kubelets(&["a", "b"]);
        let (begin, mut book) = (Instant::now(), Book::default());
        let after = |seconds| begin + Duration::from_secs(seconds);
        for (seconds, connected, expected) in [
            (0, "", [false, false]),
            (1, "a", [true, false]),
            // It was connected: dials that find nobody are refused from now on.
            (2, "", [true, false]),
            (59, "", [true, false]),
            (60, "", [true, true]),
        ] {
            book.look(&both, |node| node == connected, after(seconds));
            assert_eq!(["a", "b"].map(|node| book.is_joined(node)), expected, "{seconds}");
        }
        assert!(!book.is_waiting());
        // A node that was none for a while begins anew.
        book.look(&kubelets(&["a"]), |_| false, after(61));
        book.look(&both, |_| false, after(62));
        assert_eq!(["a", "b"].map(|node| book.is_joined(node)), [true, false]);
        let shown = both.of_nodes(|node| book.is_joined(node));
        assert_eq!(shown.addresses().len(), 1);
        assert_eq!(shown.port_of("b"), Some(KUBELET_PORT));
    }
}
