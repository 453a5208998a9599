//! What surrounds each value on disk: format, flags, checksum, and the sealed or plain body. Pure.
//!
//! ```text
//! 0      format (1)
//! 1      flags: 1 = sealed, 2 = the value was damaged and is in quarantine (no body)
//! 2..6   CRC-32C, little endian, of format, flags, key and body
//! 6..    body: the value, or key id (4), nonce (12), ciphertext, tag (16)
//! ```
//!
//! Invariant: bytes that are not exactly what was written for this key never decode to a value.

use bytes::Bytes;

use crate::batch::Protection;
use crate::seal::{SEAL_OVERHEAD, SealingKey, Unsealable};

const FORMAT: u8 = 1;
const SEALED: u8 = 1;
const QUARANTINED: u8 = 2;
const HEADER: usize = 6;

/// Why a stored value does not read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Too short to be an envelope.
    Short,
    /// A format that this version does not know.
    Format,
    /// The checksum does not match key and body.
    Checksum,
    /// The checksum matches, but it does not open with the key that sealed it.
    Seal,
    /// Sealed with a key that this process does not have: kept as it is, it may be whole.
    OtherKey,
    /// Found damaged before, and moved to quarantine.
    Quarantined,
}

/// A value as decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) value: Bytes,
    pub(crate) protection: Protection,
}

/// No sealing key, or no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to seal the value")]
pub(crate) struct CannotSeal;

fn checksum(flags: u8, key: &[u8], body: &[u8]) -> [u8; 4] {
    let crc = crc32c::crc32c(&[FORMAT, flags]);
    let crc = crc32c::crc32c_append(crc, &(key.len() as u64).to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, key), body).to_le_bytes()
}

fn finish(flags: u8, key: &[u8], mut envelope: Vec<u8>) -> Vec<u8> {
    let crc = checksum(flags, key, envelope.get(HEADER..).unwrap_or_default());
    if let Some(header) = envelope.first_chunk_mut::<HEADER>() {
        *header = [FORMAT, flags, crc[0], crc[1], crc[2], crc[3]];
    }
    envelope
}

/// Wraps a value.
pub(crate) fn encode(
    key: &[u8],
    value: &[u8],
    protection: Protection,
    sealing: Option<&SealingKey>,
) -> Result<Vec<u8>, CannotSeal> {
    let mut envelope = Vec::with_capacity(HEADER + value.len() + SEAL_OVERHEAD);
    envelope.resize(HEADER, 0);
    match protection {
        Protection::Plain => {
            envelope.extend_from_slice(value);
            Ok(finish(0, key, envelope))
        }
        Protection::Sealed => {
            sealing
                .ok_or(CannotSeal)?
                .seal(key, value, &mut envelope)
                .map_err(|_| CannotSeal)?;
            Ok(finish(SEALED, key, envelope))
        }
    }
}

/// What takes the place of a value that was moved to quarantine.
pub(crate) fn quarantine_mark(key: &[u8]) -> Vec<u8> {
    finish(QUARANTINED, key, vec![0; HEADER])
}

/// Unwraps a value.
pub(crate) fn decode(key: &[u8], envelope: &Bytes, sealing: Option<&SealingKey>) -> Result<Decoded, Damage> {
    let &[format, flags, ref crc @ ..] = envelope.first_chunk::<HEADER>().ok_or(Damage::Short)?;
    let body = envelope.get(HEADER..).unwrap_or_default();
    if format != FORMAT {
        return Err(Damage::Format);
    }
    if *crc != checksum(flags, key, body) {
        return Err(Damage::Checksum);
    }
    match flags {
        0 => {
            let value = envelope.slice(HEADER..);
            Ok(Decoded {
                value,
                protection: Protection::Plain,
            })
        }
        SEALED => {
            let opened = sealing.ok_or(Damage::OtherKey)?.unseal(key, body);
            let value = opened.map_err(|why| match why {
                Unsealable::OtherKey => Damage::OtherKey,
                Unsealable::Damaged => Damage::Seal,
            })?;
            Ok(Decoded {
                value: value.into(),
                protection: Protection::Sealed,
            })
        }
        QUARANTINED => Err(Damage::Quarantined),
        _ => Err(Damage::Format),
    }
}

/// Whether an envelope is undamaged as far as can be told without any sealing key. Used when salvaging.
pub(crate) fn is_whole(key: &[u8], envelope: &[u8]) -> bool {
    let Some(&[format, flags, ref crc @ ..]) = envelope.first_chunk::<HEADER>() else {
        return false;
    };
    format == FORMAT && *crc == checksum(flags, key, envelope.get(HEADER..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> SealingKey {
        let dir = tempfile::tempdir().unwrap();
        SealingKey::load_or_create(&dir.path().join("key")).unwrap()
    }

    proptest! {
        #[test]
        fn values_read_back_and_any_flipped_bit_is_noticed(
            name in proptest::collection::vec(any::<u8>(), 0..20),
            value in proptest::collection::vec(any::<u8>(), 0..200),
            sealed: bool,
            flip: proptest::sample::Index,
        ) {
            let sealing = key();
            let protection = if sealed { Protection::Sealed } else { Protection::Plain };
            let envelope = encode(&name, &value, protection, Some(&sealing)).unwrap();
            let decoded = decode(&name, &envelope.clone().into(), Some(&sealing)).unwrap();
            prop_assert_eq!(decoded, Decoded { value: value.clone().into(), protection });
            prop_assert!(is_whole(&name, &envelope));

            let bit = flip.index(envelope.len() * 8);
            let mut damaged = envelope;
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!is_whole(&name, &damaged));
            prop_assert!(decode(&name, &damaged.into(), Some(&sealing)).is_err());
        }

        #[test]
        fn bytes_from_outside_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(b"key", &bytes.into(), None);
        }
    }

    #[test]
    fn a_value_does_not_open_under_another_name_or_key() {
        let (one, other) = (key(), key());
        let envelope = encode(b"a", b"secret", Protection::Sealed, Some(&one)).unwrap();
        assert_eq!(
            decode(b"b", &envelope.clone().into(), Some(&one)),
            Err(Damage::Checksum)
        );
        assert_eq!(
            decode(b"a", &envelope.clone().into(), Some(&other)),
            Err(Damage::OtherKey)
        );
        assert_eq!(
            decode(b"a", &envelope.clone().into(), None),
            Err(Damage::OtherKey)
        );
        // With the checksum made right for the other name, the seal still holds.
        let moved = finish(SEALED, b"b", envelope);
        assert_eq!(decode(b"b", &moved.into(), Some(&one)), Err(Damage::Seal));
    }

    #[test]
    fn a_newer_format_and_a_mark_are_told_apart() {
        let mut newer = encode(b"a", b"v", Protection::Plain, None).unwrap();
        newer[0] = 2;
        assert_eq!(decode(b"a", &newer.into(), None), Err(Damage::Format));
        assert_eq!(
            decode(b"a", &quarantine_mark(b"a").into(), None),
            Err(Damage::Quarantined)
        );
        assert_eq!(decode(b"a", &Bytes::new(), None), Err(Damage::Short));
        assert_eq!(encode(b"a", b"v", Protection::Sealed, None), Err(CannotSeal));
    }
}
