//! The columns in which kubectl shows the kinds of a node, and the cells of an object.
//!
//! The rules for cells are those of `k8s.io/kubernetes/pkg/printers/internalversion/printers.go`. Kinds without columns
//! of their own show name and age. Nothing here fails: a cell whose value is not there is `<none>` or `<unknown>`.

mod network;
mod node;
mod pod;

use serde_json::Value;
use yurthub_object::parse_time;

use crate::age;

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub name: &'static str,
    /// Shown only where the reader wants a wide table.
    pub wide: bool,
}

const fn narrow(name: &'static str) -> Column {
    Column { name, wide: false }
}

const fn wide(name: &'static str) -> Column {
    Column { name, wide: true }
}

const NAME: Column = narrow("Name");
const AGE: Column = narrow("Age");

const CONFIG_MAP: [Column; 3] = [NAME, narrow("Data"), AGE];
const SECRET: [Column; 4] = [NAME, narrow("Type"), narrow("Data"), AGE];
const LEASE: [Column; 3] = [NAME, narrow("Holder"), AGE];
const ANY: [Column; 2] = [NAME, AGE];

/// The columns of a kind, the name first.
pub fn of(group: &str, resource: &str) -> &'static [Column] {
    match (group, resource) {
        ("", "pods") => &pod::COLUMNS,
        ("", "nodes") => &node::COLUMNS,
        ("", "services") => &network::SERVICE,
        ("discovery.k8s.io", "endpointslices") => &network::SLICE,
        ("", "configmaps") => &CONFIG_MAP,
        ("", "secrets") => &SECRET,
        ("coordination.k8s.io", "leases") => &LEASE,
        _ => &ANY,
    }
}

/// The cells of an object, one for each column. `now` is in seconds since 1970.
pub fn cells(group: &str, resource: &str, object: &Value, now: i64) -> Vec<String> {
    let (name, age) = (or_none(text(object, "/metadata/name")), age_of(object, now));
    match (group, resource) {
        ("", "pods") => pod::cells(object, name, age, now),
        ("", "nodes") => node::cells(object, name, age),
        ("", "services") => network::service(object, name, age),
        ("discovery.k8s.io", "endpointslices") => network::slice(object, name, age),
        ("", "configmaps") => {
            let data = count(object, "/data") + count(object, "/binaryData");
            vec![name, data.to_string(), age]
        }
        ("", "secrets") => {
            let data = count(object, "/data").to_string();
            vec![name, text(object, "/type").to_owned(), data, age]
        }
        ("coordination.k8s.io", "leases") => {
            vec![name, text(object, "/spec/holderIdentity").to_owned(), age]
        }
        _ => vec![name, age],
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn number(object: &Value, pointer: &str) -> i64 {
    object
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    let found = object.pointer(pointer).and_then(Value::as_array);
    found.map_or(&[], Vec::as_slice)
}

fn count(object: &Value, pointer: &str) -> usize {
    let found = object.pointer(pointer).and_then(Value::as_object);
    found.map_or(0, serde_json::Map::len)
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "<none>" } else { text }.to_owned()
}

fn age_of(object: &Value, now: i64) -> String {
    since(text(object, "/metadata/creationTimestamp"), now)
}

fn since(time: &str, now: i64) -> String {
    parse_time(time).map_or_else(
        |_| "<unknown>".to_owned(),
        |then| age::human(now.saturating_sub(then)),
    )
}

/// The status of the condition of this type.
fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    let found = list(object, "/status/conditions")
        .iter()
        .find(|condition| text(condition, "/type") == kind);
    found.map_or("", |condition| text(condition, "/status"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const KINDS: [(&str, &str); 8] = [
        ("", "pods"),
        ("", "nodes"),
        ("", "services"),
        ("discovery.k8s.io", "endpointslices"),
        ("", "configmaps"),
        ("", "secrets"),
        ("coordination.k8s.io", "leases"),
        ("", "serviceaccounts"),
    ];

    #[test]
    fn each_object_has_a_cell_for_each_column() {
        for (group, resource) in KINDS {
            for object in [
                json!({}),
                json!(null),
                json!({"spec": [], "status": {"conditions": 1}}),
            ] {
                let cells = cells(group, resource, &object, 0);
                assert_eq!(
                    cells.len(),
                    of(group, resource).len(),
                    "{group}/{resource} {object}"
                );
            }
        }
    }

    #[test]
    fn small_kinds_show_what_they_hold() {
        let secret = json!({"metadata": {"name": "s", "creationTimestamp": "1970-01-01T00:00:00Z"},
            "type": "Opaque", "data": {"a": "", "b": ""}});
        assert_eq!(cells("", "secrets", &secret, 60), ["s", "Opaque", "2", "60s"]);
        let map = json!({"metadata": {"name": "m"}, "data": {"a": ""}, "binaryData": {"b": ""}});
        assert_eq!(cells("", "configmaps", &map, 60), ["m", "2", "<unknown>"]);
    }

    proptest! {
        #[test]
        fn odd_times_never_panic(time in ".{0,30}", now: i64) {
            let _ = since(&time, now);
        }
    }
}
