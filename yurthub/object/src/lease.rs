//! Leases: when one was last renewed. Everything else in a lease stays bytes.
//!
//! Source: `LeaseSpec` in `k8s.io/api/coordination/v1/generated.proto`; `MicroTime` is seconds (1)
//! and nanoseconds (2).

use bytes::Bytes;

use crate::{Encoding, Malformed, Reason, json, single, time, wire};

const SUBJECT: &str = "lease";

/// `spec.renewTime` of a lease in its single form, in microseconds since 1970; `None` when unset.
pub fn renew_time(encoding: Encoding, body: &Bytes) -> Result<Option<i64>, Malformed> {
    match encoding {
        Encoding::Json => json_renew_time(body),
        Encoding::Protobuf => protobuf_renew_time(body),
    }
    .map_err(|reason| reason.reading(SUBJECT))
}

fn json_renew_time(body: &[u8]) -> Result<Option<i64>, Reason> {
    match json::find(body, &["spec", "renewTime"])? {
        None | Some(b"null") => Ok(None),
        Some(raw) => {
            let time::Instant { seconds, nanos } = time::parse(&json::string(raw)?)?;
            micros(seconds, nanos).map(Some)
        }
    }
}

fn protobuf_renew_time(body: &[u8]) -> Result<Option<i64>, Reason> {
    let Some(time) = wire::find(single::unknown(body)?, &[2, 2, 4])? else {
        return Ok(None);
    };
    let time = time.bytes()?;
    let nanos = u32::try_from(wire::varint(time, &[2])?).map_err(|_| Reason::BadTime)?;
    micros(wire::varint(time, &[1])?.cast_signed(), nanos).map(Some)
}

fn micros(seconds: i64, nanos: u32) -> Result<i64, Reason> {
    let whole = seconds.checked_mul(1_000_000).ok_or(Reason::BadTime)?;
    whole.checked_add(i64::from(nanos / 1000)).ok_or(Reason::BadTime)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unset_and_broken_times_are_told_apart() {
        let read = |text: &'static str| renew_time(Encoding::Json, &Bytes::from_static(text.as_bytes()));
        assert_eq!(read("{}"), Ok(None));
        assert_eq!(read(r#"{"spec":{"renewTime":null}}"#), Ok(None));
        assert_eq!(
            read(r#"{"spec":{"renewTime":"1970-01-01T00:00:01.5Z"}}"#),
            Ok(Some(1_500_000))
        );
        assert_eq!(
            read(r#"{"spec":{"renewTime":"soon"}}"#),
            Err(Reason::BadTime.reading("lease"))
        );
        assert_eq!(
            read(r#"{"spec":{"renewTime":5}}"#),
            Err(Reason::WrongType.reading("lease"))
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = renew_time(Encoding::Protobuf, &Bytes::from([&single::MAGIC[..], &bytes].concat()));
            let _ = renew_time(Encoding::Json, &bytes.into());
        }
    }
}
