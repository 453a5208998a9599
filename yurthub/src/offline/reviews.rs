//! What the cloud answered the kubelet about its own clients: whose token it was shown (`TokenReview`), and whether
//! they may do what they ask (`SubjectAccessReview`). Without these answers nobody could `exec` into a pod of a node
//! that is cut off, not even from the node.
//!
//! While the cloud is there it is always asked. Offline its last answer to the very same question stands, for as long
//! as accounts may read what the cloud allowed them. A question is known by a digest; tokens are not kept.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};
use ring::digest::{Context, SHA256};
use tokio::time::Instant;
use yurthub_object::edit::{NewValue, set_field, set_member};
use yurthub_object::{Encoding, Malformed, Reason, json, single, wire};
use yurthub_store::{Batch, Lookup, Protection, Store, StoreError};

use super::write::WriteClass;
use crate::health::CloudState;

const PREFIX: u8 = b'v';
/// Answers that are kept; the oldest goes first.
const MAX_ANSWERS: usize = 1024;
/// Longest answer that is kept: groups and extra information of a user.
const MAX_BYTES: usize = 16 << 10;
/// After this time an unchanged answer is written again, in seconds.
const WORN_AFTER: u64 = 3600;
const SUBJECT: &str = "review";
/// The numbers of `spec` and `status` in both kinds (`k8s.io/api/{authentication,authorization}/v1/generated.proto`).
const SPEC: u32 = 2;
const STATUS: u32 = 3;

/// See the module.
pub struct Reviews {
    store: Store,
    memory: Duration,
    known: Mutex<HashMap<Bytes, Known>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    /// Seconds since 1970.
    at: u64,
    checksum: u32,
}

/// Why a review cannot be kept or recalled.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The request or the answer is not what it should be.
    #[error("failed to read a review")]
    Malformed(#[from] Malformed),
    /// The store.
    #[error("failed to read or keep a review")]
    Store(#[from] StoreError),
}

impl From<Reason> for ReviewError {
    fn from(reason: Reason) -> Self {
        Self::Malformed(reason.reading(SUBJECT))
    }
}

impl Reviews {
    /// Finds what the store holds. `memory`: how long into an outage an answer stands.
    pub fn open(store: Store, memory: Duration) -> Result<Self, StoreError> {
        let mut known = HashMap::new();
        store.snapshot()?.scan(&[PREFIX], None, &mut |key, value| {
            if let Some((at, status)) = decode(&value) {
                let checksum = crc32c::crc32c(&status);
                known.insert(Bytes::copy_from_slice(key), Known { at, checksum });
            }
            ControlFlow::Continue(())
        })?;
        Ok(Self {
            store,
            memory,
            known: Mutex::new(known),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Bytes, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the cloud's answer.
    pub fn keep(
        &self,
        class: WriteClass,
        question: (Encoding, &Bytes),
        answer: (Encoding, &Bytes),
    ) -> Result<(), ReviewError> {
        let status = status_of(answer.0, answer.1)?;
        let Some(status) = status.filter(|status| answer.0 == question.0 && status.len() <= MAX_BYTES) else {
            return Ok(()); // it could not be given again
        };
        let key = key_of(class, question.0, question.1)?;
        let now = unix_seconds(SystemTime::now());
        let checksum = crc32c::crc32c(&status);
        let mut batch = Batch::new();
        let mut known = self.lock();
        if known.len() >= MAX_ANSWERS && !known.contains_key(&key) {
            let oldest = known.iter().min_by_key(|(_, known)| known.at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                known.remove(&oldest);
                batch.delete(oldest);
            }
        }
        if let Some(before) = known.get(&key)
            && before.checksum == checksum
            && now.abs_diff(before.at) < WORN_AFTER
        {
            return Ok(()); // flash is spared what says the same
        }
        known.insert(key.clone(), Known { at: now, checksum });
        drop(known);
        let protection = if class == WriteClass::TokenReview {
            Protection::Sealed
        } else {
            Protection::Plain
        };
        let mut value = BytesMut::with_capacity(8 + status.len());
        value.put_u64(now);
        value.put_slice(&status);
        batch.put(key, value.freeze(), protection);
        Ok(self.store.write(batch)?)
    }

    /// The cloud's last answer to the same question, as the body of an answer to this one.
    pub fn recall(
        &self,
        class: WriteClass,
        (encoding, question): (Encoding, &Bytes),
        cloud: &CloudState,
    ) -> Result<Option<Bytes>, ReviewError> {
        let key = key_of(class, encoding, question)?;
        if !self.lock().contains_key(&key) {
            return Ok(None);
        }
        let Lookup::Found(value) = self.store.get(&key)? else {
            return Ok(None);
        };
        let Some((at, status)) = decode(&value) else {
            return Ok(None);
        };
        let away = cloud.away(Instant::now(), SystemTime::now()).unwrap_or_default();
        if !stands(at, cloud.last_there.map(unix_seconds), away, self.memory) {
            return Ok(None);
        }
        Ok(Some(with_status(encoding, question, &status)?))
    }
}

/// Whether an answer given at `at` may be given again. Pure. What counts is how old it was when the cloud was lost, and
/// how long that is ago.
fn stands(at: u64, last_there: Option<u64>, away: Duration, memory: Duration) -> bool {
    let age_at_the_cut = last_there.map_or(0, |there| there.saturating_sub(at));
    away <= memory && age_at_the_cut <= memory.as_secs()
}

/// A digest of what is asked, so that no token is a key.
fn key_of(class: WriteClass, encoding: Encoding, body: &Bytes) -> Result<Bytes, ReviewError> {
    let mut digest = Context::new(&SHA256);
    digest.update(class.as_str().as_bytes());
    digest.update(encoding.content_type().as_bytes());
    match encoding {
        Encoding::Json => digest.update(json::find(body, &["spec"])?.ok_or(Reason::Missing)?),
        Encoding::Protobuf => {
            let (_, item) = single::split(encoding, body)?;
            digest.update(wire::message(&item, &[SPEC])?);
        }
    }
    let mut key = BytesMut::with_capacity(33);
    key.put_u8(PREFIX);
    key.put_slice(digest.finish().as_ref());
    Ok(key.freeze())
}

fn status_of(encoding: Encoding, body: &Bytes) -> Result<Option<Bytes>, ReviewError> {
    let status = match encoding {
        Encoding::Json => json::find(body, &["status"])?.map(Bytes::copy_from_slice),
        Encoding::Protobuf => {
            let (_, item) = single::split(encoding, body)?;
            let status = wire::find(&item, &[STATUS])?;
            status
                .map(|status| status.bytes().map(Bytes::copy_from_slice))
                .transpose()?
        }
    };
    Ok(status)
}

/// The question with an answer in it, as the apiserver gives it back.
fn with_status(encoding: Encoding, question: &Bytes, status: &[u8]) -> Result<Bytes, ReviewError> {
    match encoding {
        Encoding::Json => Ok(set_member(question, &["status"], status)?.into()),
        Encoding::Protobuf => {
            let (type_meta, item) = single::split(encoding, question)?;
            let item = set_field(&item, &[STATUS], &NewValue::Bytes(status))?;
            Ok(single::join(encoding, &type_meta, &item.into()))
        }
    }
}

fn decode(value: &Bytes) -> Option<(u64, Bytes)> {
    let at = u64::from_be_bytes(value.get(..8)?.try_into().ok()?);
    Some((at, value.slice(8..)))
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

#[cfg(test)]
mod tests {
    use yurthub_object::TypeMeta;
    use yurthub_store::{MemoryEngine, Options, SealingKey};

    use super::*;
    use crate::health::Phase;

    const DAY: Duration = Duration::from_hours(24);

    fn store() -> Store {
        let folder = tempfile::tempdir().unwrap();
        let sealing_key = Some(SealingKey::load_or_create(&folder.path().join("key")).unwrap());
        let options = Options {
            sealing_key,
            ..Options::default()
        };
        Store::over(Box::new(MemoryEngine::default()), options).unwrap()
    }

    fn away() -> CloudState {
        CloudState {
            phase: Phase::Down,
            since: Instant::now(),
            since_wall: SystemTime::now(),
            last_there: Some(SystemTime::now()),
        }
    }

    /// A review of `token`, and its answer.
    fn review(encoding: Encoding, token: &str) -> (Bytes, Bytes) {
        if encoding == Encoding::Json {
            let head = r#"{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{},"spec":{"token":""#;
            return (
                format!("{head}{token}\"}}}}").into(),
                format!("{head}{token}\"}},\"status\":{{\"authenticated\":true}}}}\n").into(),
            );
        }
        let (mut spec, mut item) = (Vec::new(), Vec::new());
        wire::put_bytes(&mut spec, 1, token.as_bytes());
        wire::put_bytes(&mut item, 1, b"");
        wire::put_bytes(&mut item, SPEC, &spec);
        let question = item.clone();
        wire::put_bytes(&mut item, STATUS, &[8, 1]);
        let kind = TypeMeta::new("authentication.k8s.io/v1", "TokenReview");
        let body = |item: Vec<u8>| single::join(encoding, &kind, &item.into());
        (body(question), body(item))
    }

    #[test]
    fn the_last_answer_is_given_to_the_same_question_also_after_a_restart() {
        let store = store();
        let reviews = Reviews::open(store.clone(), DAY).unwrap();
        let class = WriteClass::TokenReview;
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let (question, answer) = review(encoding, "secret-token");
            reviews
                .keep(class, (encoding, &question), (encoding, &answer))
                .unwrap();
            for reviews in [&reviews, &Reviews::open(store.clone(), DAY).unwrap()] {
                let given = reviews.recall(class, (encoding, &question), &away()).unwrap();
                assert_eq!(given.unwrap().trim_ascii(), answer.trim_ascii(), "{encoding:?}");
                let other = review(encoding, "another-token").0;
                let given = reviews.recall(class, (encoding, &other), &away()).unwrap();
                assert_eq!(given, None);
                let given = reviews.recall(WriteClass::AccessReview, (encoding, &question), &away());
                assert_eq!(given.unwrap(), None);
            }
        }
        let mut all = Vec::new();
        let mut snapshot = store.snapshot().unwrap();
        let scanned = snapshot.scan(b"", None, &mut |key, value| {
            all.extend_from_slice(key);
            all.extend_from_slice(&value);
            ControlFlow::Continue(())
        });
        scanned.unwrap();
        assert!(!String::from_utf8_lossy(&all).contains("token"));
    }

    #[test]
    fn an_answer_stands_for_a_bounded_time() {
        let (hour, day) = (Duration::from_hours(1), 24 * 3600);
        for (at, last_there, away, expected) in [
            (1000, Some(2000), hour, true),
            (1000, Some(2000), DAY + hour, false),
            (1000, Some(1001 + day), hour, false),
            (2000, Some(1000), hour, true), // the clock was set back
            (1000, None, hour, true),
        ] {
            assert_eq!(
                stands(at, last_there, away, DAY),
                expected,
                "{at} {last_there:?} {away:?}"
            );
        }
    }

    #[test]
    fn reviews_are_bounded() {
        let reviews = Reviews::open(store(), DAY).unwrap();
        for number in 0..MAX_ANSWERS + 10 {
            let (question, answer) = review(Encoding::Json, &number.to_string());
            let (question, answer) = ((Encoding::Json, &question), (Encoding::Json, &answer));
            reviews.keep(WriteClass::TokenReview, question, answer).unwrap();
        }
        assert_eq!(reviews.lock().len(), MAX_ANSWERS);
    }

    #[test]
    fn broken_bodies_are_errors() {
        let reviews = Reviews::open(store(), DAY).unwrap();
        for (encoding, body) in [
            (Encoding::Json, &b"{}"[..]),
            (Encoding::Json, b"{"),
            (Encoding::Protobuf, b"k8s"),
            (Encoding::Protobuf, b"k8s\0\x12\x05"),
        ] {
            let body = Bytes::from_static(body);
            let given = reviews.recall(WriteClass::TokenReview, (encoding, &body), &away());
            assert!(given.is_err(), "{body:?}");
        }
    }
}
