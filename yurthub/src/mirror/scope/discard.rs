//! The end of a scope that gives its place to another one.

use tokio::time::Instant;
use yurthub_object::Encoding;
use yurthub_object::status::Status;
use yurthub_object::watch as frames;

use super::Scope;
use crate::mirror::room::IN_USE;

impl Scope {
    /// Ends the scope where nobody uses it at this moment; whether it has ended. Whoever still comes with it in hand
    /// is sent to list anew, and gets another one.
    pub(in crate::mirror) fn discard(&self, now: Instant) -> bool {
        let mut inner = self.lock();
        if inner.watchers > 0 || now.saturating_duration_since(inner.last_used) < IN_USE {
            return false;
        }
        let encoding = inner.wire.as_ref().map_or(Encoding::Json, |wire| wire.encoding);
        let status = Status::new(410, "Expired", "this watch made room for others; list again");
        inner.closed = Some(frames::encode_error(encoding, &status));
        inner.complete = false;
        drop(inner);
        self.discarded.cancel();
        true
    }

    /// Whether the scope has ended.
    pub fn is_discarded(&self) -> bool {
        self.discarded.is_cancelled()
    }

    /// Resolves when the scope has ended.
    pub(in crate::mirror) async fn ended(&self) {
        self.discarded.cancelled().await;
    }
}
