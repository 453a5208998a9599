//! One thread for all I/O of the kit, so that a server, a client or a link may be shared by tests which each have
//! a runtime of their own (as `#[tokio::test]` gives them) and end one by one.
//!
//! Invariant: no socket of this crate is registered with a test's runtime.

use std::future::Future;
use std::sync::LazyLock;

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;

#[expect(
    clippy::expect_used,
    reason = "a test process that cannot start one thread has no way to go on"
)]
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("yurt-testkit")
        .enable_all()
        .build()
        .expect("starting the kit's I/O thread")
});

/// The kit's runtime.
pub(crate) fn handle() -> &'static Handle {
    RUNTIME.handle()
}

/// Runs `task` on the kit's runtime; it ends when the returned future is dropped.
pub(crate) async fn run<T: Send + 'static>(
    task: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let mut owner = JoinSet::new();
    owner.spawn_on(task, handle());
    let joined = owner.join_next().await.context("the kit's runtime is gone")?;
    joined.context("a task of the kit panicked")?
}
