//! What the mirror holds of a resource, as JSON for a person: `GET /objects?resource=pods.GROUP&namespace=…&name=…`.
//!
//! Protobuf is decoded for display. Values of Secrets are left out but for their lengths, unless the question says
//! `secrets=shown`: what is printed ends in terminals, logs and pasted text. Invariant: answers are bounded by
//! [`survey`]; what is left out is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};
use yurthub_object::{Encoding, single};

use super::Overview;
use crate::mirror::form::readable;
use crate::mirror::scope::Scope;
use crate::mirror::survey::{self, Sighting, Survey, Wanted};

/// Short names, as kubectl has them.
const SHORT: [(&str, &str); 12] = [
    ("cm", "configmaps"),
    ("ep", "endpoints"),
    ("ev", "events"),
    ("no", "nodes"),
    ("ns", "namespaces"),
    ("po", "pods"),
    ("pv", "persistentvolumes"),
    ("pvc", "persistentvolumeclaims"),
    ("sa", "serviceaccounts"),
    ("svc", "services"),
    ("eps", "endpointslices"),
    ("slice", "endpointslices"),
];

impl Overview {
    /// Answers a question about objects.
    pub(super) async fn objects(&self, query: &str) -> (StatusCode, String) {
        let question = parse(query);
        let Some(asked) = question.get("resource") else {
            let error = "name a resource: /objects?resource=pods";
            return refusal(StatusCode::BAD_REQUEST, &json!({"error": error}));
        };
        let mut scopes = self.hub.mirror.scopes();
        let all: BTreeSet<String> = scopes.iter().map(|scope| qualified(scope)).collect();
        scopes.retain(|scope| is_named(asked, &scope.key.group, &scope.key.resource));
        let groups: BTreeSet<_> = scopes.iter().map(|scope| qualified(scope)).collect();
        match groups.len() {
            1 => {}
            0 => {
                let error = format!("this node mirrors no `{asked}`");
                return refusal(StatusCode::NOT_FOUND, &json!({"error": error, "resources": all}));
            }
            _ => {
                let error = format!("`{asked}` is not one resource; name its group");
                return refusal(
                    StatusCode::BAD_REQUEST,
                    &json!({"error": error, "resources": groups}),
                );
            }
        }
        let wanted = Wanted {
            namespace: question.get("namespace").cloned(),
            name: question.get("name").cloned(),
            lens: None,
        };
        let show_secrets = question.get("secrets").is_some_and(|value| value == "shown");
        let found = tokio::task::spawn_blocking(move || {
            let survey = survey::of(scopes.clone(), &wanted)?;
            Ok::<_, yurthub_store::StoreError>(answer(&scopes, &survey, show_secrets))
        });
        match found.await {
            Ok(Ok(answer)) => (StatusCode::OK, answer),
            Ok(Err(error)) => unreadable(&error),
            Err(error) => unreadable(&error),
        }
    }
}

fn unreadable(error: &dyn std::error::Error) -> (StatusCode, String) {
    let error = format!("failed to read the store: {error}");
    refusal(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": error}))
}

fn refusal(code: StatusCode, body: &Value) -> (StatusCode, String) {
    (code, body.to_string())
}

/// Put together as text: a tree of all objects would take many times their size.
fn answer(scopes: &[Arc<Scope>], survey: &Survey, show_secrets: bool) -> String {
    let (group, resource) = scopes
        .first()
        .map_or(("", ""), |scope| scope.key.group_resource());
    let described: Vec<_> = scopes
        .iter()
        .map(|scope| {
            let figures = scope.figures();
            json!({
                "scope": scope.key.describe(),
                "state": scope.state().as_str(),
                "version": figures.version.to_string(),
                "objects": figures.objects,
            })
        })
        .collect();
    let mut objects = String::new();
    let mut unreadable = 0;
    for sighting in &survey.found {
        match shown(sighting, show_secrets) {
            Some(object) => {
                if !objects.is_empty() {
                    objects.push(',');
                }
                objects.push_str(&object);
            }
            None => unreadable += 1,
        }
    }
    let head = json!({
        "group": group,
        "resource": resource,
        "scopes": described,
        "unreadable": unreadable,
        "leftOut": survey.left_out,
    })
    .to_string();
    format!(
        "{},\"objects\":[{objects}]}}",
        head.strip_suffix('}').unwrap_or_default()
    )
}

/// An object with its type, and what is to be said of it.
fn shown(sighting: &Sighting, show_secrets: bool) -> Option<String> {
    let mut item = readable(&sighting.wire, &sighting.item).ok()?;
    if sighting.scope.key.is_secret() && !show_secrets {
        let mut secret: Map<String, Value> = serde_json::from_slice(&item).ok()?;
        mask(&mut secret);
        item = Value::Object(secret).to_string().into();
    }
    let object = single::join(Encoding::Json, &sighting.wire.item_type, &item);
    let facts = json!({
        "scope": sighting.scope.key.describe(),
        "written": sighting.written,
    })
    .to_string();
    let object = std::str::from_utf8(&object).ok()?.trim_end();
    Some(format!(
        "{},\"object\":{object}}}",
        facts.strip_suffix('}').unwrap_or_default()
    ))
}

/// Leaves nothing of a Secret's values but their lengths. `kubectl apply` keeps a copy in an annotation.
fn mask(secret: &mut Map<String, Value>) {
    for name in ["data", "stringData"] {
        for value in secret
            .get_mut(name)
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
        {
            let length = value.1.as_str().map_or(0, str::len) / 4 * 3;
            *value.1 = format!("(hidden, about {length} bytes)").into();
        }
    }
    let copies = secret
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations"));
    if let Some(annotations) = copies.and_then(Value::as_object_mut) {
        for (_, value) in annotations
            .iter_mut()
            .filter(|(name, _)| name.ends_with("/last-applied-configuration"))
        {
            *value = "(hidden)".into();
        }
    }
}

fn qualified(scope: &Scope) -> String {
    match scope.key.group_resource() {
        ("", resource) => resource.to_owned(),
        (group, resource) => format!("{resource}.{group}"),
    }
}

/// Whether what was asked for (`pod`, `po`, `pods`, `leases.coordination.k8s.io`) is this resource.
fn is_named(asked: &str, group: &str, resource: &str) -> bool {
    let (name, of_group) = asked.split_once('.').unwrap_or((asked, ""));
    let name = name.to_ascii_lowercase();
    let of_group_is = of_group.is_empty() || of_group == group;
    let is_short = SHORT.contains(&(name.as_str(), resource));
    // pod, policy and class for pods, policies and classes.
    let singular = [
        resource.strip_suffix('s').map(str::to_owned),
        resource.strip_suffix("es").map(str::to_owned),
        resource.strip_suffix("ies").map(|stem| format!("{stem}y")),
    ];
    of_group_is && (name == resource || is_short || singular.into_iter().flatten().any(|one| one == name))
}

/// The last value of each key of a query.
fn parse(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), unescaped(value)))
        .collect()
}

/// Undoes percent-encoding; what is not encoded well stays as it is.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match digits.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_go_by_several_names() {
        for (asked, group, resource, expected) in [
            ("pods", "", "pods", true),
            ("pod", "", "pods", true),
            ("Pod", "", "pods", true),
            ("po", "", "pods", true),
            ("p", "", "pods", false),
            ("networkpolicy", "networking.k8s.io", "networkpolicies", true),
            ("runtimeclass", "node.k8s.io", "runtimeclasses", true),
            ("leases", "coordination.k8s.io", "leases", true),
            (
                "leases.coordination.k8s.io",
                "coordination.k8s.io",
                "leases",
                true,
            ),
            ("leases.other", "coordination.k8s.io", "leases", false),
            ("events.events.k8s.io", "", "events", false),
        ] {
            assert_eq!(
                is_named(asked, group, resource),
                expected,
                "{asked} {group}/{resource}"
            );
        }
    }

    #[test]
    fn queries_are_read() {
        let question = parse("resource=pods&name=a%3Ab&name=c%2Fd%zz&x&namespace=%");
        assert_eq!(question["resource"], "pods");
        assert_eq!(question["name"], "c/d%zz");
        assert_eq!(question["namespace"], "%");
        assert_eq!(question.len(), 3);
    }

    #[test]
    fn a_masked_secret_keeps_names_and_lengths_only() {
        let copy = "kubectl.kubernetes.io/last-applied-configuration";
        let Value::Object(mut secret) = json!({
            "metadata": {"name": "s", "annotations": {copy: "{\"data\":{\"k\":\"c2VjcmV0\"}}", "note": "n"}},
            "type": "Opaque",
            "data": {"k": "c2VjcmV0"},
        }) else {
            unreachable!()
        };
        mask(&mut secret);
        let text = Value::Object(secret.clone()).to_string();
        assert!(!text.contains("c2VjcmV0"), "{text}");
        assert_eq!(secret["data"]["k"], "(hidden, about 6 bytes)");
        assert_eq!(secret["metadata"]["annotations"]["note"], "n");
        mask(&mut Map::new());
    }
}
