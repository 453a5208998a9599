//! Bodies that the apiserver compressed. Pure.
//!
//! Only lists are asked for compressed, and the apiserver compresses those above 128 KiB
//! (`k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/writers.go`). What the checksum of the format would find
//! TLS has found already; it is not looked at. Invariant: never more than the limit is held.

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue};
use thiserror::Error;

/// What to ask with, where an answer may be compressed.
pub const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip");

const FLAG_CHECKSUM: u8 = 2;
const FLAG_EXTRA: u8 = 4;
const FLAG_NAME: u8 = 8;
const FLAG_COMMENT: u8 = 16;
const HEADER: usize = 10;
/// Checksum and length at the end.
const TRAILER: usize = 8;

/// Why a body cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InflateError {
    /// No gzip, or damaged.
    #[error("the body is not what its Content-Encoding says")]
    Damaged,
    /// Larger than it may be.
    #[error("the body is larger than {0} bytes when it is unpacked")]
    TooLarge(usize),
}

/// Whether the body of an answer with these headers is compressed.
pub fn is_compressed(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING) == Some(&ACCEPTED)
}

/// Unpacks a gzip stream (RFC 1952) of one member into at most `limit` bytes.
pub fn gunzip(body: &[u8], limit: usize) -> Result<Bytes, InflateError> {
    let start = header_length(body).ok_or(InflateError::Damaged)?;
    let end = body.len().checked_sub(TRAILER).ok_or(InflateError::Damaged)?;
    let deflated = body.get(start..end).ok_or(InflateError::Damaged)?;
    let length = body.get(end + 4..).and_then(|bytes| bytes.first_chunk());
    let length = length.map(|bytes| u32::from_le_bytes(*bytes));
    let plain = miniz_oxide::inflate::decompress_to_vec_with_limit(deflated, limit).map_err(|error| {
        if error.status == miniz_oxide::inflate::TINFLStatus::HasMoreOutput {
            InflateError::TooLarge(limit)
        } else {
            InflateError::Damaged
        }
    })?;
    if length == Some(plain.len() as u32) {
        Ok(plain.into())
    } else {
        Err(InflateError::Damaged)
    }
}

fn header_length(body: &[u8]) -> Option<usize> {
    let [0x1f, 0x8b, 8, flags, ..] = *body.get(..HEADER)? else {
        return None;
    };
    let mut at = HEADER;
    if flags & FLAG_EXTRA != 0 {
        let length = body
            .get(at..)?
            .first_chunk()
            .map(|bytes| u16::from_le_bytes(*bytes))?;
        at += 2 + usize::from(length);
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        if flags & flag != 0 {
            at += body.get(at..)?.iter().position(|byte| *byte == 0)? + 1;
        }
    }
    if flags & FLAG_CHECKSUM != 0 {
        at += 2;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(plain: &[u8], flags: u8, extra: &[u8]) -> Vec<u8> {
        let mut body = vec![0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 255];
        body.extend(extra);
        body.extend(miniz_oxide::deflate::compress_to_vec(plain, 1));
        body.extend([0; 4]);
        body.extend((plain.len() as u32).to_le_bytes());
        body
    }

    #[test]
    fn every_header_of_the_format_is_read() {
        let plain = b"pods ".repeat(1000);
        for (flags, extra) in [
            (0, &b""[..]),
            (FLAG_NAME, b"list\0"),
            (FLAG_EXTRA | FLAG_COMMENT, b"\x03\0abcwhy\0"),
            (FLAG_CHECKSUM | FLAG_NAME, b"n\0\x12\x34"),
        ] {
            assert_eq!(
                gunzip(&gzip(&plain, flags, extra), 5000).unwrap(),
                plain,
                "{flags}"
            );
        }
    }

    #[test]
    fn a_body_that_grows_too_large_or_is_damaged_is_refused() {
        let plain = vec![7; 1 << 20];
        let body = gzip(&plain, 0, b"");
        assert_eq!(
            gunzip(&body, (1 << 20) - 1),
            Err(InflateError::TooLarge((1 << 20) - 1))
        );
        assert_eq!(gunzip(&body, 1 << 20).unwrap(), plain);
        for end in 0..body.len() {
            assert!(gunzip(&body[..end], 1 << 20).is_err(), "{end}");
        }
        assert_eq!(
            gunzip(&gzip(b"x", FLAG_EXTRA, b"\xff\xff"), 10),
            Err(InflateError::Damaged)
        );
    }
}
