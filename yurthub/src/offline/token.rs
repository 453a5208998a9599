//! Tokens of service accounts for pods of this node. The kubelet keeps none over a restart, and without one no pod
//! starts: the last token of each pod and audience is kept, encrypted, and given again while the cloud is away.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use yurthub_object::token::{self, TokenKey};
use yurthub_object::{Encoding, Malformed};
use yurthub_request::ResourcePath;
use yurthub_store::{Batch, Lookup, Protection, Store, StoreError};

const PREFIX: u8 = b't';
/// What the kubelet is told of a token's remaining life: it asks again soon, and gets a fresh one when there is one.
const SHORT_EXPIRY: Duration = Duration::from_mins(10);

/// The kept tokens.
pub struct Tokens {
    store: Store,
}

impl Tokens {
    /// Over the tokens in `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Keeps the cloud's answer to a token request. A pod that has taken the name of another one replaces its tokens.
    pub fn keep(
        &self,
        path: &ResourcePath,
        question: (Encoding, &Bytes),
        answer: (Encoding, &Bytes),
    ) -> Result<(), TokenError> {
        let key = token::request_key(question.0, question.1)?;
        let uid = uid(&key).to_owned();
        let mut value = BytesMut::with_capacity(answer.1.len() + uid.len() + 2);
        value.put_u8(u8::from(answer.0 == Encoding::Protobuf));
        value.put_u8(uid.len() as u8);
        value.put_slice(uid.as_bytes());
        value.put_slice(answer.1);
        let mut batch = Batch::new();
        self.forget_older(path, &key, &mut batch)?;
        batch.put(store_key(path, &key), value.freeze(), Protection::Sealed);
        Ok(self.store.write(batch)?)
    }

    /// Deletes tokens of an earlier pod of the same name.
    fn forget_older(&self, path: &ResourcePath, key: &TokenKey, batch: &mut Batch) -> Result<(), StoreError> {
        let prefix = pod_prefix(path, key);
        let uid = uid(key).as_bytes();
        self.store
            .snapshot()?
            .scan(&prefix, None, &mut |stored_key, value| {
                let same = value
                    .get(1)
                    .is_some_and(|length| value.get(2..2 + usize::from(*length)) == Some(uid));
                if !same {
                    batch.delete(Bytes::copy_from_slice(stored_key));
                }
                ControlFlow::Continue(())
            })?;
        Ok(())
    }

    /// Forgets tokens of pods that are not on this node any more. `is_here` is asked with namespace and name.
    pub fn sweep(&self, is_here: impl Fn(&str, &str) -> bool) -> Result<usize, StoreError> {
        let (mut batch, mut forgotten) = (Batch::new(), 0);
        self.store.snapshot()?.scan(&[PREFIX], None, &mut |key, _| {
            if pod_of(key).is_some_and(|(namespace, pod)| !is_here(namespace, pod)) {
                batch.delete(Bytes::copy_from_slice(key));
                forgotten += 1;
            }
            ControlFlow::Continue(())
        })?;
        if forgotten > 0 {
            self.store.write(batch)?;
        }
        Ok(forgotten)
    }

    /// The last answer to the same question, which looks as if it ran out soon.
    pub fn recall(
        &self,
        path: &ResourcePath,
        question: (Encoding, &Bytes),
        unix_now: u64,
    ) -> Result<Option<(Encoding, Bytes)>, TokenError> {
        let key = token::request_key(question.0, question.1)?;
        let Lookup::Found(value) = self.store.get(&store_key(path, &key))? else {
            return Ok(None);
        };
        let (Some(encoding), Some(length)) = (value.first(), value.get(1)) else {
            return Ok(None);
        };
        let encoding = if *encoding == 1 {
            Encoding::Protobuf
        } else {
            Encoding::Json
        };
        let body_at = 2 + usize::from(*length);
        if value.get(2..body_at) != Some(uid(&key).as_bytes()) {
            return Ok(None);
        }
        let answer = value.slice(body_at..);
        let expiry = unix_now.saturating_add(SHORT_EXPIRY.as_secs());
        Ok(Some((
            encoding,
            token::with_expiry(encoding, &answer, expiry as i64)?,
        )))
    }
}

/// Why a token cannot be kept or recalled.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The request or the answer is not what it should be.
    #[error("failed to read a token request")]
    Malformed(#[from] Malformed),
    /// The store.
    #[error("failed to read or keep a token")]
    Store(#[from] StoreError),
}

fn uid(key: &TokenKey) -> &str {
    let uid = key.bound.as_ref().map_or("", |bound| bound.uid.as_str());
    uid.get(..uid.len().min(255)).unwrap_or_default()
}

/// Tokens of one pod (by name) and account.
fn pod_prefix(path: &ResourcePath, key: &TokenKey) -> Bytes {
    let mut stored = BytesMut::new();
    stored.put_u8(PREFIX);
    let bound = key
        .bound
        .as_ref()
        .map_or(("", ""), |bound| (bound.kind.as_str(), bound.name.as_str()));
    let account = path.name.as_deref().unwrap_or_default();
    for part in [
        path.namespace.as_deref().unwrap_or_default(),
        account,
        bound.0,
        bound.1,
    ] {
        stored.put_slice(part.as_bytes());
        stored.put_u8(0);
    }
    stored.freeze()
}

/// Namespace and name of the pod that a token is bound to.
fn pod_of(key: &[u8]) -> Option<(&str, &str)> {
    let mut parts = std::str::from_utf8(key.get(1..)?).ok()?.split('\0');
    let (namespace, _account, kind, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (kind == "Pod").then_some((namespace, name))
}

fn store_key(path: &ResourcePath, key: &TokenKey) -> Bytes {
    let mut stored = BytesMut::from(pod_prefix(path, key).as_ref());
    stored.put_slice(format!("{}\0{}", key.expiration_seconds, key.audiences.join("\0")).as_bytes());
    stored.freeze()
}

#[cfg(test)]
mod tests {
    use yurthub_object::token::BoundObject;
    use yurthub_store::{MemoryEngine, Options, SealingKey};

    use super::*;

    #[test]
    fn the_pod_of_a_token_is_read_from_its_key() {
        let path = ResourcePath {
            namespace: Some("shop".into()),
            name: Some("default".into()),
            ..Default::default()
        };
        let bound = BoundObject {
            kind: "Pod".into(),
            name: "web-1".into(),
            uid: "u".into(),
        };
        let key = TokenKey {
            audiences: vec!["api".into()],
            expiration_seconds: 3607,
            bound: Some(bound),
        };
        assert_eq!(pod_of(&store_key(&path, &key)), Some(("shop", "web-1")));
        let unbound = TokenKey { bound: None, ..key };
        assert_eq!(pod_of(&store_key(&path, &unbound)), None);
    }

    #[test]
    fn a_token_is_given_again_whatever_the_clock_says_and_looks_as_if_it_ran_out_soon() {
        let folder = tempfile::tempdir().unwrap();
        let key = SealingKey::load_or_create(&folder.path().join("key")).unwrap();
        let options = Options {
            sealing_key: Some(key),
            ..Options::default()
        };
        let tokens = Tokens::new(Store::over(Box::new(MemoryEngine::default()), options).unwrap());
        let path = ResourcePath {
            namespace: Some("shop".into()),
            name: Some("default".into()),
            ..Default::default()
        };
        let question = Bytes::from_static(
            br#"{"spec":{"audiences":["api"],"expirationSeconds":3607,"boundObjectRef":{"kind":"Pod","name":"web-1","uid":"u"}}}"#,
        );
        let answer = Bytes::from_static(
            br#"{"status":{"token":"secret","expirationTimestamp":"2026-11-21T14:00:00Z"}}"#,
        );
        let json = |body| (Encoding::Json, body);
        tokens.keep(&path, json(&question), json(&answer)).unwrap();
        let (issued, year) = (1_795_269_600, 365 * 24 * 3600);
        for now in [issued, issued + year, issued - year, 0] {
            let given = tokens.recall(&path, json(&question), now).unwrap();
            let (encoding, body) = given.unwrap();
            let read = token::read(encoding, &body).unwrap();
            assert_eq!(read.token, "secret");
            assert_eq!(read.expiration, (now + SHORT_EXPIRY.as_secs()) as i64, "at {now}");
        }
    }

    #[test]
    fn tokens_of_pods_that_left_are_forgotten() {
        let store = Store::over(Box::new(MemoryEngine::default()), Options::default()).unwrap();
        let mut batch = Batch::new();
        for pod in ["stays", "left"] {
            let key = format!("tns\0default\0Pod\0{pod}\x003607\0api");
            batch.put(key, Bytes::from_static(b"\0\0{}"), Protection::Plain);
        }
        store.write(batch).unwrap();
        let tokens = Tokens::new(store.clone());
        assert_eq!(
            tokens
                .sweep(|namespace, pod| (namespace, pod) == ("ns", "stays"))
                .unwrap(),
            1
        );
        assert_eq!(tokens.sweep(|_, pod| pod == "stays").unwrap(), 0);
    }
}
