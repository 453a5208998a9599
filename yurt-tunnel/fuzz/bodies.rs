//! What the fuzz targets check; also run over the committed corpus by an ordinary test.
//!
//! Invariant: a body panics only if a promise of the crate is broken.

use yurt_tunnel::front::sni::greeting::server_name;
use yurt_tunnel_nft::message::{self, Answer};
use yurt_tunnel_nft::snapshot::Snapshot;

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
        if let Ok(Answer::Object { kind, attributes, .. }) = answer {
            let _ = snapshot.add(kind, attributes);
        }
    }
    assert!(snapshot.elements() <= data.len());
}
