//! The tunnel as front doors see it: dials of a server, and what is known of nodes as the answer to CONNECT.

use std::net::IpAddr;
use std::time::Instant;

use tokio::net::TcpStream;
use tracing::info;

use super::{DIAL_DEADLINE, Destination, Dial, Known, Nodes};
use crate::dial::DialError;
use crate::kubelets::Kubelets;
use crate::protocol::Target;
use crate::relay;
use crate::server::Dialer;
use crate::transport::stream::TunnelStream;

/// A stream, and where it leads, for the log.
pub struct Dialled {
    node: String,
    since: Instant,
    stream: TunnelStream,
}

impl Dial for Dialer {
    type Stream = Dialled;
    type Error = DialError;

    /// The port is that of the node's kubelet: doors that use this know no other ones. The agent knows its own.
    async fn dial(&self, node: &str, _: u16) -> Result<Dialled, DialError> {
        let since = Instant::now();
        let stream = Self::dial(self, node, Target::Kubelet, DIAL_DEADLINE).await?;
        Ok(Dialled {
            node: node.to_owned(),
            since,
            stream,
        })
    }

    async fn relay(&self, client: TcpStream, already: Vec<u8>, to: Dialled) {
        let mut stream = to.stream;
        // What is small is sent at once.
        if client.set_nodelay(true).is_err() || stream.writer.write(already.into()).await.is_err() {
            return super::reset(client);
        }
        let bytes = relay::Bytes::default();
        let ending = relay::splice(client, stream, &bytes).await;
        self.metrics().ended(ending, &bytes);
        info!(
            node = to.node,
            ending = ending.label(),
            seconds = to.since.elapsed().as_secs(),
            sent = bytes.sent.into_inner(),
            received = bytes.received.into_inner(),
            "a connection has ended"
        );
    }
}

impl Nodes for Known {
    fn find(&self, host: &str, port: u16) -> Option<Destination> {
        find(self.borrow().as_deref()?, host, port)
    }
}

/// By address only the kubelet is found, by name every port: whether it may be dialled is the agent's to say (pure).
fn find(kubelets: &Kubelets, host: &str, port: u16) -> Option<Destination> {
    if let Ok(address) = host.parse::<IpAddr>() {
        let node = kubelets.node_at((address, port).into())?;
        return Some(Destination {
            node: node.to_string(),
            target: Target::Kubelet,
        });
    }
    let kubelet = kubelets.port_of(host)?;
    Some(Destination {
        node: host.to_owned(),
        target: if port == kubelet {
            Target::Kubelet
        } else {
            Target::Port(port)
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubelets::{KUBELET_PORT, NodeView, Rules};

    #[test]
    fn nodes_are_found_by_address_and_by_name() {
        let node = NodeView {
            name: "edge".into(),
            edge: true,
            addresses: vec![[192, 0, 2, 7].into()],
            other_addresses: Vec::new(),
            kubelet_port: KUBELET_PORT,
            pod_networks: Vec::new(),
        };
        let kubelets = Kubelets::of([&node], &Rules::default());
        let to = |target| {
            Some(Destination {
                node: "edge".to_owned(),
                target,
            })
        };
        for (host, port, expected) in [
            ("192.0.2.7", KUBELET_PORT, to(Target::Kubelet)),
            ("192.0.2.7", 443, None),
            ("192.0.2.8", KUBELET_PORT, None),
            ("edge", KUBELET_PORT, to(Target::Kubelet)),
            ("edge", 9100, to(Target::Port(9100))),
            ("cloud", KUBELET_PORT, None),
        ] {
            assert_eq!(find(&kubelets, host, port), expected, "{host}:{port}");
        }
    }
}
