//! Values for field selectors: one field of an item as the apiserver compares it.
//!
//! Knows the fields that the apiserver supports for built-in kinds, each with its place in JSON and
//! in protobuf; deliberately not the selectable fields that a custom resource declares. Invariant:
//! a supported field always has a value, the absent one its zero value (`""`, `false`, `0`).
//! Source: the `AddFieldLabelConversionFunc` of `k8s.io/kubernetes/pkg/apis/*/v1/conversion.go` and
//! the `ToSelectableFields` of `k8s.io/kubernetes/pkg/registry`.

use crate::{Encoding, Reason, json, wire};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Bool,
    Number,
}

/// Where a field lies.
#[derive(Debug, Clone, Copy)]
struct Place {
    json: &'static [&'static str],
    protobuf: &'static [u32],
    kind: Kind,
}

const fn text(json: &'static [&'static str], protobuf: &'static [u32]) -> Place {
    Place {
        json,
        protobuf,
        kind: Kind::Text,
    }
}

/// The value of `field_path` in an item of `group_resource` (group, plural resource; the core group
/// is empty). `None` when the field is not one that can be selected by, or the item cannot be read.
pub fn value(
    encoding: Encoding,
    group_resource: (&str, &str),
    item: &[u8],
    field_path: &str,
) -> Option<String> {
    let place = place(group_resource, field_path)?;
    let value = read(encoding, item, place).ok()?;
    // An event without a source is selected by its reporting component (registry/core/event/strategy.go).
    if value.is_empty() && field_path == "source" {
        return read(encoding, item, REPORTING_COMPONENT).ok();
    }
    Some(value)
}

/// Whether items of `group_resource` can be selected by `field_path`.
pub fn is_supported(group_resource: (&str, &str), field_path: &str) -> bool {
    place(group_resource, field_path).is_some()
}

const REPORTING_COMPONENT: Place = text(&["reportingComponent"], &[14]);

fn place(group_resource: (&str, &str), field_path: &str) -> Option<Place> {
    match field_path {
        "metadata.name" => return Some(text(&["metadata", "name"], &[1, 1])),
        "metadata.namespace" => return Some(text(&["metadata", "namespace"], &[1, 3])),
        _ => {}
    }
    match group_resource {
        ("", "pods") => pod(field_path),
        ("", "events") => event(field_path),
        ("events.k8s.io", "events") => new_event(field_path),
        _ => other(group_resource, field_path),
    }
}

fn pod(field_path: &str) -> Option<Place> {
    Some(match field_path {
        "spec.nodeName" | "spec.host" => text(&["spec", "nodeName"], &[2, 10]),
        "spec.restartPolicy" => text(&["spec", "restartPolicy"], &[2, 3]),
        "spec.schedulerName" => text(&["spec", "schedulerName"], &[2, 19]),
        "spec.serviceAccountName" => text(&["spec", "serviceAccountName"], &[2, 8]),
        "spec.hostNetwork" => Place {
            json: &["spec", "hostNetwork"],
            protobuf: &[2, 11],
            kind: Kind::Bool,
        },
        "status.phase" => text(&["status", "phase"], &[3, 1]),
        "status.podIP" => text(&["status", "podIP"], &[3, 6]),
        "status.nominatedNodeName" => text(&["status", "nominatedNodeName"], &[3, 11]),
        _ => return None,
    })
}

fn event(field_path: &str) -> Option<Place> {
    Some(match field_path {
        "involvedObject.kind" => text(&["involvedObject", "kind"], &[2, 1]),
        "involvedObject.namespace" => text(&["involvedObject", "namespace"], &[2, 2]),
        "involvedObject.name" => text(&["involvedObject", "name"], &[2, 3]),
        "involvedObject.uid" => text(&["involvedObject", "uid"], &[2, 4]),
        "involvedObject.apiVersion" => text(&["involvedObject", "apiVersion"], &[2, 5]),
        "involvedObject.resourceVersion" => text(&["involvedObject", "resourceVersion"], &[2, 6]),
        "involvedObject.fieldPath" => text(&["involvedObject", "fieldPath"], &[2, 7]),
        "reason" => text(&["reason"], &[3]),
        "reportingComponent" => REPORTING_COMPONENT,
        "source" => text(&["source", "component"], &[5, 1]),
        "type" => text(&["type"], &[9]),
        _ => return None,
    })
}

fn new_event(field_path: &str) -> Option<Place> {
    Some(match field_path {
        "regarding.kind" => text(&["regarding", "kind"], &[8, 1]),
        "regarding.namespace" => text(&["regarding", "namespace"], &[8, 2]),
        "regarding.name" => text(&["regarding", "name"], &[8, 3]),
        "regarding.uid" => text(&["regarding", "uid"], &[8, 4]),
        "regarding.apiVersion" => text(&["regarding", "apiVersion"], &[8, 5]),
        "regarding.resourceVersion" => text(&["regarding", "resourceVersion"], &[8, 6]),
        "regarding.fieldPath" => text(&["regarding", "fieldPath"], &[8, 7]),
        "reason" => text(&["reason"], &[7]),
        "reportingController" => text(&["reportingController"], &[4]),
        "type" => text(&["type"], &[11]),
        _ => return None,
    })
}

fn other(group_resource: (&str, &str), field_path: &str) -> Option<Place> {
    Some(match (group_resource, field_path) {
        (("", "services"), "spec.clusterIP") => text(&["spec", "clusterIP"], &[2, 3]),
        (("", "services"), "spec.type") => text(&["spec", "type"], &[2, 4]),
        (("", "secrets"), "type") => text(&["type"], &[3]),
        (("", "namespaces"), "status.phase") => text(&["status", "phase"], &[3, 1]),
        (("", "nodes"), "spec.unschedulable") => Place {
            json: &["spec", "unschedulable"],
            protobuf: &[2, 4],
            kind: Kind::Bool,
        },
        (("", "replicationcontrollers"), "status.replicas") => Place {
            json: &["status", "replicas"],
            protobuf: &[3, 1],
            kind: Kind::Number,
        },
        (("batch", "jobs"), "status.successful") => Place {
            json: &["status", "succeeded"],
            protobuf: &[3, 5],
            kind: Kind::Number,
        },
        (("certificates.k8s.io", "certificatesigningrequests"), "spec.signerName") => {
            text(&["spec", "signerName"], &[2, 7])
        }
        (("resource.k8s.io", "resourceslices"), "spec.driver") => text(&["spec", "driver"], &[2, 1]),
        (("resource.k8s.io", "resourceslices"), "spec.nodeName") => text(&["spec", "nodeName"], &[2, 3]),
        _ => return None,
    })
}

fn read(encoding: Encoding, item: &[u8], place: Place) -> Result<String, Reason> {
    let Place { json, protobuf, kind } = place;
    match encoding {
        Encoding::Json => {
            let raw = json::find(item, json)?.unwrap_or(b"null");
            match kind {
                Kind::Text => Ok(json::string(raw)?.into_owned()),
                Kind::Bool => Ok((raw == b"true").to_string()),
                Kind::Number => Ok(json::integer(raw)?.to_string()),
            }
        }
        Encoding::Protobuf => match kind {
            Kind::Text => Ok(wire::text(item, protobuf)?.to_owned()),
            Kind::Bool => Ok((wire::varint(item, protobuf)? != 0).to_string()),
            Kind::Number => Ok(wire::varint(item, protobuf)?.cast_signed().to_string()),
        },
    }
}
