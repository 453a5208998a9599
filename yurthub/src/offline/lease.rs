//! The node's heartbeat while the cloud is away: acknowledged from memory, the last one sent when it returns.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use yurthub_object::Encoding;

/// The last Lease that is known here.
#[derive(Default)]
pub struct LeaseKeeper {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    last: Option<Kept>,
    unsent: bool,
}

/// A Lease as the kubelet or the cloud wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// How it is written.
    pub encoding: Encoding,
    /// The object as a single. Its version is the cloud's last one, so that the kubelet's next write fits again.
    pub body: Bytes,
}

impl LeaseKeeper {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acknowledges a heartbeat that the cloud did not get.
    pub fn keep(&self, kept: Kept) {
        *self.lock() = Inner {
            last: Some(kept),
            unsent: true,
        };
    }

    /// The cloud has taken a heartbeat; this is its answer.
    pub fn seen(&self, kept: Kept) {
        *self.lock() = Inner {
            last: Some(kept),
            unsent: false,
        };
    }

    /// The heartbeat that local readers see.
    pub fn shown(&self) -> Option<Kept> {
        self.lock().last.clone()
    }

    /// Takes the heartbeat that is still to be sent.
    pub fn take_unsent(&self) -> Option<Kept> {
        let mut inner = self.lock();
        if std::mem::take(&mut inner.unsent) {
            inner.last.clone()
        } else {
            None
        }
    }
}
