//! The few words of etcd's HTTP/JSON gateway (etcd.io/docs/v3.6/dev-guide/api_grpc_gateway) that the kit needs.
//! In JSON, 64-bit numbers are strings, and keys and values are base64.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::api::Api;

/// The key in which an apiserver keeps the last compacted revision; other apiservers watch it, and drop what their
/// caches hold from before (apiserver/pkg/storage/etcd3/compact.go).
const COMPACT_REV_KEY: &str = "compact_rev_key";

/// The current revision of the store.
pub(crate) async fn revision(etcd: &Api) -> Result<u64> {
    let answer = call(
        etcd,
        "/v3/kv/range",
        json!({ "key": base64(b"/"), "count_only": true }),
    )
    .await?;
    let revision = answer["header"]["revision"]
        .as_str()
        .context("etcd told no revision")?;
    revision
        .parse()
        .with_context(|| format!("reading etcd's revision `{revision}`"))
}

/// Forgets what the store holds from before `revision`, and tells apiservers.
pub(crate) async fn compact(etcd: &Api, revision: u64) -> Result<()> {
    let value = base64(revision.to_string().as_bytes());
    call(
        etcd,
        "/v3/kv/put",
        json!({ "key": base64(COMPACT_REV_KEY.as_bytes()), "value": value }),
    )
    .await?;
    let compaction = json!({ "revision": revision.to_string(), "physical": true });
    call(etcd, "/v3/kv/compaction", compaction).await?;
    Ok(())
}

async fn call(etcd: &Api, path: &str, body: Value) -> Result<Value> {
    let (status, answer) = etcd.post(path, body).await?;
    ensure!(status == 200, "etcd answered {status} to {path}: {answer}");
    Ok(answer)
}

/// Standard alphabet, padded (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for position in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * position)) as usize & 63];
            text.push(if position <= group.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_pads() {
        // RFC 4648, section 10.
        let table = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ];
        for (plain, encoded) in table {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
