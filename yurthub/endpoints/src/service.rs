//! Services: whether one publishes addresses of pods that are not ready.

use yurthub_object::{Encoding, Malformed, Reason, json, wire};

use crate::numbers::service;

/// `spec.publishNotReadyAddresses` of a Service in its stored form, false when unset.
pub fn publishes_not_ready(encoding: Encoding, item: &[u8]) -> Result<bool, Malformed> {
    read(encoding, item).map_err(|reason| reason.reading("Service"))
}

fn read(encoding: Encoding, item: &[u8]) -> Result<bool, Reason> {
    match encoding {
        Encoding::Json => match json::find(item, &["spec", "publishNotReadyAddresses"])? {
            None | Some(b"null" | b"false") => Ok(false),
            Some(b"true") => Ok(true),
            Some(_) => Err(Reason::WrongType),
        },
        Encoding::Protobuf => Ok(wire::varint(item, &service::PUBLISH_NOT_READY_ADDRESSES)? != 0),
    }
}

#[cfg(test)]
mod tests {
    use yurthub_object::wire::{put_bytes, put_number};

    use super::*;

    fn protobuf(value: u64) -> Vec<u8> {
        let (mut spec, mut service) = (Vec::new(), Vec::new());
        put_bytes(&mut spec, 3, b"None");
        put_number(&mut spec, 13, value);
        put_bytes(&mut service, 2, &spec);
        service
    }

    #[test]
    fn unset_is_false() {
        for (text, want) in [
            (r#"{"spec":{"publishNotReadyAddresses":true}}"#, Ok(true)),
            (r#"{"spec":{"publishNotReadyAddresses":false}}"#, Ok(false)),
            (r#"{"spec":{"publishNotReadyAddresses":null}}"#, Ok(false)),
            (r#"{"spec":{}}"#, Ok(false)),
            ("{}", Ok(false)),
            (
                r#"{"spec":{"publishNotReadyAddresses":1}}"#,
                Err(Reason::WrongType.reading("Service")),
            ),
        ] {
            assert_eq!(
                publishes_not_ready(Encoding::Json, text.as_bytes()),
                want,
                "{text}"
            );
        }
        for (item, want) in [(protobuf(1), true), (protobuf(0), false), (vec![], false)] {
            assert_eq!(publishes_not_ready(Encoding::Protobuf, &item), Ok(want));
        }
    }
}
