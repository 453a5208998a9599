//! Who listens on this node.

use std::net::{IpAddr, SocketAddr, TcpListener};

/// Those of `ports` that somebody listens on, on any address.
pub(crate) fn taken(ports: &[u16]) -> Vec<u16> {
    let tables = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"]
        .map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let listening: Vec<u16> = tables.iter().flat_map(|table| listening(table)).collect();
    ports
        .iter()
        .copied()
        .filter(|port| listening.contains(port))
        .collect()
}

/// Ports of sockets that listen, in the format of `proc_net_tcp(5)`: `sl local_address rem_address st …`.
fn listening(table: &str) -> Vec<u16> {
    const LISTEN: &str = "0A";
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (local, _, state) = (words.next()?, words.next()?, words.next()?);
            let (_, port) = local.rsplit_once(':')?;
            (state == LISTEN).then(|| u16::from_str_radix(port, 16).ok())?
        })
        .collect()
}

/// Whether the address of `address:port` is one of this node's.
pub(crate) fn is_own_address(address: &str) -> bool {
    let ip = address
        .parse::<SocketAddr>()
        .map(|address| address.ip())
        .or_else(|_| address.parse::<IpAddr>());
    // Only an address of one's own can be bound.
    ip.is_ok_and(|ip| TcpListener::bind((ip, 0)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_that_listen_count() {
        let table = "  sl  local_address rem_address   st tx_queue\n   \
             0: 0100007F:2815 00000000:0000 0A 00000000:00000000\n   \
             1: 0100007F:2816 0100007F:9C40 01 00000000:00000000\n";
        assert_eq!(listening(table), [0x2815]);
        assert_eq!(listening("nonsense\nmore nonsense"), Vec::<u16>::new());
    }

    #[test]
    fn a_port_that_is_listened_on_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(taken(&[port]), [port]);
        assert!(is_own_address("127.0.0.1:80") && !is_own_address("192.0.2.1:80"));
    }
}
