//! The metadata of an object alone: `PartialObjectMetadata`, as the apiserver derives it from the object.
//!
//! The metadata is copied as it stands. Only custom resources, whose keys are sorted, get the order of the Go
//! structs. Invariant: for an object that the apiserver wrote, the result is what it writes for that view.
//! Source: `asPartialObjectMetadata` in `k8s.io/apiserver/pkg/endpoints/handlers/response.go`; the order of keys is
//! that of `ObjectMeta`, `OwnerReference` and `ManagedFieldsEntry` in `k8s.io/apimachinery/pkg/apis/meta/v1/types.go`.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{Encoding, Malformed, Reason, TypeMeta, json, single, wire};

const SUBJECT: &str = "metadata";
const KIND: &str = "PartialObjectMetadata";

const OBJECT_META: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];
const OWNER_REFERENCE: [&str; 6] = [
    "apiVersion",
    "kind",
    "name",
    "uid",
    "controller",
    "blockOwnerDeletion",
];
const MANAGED_FIELDS: [&str; 7] = [
    "manager",
    "operation",
    "apiVersion",
    "time",
    "fieldsType",
    "fieldsV1",
    "subresource",
];

/// The type of the view; `api_version` is `meta.k8s.io/v1` or `meta.k8s.io/v1beta1`.
pub fn type_meta(api_version: &str) -> TypeMeta {
    TypeMeta::new(api_version, KIND)
}

/// The type of a list of views.
pub fn list_type(api_version: &str) -> TypeMeta {
    TypeMeta::new(api_version, format!("{KIND}List"))
}

/// The view of an item, as an item of a list of views (where JSON keeps the type of each).
pub fn item(encoding: Encoding, api_version: &str, item: &[u8]) -> Result<Bytes, Malformed> {
    match encoding {
        Encoding::Json => json_item(api_version, item),
        Encoding::Protobuf => protobuf_item(item),
    }
    .map(Bytes::from)
    .map_err(|reason| reason.reading(SUBJECT))
}

fn protobuf_item(item: &[u8]) -> Result<Vec<u8>, Reason> {
    let mut view = Vec::new();
    wire::put_bytes(&mut view, 1, wire::message(item, &[1])?);
    Ok(view)
}

fn json_item(api_version: &str, item: &[u8]) -> Result<Vec<u8>, Reason> {
    let mut view = single::type_line(&type_meta(api_version));
    view.extend_from_slice(b",\"metadata\":");
    match json::find(item, &["metadata"])? {
        Some(metadata) => put_ordered(&mut view, metadata, &OBJECT_META)?,
        None => view.extend_from_slice(b"{}"),
    }
    view.push(b'}');
    Ok(view)
}

/// An object with its members in the order of a Go struct; those that the struct does not have come last.
fn put_ordered(out: &mut Vec<u8>, object: &[u8], order: &[&str]) -> Result<(), Reason> {
    let mut sorted = BTreeMap::new();
    let mut members = json::Members::at(object, 0)?;
    while let Some(member) = members.next()? {
        let value = object.get(members.value()?).ok_or(Reason::Truncated)?;
        let place = order.iter().position(|name| name.as_bytes() == member.key);
        let place = (place.unwrap_or(order.len()), sorted.len());
        sorted.insert(place, (member.key, value));
    }
    out.push(b'{');
    for (count, (key, value)) in sorted.into_values().enumerate() {
        if count > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(key);
        out.extend_from_slice(b"\":");
        match key {
            b"ownerReferences" => put_each(out, value, &OWNER_REFERENCE)?,
            b"managedFields" => put_each(out, value, &MANAGED_FIELDS)?,
            _ => out.extend_from_slice(value),
        }
    }
    out.push(b'}');
    Ok(())
}

fn put_each(out: &mut Vec<u8>, array: &[u8], order: &[&str]) -> Result<(), Reason> {
    if array == b"null" {
        out.extend_from_slice(array);
        return Ok(());
    }
    let mut elements = json::Elements::at(array, 0)?;
    let mut separator = b'[';
    while let Some(element) = elements.next()? {
        out.push(separator);
        separator = b',';
        put_ordered(out, array.get(element).ok_or(Reason::Truncated)?, order)?;
    }
    if separator == b'[' {
        out.push(separator);
    }
    out.push(b']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const V1: &str = "meta.k8s.io/v1";

    #[test]
    fn json_keeps_the_metadata_in_the_order_of_the_struct() {
        for (object, metadata) in [
            (
                r#"{"metadata":{"name":"a","uid":"u","labels":{"x":"y"}},"spec":{}}"#,
                r#"{"name":"a","uid":"u","labels":{"x":"y"}}"#,
            ),
            (
                r#"{"apiVersion":"e/v1","kind":"W","metadata":{"creationTimestamp":"t","managedFields":[{"apiVersion":"e/v1","manager":"m"}],"name":"a","new":1,"ownerReferences":[]}}"#,
                r#"{"name":"a","creationTimestamp":"t","ownerReferences":[],"managedFields":[{"manager":"m","apiVersion":"e/v1"}],"new":1}"#,
            ),
            (r#"{"spec":{}}"#, "{}"),
        ] {
            let view = item(Encoding::Json, V1, object.as_bytes()).unwrap();
            let expected =
                format!(r#"{{"kind":"PartialObjectMetadata","apiVersion":"{V1}","metadata":{metadata}}}"#);
            assert_eq!(String::from_utf8(view.to_vec()).unwrap(), expected);
        }
    }

    #[test]
    fn protobuf_keeps_the_first_field() {
        let mut object = Vec::new();
        wire::put_bytes(&mut object, 1, b"\x0a\x01a");
        let view = object.clone();
        wire::put_bytes(&mut object, 2, b"spec");
        assert_eq!(item(Encoding::Protobuf, V1, &object).unwrap(), view);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, text in r#"[\{\}\[\]",:a]{0,20}"#) {
            let _ = item(Encoding::Protobuf, V1, &bytes);
            let _ = item(Encoding::Json, V1, &bytes);
            let _ = item(Encoding::Json, V1, format!("{{\"metadata\":{{\"managedFields\":{text}}}}}").as_bytes());
        }
    }
}
