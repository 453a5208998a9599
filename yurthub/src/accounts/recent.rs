//! Tokens that were found good a moment ago: checking a signature for each request would cost more than the answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::digest::{SHA256, digest};
use tokio::time::Instant;

use crate::identity::Account;

/// How long a verdict stands: as long as the apiserver's own (`tokenSuccessCacheTTL` in
/// `k8s.io/kubernetes/pkg/kubeapiserver/authenticator/config.go`).
const LASTS: Duration = Duration::from_secs(10);
/// Tokens held.
const MAX: usize = 1024;

/// SHA-256 of a token.
type Digest = [u8; 32];
/// Who showed it, and until when that stands.
type Verdict = (Arc<Account>, Instant);

/// Keyed by a digest: a token is not kept where it need not be.
#[derive(Debug, Default)]
pub(super) struct Recent {
    good: Mutex<HashMap<Digest, Verdict>>,
}

impl Recent {
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Verdict>> {
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, token: &str, now: Instant) -> Option<Arc<Account>> {
        let good = self.lock();
        let (account, until) = good.get(&key(token))?;
        (now < *until).then(|| Arc::clone(account))
    }

    pub(super) fn keep(&self, token: &str, account: &Arc<Account>, now: Instant) {
        let mut good = self.lock();
        if good.len() >= MAX {
            good.retain(|_, (_, until)| now < *until);
        }
        if good.len() < MAX {
            good.insert(key(token), (Arc::clone(account), now + LASTS));
        }
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }
}

fn key(token: &str) -> Digest {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Client;

    #[test]
    fn a_verdict_stands_for_seconds_only() {
        let recent = Recent::default();
        let account = Arc::new(Account {
            client: Client::Node,
            user: yurthub_token::UserInfo {
                username: String::new(),
                uid: String::new(),
                groups: Vec::new(),
                extra: std::collections::BTreeMap::default(),
            },
        });
        let now = Instant::now();
        recent.keep("a", &account, now);
        assert!(recent.find("a", now + LASTS / 2).is_some());
        assert!(recent.find("a", now + LASTS).is_none());
        assert!(recent.find("b", now).is_none());
        recent.clear();
        assert!(recent.find("a", now).is_none());
    }
}
