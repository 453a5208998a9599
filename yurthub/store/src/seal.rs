//! Encryption of values at rest: AES-256-GCM with a key from a root-only file.
//!
//! It protects copies and backups of the database, not a stolen disk that holds the key file too. Keys (names) of
//! entries are not encrypted. A random nonce of 96 bits per write stays far below 2^32 writes on a node (NIST
//! SP 800-38D, 8.3).
//!
//! Invariant: a sealed value opens only under the key name that it was written for.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use crate::durable_file;

const KEY_LEN: usize = 32;
const ID_LEN: usize = 4;
/// Bytes that sealing adds: key id, nonce, tag.
pub(crate) const SEAL_OVERHEAD: usize = ID_LEN + NONCE_LEN + 16;

/// The key that seals values. Its `Debug` shows only its id.
pub struct SealingKey {
    key: LessSafeKey,
    id: [u8; ID_LEN],
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({:08x})", u32::from_be_bytes(self.id))
    }
}

/// The key file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("failed to read the sealing key {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be created.
    #[error("failed to create the sealing key {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read it, or it is owned by somebody else.
    #[error("sealing key {} must be a file of user {uid} with mode 0600: it has owner {owner}, mode {mode:04o}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Who must own it.
        uid: u32,
        /// Who does.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// It does not hold exactly 32 bytes.
    #[error("sealing key {} is damaged: it has {len} bytes instead of 32; restore it, or remove it to start with a new key (sealed entries are then lost)", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        len: usize,
    },
    /// The system gave no random bytes.
    #[error("failed to make a sealing key: no random bytes from the system")]
    NoRandom,
}

/// Why a sealed value does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsealable {
    /// It was sealed with another key: it may be whole.
    OtherKey,
    /// It was sealed with this key and is damaged, or was moved from another entry.
    Damaged,
}

impl SealingKey {
    /// Loads the key file, or creates it (mode 0600, whole or not at all, durable when this returns).
    pub fn load_or_create(path: &Path) -> Result<Self, KeyFileError> {
        match read_key(path) {
            Err(KeyFileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            read => {
                return read
                    .map(|bytes| Self::from_bytes(&bytes))
                    .and_then(|key| key.ok_or(KeyFileError::NoRandom));
            }
        }
        let mut bytes = [0; KEY_LEN];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| KeyFileError::NoRandom)?;
        match durable_file::create_private(path, &bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {} // somebody was faster: theirs counts
            Err(source) => {
                return Err(KeyFileError::Create {
                    path: path.to_owned(),
                    source,
                });
            }
        }
        Self::from_bytes(&read_key(path)?).ok_or(KeyFileError::NoRandom)
    }

    fn from_bytes(bytes: &[u8; KEY_LEN]) -> Option<Self> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).ok()?);
        let hash = digest(&SHA256, &[b"yurthub sealing key id", &bytes[..]].concat());
        let id = hash.as_ref().first_chunk().copied()?;
        Some(Self { key, id })
    }

    /// Appends key id, nonce and ciphertext of `value` to `out`. `context` is bound to it.
    pub(crate) fn seal(
        &self,
        context: &[u8],
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ring::error::Unspecified> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce)?;
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&nonce);
        let mut text = value.to_vec();
        self.key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context),
            &mut text,
        )?;
        out.extend_from_slice(&text);
        Ok(())
    }

    /// The inverse of [`Self::seal`].
    pub(crate) fn unseal(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unsealable> {
        let (id, rest) = sealed.split_first_chunk::<ID_LEN>().ok_or(Unsealable::Damaged)?;
        if *id != self.id {
            return Err(Unsealable::OtherKey);
        }
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Unsealable::Damaged)?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(context), &mut text)
            .map_err(|_| Unsealable::Damaged)?;
        let len = opened.len();
        text.truncate(len);
        Ok(text)
    }
}

fn read_key(path: &Path) -> Result<[u8; KEY_LEN], KeyFileError> {
    let failed = |source| KeyFileError::Read {
        path: path.to_owned(),
        source,
    };
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    let uid = rustix::process::geteuid().as_raw();
    if meta.uid() != uid || meta.mode() & 0o077 != 0 || !meta.is_file() {
        return Err(KeyFileError::Exposed {
            path: path.to_owned(),
            uid,
            owner: meta.uid(),
            mode: meta.mode() & 0o7777,
        });
    }
    let mut bytes = Vec::with_capacity(KEY_LEN);
    file.take(KEY_LEN as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    <[u8; KEY_LEN]>::try_from(bytes).map_err(|bytes| KeyFileError::Damaged {
        path: path.to_owned(),
        len: bytes.len(),
    })
}
