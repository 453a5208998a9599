//! Numbers of a scope, for metrics and the admin socket.

use super::Scope;

/// Numbers of a scope.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Objects of the cloud.
    pub objects: usize,
    /// Version up to which the scope is true.
    pub version: u64,
    /// Local watchers.
    pub watchers: usize,
    /// Entries in the ring.
    pub ring_events: usize,
    /// Bytes in the ring.
    pub ring_bytes: usize,
    /// Objects shown as this node's kubelet wrote them.
    pub written: usize,
    /// Objects shown with other endpoints than the cloud's.
    pub corrected: usize,
    /// Pods that stand in for mirror pods, those among them that hide one.
    pub stand_ins: usize,
    /// Bytes of all objects.
    pub bytes: u64,
}

impl Scope {
    /// Numbers for metrics and the admin socket.
    pub fn figures(&self) -> Figures {
        let inner = self.lock();
        let (ring_events, ring_bytes) = inner.ring.size();
        let written = inner
            .overlay
            .values()
            .filter(|overlay| overlay.is_written())
            .count();
        Figures {
            objects: inner.index.len(),
            version: inner.version,
            watchers: inner.watchers,
            ring_events,
            ring_bytes,
            written,
            corrected: inner.overlay.len() - written,
            stand_ins: inner.stand_ins.len(),
            bytes: inner.index.values().map(|entry| u64::from(entry.length)).sum(),
        }
    }
}
