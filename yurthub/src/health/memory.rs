//! Remembers over restarts when the cloud was last there: a kubelet certificate that ran out after that moment is
//! accepted until the cloud returns.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tracing::warn;
use yurthub_store::{Batch, Lookup, Protection, Store, StoreError};

use super::Monitor;

const KEY: &[u8] = b"o";
/// How often it is written while the cloud is there: flash wears out, and minutes do not matter here.
const INTERVAL: Duration = Duration::from_mins(10);

/// When the cloud was last there, as far as an earlier run wrote down.
pub fn recall(store: &Store) -> Result<Option<SystemTime>, StoreError> {
    let Lookup::Found(value) = store.get(KEY)? else {
        return Ok(None);
    };
    let seconds = value.as_ref().try_into().ok().map(u64::from_be_bytes);
    Ok(seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)))
}

/// Writes down that the cloud is there at `now`.
fn remember(store: &Store, now: SystemTime) -> Result<(), StoreError> {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    let mut batch = Batch::new();
    batch.put(
        KEY,
        Bytes::copy_from_slice(&seconds.to_be_bytes()),
        Protection::Plain,
    );
    store.write_within(batch, INTERVAL)
}

/// Writes it down now and then, until cancelled.
pub async fn keep(store: Store, cloud: Arc<Monitor>) {
    let mut rounds = tokio::time::interval(INTERVAL);
    loop {
        rounds.tick().await;
        let mut states = cloud.subscribe();
        if states.wait_for(super::CloudState::reachable).await.is_err() {
            return;
        }
        if let Err(error) = remember(&store, cloud.wall()) {
            warn!(%error, "failed to remember when the cloud was last there");
        }
    }
}

#[cfg(test)]
mod tests {
    use yurthub_store::{MemoryEngine, Options};

    use super::*;

    #[test]
    fn what_was_written_down_last_counts_also_when_the_clock_has_gone_back() {
        let store = Store::over(Box::new(MemoryEngine::default()), Options::default()).unwrap();
        assert_eq!(recall(&store).unwrap(), None);
        let day = Duration::from_hours(24);
        let today = UNIX_EPOCH + 20_000 * day;
        for time in [today, today + 365 * day, today - 365 * day, UNIX_EPOCH] {
            remember(&store, time).unwrap();
            assert_eq!(recall(&store).unwrap(), Some(time));
        }
        remember(&store, UNIX_EPOCH - day).unwrap();
        assert_eq!(recall(&store).unwrap(), Some(UNIX_EPOCH));
    }
}
