//! The promise of an acknowledgement: a future that needs no runtime, and can be waited for without one.
//!
//! Invariant: it resolves exactly once; a sender that is dropped unsent resolves it as closed.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::store::StoreError;

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    resolved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    result: Option<Result<(), StoreError>>,
    waker: Option<Waker>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resolves when the write is durable, or has failed to become so. Dropping it cancels nothing.
#[derive(Debug)]
#[must_use = "the write is queued either way, but whether it became durable is known only from the ticket"]
pub struct Ticket(Arc<Shared>);

impl Ticket {
    pub(crate) fn pair() -> (Self, Promise) {
        let shared = Arc::<Shared>::default();
        (Self(shared.clone()), Promise { shared, kept: false })
    }

    pub(crate) fn resolved(result: Result<(), StoreError>) -> Self {
        let (ticket, promise) = Self::pair();
        promise.keep(result);
        ticket
    }

    /// Blocks this thread until it is resolved. Not for async code.
    pub fn wait(self) -> Result<(), StoreError> {
        let mut state = self.0.state();
        loop {
            if let Some(result) = state.result.clone() {
                return result;
            }
            state = self
                .0
                .resolved
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Future for Ticket {
    type Output = Result<(), StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.state();
        if let Some(result) = state.result.clone() {
            return Poll::Ready(result);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// The other end of a ticket.
#[derive(Debug)]
pub(crate) struct Promise {
    shared: Arc<Shared>,
    kept: bool,
}

impl Promise {
    pub(crate) fn keep(mut self, result: Result<(), StoreError>) {
        self.resolve(result);
    }

    fn resolve(&mut self, result: Result<(), StoreError>) {
        self.kept = true;
        let mut state = self.shared.state();
        state.result = Some(result);
        let waker = state.waker.take();
        drop(state);
        self.shared.resolved.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.kept {
            self.resolve(Err(StoreError::Closed));
        }
    }
}
