//! What the kubelet wrote while the cloud was away, durable before it is acknowledged: one entry for each object and
//! scope that holds it, the object as the kubelet last wrote it. Later writes replace earlier ones, so the journal
//! cannot grow with time.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;
use tracing::{info, warn};
use yurthub_object::{Encoding, Malformed, meta};
use yurthub_patch::{PatchError, merge, strategic};
use yurthub_request::ResourcePath;
use yurthub_store::{Batch, Protection, Store, StoreError};

use super::overlay::{Overlay, kind_of};
use crate::mirror::Mirror;
use crate::mirror::context::ReplayTrigger;
use crate::mirror::scope::{Scope, ScopeId, Wire};

const PREFIX: u8 = b'j';

/// How the body of a patch is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchType {
    /// `application/strategic-merge-patch+json`
    Strategic,
    /// `application/merge-patch+json`
    Merge,
}

impl PatchType {
    /// Reads a content type; `None` for the patches that only the apiserver applies.
    pub fn from_content_type(content_type: &str) -> Option<Self> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/strategic-merge-patch+json" => Some(Self::Strategic),
            "application/merge-patch+json" => Some(Self::Merge),
            _ => None,
        }
    }
}

/// Why a write was not accepted; nothing has happened then.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The mirror does not hold the object.
    #[error("this node's mirror does not hold the object")]
    Unknown,
    /// The patch is for another object of the same name.
    #[error("the patch is for uid {wanted}, the object here has uid {present}")]
    OtherObject {
        /// The uid in the patch.
        wanted: String,
        /// The uid here.
        present: String,
    },
    /// The patch cannot be applied.
    #[error("failed to apply the patch")]
    Patch(#[from] PatchError),
    /// The object cannot be read.
    #[error("failed to read the object")]
    Malformed(#[from] Malformed),
    /// The store did not take it.
    #[error("failed to make the write durable")]
    Store(#[from] StoreError),
}

/// The journal.
pub struct Journal {
    store: Store,
    mirror: Arc<Mirror>,
    replay: ReplayTrigger,
    /// Writes and replays of objects take turns: none may overtake another.
    turn: tokio::sync::Mutex<()>,
}

impl Journal {
    /// Opens the journal and shows what it holds in the mirror.
    pub fn open(store: Store, mirror: Arc<Mirror>, replay: ReplayTrigger) -> Result<Self, StoreError> {
        let mut found = Vec::new();
        store.snapshot()?.scan(&[PREFIX], None, &mut |key, value| {
            found.push((Bytes::copy_from_slice(key), value.clone()));
            ControlFlow::Continue(())
        })?;
        let mut restored = 0;
        for (key, item) in found {
            let scope = split_key(&key).and_then(|(id, object)| Some((mirror.by_id(id)?, object)));
            let Some((scope, object)) = scope else { continue };
            match Overlay::restore(scope.encoding(), item) {
                Ok(overlay) => {
                    scope.restore_overlay(object, overlay);
                    restored += 1;
                }
                Err(error) => warn!(object, %error, "an entry of the journal cannot be read"),
            }
        }
        if restored > 0 {
            info!(
                restored,
                "the kubelet's writes from the time without cloud are still to be sent"
            );
        }
        Ok(Self {
            store,
            mirror,
            replay,
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Whether the kubelet wrote the object and the cloud does not have that yet, or never will: of a stand-in for a mirror
    /// pod ([`super::mirror_pods`]).
    pub fn holds(&self, path: &ResourcePath, key: &str) -> bool {
        self.mirror.holding(path, key).iter().any(|scope| {
            scope.has_stand_in(key) || scope.overlay(key).is_some_and(|overlay| overlay.is_written())
        })
    }

    /// Applies a patch of the status to the object as it is here. Durable when this returns, but for that of a stand-in
    /// for a mirror pod: as that is kept in memory only, and the cloud does not know it.
    pub async fn write(
        &self,
        path: &ResourcePath,
        key: &str,
        patch: (PatchType, &Bytes),
        preferred: Encoding,
    ) -> Result<(Arc<Wire>, Bytes), JournalError> {
        let _turn = self.turn.lock().await;
        let mut scopes = self.mirror.holding(path, key);
        // The answer comes from a scope in the client's encoding.
        scopes.sort_by_key(|scope| scope.encoding() != preferred);
        let mut answer = None;
        let mut overlays = Vec::with_capacity(scopes.len());
        let mut batch = Batch::new();
        for scope in &scopes {
            let Ok((wire, item)) = scope.object(key)? else {
                continue;
            };
            let patched = apply(scope, &wire, &item, patch)?;
            let overlay = Overlay::new(wire.encoding, &patched)?;
            answer.get_or_insert_with(|| (wire, overlay.item.clone()));
            if scope.has_stand_in(key) {
                if !scope.change_here(key, &overlay) {
                    return Err(JournalError::Unknown); // it has ended in this moment
                }
                continue;
            }
            // An entry for each scope: after a restart all of them show what the kubelet wrote last.
            batch.put(entry_key(scope.id, key), overlay.item.clone(), Protection::Plain);
            overlays.push((scope, overlay));
        }
        if overlays.is_empty() {
            return answer.ok_or(JournalError::Unknown);
        }
        self.store.write_durable(batch).await?;
        for (scope, overlay) in overlays {
            scope.show_overlay(key, overlay);
        }
        self.replay.journal_grew();
        answer.ok_or(JournalError::Unknown)
    }

    /// Takes the turn of a write or of the replay.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The mirror that shows the entries.
    pub(super) fn mirror(&self) -> &Arc<Mirror> {
        &self.mirror
    }

    /// Forgets an entry: the cloud has it, or will never take it.
    pub(super) fn drop_entry(&self, scope: &Scope, key: &str) -> Result<(), StoreError> {
        scope.drop_overlay(key)?;
        let mut batch = Batch::new();
        batch.delete(entry_key(scope.id, key));
        self.store.write(batch)
    }

    /// Forgets entries whose overlay is gone: rebased away because the cloud says the same, or with an object that was
    /// deleted in the cloud. Returns the keys of the latter.
    pub(super) fn sweep(&self) -> Result<Vec<String>, StoreError> {
        let mut stale = Vec::new();
        self.store.snapshot()?.scan(&[PREFIX], None, &mut |key, item| {
            let scope = split_key(key).and_then(|(id, object)| Some((self.mirror.by_id(id)?, object)));
            let is_shown = |(scope, object): &(Arc<Scope>, &str)| {
                scope.overlay(object).is_some_and(|overlay| overlay.is_written())
            };
            if !scope.as_ref().is_some_and(is_shown) {
                stale.push((Bytes::copy_from_slice(key), item.clone()));
            }
            ControlFlow::Continue(())
        })?;
        if stale.is_empty() {
            return Ok(Vec::new());
        }
        let (mut batch, mut gone) = (Batch::new(), Vec::new());
        for (key, written) in stale {
            if let Some((id, object)) = split_key(&key)
                && !self.is_there(id, object, &written)?
            {
                gone.push(object.to_owned());
            }
            batch.delete(key);
        }
        self.store.write(batch)?;
        Ok(gone)
    }

    /// Whether the object that was written is still the cloud's.
    fn is_there(&self, scope: ScopeId, object: &str, written: &Bytes) -> Result<bool, StoreError> {
        let Some(scope) = self.mirror.by_id(scope) else {
            return Ok(false);
        };
        let encoding = scope.encoding();
        let uid = |item: &Bytes| meta::read(encoding, item).ok().map(|read| read.uid);
        let present = scope.stored(object)?;
        Ok(present.is_some_and(|present| uid(&present) == uid(written)))
    }
}

fn apply(
    scope: &Scope,
    wire: &Wire,
    item: &Bytes,
    patch: (PatchType, &Bytes),
) -> Result<Bytes, JournalError> {
    let kind = kind_of(&scope.key).ok_or(JournalError::Unknown)?;
    let present = meta::read(wire.encoding, item)?.uid;
    if let Some(wanted) = uid_in_patch(patch.1)
        && wanted != present
    {
        return Err(JournalError::OtherObject { wanted, present });
    }
    Ok(match patch.0 {
        PatchType::Strategic => strategic::apply_status(wire.encoding, kind, item, patch.1)?,
        PatchType::Merge => merge::apply(wire.encoding, kind, item, patch.1)?,
    })
}

fn uid_in_patch(patch: &[u8]) -> Option<String> {
    let patch: serde_json::Value = serde_json::from_slice(patch).ok()?;
    Some(patch.get("metadata")?.get("uid")?.as_str()?.to_owned())
}

fn entry_key(scope: ScopeId, object: &str) -> Bytes {
    let mut key = BytesMut::with_capacity(5 + object.len());
    key.put_u8(PREFIX);
    key.put_u32(scope);
    key.put_slice(object.as_bytes());
    key.freeze()
}

fn split_key(key: &[u8]) -> Option<(ScopeId, &str)> {
    let (id, object) = key.strip_prefix(&[PREFIX])?.split_at_checked(4)?;
    Some((
        u32::from_be_bytes(id.try_into().ok()?),
        std::str::from_utf8(object).ok()?,
    ))
}
