//! Bookmarks of our own: empty objects that carry a version.
//!
//! The apiserver sends the kind's Go zero value, whose non-optional fields show on the wire. For
//! the kinds of the table they are written alike; for any other kind the object has metadata only,
//! which decodes to the same zero value.
//! Source: `k8s.io/apiserver/pkg/storage/cacher/watch_cache.go` and `…/meta/v1/types.go`
//! (`InitialEventsAnnotationKey`).

mod zero_values;

use bytes::Bytes;

use super::{EventType, encode};
use crate::{Encoding, Style, TypeMeta, json, wire};

/// Marks the bookmark behind the initial events of a watch-list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// A bookmark frame for a watch of `type_meta` (the object's kind, not the list's). With
/// `initial_events_end` it tells the client of a watch-list that it now has everything.
pub fn encode_bookmark(
    encoding: Encoding,
    type_meta: &TypeMeta,
    resource_version: u64,
    initial_events_end: bool,
) -> Bytes {
    let item = match encoding {
        Encoding::Json => json_item(type_meta, resource_version, initial_events_end),
        Encoding::Protobuf => protobuf_item(type_meta, resource_version, initial_events_end),
    };
    encode(encoding, EventType::Bookmark, type_meta, &item)
}

fn json_item(type_meta: &TypeMeta, version: u64, initial_events_end: bool) -> Vec<u8> {
    let annotations = if initial_events_end {
        format!("\"annotations\":{{\"{INITIAL_EVENTS_END}\":\"true\"}}")
    } else {
        String::new()
    };
    let comma = if initial_events_end { "," } else { "" };
    match type_meta.style {
        Style::Struct => {
            let rest = zero_values::find(type_meta).map_or("", |zero| zero.json);
            format!("{{\"metadata\":{{\"resourceVersion\":\"{version}\"{comma}{annotations}}}{rest}}}")
                .into_bytes()
        }
        Style::Unstructured => {
            let mut item = b"{\"apiVersion\":".to_vec();
            json::put(&mut item, &type_meta.api_version);
            item.extend_from_slice(b",\"kind\":");
            json::put(&mut item, &type_meta.kind);
            let metadata =
                format!(",\"metadata\":{{{annotations}{comma}\"resourceVersion\":\"{version}\"}}}}");
            item.extend_from_slice(metadata.as_bytes());
            item
        }
    }
}

/// Go writes all non-optional fields of `ObjectMeta`, the empty ones too.
fn protobuf_item(type_meta: &TypeMeta, version: u64, initial_events_end: bool) -> Vec<u8> {
    let mut meta = Vec::with_capacity(64);
    for number in 1..=5 {
        wire::put_bytes(&mut meta, number, b""); // name, generateName, namespace, selfLink, uid
    }
    wire::put_bytes(&mut meta, 6, version.to_string().as_bytes());
    wire::put_number(&mut meta, 7, 0); // generation
    wire::put_bytes(&mut meta, 8, b""); // creationTimestamp
    if initial_events_end {
        let value = "true";
        let length = wire::field_len(1, INITIAL_EVENTS_END.len()) + wire::field_len(2, value.len());
        wire::put_header(&mut meta, 12, length);
        wire::put_bytes(&mut meta, 1, INITIAL_EVENTS_END.as_bytes());
        wire::put_bytes(&mut meta, 2, value.as_bytes());
    }
    let mut item = Vec::with_capacity(meta.len() + 64);
    wire::put_bytes(&mut item, 1, &meta);
    item.extend_from_slice(zero_values::find(type_meta).map_or(b"", |zero| zero.protobuf));
    item
}
