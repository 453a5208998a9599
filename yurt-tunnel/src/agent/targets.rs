//! What may be dialled on this node: ports of 127.0.0.1 that this agent's flags, or this node's policy, list.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::protocol::{Reason, Target};

/// No dial takes longer, whatever a server says.
const LONGEST: Duration = Duration::from_secs(30);

/// The ports.
#[derive(Debug, Clone)]
pub struct Targets {
    /// The kubelet's.
    pub kubelet: u16,
    /// Others, by the flags.
    pub allowed: BTreeSet<u16>,
    /// Others, by the policy of this node, as it is now; none: there is no policy.
    pub policy: Option<watch::Receiver<BTreeSet<u16>>>,
}

impl Targets {
    /// Where a target is; none where it may not be dialled.
    pub fn address(&self, target: Target) -> Option<SocketAddr> {
        let by_policy = |port| {
            let policy = self.policy.as_ref();
            policy.is_some_and(|policy| policy.borrow().contains(&port))
        };
        let port = match target {
            Target::Kubelet => self.kubelet,
            Target::Port(port) if port == self.kubelet || self.allowed.contains(&port) => port,
            Target::Port(port) if by_policy(port) => port,
            Target::Port(_) => return None,
        };
        Some((Ipv4Addr::LOCALHOST, port).into())
    }

    /// Dials it; the error is for whoever asked.
    pub async fn dial(&self, target: Target, deadline: Duration) -> Result<TcpStream, (Reason, String)> {
        let Some(address) = self.address(target) else {
            let words = format!(
                "this agent does not dial {target}; its flag --allow-port and ConfigMap yurt-tunnel-policy list what it dials"
            );
            return Err((Reason::NotAllowed, words));
        };
        let deadline = deadline.min(LONGEST);
        match timeout(deadline, connect(address)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err((
                Reason::Unreachable,
                format!("failed to dial the {target} at {address}: {error}"),
            )),
            Err(_) => Err((
                Reason::Deadline,
                format!("the {target} at {address} did not answer within {deadline:?}"),
            )),
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kubelet_and_listed_ports_of_this_machine_are_dialled() {
        let targets = Targets {
            kubelet: 10250,
            allowed: BTreeSet::from([9100]),
            policy: None,
        };
        let local = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        assert_eq!(targets.address(Target::Kubelet), local(10250));
        assert_eq!(targets.address(Target::Port(10250)), local(10250));
        assert_eq!(targets.address(Target::Port(9100)), local(9100));
        assert_eq!(targets.address(Target::Port(22)), None);
        assert_eq!(targets.address(Target::Port(0)), None);
    }

    #[test]
    fn the_policy_adds_ports_and_takes_none_away() {
        let policy = watch::Sender::new(BTreeSet::from([22]));
        let targets = Targets {
            kubelet: 10250,
            allowed: BTreeSet::from([9100]),
            policy: Some(policy.subscribe()),
        };
        let may = |ports: [u16; 3]| ports.map(|port| targets.address(Target::Port(port)).is_some());
        assert_eq!(may([22, 9100, 10250]), [true; 3]);
        policy.send_replace(BTreeSet::new());
        assert_eq!(may([22, 9100, 10250]), [false, true, true]);
    }
}
