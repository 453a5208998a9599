//! One attempt to reach a kubelet: a TCP connection that is closed at once. Nothing is sent.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use super::probes::Outcome;

/// How long an answer may take: as long as the kernel waits before it sends its first packet again.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sees whether somebody answers at `address`.
pub(super) async fn attempt(address: SocketAddr) -> Outcome {
    match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Outcome::Answered,
        Ok(Err(error)) => of_error(error.kind()),
        Err(_) => Outcome::Silent,
    }
}

/// What an error says of the other machine. Those that are about this one, as when it has no descriptor left or its own
/// firewall forbids it, say nothing.
fn of_error(kind: io::ErrorKind) -> Outcome {
    match kind {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Outcome::Refused,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => Outcome::NoRoute,
        io::ErrorKind::HostUnreachable | io::ErrorKind::TimedOut => Outcome::Silent,
        _ => Outcome::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpSocket;

    use super::*;

    #[tokio::test]
    async fn a_machine_answers_refuses_or_is_silent() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(any).unwrap();
        let address = socket.local_addr().unwrap();
        assert_eq!(attempt(address).await, Outcome::Refused, "nobody listens");
        let listener = socket.listen(1).unwrap();
        assert_eq!(attempt(address).await, Outcome::Answered);
        // A queue that is full drops what comes, as a machine that is gone.
        let mut waiting = Vec::new();
        let silent = loop {
            match tokio::time::timeout(PATIENCE / 5, TcpStream::connect(address)).await {
                Ok(stream) => waiting.push(stream.unwrap()),
                Err(_) => break attempt(address).await,
            }
            assert!(waiting.len() < 10);
        };
        assert_eq!(silent, Outcome::Silent);
        drop(listener);
    }

    #[test]
    fn what_this_node_lacks_says_nothing_of_another() {
        for (error, expected) in [
            (rustix::io::Errno::CONNREFUSED, Outcome::Refused),
            (rustix::io::Errno::CONNRESET, Outcome::Refused),
            (rustix::io::Errno::NETUNREACH, Outcome::NoRoute),
            (rustix::io::Errno::NETDOWN, Outcome::NoRoute),
            (rustix::io::Errno::HOSTUNREACH, Outcome::Silent),
            (rustix::io::Errno::TIMEDOUT, Outcome::Silent),
            (rustix::io::Errno::MFILE, Outcome::Unclear),
            (rustix::io::Errno::PERM, Outcome::Unclear),
            (rustix::io::Errno::ADDRNOTAVAIL, Outcome::Unclear),
        ] {
            assert_eq!(of_error(io::Error::from(error).kind()), expected, "{error}");
        }
    }
}
