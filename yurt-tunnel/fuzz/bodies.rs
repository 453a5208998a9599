//! What the fuzz targets check; also run over the committed corpus by an ordinary test.
//!
//! Invariant: a body panics only if a promise of the crate is broken.

use yurt_tunnel::front::request;
use yurt_tunnel::front::sni::greeting::server_name;
use yurt_tunnel::protocol::{self, Answer, Dial, Greeting, PREFIX};
use yurt_tunnel_nft::message;
use yurt_tunnel_nft::snapshot::Snapshot;

/// What is read can be written, and is then read as the same; nothing panics.
pub(crate) fn messages(data: &[u8]) {
    if let Some(prefix) = data.first_chunk::<PREFIX>() {
        let _ = protocol::length(*prefix);
    }
    if let Ok(greeting) = protocol::decode::<Greeting>(data)
        && greeting != Greeting::Unknown
        && let Ok(bytes) = protocol::encode(&greeting)
    {
        assert_eq!(
            protocol::decode::<Greeting>(&bytes[PREFIX..]).ok(),
            Some(greeting)
        );
    }
    if let Ok(dial) = protocol::decode::<Dial>(data)
        && let Ok(bytes) = protocol::encode(&dial)
    {
        assert_eq!(protocol::decode::<Dial>(&bytes[PREFIX..]).ok(), Some(dial));
    }
    let _ = protocol::decode::<Answer>(data);
}

/// A target of `CONNECT` has a host that is not empty; nothing panics.
pub(crate) fn connect(data: &[u8]) {
    if let Some(end) = request::end(data)
        && let Ok((host, _)) = request::parse(&data[..end])
    {
        assert!(!host.is_empty());
    }
}

/// Input: the first bytes of a connection.
pub(crate) fn greeting(data: &[u8]) {
    let found = server_name(data);
    if let Ok(Some(name)) = &found {
        assert!(!name.is_empty() && name.len() <= 253 && !name.contains(char::is_uppercase));
    }
    // Whoever reads byte by byte comes to the same answer, and no earlier one contradicts it.
    for end in 0..data.len().min(4096) {
        match server_name(&data[..end]) {
            Ok(None) => {}
            early => return assert_eq!(early, found),
        }
    }
}

/// Input: a datagram of the kernel.
pub(crate) fn netlink(data: &[u8]) {
    let mut snapshot = Snapshot::default();
    for answer in message::read(data) {
        if let Ok(message::Answer::Object { kind, attributes, .. }) = answer {
            let _ = snapshot.add(kind, attributes);
        }
    }
    assert!(snapshot.elements() <= data.len());
}
