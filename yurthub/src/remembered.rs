//! Answers of the cloud to single reads, kept for the time without it: objects that nobody watches (`CSINode`, the
//! Lease), discovery, lists that were read once.
//!
//! Bounded by bytes; what was used longest ago goes first. An answer equal to the one kept is not written again.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use tracing::warn;
use yurthub_request::{Request, ResourceVersion};
use yurthub_store::{Batch, Lookup, Protection, Store, StoreError};

use crate::identity::Client;

/// Largest answer that is kept.
pub const MAX_ANSWER: usize = 4 << 20;
const PREFIX: u8 = b'r';
/// How a client asks for all API groups in one document.
const AGGREGATED: &[u8] = b"as=APIGroupDiscoveryList";

/// An answer as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its content type.
    pub content_type: String,
    /// Its body.
    pub body: Bytes,
}

/// A question, such that the same question has the same key, whatever version and deadline it names.
#[derive(Debug, Clone)]
pub struct Question {
    key: Bytes,
    secret: bool,
    /// Whether the answer is all of it, as of now, and not a page or an old state.
    pub worth_keeping: bool,
}

/// What is remembered.
pub struct Remembered {
    store: Store,
    quota: u64,
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    entries: HashMap<Bytes, Entry>,
    bytes: u64,
    clock: u64,
}

struct Entry {
    bytes: u64,
    checksum: u32,
    used: u64,
}

impl Remembered {
    /// Finds what the store holds.
    pub fn open(store: Store, quota: u64) -> Result<Self, StoreError> {
        let mut index = Index::default();
        store.snapshot()?.scan(&[PREFIX], None, &mut |key, value| {
            index.insert(Bytes::copy_from_slice(key), &value);
            ControlFlow::Continue(())
        })?;
        Ok(Self {
            store,
            quota,
            index: Mutex::new(index),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an answer.
    pub fn keep(&self, question: &Question, headers: &HeaderMap, body: &[u8]) {
        // A compressed body could only be given to a client that asks for the same compression.
        if body.len() > MAX_ANSWER || headers.contains_key(http::header::CONTENT_ENCODING) {
            return;
        }
        let content_type = headers
            .get(CONTENT_TYPE)
            .map_or(b"".as_slice(), HeaderValue::as_bytes);
        let protection = if question.secret {
            Protection::Sealed
        } else {
            Protection::Plain
        };
        self.put(question.key.clone(), value(content_type, body), protection);
    }

    fn put(&self, key: Bytes, value: Bytes, protection: Protection) {
        let mut index = self.lock();
        if index
            .entries
            .get(&key)
            .is_some_and(|entry| entry.checksum == crc32c::crc32c(&value))
        {
            index.touch(&key);
            return;
        }
        index.insert(key.clone(), &value);
        let mut batch = Batch::new();
        batch.put(key, value, protection);
        for old in index.shrink_to(self.quota) {
            batch.delete(old);
        }
        drop(index);
        if let Err(error) = self.store.write(batch) {
            warn!(%error, "failed to keep an answer of the cloud");
        }
    }

    /// Forgets an answer: the cloud says that the object does not exist.
    pub fn forget(&self, question: &Question) {
        if self.lock().remove(&question.key) {
            let mut batch = Batch::new();
            batch.delete(question.key.clone());
            drop(self.store.write(batch));
        }
    }

    /// The answer that was kept for the same question.
    pub fn recall(&self, question: &Question) -> Result<Option<Answer>, StoreError> {
        if !self.lock().touch(&question.key) {
            return Ok(None);
        }
        match self.store.get(&question.key)? {
            Lookup::Found(value) => Ok(parse(&value)),
            Lookup::Absent | Lookup::Corrupt => Ok(None),
        }
    }

    /// Forgets what was used longest ago until at most `bytes` are kept.
    pub fn shrink_to(&self, bytes: u64) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        for old in self.lock().shrink_to(bytes) {
            batch.delete(old);
        }
        if batch.is_empty() {
            Ok(())
        } else {
            self.store.write(batch)
        }
    }

    /// Entries and bytes held.
    pub fn size(&self) -> (usize, u64) {
        let index = self.lock();
        (index.entries.len(), index.bytes)
    }
}

impl Index {
    fn insert(&mut self, key: Bytes, value: &[u8]) {
        self.clock += 1;
        let bytes = (key.len() + value.len()) as u64;
        let entry = Entry {
            bytes,
            checksum: crc32c::crc32c(value),
            used: self.clock,
        };
        self.bytes += bytes;
        if let Some(before) = self.entries.insert(key, entry) {
            self.bytes -= before.bytes;
        }
    }

    fn touch(&mut self, key: &Bytes) -> bool {
        self.clock += 1;
        match self.entries.get_mut(key) {
            Some(entry) => {
                entry.used = self.clock;
                true
            }
            None => false,
        }
    }

    fn remove(&mut self, key: &Bytes) -> bool {
        let removed = self.entries.remove(key);
        self.bytes -= removed.as_ref().map_or(0, |entry| entry.bytes);
        removed.is_some()
    }

    /// Removes what was used longest ago, until `quota` is kept.
    fn shrink_to(&mut self, quota: u64) -> Vec<Bytes> {
        let mut removed = Vec::new();
        while self.bytes > quota {
            let oldest = self
                .entries
                .iter()
                .min_by_key(|(_, entry)| entry.used)
                .map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { break };
            self.remove(&oldest);
            removed.push(oldest);
        }
        removed
    }
}

impl Question {
    /// The question that a client's request asks. Another client's answer is no answer to it.
    pub fn of(client: &Client, request: &Request, headers: &HeaderMap) -> Self {
        let query = &request.query;
        let mut key = BytesMut::new();
        key.put_u8(PREFIX);
        // Discovery is the same for everybody who has proved who they are (ClusterRole `system:discovery`).
        if let Client::Account { uid, .. } = client
            && !request.is_discovery()
        {
            key.put_slice(format!("\u{1}{uid}\0").as_bytes());
        }
        key.put_slice(request.path().trim_end_matches('/').as_bytes());
        key.put_slice(format!("\0{}\0{}\0", query.label_selector, query.field_selector).as_bytes());
        if request.is_discovery() {
            // One path, two documents: all groups in one, or group by group.
            let accept = headers.get(ACCEPT).map_or(b"".as_slice(), HeaderValue::as_bytes);
            key.put_u8(u8::from(
                accept.windows(AGGREGATED.len()).any(|part| part == AGGREGATED),
            ));
        }
        if let Some(format) = request.accept.first() {
            key.put_slice(format!("{:?}{:?}", format.media, format.shape).as_bytes());
        }
        if !is_about_versions(request) {
            // Questions of their own: parameters that yurthub does not know.
            key.put_u8(0);
            key.put_slice(
                request
                    .path_and_query
                    .split_once('?')
                    .map_or("", |(_, query)| query)
                    .as_bytes(),
            );
        }
        let secret = request
            .resource()
            .is_some_and(|path| path.group.is_empty() && path.resource == "secrets");
        let current = !matches!(query.resource_version, ResourceVersion::At(_));
        Self {
            key: key.freeze(),
            secret,
            worth_keeping: query.continue_token.is_none() && current,
        }
    }
}

/// Whether the query holds nothing but what the key already has, or leaves out on purpose.
fn is_about_versions(request: &Request) -> bool {
    const KNOWN: [&str; 7] = [
        "resourceVersion",
        "resourceVersionMatch",
        "timeout",
        "timeoutSeconds",
        "limit",
        "labelSelector",
        "fieldSelector",
    ];
    let query = request
        .path_and_query
        .split_once('?')
        .map_or("", |(_, query)| query);
    query
        .split('&')
        .all(|pair| pair.is_empty() || KNOWN.contains(&pair.split('=').next().unwrap_or_default()))
}

fn value(content_type: &[u8], body: &[u8]) -> Bytes {
    let mut value = BytesMut::with_capacity(content_type.len() + 1 + body.len());
    value.put_slice(content_type);
    value.put_u8(b'\n');
    value.put_slice(body);
    value.freeze()
}

fn parse(value: &Bytes) -> Option<Answer> {
    let end = value.iter().position(|byte| *byte == b'\n')?;
    let content_type = String::from_utf8(value[..end].to_vec()).ok()?;
    Some(Answer {
        content_type,
        body: value.slice(end + 1..),
    })
}

#[cfg(test)]
mod tests {
    use http::Method;
    use yurthub_store::{MemoryEngine, Options};

    use super::*;

    fn question(path: &str) -> Question {
        asked(path, "application/json")
    }

    fn asked(path: &str, accept: &str) -> Question {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        Question::of(
            &Client::Node,
            &Request::parse(&Method::GET, &path.parse().unwrap(), &headers).unwrap(),
            &headers,
        )
    }

    fn remembered(quota: u64) -> Remembered {
        let store = Store::over(Box::new(MemoryEngine::default()), Options::default()).unwrap();
        Remembered::open(store, quota).unwrap()
    }

    #[test]
    fn the_same_question_is_known_whatever_version_it_names() {
        let remembered = remembered(1 << 20);
        let path = "/apis/storage.k8s.io/v1/csinodes/edge1";
        remembered.keep(
            &question(&format!("{path}?resourceVersion=0")),
            &HeaderMap::new(),
            b"node",
        );
        let answer = remembered
            .recall(&question(&format!("{path}?timeout=10s")))
            .unwrap()
            .unwrap();
        assert_eq!(answer.body, "node");
        assert!(
            remembered
                .recall(&question(&format!("{path}?foo=1")))
                .unwrap()
                .is_none()
        );
        assert!(
            remembered
                .recall(&question("/apis/storage.k8s.io/v1/csinodes/edge2"))
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn both_forms_of_discovery_are_kept_apart() {
        let remembered = remembered(1 << 20);
        let aggregated =
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
        remembered.keep(&asked("/apis", aggregated), &HeaderMap::new(), b"all groups");
        assert!(remembered.recall(&question("/apis")).unwrap().is_none());
        assert_eq!(
            remembered
                .recall(&asked("/apis", aggregated))
                .unwrap()
                .unwrap()
                .body,
            "all groups"
        );
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let remembered = remembered(250);
        for name in ["a", "b"] {
            remembered.keep(
                &question(&format!("/api/v1/nodes/{name}")),
                &HeaderMap::new(),
                &[0; 80],
            );
        }
        remembered.recall(&question("/api/v1/nodes/a")).unwrap().unwrap();
        remembered.keep(&question("/api/v1/nodes/c"), &HeaderMap::new(), &[0; 80]);
        assert!(remembered.recall(&question("/api/v1/nodes/b")).unwrap().is_none());
        assert!(remembered.recall(&question("/api/v1/nodes/a")).unwrap().is_some());
        assert!(remembered.size().1 <= 250);
    }

    #[test]
    fn an_object_that_is_gone_is_forgotten() {
        let remembered = remembered(1 << 20);
        remembered.keep(&question("/api/v1/nodes/a"), &HeaderMap::new(), b"x");
        remembered.forget(&question("/api/v1/nodes/a"));
        assert!(remembered.recall(&question("/api/v1/nodes/a")).unwrap().is_none());
        assert_eq!(remembered.size(), (0, 0));
    }
}
